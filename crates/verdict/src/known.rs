//! Known issues: a table of patterns, shipped and extended by the user.
//!
//! The files are a small part of TOML: `[[known]]`, and `key = "text"` in one line each.

use crate::model::{How, Statement, Verdict};
use std::path::{Path, PathBuf};

/// What ships.
const SHIPPED: &[(&str, &str)] = &[
    ("virtio.toml", include_str!("../known/virtio.toml")),
    ("ext4.toml", include_str!("../known/ext4.toml")),
    ("net.toml", include_str!("../known/net.toml")),
    ("block.toml", include_str!("../known/block.toml")),
];

/// A known issue. Patterns may have `*`; an empty one fits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// Its short name.
    pub id: String,
    /// The class ([`crate::Class::slug`]).
    pub class: String,
    /// The function to blame.
    pub function: String,
    /// The condition within `BUG_ON(…)`.
    pub condition: String,
    /// The first message.
    pub message: String,
    /// The module.
    pub module: String,
    /// Releases from this one on.
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
        why: &'static str,
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
    let mut out: Vec<Entry> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let wrong = |why| KnownError::Line { file: file.to_owned(), line: n + 1, why };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "[[known]]" {
            out.push(Entry::default());
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { return Err(wrong("expected key = \"text\"")) };
        let value = value.trim();
        let Some(value) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
            return Err(wrong("the value is not a \"text\" in one line"));
        };
        let value = value.replace("\\\"", "\"").replace("\\\\", "\\");
        let Some(e) = out.last_mut() else { return Err(wrong("a key before the first [[known]]")) };
        let slot = match key.trim() {
            "id" => &mut e.id,
            "class" => &mut e.class,
            "function" => &mut e.function,
            "condition" => &mut e.condition,
            "message" => &mut e.message,
            "module" => &mut e.module,
            "from" => &mut e.from,
            "before" => &mut e.before,
            "stable" => &mut e.stable,
            "explanation" => &mut e.explanation,
            "commit" => &mut e.commit,
            "title" => &mut e.title,
            "fixed" => &mut e.fixed,
            "checked" => &mut e.checked,
            _ => return Err(wrong("a key that known issues do not have")),
        };
        *slot = value;
    }
    Ok(out)
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

/// The entries that match, as statements.
pub(crate) fn matching(entries: &[Entry], v: &Verdict, message: &str, release: &str) -> Vec<Statement> {
    let place = v.place.as_ref();
    let function = place.map_or("", |p| p.function.as_str());
    let inlined = place.and_then(|p| p.inlined.as_deref()).unwrap_or(function);
    let module = place.and_then(|p| p.module.as_deref()).unwrap_or("");
    let condition = v.condition.as_ref().map_or("", |c| c.text.as_str());
    let inner = condition.split_once('(').map_or(condition, |(_, c)| c.strip_suffix(')').unwrap_or(c));
    let release = version(release);
    entries
        .iter()
        .filter(|e| {
            fits(&e.class, v.class.slug())
                && (fits(&e.function, crate::code::base_name(function)) || fits(&e.function, inlined))
                && fits(&e.module, module)
                && (e.condition.is_empty() || (!inner.is_empty() && fits(&e.condition, inner)))
                && fits(&e.message, message)
                && (e.from.is_empty() || release >= version(&e.from))
                && (e.before.is_empty() || release < version(&e.before))
                && !has_fix(&e.stable, &release)
        })
        .map(|e| {
            let mut text = e.explanation.clone();
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

    #[test]
    fn what_ships_can_be_read_and_says_where_it_was_checked() {
        let all = load(None).unwrap();
        assert!(!all.is_empty());
        for e in &all {
            assert!(!e.id.is_empty() && !e.explanation.is_empty() && !e.checked.is_empty(), "{e:?}");
            assert!(e.commit.is_empty() || (e.commit.len() == 12 && !e.title.is_empty()), "{e:?}");
            assert!(!e.function.is_empty() || !e.message.is_empty(), "{e:?}");
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
    fn a_bad_line_is_told_with_its_number() {
        let e = parse("x.toml", "# c\n[[known]]\nid = 5\n").unwrap_err();
        assert_eq!(e.to_string(), "x.toml:3: the value is not a \"text\" in one line");
        assert!(version("6.1.0-56-cloud") >= version("4.14"));
    }
}
