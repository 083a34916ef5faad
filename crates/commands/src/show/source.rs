//! Source text as commands show it: gdb's `list`, the lines of `dis -s`, the line of a frame.
//!
//! crash's `list` walks linked lists; what cannot be the start of one (a function, `FILE:LINE`, nothing at all) is
//! gdb's.

use crate::show::place;
use crate::{CommandError, Cx, Listed};
use base::VirtAddr;
use kernel::Session;
use kernel::debug::source::{Effort, SourceText};
use report::{Keep, Line, Record, Report};
use std::ops::RangeInclusive;

/// Lines that gdb shows at once, and how many of them stand before the one that was asked for.
const WINDOW: u32 = 10;
const BEFORE: u32 = 5;
/// Larger numbers are addresses, not lines.
const MAX_LINE: u32 = 1_000_000;

/// Lines with their numbers; `mark` with a star, where one is to be marked.
pub(crate) fn rows(text: &SourceText, range: RangeInclusive<u32>, mark: Option<u32>) -> Vec<Record> {
    let row = |(n, text): (u32, &str)| {
        let line = match mark {
            Some(mark) => Line::new().text(if n == mark { "* " } else { "  " }),
            None => Line::new(),
        };
        Record::of(line.field("number", n).text("\t").field("text", text.to_owned()).keep(Keep::Tabs))
    };
    text.lines(range).map(row).collect()
}

/// The line with its number, as gdb shows where a frame stands, and why it may not be the one that was compiled;
/// nothing where the text is not at hand.
pub(crate) fn line(s: &Session, file: &str, number: u32) -> Option<(Line, Option<String>)> {
    let text = s.source_text(file, Effort::Quick).ok()?;
    let line = text.line(number)?;
    let shown = Line::new().field("source_line", number).text("\t");
    let shown = shown.field("source_text", line.to_owned()).keep(Keep::Tabs);
    Some((shown, text.caveat.as_ref().map(|caveat| format!("{}: {caveat}", text.from))))
}

/// What gdb's `list` is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    /// The lines after those shown last, or before them.
    On(bool),
    /// Lines around a place.
    Around(Spec),
    /// Lines from a place to a place.
    Range(Option<Spec>, Option<Spec>),
}

/// A place in source as gdb writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Spec {
    /// A line of the file that was listed last.
    Line(u32),
    FileLine(String, u32),
    /// A function, or with `true` an address behind `*`.
    Code(String, bool),
}

/// Reads the operands of `list`; `None` where they are crash's. `is_code` tells the names of functions.
fn asked(words: &[&str], is_code: &dyn Fn(&str) -> bool) -> Option<Asked> {
    let joined;
    let word = match words {
        [] => return Some(Asked::On(true)),
        ["-"] => return Some(Asked::On(false)),
        [word] => *word,
        [first, second] if first.ends_with(',') || second.starts_with(',') => {
            joined = format!("{first}{second}");
            &joined
        }
        _ => return None,
    };
    let spec = |text: &str| -> Option<Spec> {
        if let Some(inner) = text.strip_prefix('*') {
            return Some(Spec::Code(inner.to_owned(), true));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().filter(|n| (1..MAX_LINE).contains(n)).map(Spec::Line);
        }
        if let Some((file, line)) = text.rsplit_once(':')
            && let Ok(line) = line.parse()
        {
            return Some(Spec::FileLine(file.to_owned(), line));
        }
        is_code(text).then(|| Spec::Code(text.to_owned(), false))
    };
    match word.split_once(',') {
        None => spec(word).map(Asked::Around),
        Some(("", "")) => None,
        Some(("", to)) => Some(Asked::Range(None, Some(spec(to)?))),
        Some((from, "")) => Some(Asked::Range(Some(spec(from)?), None)),
        Some((from, to)) => Some(Asked::Range(Some(spec(from)?), Some(spec(to)?))),
    }
}

/// gdb's `list`; `None` where the operands are those of a linked list.
pub(crate) fn list(cx: &mut Cx<'_>, words: &[&str]) -> Option<Result<Report, CommandError>> {
    let s = cx.session().ok()?;
    let asked = asked(words, &|name| {
        let all = s.named(name);
        !all.is_empty() && all.iter().all(debuginfo::symtab::Symbol::is_text)
    })?;
    // a plain number is a line only where a file is being listed
    if matches!(asked, Asked::Around(Spec::Line(_))) && cx.settings.listed.is_none() {
        return None;
    }
    Some(show(cx, s, &asked))
}

