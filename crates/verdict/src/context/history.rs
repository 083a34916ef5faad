//! What came before the death in the log, and what came of it.

use crate::case::Case;
use crate::model::{History, Statement};
use crate::stall::evidence;
use kernel::log::event::{self, Class};

/// What came before, and what came of it.
pub(crate) fn of(case: &Case<'_>, class: Class) -> Vec<Statement> {
    let Some(lines) = case.lines else { return Vec::new() };
    let at = |n: usize| lines.time(n).filter(|ts| *ts != 0);
    let Some(event) = &case.event else {
        // stalls are what the waits are of
        let told = event::reports(&lines.texts());
        let of = |(n, _, line): &(usize, Class, String)| {
            Statement::logged(History::Reported { at: at(*n), line: line.clone() })
        };
        // nobody can tell what came before what stands still
        let is_other = |kind: &Class| class == Class::Alive || class != Class::Unknown && !kind.is_stall();
        return told.iter().filter(|(_, kind, _)| is_other(kind)).map(of).collect();
    };
    // what the first line or the records of a machine check say already
    let told = |text: &str| {
        event::plain(text) == event::plain(&event.line)
            || class == Class::MachineCheck && text.contains("[Hardware Error]")
    };
    let earlier = event.earlier.iter().filter(|e| e.is_oops || !told(&e.line));
    let mut out: Vec<Statement> = earlier
        .map(|e| {
            let said = History::Before { at: at(e.at), line: e.line.clone(), of: e.who.clone() };
            Statement::logged(said)
        })
        .collect();
    if class.is_stall() {
        let named = || evidence::subject_of(event, None).filter(|_| case.s.is_log())?.pid;
        let told = case.victim.task.map(|t| t.pid).or_else(named);
        out.extend(evidence::others(event, told));
    }
    out.extend(event.later.as_ref().map(|(n, line)| {
        let times = lines.time(*n).zip(lines.time(event.at));
        let lived = times.and_then(|(end, start)| end.checked_sub(start)).map(|ns| ns / 1_000_000_000);
        let lived = lived.filter(|s| *s > 0);
        let of = event.later_of.clone();
        Statement::logged(History::After { at: at(*n), lived, line: line.clone(), of })
    }));
    out
}
