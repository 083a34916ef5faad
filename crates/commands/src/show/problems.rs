//! Why an answer is not whole.

use kernel::KernelError;
use report::{Item, NoteKind, Record};

/// Says that some things are not all: the first reason, and how many others there are. `what` is a noun in the plural.
pub(crate) fn not_whole(record: &mut Record, command: &str, what: &str, problems: &[KernelError]) {
    if let Some((is_loss, text)) = note(command, what, problems) {
        record.lacking(is_loss, text);
    }
}

/// The same for a report.
pub(crate) fn tell(report: &mut report::Report, command: &str, what: &str, problems: &[KernelError]) {
    if let Some((is_loss, text)) = note(command, what, problems) {
        report.lacking(is_loss, text);
    }
}

fn note(command: &str, what: &str, problems: &[KernelError]) -> Option<(bool, String)> {
    let first = problems.first()?;
    let others = match problems.len() {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    let is_loss = problems.iter().any(KernelError::is_loss);
    Some((is_loss, format!("{command}: the {what} are not whole: {first}{others}")))
}

/// What was asked of several tasks and is not known of some.
#[derive(Default)]
pub(crate) struct Undecided {
    count: usize,
    is_loss: bool,
    first: Option<String>,
}

impl Undecided {
    /// Takes the notes of an answer that shows nothing else; false where there is none.
    pub(crate) fn take(&mut self, items: &[Item]) -> bool {
        let notes = items.iter().filter_map(|item| match item {
            Item::Note(note) if note.kind != NoteKind::Info => Some(note),
            _ => None,
        });
        let mut any = false;
        for note in notes {
            any = true;
            self.is_loss |= note.kind == NoteKind::Missing;
            self.first.get_or_insert_with(|| note.text.clone());
        }
        self.count = self.count.saturating_add(usize::from(any));
        any
    }
    /// Says of how many it is not known, and why of the first; false where all is known.
    pub(crate) fn tell(self, report: &mut report::Report, command: &str) -> bool {
        let Some(first) = self.first else { return false };
        let text = format!(
            "{command}: whether {} more tasks have what was asked for is not known: {first}",
            self.count
        );
        report.lacking(self.is_loss, text);
        true
    }
}
