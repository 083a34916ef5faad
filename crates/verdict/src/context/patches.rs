//! What live patches have to do with a death: functions on the way to it that one brought or replaced, and a change of the
//! tasks to one that was under way.

use crate::model::{Context, How, Statement};
use crate::victim::frames::Victim;
use kernel::Session;

/// The statements for the `CONTEXT` section. `from` is the frame that the verdict is of.
pub(crate) fn of(s: &Session, victim: &Victim<'_>, from: usize) -> Vec<Statement> {
    let mut out: Vec<Statement> = Vec::new();
    if s.is_log() {
        return out;
    }
    for (_, frame) in victim.certain(from) {
        let Some(located) = s.locate(frame.lookup()) else { continue };
        if let Some(role) = s.patched_function(located.symbol.addr) {
            let said = Context::Patched { function: located.symbol.name.to_owned(), role: role.to_string() };
            let told = Statement::new(How::Memory, said, &["sys -t".into()]);
            if !out.contains(&told) {
                out.push(told);
            }
        }
    }
    if let Some(change) = &s.live_patches().transition {
        let (name, to_new, yet) = (change.name.clone(), change.to_new, s.yet_to_change());
        let said = Context::Patching { name, to_new, yet };
        out.push(Statement::new(How::Memory, said, &["sys".into()]));
    }
    if let Some(why) = &s.live_patches().problem {
        let said = Context::PatchesLost(why.to_string());
        out.push(Statement::new(How::Memory, said, &["sys".into()]));
    }
    out
}
