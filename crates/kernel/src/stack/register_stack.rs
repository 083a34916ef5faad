//! Whether the stack bears registers out. A panic never returns: where a CPU panicked, each frame that it is in goes
//! through the call of `panic` on its stack. Registers whose frames leave that call out are not the CPU's. Of two copies
//! that differ, the one from which a whole stack follows comes first.

use crate::sched::panic::panic_cpu;
use crate::sched::task::Task;
use crate::session::Session;
use crate::stack::backtrace::{is_whole, resume_at, return_addresses};
use crate::stack::code::SessionCode;
use crate::stack::register_call;
use crate::stack::register_fit::Doubt;
use crate::stack::registers::{Claim, CpuRegisters, Source};
use crate::stack::stacks::{cpu_stacks, task_stack};
use base::VirtAddr;
use unwind::{Code as _, Frame, Stack, Unwinder, Unwound};

/// Where the kernel ends; none of them returns.
const ENDS: [&str; 2] = ["vpanic", "panic"];

/// Holds a CPU's registers against its stacks. `by_hypervisor` they are those of the moment of the dump, not those that
/// the crash began with.
pub(crate) fn weigh(
    s: &Session,
    cpu: u32,
    task: Option<&Task>,
    by_hypervisor: bool,
    found: &mut CpuRegisters,
) {
    let differ = found.doubt == Some(Doubt::Differs);
    let panicked = panic_cpu(s) == Some(cpu);
    if found.sound().next().is_none() {
        return;
    }
    let code = SessionCode::at_hand(s, task);
    // of a CPU that did not panic the call on its stack tells, where its code has tables
    let by_call = !(differ || panicked);
    let has_tables = |claim: &Claim| claim.regs.pc().is_some_and(|pc| code.orc(VirtAddr(pc)).is_some());
    if by_call && !found.sound().any(has_tables) {
        return;
    }
    let mut stacks: Vec<Stack> = task.map(|task| task_stack(s, task)).into_iter().collect();
    stacks.extend(cpu_stacks(s, cpu));
    let u = Unwinder { arch: s.arch(), code: &code, mem: s.mem(), stacks: &stacks };
    if by_call {
        hold_calls(s, cpu, &u, found);
        return;
    }
    let ends = if panicked { ends(s, &u) } else { Vec::new() };
    let mut first = None;
    for claim in found.claims.iter_mut().filter(|claim| claim.doubt.is_none()) {
        let now =
            by_hypervisor && claim.source != Source::CrashNotes && !s.arch().frames.is_user(&claim.regs);
        let frames = if now { u.unwind(claim.regs) } else { s.by_registers(claim, &u).unwound };
        if let Some((name, end)) = ends.first()
            && !ends.iter().any(|(_, end)| leads_through(s, &frames, end))
        {
            claim.doubt = Some(Doubt::Skips(name, end.slot.unwrap_or(end.sp)));
            first = first.or(claim.doubt);
        }
    }
    if first.is_some() && (found.sound().next().is_none() || !differ) {
        let note = found.claims.first().filter(|claim| claim.source != Source::CrashNotes);
        found.doubt = found.doubt.filter(|_| !differ).or(note.and_then(|claim| claim.doubt));
    }
    if differ {
        let whole = |claim: &Claim| {
            let begun = s.by_registers(claim, &u);
            begun.user.is_some() || is_whole(&begun.unwound)
        };
        found.claims.sort_by_cached_key(|claim| claim.doubt.is_some() || !whole(claim));
    }
}

/// Holds each copy of the registers of a CPU that did not panic against the call on top of its stack.
fn hold_calls(s: &Session, cpu: u32, u: &Unwinder<'_>, found: &mut CpuRegisters) {
    for claim in found.claims.iter_mut().filter(|claim| claim.doubt.is_none()) {
        let begun = s.by_registers(claim, u);
        // of what a stop call's frames lead to, the stack has the registers itself
        if begun.user.is_some() || !begun.is_by_registers() {
            continue;
        }
        claim.doubt = register_call::contradicted(s, cpu, u, &begun.unwound);
        if claim.source != Source::CrashNotes {
            found.doubt = found.doubt.or(claim.doubt);
        }
    }
}

/// The frames of the calls that end the kernel, on the stacks that they are found on whole.
fn ends(s: &Session, u: &Unwinder<'_>) -> Vec<(&'static str, Frame)> {
    let mut out = Vec::new();
    for name in ENDS {
        let Some(start) = s.symbol(name) else { continue };
        let span = s.locate(start).and_then(|at| at.span).unwrap_or(0);
        for stack in u.stacks {
            let calls = return_addresses(u, stack, start, start.add(span)).into_iter();
            let calls = calls.filter(|(_, pc)| u.arch.frames.follows_call(s.mem(), *pc));
            let whole = calls.map(|(slot, pc)| resume_at(u, slot, pc)).filter(is_whole);
            out.extend(whole.filter_map(|found| Some((name, found.frames.into_iter().next()?))));
        }
        if !out.is_empty() {
            break;
        }
    }
    out
}

/// Whether frames go through this one: a frame of the same function, at the same place.
fn leads_through(s: &Session, frames: &Unwound, end: &Frame) -> bool {
    let function = |at: VirtAddr| s.locate(at).map(|l| l.symbol.addr);
    let same = |f: &Frame| f.cfa.is_none() || end.cfa.is_none() || f.cfa == end.cfa;
    frames.frames.iter().any(|f| same(f) && function(f.lookup()) == function(end.lookup()))
}
