//! What live patches have to do with a death: functions on the way to it that one brought or replaced, and a change of the
//! tasks to one that was under way.

use crate::model::{How, Statement};
use crate::victim::frames::Victim;
use kernel::Session;

/// The statements for the `CONTEXT` section. `from` is the frame that the verdict is of.
pub(crate) fn of(s: &Session, victim: &Victim<'_>, from: usize) -> Vec<Statement> {
    let mut out: Vec<Statement> = Vec::new();
    for (_, frame) in victim.certain(from) {
        let Some(located) = s.locate(frame.lookup()) else { continue };
        if let Some(role) = s.patched_function(located.symbol.addr) {
            let text = format!("{} is {role}", located.symbol.name);
            if out.iter().all(|told| told.text != text) {
                out.push(Statement::new(How::Memory, text, &["sys -t".into()]));
            }
        }
    }
    if let Some(change) = &s.live_patches().transition {
        let to = match change.to_new {
            Some(true) => "tasks were changing to its functions",
            Some(false) => "tasks were changing back to the old functions",
            None => "tasks were changing over",
        };
        let yet = s.yet_to_change().map(|(yet, all)| format!(", {yet} of {all} had yet to"));
        let text = format!("live patch {}: {to}{}", change.name, yet.unwrap_or_default());
        out.push(Statement::new(How::Memory, text, &["sys".into()]));
    }
    if let Some(why) = &s.live_patches().problem {
        let text = format!("the list of live patches is not whole: {why}");
        out.push(Statement::new(How::Memory, text, &["sys".into()]));
    }
    out
}
