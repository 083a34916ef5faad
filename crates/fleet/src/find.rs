//! Which files of folders are dumps: told by content, as everywhere.

use kernel::FileKind;
use std::path::{Path, PathBuf};

/// Folders in folders deeper than this are not looked into.
const DEPTH: usize = 32;

/// What was found in folders.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Dumps, in the order of their paths; files that were named themselves are among them whatever they hold.
    pub dumps: Vec<PathBuf>,
    /// How many other files there are.
    pub others: usize,
    /// Why a folder could not be looked into.
    pub problems: Vec<String>,
}

/// Looks for dumps. Links to folders are not followed.
#[must_use]
pub fn find(places: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for place in places {
        if place.is_dir() {
            look_into(place, DEPTH, &mut found);
        } else {
            found.dumps.push(place.clone());
        }
    }
    found.dumps.sort();
    found.dumps.dedup();
    found
}

fn look_into(folder: &Path, depth: usize, found: &mut Found) {
    let problem = |why: &dyn std::fmt::Display| format!("{}: {why}", folder.display());
    if depth == 0 {
        found.problems.push(problem(&format_args!("more than {DEPTH} folders deep: not looked into")));
        return;
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => return found.problems.push(problem(&e)),
    };
    for entry in entries {
        let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok(entry) => entry,
            Err(e) => {
                found.problems.push(problem(&e));
                continue;
            }
        };
        if kind.is_dir() {
            look_into(&path, depth.saturating_sub(1), found);
        } else if path.is_file() {
            match kernel::file_kind(&path) == Some(FileKind::Dump) || is_named_as_dump(&path) {
                true => found.dumps.push(path),
                false => found.others = found.others.saturating_add(1),
            }
        }
    }
}

/// A file that is called as kdump calls dumps is to be one: where its content is damaged, a row says so.
fn is_named_as_dump(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let text = [".txt", ".log", ".json", ".toml", ".html", ".md"];
    let named = name.starts_with("vmcore") || name.ends_with(".vmcore") || name.ends_with(".kdump");
    named && !text.iter().any(|end| name.ends_with(end))
}
