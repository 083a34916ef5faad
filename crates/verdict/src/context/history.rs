//! What came before the death in the log, and what came of it.

use crate::case::Case;
use crate::model::{How, Statement};
use crate::stall::evidence;
use crate::words::headline;
use kernel::log::event::{self, Class};
use kernel::log::lines::stamp;

/// What came before, and what came of it.
pub(crate) fn of(case: &Case<'_>, class: Class) -> Vec<Statement> {
    let Some(lines) = case.lines else { return Vec::new() };
    let commands = ["log".to_owned()];
    let at = |n: usize| {
        lines.time(n).filter(|ts| *ts != 0).map_or_else(String::new, |ts| format!("{} ", stamp(ts)))
    };
    let Some(event) = &case.event else {
        // stalls are what the waits are of
        let told = event::reports(&lines.texts());
        let of = |(n, text): &(usize, String)| {
            Statement::new(How::Log, format!("in the log: {}{text}", at(*n)), &commands)
        };
        return told.iter().filter(|_| class == Class::Alive).map(of).collect();
    };
    // what the first line or the records of a machine check say already
    let told = |text: &str| {
        event::plain(text) == event::plain(&event.line)
            || class == Class::MachineCheck && text.contains("[Hardware Error]")
    };
    let mut out: Vec<Statement> = event
        .earlier
        .iter()
        .filter(|e| e.is_oops || !told(&e.line))
        .map(|e| {
            let who = e.who.as_ref().map(headline::on_whom).unwrap_or_default();
            Statement::new(How::Log, format!("before: {}{}{who}", at(e.at), e.line), &commands)
        })
        .collect();
    if class.is_stall() {
        out.extend(evidence::others(event, case.victim.task.map(|t| t.pid)));
    }
    if let Some((n, text)) = &event.later {
        let lived = lines
            .time(*n)
            .zip(lines.time(event.at))
            .and_then(|(end, start)| end.checked_sub(start))
            .map(|ns| ns / 1_000_000_000)
            .filter(|s| *s > 0)
            .map_or_else(String::new, |s| format!("the machine lived on for {s} s, until "));
        out.push(Statement::new(How::Log, format!("after: {}{lived}{text}", at(*n)), &commands));
    }
    out
}
