//! How the first process ended.

use crate::case::Case;
use crate::model::{Context, Says, Statement};
use kernel::log::event::Class;

/// How the first process ended.
pub(crate) fn of(case: &Case<'_>, class: Class) -> Vec<Statement> {
    let Some(event) = case.event.as_ref().filter(|_| class == Class::InitKilled) else { return Vec::new() };
    let code = event.line.split_once("exitcode=0x").and_then(|(_, c)| u32::from_str_radix(c.trim(), 16).ok());
    let mut out: Vec<Statement> =
        code.map(|code| Statement::logged(Context::Exit(code))).into_iter().collect();
    // the line of the processor's exception that the signal was for
    if let Some(lines) = &case.lines {
        let texts = lines.texts();
        let before = texts.get(..event.at).unwrap_or_default();
        let fault = before.iter().rfind(|l| {
            ["[1]: segfault at", "[1] trap ", "[1] general protection", "[1] bad frame"]
                .iter()
                .any(|p| l.contains(p))
        });
        out.extend(fault.map(|l| Statement::logged(Says::Line(l.trim().to_owned()))));
    }
    out
}
