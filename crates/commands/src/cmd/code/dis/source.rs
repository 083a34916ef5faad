//! Source text of places in code: `dis -s`.

use super::place::Place;
use crate::CommandError;
use crate::show::source;
use kernel::Session;
use kernel::debug::source::Effort;
use report::{Line, Report, Role};

/// Lines before the marked one.
const BEFORE: u32 = 5;
/// Lines shown at most where the end of the function is not known.
const AFTER: u32 = 60;

/// `dis -s`: file, line, and the text where it is at hand.
pub(super) fn dis_source(s: &Session, place: &Place, count: Option<u64>) -> Result<Report, CommandError> {
    let word = match (&place.name, place.offset) {
        (Some(name), 0) => name.clone(),
        (Some(name), offset) => format!("{name}+{offset}"),
        (None, _) => format!("{:x}", place.at.0),
    };
    let Some(line) = s.source_line(place.at).filter(|l| l.line != 0) else {
        let why = source::no_debug(s, place.at).map(|why| format!(": {why}")).unwrap_or_default();
        return Err(CommandError::failed(format_args!("{word}: not found in debuginfo data{why}")));
    };
    let mut report = Report::new("dis");
    // as the compiler was called with it: where the tree was then says nothing
    let name = s.source_name(place.at, &line.file).to_owned();
    report.line(Line::new().text("FILE: ").field("file", name).role(Role::Path));
    report.hidden("path", line.file.to_string());
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
    match s.source_text(&line.file, Effort::Full) {
        Ok(text) => {
            let first = line.line.saturating_sub(BEFORE).max(1);
            report.list("source", source::rows(&text, first..=last, Some(line.line)));
            report.hidden("source_from", text.from.clone());
            if let Some(caveat) = &text.caveat {
                report.warning(format!("dis: {}: {caveat}", text.from));
            }
            report.blank();
        }
        Err(why) => {
            report.info(format!("dis: {word}: source code is not available: {why}"));
        }
    }
    Ok(report)
}
