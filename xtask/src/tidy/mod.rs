//! `cargo xtask tidy`: the house rules that no compiler checks.
//!
//! A rule is a function from what it reads to a list of [`Finding`]s; the rules of source files are rows of
//! [`source::RULES`]; [`circles`] and [`bound`] look at several files together. Files past [`source::LONG`] lines are
//! named but fail nothing: they ask for a reason.

mod bound;
mod circles;
mod edges;
mod files;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use crate::run::{At as _, Error, command, other, output, root, say};

/// Arguments of `tidy`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where: a file, `file:line`, or a crate.
    at: String,
    /// What is wrong, and what is wanted.
    what: String,
}

impl Finding {
    fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Checks everything.
pub(crate) fn run(_args: &Args) -> Result<(), Error> {
    check()
}

/// Checks everything.
pub(crate) fn check() -> Result<(), Error> {
    let mut findings = edges()?;
    let mut notes = Vec::new();
    let mut crates: BTreeMap<String, circles::Crate> = BTreeMap::new();
    let mut sources = Vec::new();
    for path in tracked()? {
        let whole = root().join(&path);
        // Listed and not there: removed, but not yet in the index.
        let Ok(facts) = fs::metadata(&whole) else { continue };
        findings.extend(files::size(&path, facts.len()));
        let bytes = fs::read(&whole).at(&whole)?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        findings.extend(files::words(&path, &text));
        if path.ends_with(".rs") {
            findings.extend(source::check(source::RULES, &path, &text));
            notes.extend(source::long(&path, &text));
            if let Some((name, file)) = path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"))
            {
                crates.entry(name.to_owned()).or_default().add(file, &text);
            }
            sources.push((path, text));
        }
    }
    findings.extend(crates.iter().flat_map(|(name, files)| circles::check(name, files)));
    findings.extend(bound::unread(&sources));
    for finding in &notes {
        say(format_args!("note: {finding}"));
    }
    for finding in &findings {
        say(format_args!("{finding}"));
    }
    match findings.len() {
        0 => Ok(()),
        count => other(format!("tidy: {count} findings")),
    }
}

/// The workspace's real edges against those that ARCHITECTURE.md allows.
fn edges() -> Result<Vec<Finding>, Error> {
    let metadata =
        output(command("cargo", ["metadata", "--format-version", "1", "--no-deps"]).current_dir(root()))?;
    let page = root().join("ARCHITECTURE.md");
    let page = fs::read_to_string(&page).at(&page)?;
    Ok(edges::compare(&edges::allowed(&page)?, &edges::real(&metadata)?))
}

/// The files of the repository, those that are new and not ignored included.
fn tracked() -> Result<Vec<String>, Error> {
    let mut git = command("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = output(git.current_dir(root()))?;
    let mut paths: Vec<String> = list.split_terminator('\0').map(str::to_owned).collect();
    paths.dedup();
    Ok(paths)
}
