//! The verdict's first line, and how a first process ended.

use crate::analyse::Case;
use crate::model::{How, Statement, Verdict};
use crate::stall::evidence;
use crate::stall::hang;
use crate::stall::waits::Waits;
use kernel::log::event::{self, Class};

/// The kind of death in one line.
pub(crate) fn headline(case: &Case<'_>, v: &Verdict) -> String {
    let words = if case.hang.is_some() { hang::words(v.class) } else { v.class.words() };
    let event = case.event.as_ref();
    let subject = event
        .and_then(|e| evidence::told(e, case.victim.task))
        .or_else(|| case.hang.as_ref()?.subject.as_ref());
    let of = subject
        .filter(|_| v.class.is_stall())
        .map(|subject| evidence::words(v.class, subject))
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
    if v.class == Class::Alive {
        let stuck = case.waits.as_ref().map(Waits::stuck).unwrap_or_default();
        return format!("{words}{stuck}");
    }
    if let Some(place) = &v.place {
        let preposition = if v.class == Class::WildJump { "from" } else { "in" };
        let mut text = format!("{words} {preposition} {place}{of}");
        match v.class {
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
    match v.class {
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

/// How the first process ended, in words.
pub(crate) fn init_exit(case: &Case<'_>, v: &Verdict) -> Vec<Statement> {
    let Some(event) = case.event.as_ref().filter(|_| v.class == Class::InitKilled) else { return Vec::new() };
    let code = event.line.split_once("exitcode=0x").and_then(|(_, c)| u32::from_str_radix(c.trim(), 16).ok());
    let mut out: Vec<Statement> =
        code.map(exit_words).into_iter().map(|w| Statement::new(How::Log, w, &["log".into()])).collect();
    // the line of the processor's exception that the signal was for
    if let Some(lines) = &case.lines {
        let texts = lines.texts();
        let before = texts.get(..event.at).unwrap_or_default();
        let fault = before.iter().rfind(|l| {
            ["[1]: segfault at", "[1] trap ", "[1] general protection", "[1] bad frame"]
                .iter()
                .any(|p| l.contains(p))
        });
        out.extend(fault.map(|l| Statement::new(How::Log, l.trim(), &["log".into()])));
    }
    out
}

/// The status of a process that ended, as wait() has it.
fn exit_words(code: u32) -> String {
    const SIGNALS: &[(u32, &str)] = &[
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (15, "SIGTERM"),
        (31, "SIGSYS"),
    ];
    match code & 0x7f {
        0 => format!("the first process exited with status {}", code >> 8 & 0xff),
        n => {
            let name = SIGNALS
                .iter()
                .find(|(number, _)| *number == n)
                .map_or_else(String::new, |(_, name)| format!(" ({name})"));
            format!("the first process was killed by signal {n}{name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_first_process_ended() {
        assert_eq!(exit_words(0x700), "the first process exited with status 7");
        assert_eq!(exit_words(0x0b), "the first process was killed by signal 11 (SIGSEGV)");
        assert_eq!(exit_words(0x8b), "the first process was killed by signal 11 (SIGSEGV)");
        assert_eq!(exit_words(0x02), "the first process was killed by signal 2");
    }
}
