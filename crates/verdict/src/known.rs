//! Known issues: a table of patterns, shipped and extended by the user.
//!
//! The files are TOML: `[[known]]` entries of texts.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::model::{How, Statement, Verdict};

/// What ships.
const SHIPPED: &[(&str, &str)] = &[
    ("virtio.toml", include_str!("../known/virtio.toml")),
    ("ext4.toml", include_str!("../known/ext4.toml")),
    ("net.toml", include_str!("../known/net.toml")),
    ("block.toml", include_str!("../known/block.toml")),
];

/// A known issue. Patterns may have `*`; an empty one fits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// Its short name.
    pub id: String,
    /// The class ([`crate::Class::slug`]): several where chance decides, as with freed memory.
    pub class: Patterns,
    /// The function to blame.
    pub function: Patterns,
    /// Functions that led there, the later ones further out: where the one to blame serves many, or chance decides
    /// which it is.
    pub stack: Patterns,
    /// The condition within `BUG_ON(…)`: several where it reads otherwise without types; one of them fits.
    pub condition: Patterns,
    /// The condition as it stands in the source: told where types do not name the operands.
    pub source: String,
    /// The first message.
    pub message: String,
    /// The module.
    pub module: String,
    /// Releases from this one on; with the releases that brought it to stable series: `5.10.24 5.11.7 5.12`.
    pub from: String,
    /// Releases before this one.
    pub before: String,
    /// The releases of stable series that have the fix: `5.10.121 5.15.46`.
    pub stable: String,
    /// What it is.
    pub explanation: String,
    /// The upstream commit.
    pub commit: String,
    /// Its title.
    pub title: String,
    /// The first release that has it.
    pub fixed: String,
    /// Where that was checked.
    pub checked: String,
}

/// One pattern, or a list of which one has to fit.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Patterns {
    /// `"…"`
    One(String),
    /// `["…", "…"]`
    Any(Vec<String>),
}

impl Default for Patterns {
    fn default() -> Self {
        Self::Any(Vec::new())
    }
}

impl Patterns {
    fn all(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Any(patterns) => patterns,
        }
    }

    fn is_empty(&self) -> bool {
        self.all().iter().all(String::is_empty)
    }

    /// True where one fits, and where there is none.
    fn fit(&self, text: &str) -> bool {
        self.is_empty() || self.all().iter().any(|p| fits(p, text))
    }

    /// The same for functions, without the compiler's suffixes.
    fn fit_function(&self, name: &str) -> bool {
        self.fit(crate::code::base_name(name))
    }
}

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    known: Vec<Entry>,
}

/// A file of known issues that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KnownError {
    /// It cannot be read.
    Read(PathBuf, String),
    /// A line is not understood.
    Line {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl std::fmt::Display for KnownError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KnownError::Read(path, why) => write!(f, "{}: {why}", path.display()),
            KnownError::Line { file, line, why } => write!(f, "{file}:{line}: {why}"),
        }
    }
}

impl std::error::Error for KnownError {}

/// Reads entries from the text of a file.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Entry>, KnownError> {
    let wrong = |e: toml::de::Error| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        KnownError::Line { file: file.to_owned(), line, why: e.message().to_owned() }
    };
    toml::from_str::<Table>(text).map(|table| table.known).map_err(wrong)
}

/// The shipped entries and those of a folder's `*.toml`.
pub(crate) fn load(folder: Option<&Path>) -> Result<Vec<Entry>, KnownError> {
    let mut out = Vec::new();
    for (file, text) in SHIPPED {
        out.extend(parse(file, text)?);
    }
    let Some(folder) = folder else { return Ok(out) };
    let read = |e: std::io::Error| KnownError::Read(folder.to_owned(), e.to_string());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(read)?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "toml"))
        .collect();
    files.sort();
    for path in files {
        let text =
            std::fs::read_to_string(&path).map_err(|e| KnownError::Read(path.clone(), e.to_string()))?;
        out.extend(parse(&path.display().to_string(), &text)?);
    }
    Ok(out)
}

