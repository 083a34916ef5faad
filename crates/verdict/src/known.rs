//! Known issues: a table of patterns, shipped and extended by the user.
//!
//! The files are TOML: `[[known]]` entries of texts.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::model::{How, KnownIssue, Place, Statement};
use kernel::log::event::Class;

/// What ships.
const SHIPPED: &[(&str, &str)] = &[
    ("virtio.toml", include_str!("../known/virtio.toml")),
    ("block.toml", include_str!("../known/block.toml")),
    ("md.toml", include_str!("../known/md.toml")),
    ("scsi.toml", include_str!("../known/scsi.toml")),
    ("virt.toml", include_str!("../known/virt.toml")),
    ("ext4.toml", include_str!("../known/ext4.toml")),
    ("btrfs.toml", include_str!("../known/btrfs.toml")),
    ("fs.toml", include_str!("../known/fs.toml")),
    ("net.toml", include_str!("../known/net.toml")),
    ("drivers.toml", include_str!("../known/drivers.toml")),
    ("mm.toml", include_str!("../known/mm.toml")),
    ("kernel.toml", include_str!("../known/kernel.toml")),
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
    /// The source file of the function to blame: with the condition it stands for the function, which the compiler may have put
    /// into any of those that call it.
    pub file: String,
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
        self.fit(debuginfo::symtab::base_name(name))
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
#[non_exhaustive]
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

/// The shipped entries and those of a folder's `*.toml`; where the folder or a file of it is of no use, why.
pub(crate) fn load(folder: Option<&Path>) -> (Vec<Entry>, Option<KnownError>) {
    let (mut out, mut problem) = (Vec::new(), None);
    let mut take = |read: Result<Vec<Entry>, KnownError>| match read {
        Ok(entries) => out.extend(entries),
        Err(e) => problem = problem.take().or(Some(e)),
    };
    for (file, text) in SHIPPED {
        take(parse(file, text));
    }
    match folder.map(files) {
        None => {}
        Some(Err(e)) => take(Err(e)),
        Some(Ok(files)) => files.iter().for_each(|path| take(file(path))),
    }
    (out, problem)
}

/// The entries of a file.
fn file(path: &Path) -> Result<Vec<Entry>, KnownError> {
    let text = std::fs::read_to_string(path).map_err(|e| KnownError::Read(path.to_owned(), e.to_string()))?;
    parse(&path.display().to_string(), &text)
}

/// The files of known issues in a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, KnownError> {
    let read = |e: std::io::Error| KnownError::Read(folder.to_owned(), e.to_string());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(read)?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "toml"))
        .collect();
    files.sort();
    Ok(files)
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

/// The release that a kernel was made from.
struct Release {
    numbers: Vec<u64>,
    /// Its distribution counts its own way (`5.15.0-67`): which release of the series it is made from is not told.
    counted_anew: bool,
    /// Its maker's own number follows (`5.14.21-150500.55`): it may have what came later.
    patched: bool,
}

impl Release {
    /// The release by its name, and by its build where that says more: `#1 SMP Debian 6.1.192-1` is of 6.1.0-56.
    fn of(name: &str, build: &str) -> Self {
        let numbers = version(name);
        let counted_anew = numbers.len() > 3 && numbers.get(2) == Some(&0);
        let said = build
            .split_whitespace()
            .map(version)
            .find(|v| v.len() > 2 && v.get(..2) == numbers.get(..2) && v.get(2) != Some(&0));
        match said.filter(|_| counted_anew) {
            Some(said) => Self { numbers: said, counted_anew: false, patched: false },
            None => Self { patched: numbers.len() > 3, numbers, counted_anew },
        }
    }

    fn is_before(&self, other: &str) -> bool {
        self.numbers < version(other)
    }

    fn is_of_series(&self, other: &[u64]) -> bool {
        other.get(..2).is_some_and(|series| self.numbers.get(..2) == Some(series))
    }

