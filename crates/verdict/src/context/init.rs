//! How the first process ended.

use crate::case::Case;
use crate::model::{How, Statement};
use kernel::log::event::Class;

/// How the first process ended, in words.
pub(crate) fn of(case: &Case<'_>, class: Class) -> Vec<Statement> {
    let Some(event) = case.event.as_ref().filter(|_| class == Class::InitKilled) else { return Vec::new() };
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
