//! A CPU that waits until others have carried out a call (`smp_call_function_many()`, the flush of other CPUs' TLBs): it
//! stands still because one of them does not take interrupts. Source: kernel/smp.c, arch/x86/mm/tlb.c.

use crate::code::roles;
use crate::context::machine::{cpu_of, is_idle};
use crate::model::{Deaf, How, Stall, Statement, Who};
use crate::victim::frames::{Victim, interrupted};
use kernel::Session;
use kernel::sched::task::Task;

/// Functions that call other CPUs and wait for them.
const CALLING: &[&str] = &[
    "smp_call_function_single",
    "smp_call_function_many",
    "smp_call_function_many_cond",
    "smp_call_function_any",
    "generic_exec_single",
    "csd_lock_wait",
    "__csd_lock_wait",
    "csd_lock",
    "on_each_cpu_cond_mask",
    "native_flush_tlb_others",
    "native_flush_tlb_multi",
];
/// How many frames from where it was interrupted.
const NEAR: usize = 4;
/// How many CPUs are looked at.
const MAX_CPUS: usize = 4096;

/// True for functions in which a CPU waits for others.
pub(crate) fn is_calling(name: &str) -> bool {
    CALLING.contains(&debuginfo::symtab::base_name(name))
}

/// Which CPUs that one waits for take no interrupts, and what they run.
pub(crate) fn statement(s: &Session, victim: &Victim<'_>, task: &Task) -> Option<Statement> {
    let names = victim.names(s);
    let first = interrupted(s.arch(), &names, victim.frames())?;
    let by = names.iter().skip(first).take(NEAR).find(|name| is_calling(name))?;
    let deaf: Vec<Deaf> = s
        .tasks()
        .all
        .iter()
        // one that idles may do so without interrupts: what is asked of it wakes it (mwait)
        .filter(|other| other.active && other.cpu != task.cpu && !is_idle(s, other))
        .take(MAX_CPUS)
        .filter_map(|other| deaf(s, other))
        .collect();
    if deaf.is_empty() {
        return None;
    }
    let said = Stall::Calls { cpu: task.cpu, function: by.clone(), deaf };
    Some(Statement::new(How::Memory, said, &[format!("bt -c {}", cpu_of(task)), "bt -a".into()]))
}

/// A CPU that runs with interrupts off: with whom, and where.
fn deaf(s: &Session, task: &Task) -> Option<Deaf> {
    let victim = Victim::of_task(s, Some(task));
    let names = victim.names(s);
    let saved = victim.frames().iter().find_map(|f| f.saved.as_ref());
    // panic() itself turns them off
    if saved.is_none() && names.iter().any(|name| roles::is_panic(name)) {
        return None;
    }
    let off = match saved {
        Some(saved) if saved.user => return None,
        Some(saved) => s.arch().frames.interrupts_off(&saved.regs),
        None => s.arch().frames.interrupts_off(&s.cpu_regs(task.cpu?)?),
    };
    if off != Some(true) {
        return None;
    }
    let frame = victim.frames().get(interrupted(s.arch(), &names, victim.frames())?)?;
    let place = crate::victim::fault_frame::place(s, frame.pc);
    Some(Deaf { cpu: task.cpu, who: Who::of(task), place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_other_cpus() {
        assert!(is_calling("smp_call_function_many_cond") && is_calling("generic_exec_single.isra.0"));
        assert!(!is_calling("smp_call_function_done") && !is_calling("vfs_read"));
    }
}