    /// True where it is of a stable series that has the fix, and has it.
    fn has_fix(&self, stable: &str) -> bool {
        stable.split_whitespace().map(version).any(|fixed| self.is_of_series(&fixed) && self.numbers >= fixed)
    }

    /// True where it has, or may have, what came with one release, and came to some stable series before.
    fn has_come(&self, from: &str) -> bool {
        let all: Vec<Vec<u64>> = from.split_whitespace().map(version).collect();
        let of_series = all.iter().find(|r| self.is_of_series(r));
        let untold = |r: &[u64]| self.counted_anew && r.get(2).is_some_and(|n| *n != 0);
        match of_series {
            Some(r) => self.numbers >= *r || untold(r),
            None => all.last().is_none_or(|r| self.numbers >= *r),
        }
    }
}

impl Entry {
    /// True where the condition alone tells, as it stands in this file and in no function of its own.
    fn is_asserted_in(&self, file: &str) -> bool {
        !self.file.is_empty()
            && !self.condition.is_empty()
            && file.trim_start_matches("./").ends_with(&self.file)
    }
}

/// True where the functions of a pattern are on a stack, each further out than the one before.
fn leads(pattern: &str, stack: &[String]) -> bool {
    let mut rest = stack.iter();
    pattern.split_whitespace().all(|f| rest.any(|name| fits(f, debuginfo::symtab::base_name(name))))
}

/// What entries are held against besides the verdict.
pub(crate) struct Seen<'a> {
    /// The kind of death.
    pub(crate) class: Class,
    /// Where.
    pub(crate) place: Option<&'a Place>,
    /// The condition that failed.
    pub(crate) condition: Option<&'a cexpr::Expr>,
    /// The first message.
    pub(crate) message: &'a str,
    /// The kernel's release.
    pub(crate) release: &'a str,
    /// What its maker says of the build: `#1 SMP Debian 6.1.192-1`.
    pub(crate) build: &'a str,
    /// The functions that led there, innermost first.
    pub(crate) stack: &'a [String],
}

/// The entries that match, as statements.
pub(crate) fn matching(entries: &[Entry], seen: &Seen<'_>) -> Vec<Statement> {
    let place = seen.place;
    let function = place.map_or("", |p| p.function.as_str());
    let inlined = place.and_then(|p| p.inlined.as_deref()).unwrap_or(function);
    let module = place.and_then(|p| p.module.as_deref()).unwrap_or("");
    let file = place.and_then(|p| p.file.as_deref()).unwrap_or("");
    let inner = seen.condition.map(|e| e.for_reader().to_string());
    let inner = inner.as_deref().unwrap_or_default();
    let release = Release::of(seen.release, seen.build);
    entries
        .iter()
        .filter(|e| {
            e.class.fit(seen.class.slug())
                && (e.function.fit_function(function) || e.function.fit(inlined) || e.is_asserted_in(file))
                && (e.stack.is_empty() || e.stack.all().iter().any(|p| leads(p, seen.stack)))
                && fits(&e.module, module)
                && (e.condition.is_empty() || !inner.is_empty() && e.condition.fit(inner))
                && fits(&e.message, seen.message)
                && release.has_come(&e.from)
                && (e.before.is_empty() || release.is_before(&e.before))
                && !release.has_fix(&e.stable)
        })
        .map(|e| {
            let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            let fixed = some(&e.fixed);
            let later = fixed.as_ref().is_some_and(|fixed| !release.is_before(fixed));
            let issue = KnownIssue {
                id: e.id.clone(),
                explanation: e.explanation.clone(),
                // a function may die of other things, too
                maybe: e.condition.is_empty() && e.message.is_empty(),
                source: some(&e.source).filter(|_| has_unnamed(inner)),
                commit: some(&e.commit).map(|commit| (commit, e.title.clone())),
                stable: e.stable.split_whitespace().map(str::to_owned).collect(),
                counted: fixed.is_some() && !later && release.patched,
                fixed,
                later,
            };
            Statement::new(How::Guessed, issue, &[])
        })
        .collect()
}

#[cfg(test)]
mod tests;
