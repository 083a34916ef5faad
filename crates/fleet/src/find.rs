//! Which files of folders are dumps: told by content, as everywhere.

use kernel::FileKind;
use std::os::unix::fs::FileTypeExt as _;
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
    /// What was passed over: links that lead nowhere or to folders, pipes, sockets and devices.
    pub passed: Vec<String>,
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
        } else if is_named_as_dump(&path) && !path.is_dir() {
            // a dump is expected here: its row says that there is none
            found.dumps.push(path);
        } else {
            found.passed.push(format!("{}: {}: passed over", path.display(), what_it_is(&path)));
        }
    }
}

/// What a name leads to that is no file.
pub(crate) fn what_it_is(path: &Path) -> String {
    if let Ok(target) = std::fs::read_link(path) {
        let target = target.display();
        return match std::fs::metadata(path) {
            Ok(about) if about.is_dir() => format!("a link to the folder {target}"),
            Ok(_) => format!("a link to {target}, which is no regular file"),
            Err(e) => format!("a link to {target}: {e}"),
        };
    }
    let kind = std::fs::symlink_metadata(path).map(|about| about.file_type());
    let what = match kind {
        Ok(kind) if kind.is_fifo() => "a pipe (FIFO)",
        Ok(kind) if kind.is_socket() => "a socket",
        Ok(kind) if kind.is_char_device() || kind.is_block_device() => "a device",
        Ok(_) => "no regular file",
        Err(e) => return e.to_string(),
    };
    what.to_owned()
}

/// A file that is called as kdump calls dumps is to be one: where its content is damaged, a row says so.
fn is_named_as_dump(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let text = [".txt", ".log", ".json", ".toml", ".html", ".md"];
    let named = name.starts_with("vmcore") || name.ends_with(".vmcore") || name.ends_with(".kdump");
    named && !text.iter().any(|end| name.ends_with(end))
}
