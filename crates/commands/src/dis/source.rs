//! Source text of places in code: `dis -s`, `list`.

use super::place::Place;
use crate::{CommandError, Cx};
use kernel::Session;
use report::{Line, Record, Report, Role};
use std::path::{Path, PathBuf};

/// Lines before the marked one.
const BEFORE: u32 = 5;
/// Lines shown at most where the end of the function is not known.
const AFTER: u32 = 60;
/// More than any source file has.
const MAX_SOURCE: u64 = 16 << 20;

/// `dis -s`: file, line, and the text where it is at hand.
pub(super) fn dis_source(
    cx: &Cx<'_>,
    s: &Session,
    place: &Place,
    count: Option<u64>,
) -> Result<Report, CommandError> {
    let word = match (&place.name, place.offset) {
        (Some(name), 0) => name.clone(),
        (Some(name), offset) => format!("{name}+{offset}"),
        (None, _) => format!("{:x}", place.at.0),
    };
    let Some(line) = s.source_line(place.at).filter(|l| l.line != 0) else {
        let module = s.module_at(place.at).map(|m| {
            format!(": no debug file of module {} is loaded; \"mod -s {} FILE\" loads one", m.name, m.name)
        });
        let why = module.unwrap_or_else(|| match s.kernel_debug() {
            Some(_) => String::new(),
            None => ": lines are in the kernel's debug file (vmlinux), which was not given".to_owned(),
        });
        return Err(CommandError::failed("dis", format_args!("{word}: not found in debuginfo data{why}")));
    };
    let mut report = Report::new("dis");
    report.line(Line::new().text("FILE: ").field("file", line.file.to_string()).role(Role::Path));
    report.line(Line::new().text("LINE: ").field("line", line.line));
    report.blank();
    // the rest of the function: its last line is the largest of its code
    let last = match (count, place.end) {
        (Some(n), _) => line.line.saturating_add(u32::try_from(n).unwrap_or(AFTER)),
        (None, Some(end)) => s
            .source_line(end.sub(1))
            .filter(|l| l.file == line.file && l.line >= line.line)
            .map_or(line.line.saturating_add(AFTER), |l| l.line),
        (None, None) => line.line.saturating_add(AFTER),
    };
    match listing(&cx.settings.source_dirs, &line.file, line.line, Some(last)) {
        Some(rows) => report.list("source", rows),
        None => {
            report.text(format!("dis: {word}: source code is not available"));
            report.blank();
        }
    }
    Ok(report)
}

/// Lines of a source file around one, which is marked. `None` where no folder has the file.
pub(crate) fn listing(dirs: &[PathBuf], file: &str, line: u32, last: Option<u32>) -> Option<Vec<Record>> {
    let text = dirs.iter().find_map(|dir| read(dir, file))?;
    let first = line.saturating_sub(BEFORE).max(1);
    let last = last.unwrap_or_else(|| line.saturating_add(BEFORE));
    let rows = (first..=last).zip(text.lines().skip(first as usize - 1)).map(|(n, text)| {
        let mark = if n == line { "* " } else { "  " };
        Record::of(
            Line::new().text(mark).field("number", n).text(" ").field("text", text.trim_end().to_owned()),
        )
    });
    Some(rows.collect())
}

/// A file of a tree: under the folder by its whole name, or by a tail of it, since a build's own
/// folders (`debian/build/build_amd64/fs/read_write.c`) are not the tree's.
fn read(dir: &Path, file: &str) -> Option<String> {
    let parts: Vec<&str> = file.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..").collect();
    let path = (0..parts.len()).find_map(|skip| {
        let tail: PathBuf = parts.get(skip..)?.iter().collect();
        let path = dir.join(tail);
        path.is_file().then_some(path)
    })?;
    let size = path.metadata().ok()?.len();
    if size > MAX_SOURCE {
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_the_tail_of_its_name() {
        let dir = std::env::temp_dir().join(format!("crashlens-source-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("fs")).unwrap();
        let text: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        std::fs::write(dir.join("fs/read_write.c"), text).unwrap();
        let rows =
            listing(std::slice::from_ref(&dir), "debian/build/amd64/fs/read_write.c", 8, Some(9)).unwrap();
        assert_eq!(rows.len(), 7);
        let shown: Vec<String> = rows
            .iter()
            .flat_map(|r| &r.items)
            .filter_map(|i| match i {
                report::Item::Line(l) => Some(l.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(shown[5], "* 8 line 8");
        assert_eq!(shown[0], "  3 line 3");
        assert!(listing(std::slice::from_ref(&dir), "fs/none.c", 1, None).is_none());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