fn show(cx: &mut Cx<'_>, s: &Session, asked: &Asked) -> Result<Report, CommandError> {
    let (file, first, last, heading) = match asked {
        Asked::On(forward) => {
            let (file, first, last) = going_on(cx, s, *forward)?;
            (file, first, last, None)
        }
        Asked::Around(spec) => {
            let (file, line, heading) = resolve(cx, s, spec)?;
            let first = line.saturating_sub(BEFORE).max(1);
            (file, first, first.saturating_add(WINDOW - 1), heading)
        }
        Asked::Range(from, to) => range(cx, s, from.as_ref(), to.as_ref())?,
    };
    let text = s
        .source_text(&file, Effort::Full)
        .map_err(|why| CommandError::failed(format_args!("{file}: {first}: {why}")))?;
    if first > text.count() {
        let why = format!("line {first} is past the end of {file}, which has {} lines", text.count());
        return Err(CommandError::failed(why));
    }
    let last = last.min(text.count());
    let mut report = Report::new("list");
    if let Some(heading) = heading {
        report.line(heading);
    }
    report.list("source", rows(&text, first..=last, None));
    report.hidden("file", file.clone());
    if let Some(caveat) = &text.caveat {
        report.warning(format!("list: {}: {caveat}", text.from));
    }
    cx.settings.listed = Some(Listed { file, first, last });
    Ok(report)
}

type Lines = (String, u32, u32, Option<Line>);

/// `A,B`: from one line to another; `A,` ten from there; `,B` ten up to there.
fn range(cx: &Cx<'_>, s: &Session, from: Option<&Spec>, to: Option<&Spec>) -> Result<Lines, CommandError> {
    let (Some(start), end) = (from.or(to), to.filter(|_| from.is_some())) else {
        return Err(CommandError::argument("no lines are named"));
    };
    let (file, line, _) = resolve(cx, s, start)?;
    let (first, last) = match end {
        // a bare number behind the comma is of the same file
        Some(Spec::Line(to)) => (line, *to),
        Some(spec) => {
            let (other, to, _) = resolve(cx, s, spec)?;
            if other != file {
                return Err(CommandError::argument(format_args!("{file} and {other} are two files")));
            }
            (line, to)
        }
        None if from.is_some() => (line, line.saturating_add(WINDOW - 1)),
        None => (line.saturating_sub(WINDOW - 1).max(1), line),
    };
    if last < first {
        return Err(CommandError::argument(format_args!("line {last} is before line {first}")));
    }
    Ok((file, first, last, None))
}

/// The lines behind, or before, those that were shown last; at first those of the chosen frame.
fn going_on(cx: &Cx<'_>, s: &Session, forward: bool) -> Result<(String, u32, u32), CommandError> {
    if let Some(listed) = &cx.settings.listed {
        if forward {
            let first = listed.last.saturating_add(1);
            return Ok((listed.file.clone(), first, first.saturating_add(WINDOW - 1)));
        }
        let last = listed.first.saturating_sub(1);
        if last == 0 {
            return Err(CommandError::failed(format_args!("already at the start of {}", listed.file)));
        }
        return Ok((listed.file.clone(), last.saturating_sub(WINDOW - 1).max(1), last));
    }
    let at = frame(cx, s).ok_or_else(|| {
        CommandError::usage(
            "starting address required",
            "list [OPTIONS] [OFFSET] START, or of source: list FUNCTION | FILE:LINE | *ADDRESS",
        )
    })?;
    let (file, line) = line_of(s, at)?;
    let first = line.saturating_sub(BEFORE).max(1);
    Ok((file, first, first.saturating_add(WINDOW - 1)))
}

/// Where the chosen frame stands; nothing where none was chosen.
fn frame(cx: &Cx<'_>, s: &Session) -> Option<VirtAddr> {
    let n = crate::show::values::chosen_frame(cx)?;
    let task = crate::show::tasks::context(cx).ok()?;
    s.backtrace(task).unwound.frames.get(n).map(unwind::Frame::lookup)
}

