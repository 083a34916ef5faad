//! The verdict's first line.

use crate::case::Case;
use crate::model::Place;
use crate::stall::evidence;
use crate::stall::hang;
use crate::stall::waits::Waits;
use crate::victim::module;
use kernel::log::event::{self, Class, Who};

/// Whom a report of before was of: `, on CPU 1 in cat[77]`.
pub(crate) fn on_whom(who: &Who) -> String {
    let cpu = who.cpu.map(|cpu| format!(", on CPU {cpu}")).unwrap_or_default();
    let task = match (&who.comm, who.pid) {
        (Some(comm), Some(pid)) => format!(" in {comm}[{pid}]"),
        (None, Some(pid)) => format!(" in task {pid}"),
        _ => String::new(),
    };
    match cpu.is_empty() {
        true if !task.is_empty() => format!(",{task}"),
        _ => format!("{cpu}{task}"),
    }
}

/// The kind of death in one line.
pub(crate) fn of(case: &Case<'_>, class: Class, place: Option<&Place>, from: Option<usize>) -> String {
    let caller = module::served(case.s, &case.victim, from, place).filter(|_| class.has_instruction());
    let by = caller.map_or_else(String::new, |caller| format!(", called by {caller}"));
    format!("{}{by}", without_caller(case, class, place))
}

fn without_caller(case: &Case<'_>, class: Class, place: Option<&Place>) -> String {
    let words = if case.hang.is_some() { hang::words(class) } else { class.words() };
    let event = case.event.as_ref();
    let subject = event
        .and_then(|e| evidence::told(e, case.victim.task))
        .or_else(|| case.hang.as_ref()?.subject.as_ref());
    let of = subject
        .filter(|_| class.is_stall())
        .map(|subject| evidence::words(class, subject))
        .unwrap_or_default();
    let of = if of.is_empty() { of } else { format!(": {of}") };
    let said = event.map(|e| event::plain(&e.line)).unwrap_or_default();
    // what the class says already
    let said = said
        .trim_start_matches("[Hardware Error]: ")
        .trim_start_matches("Machine check: ")
        .trim_start_matches("refcount_t: ");
    // the kernel's columns of blanks
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if class == Class::Alive {
        let stuck = case.waits.as_ref().map(Waits::stuck).unwrap_or_default();
        return format!("{words}{stuck}");
    }
    if let Some(place) = place {
        let preposition = if class == Class::WildJump { "from" } else { "in" };
        let mut text = format!("{words} {preposition} {place}{of}");
        match class {
            Class::Panic
            | Class::SlabCorruption
            | Class::PageCorruption
            | Class::Sanitizer
            | Class::Ubsan
            | Class::ListCorruption
            | Class::Refcount
            | Class::Overflow
            | Class::LockMisuse
                if !said.is_empty() && !of_place(&said) =>
            {
                text = format!("{text}: {said}");
            }
            Class::Warning => {
                if let Some(message) = event.and_then(|e| e.message.as_ref()) {
                    text = format!("{text}: {message}");
                }
            }
            _ => {}
        }
        return text;
    }
    match class {
        Class::Unknown => words.to_owned(),
        _ if !of.is_empty() => format!("{words}{of}"),
        _ if said.is_empty() => words.to_owned(),
        _ => format!("{words}: {said}"),
    }
}

/// Whether a message says no more than the place: `WARNING: CPU: 0 PID: 7 at lib/refcount.c:28 …`, `kernel BUG at …`.
fn of_place(said: &str) -> bool {
    said.starts_with("WARNING: CPU: ")
        || said.starts_with("WARNING: at ")
        || said.starts_with("kernel BUG at ")
}