/// True where `text` fits a pattern with `*`; blanks do not count.
fn fits(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let squeeze = |t: &str| t.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let (pattern, text) = (squeeze(pattern), squeeze(text));
    let mut rest = text.as_str();
    let parts: Vec<&str> = pattern.split('*').collect();
    let last = parts.len().saturating_sub(1);
    for (n, part) in parts.iter().enumerate() {
        if n == 0 {
            let Some(r) = rest.strip_prefix(part) else { return false };
            rest = r;
        } else if n == last {
            return part.is_empty() || rest.ends_with(part);
        } else {
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or("");
        }
    }
    rest.is_empty()
}

/// True where a condition has arguments by number: `arg3 > *(arg1 + 0x38)`.
fn has_unnamed(condition: &str) -> bool {
    condition
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter_map(|word| word.strip_prefix("arg"))
        .any(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The leading numbers of a release: `6.1.0-56-cloud` is 6, 1, 0.
fn version(text: &str) -> Vec<u64> {
    text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// True where a release is of a stable series that has the fix.
fn has_fix(stable: &str, release: &[u64]) -> bool {
    stable.split_whitespace().map(version).any(|fixed| {
        let series = fixed.get(..2);
        series.is_some() && series == release.get(..2) && release >= fixed.as_slice()
    })
}

/// True where a release has what came with one release, and came to some stable series before.
fn has_come(from: &str, release: &[u64]) -> bool {
    let all: Vec<Vec<u64>> = from.split_whitespace().map(version).collect();
    let of_series = all.iter().find(|r| r.get(..2).is_some_and(|series| release.get(..2) == Some(series)));
    of_series.or(all.last()).is_none_or(|r| release >= r.as_slice())
}

/// True where the functions of a pattern are on a stack, each further out than the one before.
fn leads(pattern: &str, stack: &[String]) -> bool {
    let mut rest = stack.iter();
    pattern.split_whitespace().all(|f| rest.any(|name| fits(f, crate::code::base_name(name))))
}

/// What entries are held against besides the verdict.
pub(crate) struct Seen<'a> {
    /// The first message.
    pub(crate) message: &'a str,
    /// The kernel's release.
    pub(crate) release: &'a str,
    /// The functions that led there, innermost first.
    pub(crate) stack: &'a [String],
}

/// The entries that match, as statements.
pub(crate) fn matching(entries: &[Entry], v: &Verdict, seen: &Seen<'_>) -> Vec<Statement> {
    let place = v.place.as_ref();
    let function = place.map_or("", |p| p.function.as_str());
    let inlined = place.and_then(|p| p.inlined.as_deref()).unwrap_or(function);
    let module = place.and_then(|p| p.module.as_deref()).unwrap_or("");
    let condition = v.condition.as_ref().map_or("", |c| c.text.as_str());
    let inner = condition.split_once('(').map_or(condition, |(_, c)| c.strip_suffix(')').unwrap_or(c));
    let release = version(seen.release);
    entries
        .iter()
        .filter(|e| {
            e.class.fit(v.class.slug())
                && (e.function.fit_function(function) || e.function.fit(inlined))
                && (e.stack.is_empty() || e.stack.all().iter().any(|p| leads(p, seen.stack)))
                && fits(&e.module, module)
                && (e.condition.is_empty() || !inner.is_empty() && e.condition.fit(inner))
                && fits(&e.message, seen.message)
                && has_come(&e.from, &release)
                && (e.before.is_empty() || release < version(&e.before))
                && !has_fix(&e.stable, &release)
        })
        .map(|e| {
            let mut text = e.explanation.clone();
            if !e.source.is_empty() && has_unnamed(inner) {
                text = format!("{} in the source: {text}", e.source);
            }
            if !e.commit.is_empty() {
                text = format!("{text}: {} (\"{}\")", e.commit, e.title);
            }
            if !e.fixed.is_empty() {
                text = format!("{text}, since {}", e.fixed);
                if !e.stable.is_empty() {
                    text = format!("{text} ({})", e.stable.split_whitespace().collect::<Vec<_>>().join(", "));
                }
                if release >= version(&e.fixed) {
                    text.push_str("; this kernel's release is later and its code is not the fixed one");
                }
            }
            Statement::new(How::Table, text, &[])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::model::{Condition, Place};

    #[test]
    fn what_ships_can_be_read_and_says_where_it_was_checked() {
        let all = load(None).unwrap();
        assert!(!all.is_empty());
        for e in &all {
            assert!(!e.id.is_empty() && !e.explanation.is_empty() && !e.checked.is_empty(), "{e:?}");
            assert!(e.commit.is_empty() || (e.commit.len() == 12 && !e.title.is_empty()), "{e:?}");
            assert!(!e.class.is_empty(), "{e:?}");
            assert!(!e.function.is_empty() || !e.stack.is_empty() || !e.message.is_empty(), "{e:?}");
        }
        for e in &all {
            let classes: Vec<&str> = crate::Class::ALL.iter().map(|c| c.slug()).collect();
            assert!(e.class.all().iter().all(|c| classes.contains(&c.as_str())), "{e:?}");
            let releases: Vec<Vec<u64>> = e.stable.split_whitespace().map(version).collect();
            assert!(releases.iter().all(|r| r.len() >= 3) && releases.is_sorted(), "{e:?}");
            assert!(
                e.from.is_empty() || e.before.is_empty() || version(&e.from) < version(&e.before),
                "{e:?}"
            );
            assert!(e.before.is_empty() || releases.iter().all(|r| *r < version(&e.before)), "{e:?}");
            assert!(e.before.is_empty() || e.fixed.is_empty() || e.before == e.fixed, "{e:?}");
        }
        let mut ids: Vec<&str> = all.iter().map(|e| e.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    }

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("", "x", true),
            ("virtqueue_add*", "virtqueue_add_split", true),
            ("virtqueue_add", "virtqueue_add_split", false),
            ("total_sg > *vring.num", "total_sg > vq->split.vring.num", true),
            ("total_sg > *vring.num", "total_sg > vq->split.vring.size", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
        ] {
            assert_eq!(fits(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn a_stable_release_with_the_fix_does_not_match() {
        let stable = "5.10.121 5.15.46";
        for (release, want) in [
            ("5.10.120", false),
            ("5.10.121-amd64", true),
            ("5.15.45", false),
            ("5.15.100", true),
            ("5.16.3", false),
            ("4.19.300", false),
        ] {
            assert_eq!(has_fix(stable, &version(release)), want, "{release}");
        }
        assert!(version("3.10.0-1127.el7.x86_64") < version("3.10.0-1160"));
        assert!(version("3.10.0-1127.el7.x86_64") >= version("3.10.0-1"));
        assert!(version("3.10.108") >= version("3.10.0-1160"));
    }

    #[test]
    fn what_came_to_a_stable_series_is_not_in_its_earlier_releases() {
        let from = "5.10.24 5.11.7 5.12";
        for (release, want) in [
            ("5.10.23", false),
            ("5.10.24-amd64", true),
            ("5.10.200", true),
            ("5.11.6", false),
            ("5.11.7", true),
            ("5.4.300", false),
            ("5.12.0", true),
            ("5.13.4", true),
        ] {
            assert_eq!(has_come(from, &version(release)), want, "{release}");
        }
        assert!(has_come("", &version("2.6.32")) && has_come("5.10", &version("5.10.3")));
        assert!(!has_come("5.10", &version("5.9.3")) && has_come("4.9.194", &version("4.14.1")));
        assert!(
            has_come("3.10.0-1", &version("3.10.0-1127.el7")) && !has_come("3.10.0-1", &version("3.9.4"))
        );
    }

    #[test]
    fn functions_of_the_stack_are_in_order() {
        let stack: Vec<String> = ["a", "b.isra.0", "c_x", "b"].map(String::from).to_vec();
        for (pattern, want) in [
            ("b", true),
            ("a c_*", true),
            ("b c_x b", true),
            ("c_x a", false),
            ("b b b", false),
            ("c_", false),
        ] {
            assert_eq!(leads(pattern, &stack), want, "{pattern}");
        }
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        for (text, want) in [
            ("# c\n[[known]]\nid = 5\n", "x.toml:3: invalid type: integer `5`, expected a string"),
            ("[[known]]\nid = 'a'\nidd = 'b'\n", "x.toml:3: unknown field `idd`, expected"),
            ("[[known]]\nid = \"a\n", "x.toml:2: "),
            ("[[knwon]]\nid = 'a'\n", "x.toml:1: unknown field `knwon`, expected `known`"),
        ] {
            let e = parse("x.toml", text).unwrap_err().to_string();
            assert!(e.starts_with(want), "{e}");
        }
        assert!(version("6.1.0-56-cloud") >= version("4.14"));
    }

    #[test]
    fn all_of_toml_may_be_used() {
        let text = "[[known]]\nid = 'a' # why\ncondition = [\n  \"x > *\",\n  'arg1 > 3',\n]\n\n[[known]]\nid = \"b\"\n";
        let all = parse("x.toml", text).unwrap();
        assert_eq!(all.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(all[0].condition.all(), ["x > *", "arg1 > 3"]);
        assert!(all[1].condition.is_empty());
        assert_eq!(parse("x.toml", "").unwrap(), []);
    }

    #[test]
    fn classes_and_functions_may_be_several_and_the_stack_counts() {
        let text = "[[known]]\nid = 'a'\nclass = ['general-protection', 'page-fault']\nfunction = ['f', 'g_*']\n\
                    stack = 'caller'\nexplanation = 'why'";
        let entries = parse("x.toml", text).unwrap();
        let told = |class, function: &str, stack: &[&str]| {
            let place = Place { function: function.into(), ..Place::default() };
            let v = Verdict { class, place: Some(place), ..Verdict::new() };
            let stack: Vec<String> = stack.iter().map(|f| (*f).to_owned()).collect();
            let seen = Seen { message: "", release: "6.1", stack: &stack };
            !matching(&entries, &v, &seen).is_empty()
        };
        assert!(told(Class::GeneralProtection, "f", &["f", "caller"]));
        assert!(told(Class::PageFault, "g_x.isra.0", &["g_x.isra.0", "h", "caller.constprop.0"]));
        assert!(!told(Class::NullPointer, "f", &["f", "caller"]), "another class");
        assert!(!told(Class::PageFault, "g", &["g", "caller"]), "another function");
        assert!(!told(Class::PageFault, "f", &["f", "h"]), "another caller");
        assert!(!told(Class::PageFault, "f", &[]), "no stack");
    }

    #[test]
    fn a_condition_without_names_is_told_as_the_source_has_it() {
        let text = "[[known]]\nid = 'a'\nfunction = 'f'\ncondition = ['total > *num', 'arg3 > *(arg1 + *)']\n\
                    source = 'BUG_ON(total > q->num)'\nexplanation = 'why'";
        let entries = parse("x.toml", text).unwrap();
        let told = |condition: &str| {
            let place = Place { function: "f".into(), ..Place::default() };
            let condition = Condition {
                text: format!("BUG_ON({condition})"),
                how: How::Decoded,
                operands: Vec::new(),
                code: Vec::new(),
                confirmed: true,
                objects: Vec::new(),
            };
            let v = Verdict { place: Some(place), condition: Some(condition), ..Verdict::new() };
            let seen = Seen { message: "", release: "6.1", stack: &[] };
            matching(&entries, &v, &seen).iter().map(|s| s.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(told("arg3 > *(arg1 + 0x38)"), ["BUG_ON(total > q->num) in the source: why"]);
        assert_eq!(told("total > q->num"), ["why"]);
        assert_eq!(told("arg2 > *(arg1 + 0x38)"), [""; 0]);
        assert!(has_unnamed("*(arg1+8)") && !has_unnamed("argc > args") && !has_unnamed("larg1 == arg1x"));
    }
}