/// File, line, and for an address a line that says whose it is.
fn resolve(cx: &Cx<'_>, s: &Session, spec: &Spec) -> Result<(String, u32, Option<Line>), CommandError> {
    match spec {
        Spec::Line(n) => match &cx.settings.listed {
            Some(listed) => Ok((listed.file.clone(), *n, None)),
            None => Err(CommandError::argument(format_args!("line {n} of which file? FILE:{n}"))),
        },
        Spec::FileLine(file, n) => Ok((file_named(s, file)?, *n, None)),
        Spec::Code(word, by_address) => {
            let place = place::resolve(cx, s, word)?;
            let (file, line) = line_of(s, place.at)?;
            let heading = by_address.then(|| {
                let head = Line::new().field("address", report::Cell::hex(place.at.0)).text(" is in ");
                let name = place.name.clone().unwrap_or_else(|| "no function".to_owned());
                head.field("function", name).text(format!(" ({file}:{line})."))
            });
            Ok((file, line, heading))
        }
    }
}

/// The line of an instruction, or what to do to have it.
pub(crate) fn line_of(s: &Session, at: VirtAddr) -> Result<(String, u32), CommandError> {
    if let Some(line) = s.source_line(at).filter(|l| l.line != 0) {
        return Ok((line.file.to_string(), line.line));
    }
    Err(CommandError::failed(no_lines(s, at)))
}

/// Why an address has no line.
pub(crate) fn no_lines(s: &Session, at: VirtAddr) -> String {
    match no_debug(s, at) {
        Some(why) => format!("{at:x}: {why}"),
        None => format!("{at:x}: no source line is known for this address"),
    }
}

/// Where debug information of an address would be, if it is not at hand.
pub(crate) fn no_debug(s: &Session, at: VirtAddr) -> Option<String> {
    match (s.module_at(at), s.debug_at(at)) {
        (_, Some(file)) if file.dwarf.is_some() => None,
        (_, Some(file)) if file.problem.is_some() => file.problem.clone(),
        (Some(m), _) => {
            Some(format!("no debug file of module {0} is loaded; \"mod -s {0} FILE\" loads one", m.name))
        }
        (None, _) => Some("the kernel's debug file (vmlinux) was not given".to_owned()),
    }
}

/// The file that debug information knows by that name or tail of it; else the name itself, which a source tree may
/// know.
fn file_named(s: &Session, name: &str) -> Result<String, CommandError> {
    // a path of the tree needs no search of debug information
    if s.source_text(name, Effort::Quick).is_ok() {
        return Ok(name.to_owned());
    }
    let loaded = s.modules().iter().filter_map(|m| s.module_debug_loaded(m));
    let files = s.kernel_debug().cloned().into_iter().chain(loaded);
    let mut found: Vec<_> =
        files.filter_map(|f| f.dwarf.clone()).flat_map(|d| d.sources_named(name)).collect();
    found.dedup();
    match found.as_slice() {
        [] => Ok(name.to_owned()),
        [one] => Ok(one.to_string()),
        several => {
            let names = several.iter().map(|f| format!("  {f}")).collect();
            Err(CommandError::explained(format_args!("several files are called {name}:"), names))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Asked> {
        let words: Vec<&str> = line.split_whitespace().collect();
        asked(&words, &|name| name == "vfs_read")
    }

    #[test]
    fn what_is_gdb_s_and_what_is_crash_s() {
        let code = |name: &str| Spec::Code(name.into(), false);
        let file = |name: &str, line| Spec::FileLine(name.into(), line);
        assert_eq!(read(""), Some(Asked::On(true)));
        assert_eq!(read("-"), Some(Asked::On(false)));
        assert_eq!(read("vfs_read"), Some(Asked::Around(code("vfs_read"))));
        assert_eq!(read("fs/read_write.c:451"), Some(Asked::Around(file("fs/read_write.c", 451))));
        assert_eq!(read("*vfs_read+4"), Some(Asked::Around(Spec::Code("vfs_read+4".into(), true))));
        assert_eq!(read("10,20"), Some(Asked::Range(Some(Spec::Line(10)), Some(Spec::Line(20)))));
        assert_eq!(read("a.c:10, 20"), Some(Asked::Range(Some(file("a.c", 10)), Some(Spec::Line(20)))));
        assert_eq!(read(",vfs_read"), Some(Asked::Range(None, Some(code("vfs_read")))));
        for crashs in ["modules", "ffffffff81000000", "task_struct.tasks init_task", ",", "0", "99999999"] {
            assert_eq!(read(crashs), None, "{crashs}");
        }
    }
}
