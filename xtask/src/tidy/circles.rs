//! No circle of files within a crate, beyond a folder and its own parts: who reads a file can read what it rests on first.
//!
//! What a file uses is told by its paths that begin with `crate` or `super`; a name that `lib.rs` gives on counts for the file
//! that has it. Tests and doc comments do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, source};

/// The files of one crate by their module paths (`mm::page`), with what each uses.
#[derive(Default)]
pub(crate) struct Crate {
    texts: BTreeMap<Vec<String>, String>,
    root: String,
}

impl Crate {
    /// Takes in a file; `path` is the one below the crate's `src`.
    pub(crate) fn add(&mut self, path: &str, text: &str) {
        let Some(stem) = path.strip_suffix(".rs") else { return };
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        if stem.ends_with("tests") || stem == "testing" {
            return;
        }
        let text = code(text);
        match stem {
            "lib" | "main" => self.root = text,
            _ => drop(self.texts.insert(stem.split('/').map(str::to_owned).collect(), text)),
        }
    }

    /// The circles, each as its files' module paths.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let given = self.given();
        let uses: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> =
            self.texts.iter().map(|(path, text)| (path, self.used(path, text, &given))).collect();
        let ahead: BTreeMap<_, _> = self.texts.keys().map(|from| (from, reached(&uses, from))).collect();
        let mut circles = Vec::new();
        let mut seen = BTreeSet::new();
        for (from, all) in &ahead {
            let leads_back = |to: &&Vec<String>| ahead.get(to).is_some_and(|ahead| ahead.contains(from));
            let circle: Vec<&Vec<String>> = all.iter().copied().filter(leads_back).collect();
            if circle.len() > 1 && !is_within_a_folder(&circle) && seen.insert(circle.clone()) {
                circles.push(circle.iter().map(|path| path.join("::")).collect());
            }
        }
        circles
    }

    /// Names that the root gives on, with the file that has each.
    fn given(&self) -> BTreeMap<String, Vec<String>> {
        let mut out = BTreeMap::new();
        for statement in self.root.split(';') {
            let Some((_, path)) = statement
                .rsplit_once("pub use ")
                .filter(|(_, path)| !path.contains('}') || path.contains('{'))
            else {
                continue;
            };
            for full in expanded(path.trim()) {
                let mut full: Vec<String> =
                    full.into_iter().filter(|part| part != "crate" && part != "self").collect();
                if let Some(name) = full.pop() {
                    out.insert(name, full);
                }
            }
        }
        out
    }

    /// The files that a file's paths lead to.
    fn used(
        &self,
        own: &[String],
        text: &str,
        given: &BTreeMap<String, Vec<String>>,
    ) -> BTreeSet<&Vec<String>> {
        let mut out = BTreeSet::new();
        for (at, start) in ["crate::", "super::"].iter().flat_map(|start| text.match_indices(start)) {
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                continue;
            }
            for mut path in expanded(text.get(at..).unwrap_or_default()) {
                let ups = path.iter().take_while(|part| *part == "super").count();
                if start == "super::" {
                    let base = own.len().saturating_sub(ups);
                    path = own.iter().take(base).cloned().chain(path.into_iter().skip(ups)).collect();
                } else {
                    path.remove(0);
                }
                if let Some(full) = path.first().and_then(|name| given.get(name)) {
                    path.clone_from(full);
                }
                while !path.is_empty() {
                    if let Some((file, _)) = self.texts.get_key_value(&path) {
                        if file != own {
                            out.insert(file);
                        }
                        break;
                    }
                    path.pop();
                }
            }
        }
        out
    }
}

/// Findings for one crate.
pub(crate) fn check(name: &str, files: &Crate) -> Vec<Finding> {
    let say = |circle: Vec<String>| {
        Finding::new(format!("crates/{name}"), format!("a circle of files: {}", circle.join(", ")))
    };
    files.circles().into_iter().map(say).collect()
}

/// All files that one uses, and those that they use.
fn reached<'a>(
    uses: &BTreeMap<&'a Vec<String>, BTreeSet<&'a Vec<String>>>,
    from: &'a Vec<String>,
) -> BTreeSet<&'a Vec<String>> {
    let mut out = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        for to in uses.get(at).into_iter().flatten() {
            if out.insert(*to) {
                next.push(to);
            }
        }
    }
    out
}

/// Whether one folder has all of them.
fn is_within_a_folder(files: &[&Vec<String>]) -> bool {
    let first = files.first().and_then(|path| path.first());
    first.is_some() && files.iter().all(|path| path.first() == first)
}

/// The paths at the start of a text: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expanded(text: &str) -> Vec<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.is_empty() {
            break;
        }
        names.push(name.to_owned());
        let Some(next) = behind.strip_prefix("::") else { return vec![names] };
        rest = next;
    }
    let Some(group) = rest.strip_prefix('{') else { return vec![names] };
    let mut depth = 1_usize;
    let mut items = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match c {
            _ if depth == 0 => break,
            ',' if depth == 1 => items.push(String::new()),
            c => items.last_mut().into_iter().for_each(|item| item.push(c)),
        }
    }
    let parts = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    let whole = |item: &str| {
        expanded(item).into_iter().map(|tail| [names.clone(), tail].concat()).collect::<Vec<_>>()
    };
    parts.flat_map(whole).map(|path| path.into_iter().filter(|part| part != "self").collect()).collect()
}

/// A file without comments and without its tests.
fn code(text: &str) -> String {
    source::code(text).filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut all = Crate::default();
        files.iter().for_each(|(path, text)| all.add(path, text));
        all.circles()
    }

    #[test]
    fn paths_are_expanded() {
        let of = |text: &str| expanded(text).iter().map(|path| path.join("::")).collect::<Vec<_>>();
        assert_eq!(of("crate::a::{b, c::{self, D}};"), ["crate::a::b", "crate::a::c", "crate::a::c::D"]);
        assert_eq!(of("crate::a::f(x)"), ["crate::a::f"]);
    }

    #[test]
    fn a_circle_of_files_is_found_and_a_chain_is_none() {
        let circle =
            [("a.rs", "use crate::b::X;"), ("b.rs", "use crate::{c, d};"), ("c/mod.rs", "crate::a::f()")];
        assert_eq!(circles(&circle), [["a", "b", "c"]]);
        assert!(circles(&[("a.rs", "use crate::b;"), ("b.rs", "use crate::c;"), ("c.rs", "")]).is_empty());
    }

    #[test]
    fn folders_may_have_circles_and_two_folders_none() {
        assert!(circles(&[("m/a.rs", "use super::b;"), ("m/b.rs", "use crate::m::a;")]).is_empty());
        let two = [("m/a.rs", "use crate::n::b;"), ("n/b.rs", "use crate::m::a::{F, G};")];
        assert_eq!(circles(&two), [["m::a", "n::b"]]);
    }

    #[test]
    fn what_the_root_gives_on_is_its_file_s() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\npub use a::Thing;"),
            ("a.rs", "crate::b::f()"),
            ("b.rs", "use crate::Thing;"),
        ];
        assert_eq!(circles(&files), [["a", "b"]]);
    }

    #[test]
    fn comments_and_tests_use_nothing() {
        let tests = "//! [`crate::a`]\nfn f() {}\n#[cfg(test)]\nmod tests {\n use crate::a;\n}";
        assert!(
            circles(&[("a.rs", "use crate::b;"), ("b.rs", tests), ("b_tests.rs", "use crate::a;")])
                .is_empty()
        );
    }
}
