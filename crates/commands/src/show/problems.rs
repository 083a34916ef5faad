//! Why an answer is not whole.

use kernel::KernelError;
use report::{NoteKind, Record};

/// Says that some things are not all: the first reason, and how many others there are. `what` is a noun in the plural.
pub(crate) fn not_whole(record: &mut Record, command: &str, what: &str, problems: &[KernelError]) {
    if let Some((is_loss, text)) = told(command, what, problems) {
        record.lacking(is_loss, text);
    }
}

/// The same for a report.
pub(crate) fn tell(report: &mut report::Report, command: &str, what: &str, problems: &[KernelError]) {
    if let Some((is_loss, text)) = told(command, what, problems) {
        report.lacking(is_loss, text);
    }
}

fn told(command: &str, what: &str, problems: &[KernelError]) -> Option<(bool, String)> {
    let first = problems.first()?;
    let others = match problems.len() {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    let is_loss = problems.iter().any(KernelError::is_loss);
    Some((is_loss, format!("{command}: the {what} are not whole: {first}{others}")))
}

/// True where a record says that something is missing.
pub(crate) fn has_note(record: &Record) -> bool {
    let is_note =
        |item: &report::Item| matches!(item, report::Item::Note(note) if note.kind != NoteKind::Info);
    record.items.iter().any(is_note)
}
