//! What a death by standing still adds to its headline and evidence: how long, the loop that a CPU is in.

use crate::case::Case;
use crate::code::roles;
use crate::context::machine::cpu_of;
use crate::model::{How, Says, Stall, Statement, Who};
use crate::stall::hang;
use crate::stall::spin;
use crate::stall::waits::{Waits, What};
use crate::victim::frames::Victim;
use kernel::Session;
use kernel::log::event::{self, Class, Event, Subject};
use kernel::sched::task::Task;

/// What is told of who stands still.
#[derive(Default)]
pub(crate) struct Stalls {
    pub(crate) waits: Vec<Statement>,
    pub(crate) evidence: Vec<Statement>,
}

/// Who waits for what, the loop that a CPU is in, and the spinning locks of one that must not have slept.
pub(crate) fn of(case: &Case<'_>, class: Class) -> Stalls {
    let s = case.s;
    let mut out = Stalls::default();
    if let Some(waits) = &case.waits {
        out = looping(s, &case.victim, waits, class);
        out.waits.splice(..0, waits.statements(class));
    }
    if let Some(lines) = case.lines.filter(|_| s.is_log() && class.is_stall()) {
        out.waits.extend(listed(&event::listed(&lines.texts())));
    }
    if class == Class::Atomic {
        out.waits.extend(case.victim.task.map(|t| held(s, t)).unwrap_or_default());
    }
    out
}

/// What lockdep lists, of a log; who tells of it has no lock that counts.
fn listed(all: &[event::Listed]) -> Vec<Statement> {
    let told = all.iter().filter(|task| task.comm != "khungtaskd");
    let of = |task: &event::Listed| {
        let who = Who { comm: task.comm.clone(), pid: task.pid };
        Statement::logged(Stall::Listed { who, locks: task.locks.clone() })
    };
    told.take(MAX_LISTED).map(of).collect()
}

/// Tasks of lockdep's list that are told.
const MAX_LISTED: usize = 16;

/// The loop that the CPU is in, where it spins on no lock.
fn looping(s: &Session, victim: &Victim<'_>, waits: &Waits<'_>, class: Class) -> Stalls {
    match class {
        // asked to die, mostly because something stood still
        Class::Nmi | Class::Watchdog | Class::Sysrq => match hang::silent(s) {
            Some(hang) => {
                let mut out = loop_of(s, &Victim::of_task(s, hang.task), waits);
                out.waits.insert(0, hang.evidence);
                out
            }
            None => Stalls::default(),
        },
        Class::SoftLockup | Class::HardLockup | Class::RcuStall => loop_of(s, victim, waits),
        _ => Stalls::default(),
    }
}

fn loop_of(s: &Session, victim: &Victim<'_>, waits: &Waits<'_>) -> Stalls {
    let Some(task) = victim.task.filter(|t| t.active) else { return Stalls::default() };
    if waits.of_task(task.at).is_some_and(|w| matches!(w.what, What::Spin(_))) {
        return Stalls::default();
    }
    let calls = crate::stall::ipi::statement(s, victim, task);
    let Some(l) = spin::looping(s, victim) else {
        return Stalls { waits: calls.into_iter().collect(), evidence: Vec::new() };
    };
    let commands = [format!("bt -c {}", cpu_of(task)), format!("dis -x {}", l.function)];
    let body = (!l.body.is_empty()).then(|| Statement::new(How::Decoded, Says::Code(l.body), &commands));
    let said = Stall::Loops { cpu: task.cpu, function: l.function, from: l.from, to: l.to, reads: l.reads };
    Stalls {
        waits: calls.into_iter().chain([Statement::new(How::Decoded, said, &commands)]).collect(),
        evidence: body.into_iter().collect(),
    }
}

/// The spinning locks that a task has, of one that must not have slept.
pub(crate) fn held(s: &Session, task: &Task) -> Vec<Statement> {
    let row = |t: spin::Taken| {
        let (who, name, lock) = (Who::of(task), spin::symbol_at(s, t.lock), t.lock.0);
        let said = Stall::Holds { who, name, lock, call: t.call() };
        Statement::new(How::Guessed, said, &[format!("bt {}", task.pid)])
    };
    // the scheduler's own locks are what it says them to be
    let own = |t: &spin::Taken| !roles::is_waiting(&t.function);
    spin::taken(s, task).into_iter().filter(own).map(row).collect()
}

/// Of several that stand still, the one that the verdict is about: of hung tasks that of the first message whose task is
/// still there, of CPUs the one that the panic was for.
pub(crate) fn subject_of<'e>(event: &'e Event, task: Option<&Task>) -> Option<&'e Subject> {
    let hangs = |subject: &&Subject| task.is_none_or(|t| subject.pid.is_none() || Some(t.pid) == subject.pid);
    match event.class {
        Class::HungTask => event.others.iter().chain(&event.subject).find(hangs).or(event.subject.as_ref()),
        _ => event.subject.as_ref(),
    }
}

/// The others that hang beside the one that the verdict is about.
pub(crate) fn others(event: &Event, told: Option<i32>) -> Option<Statement> {
    let is_other =
        |subject: &&Subject| (told.is_none() || subject.pid != told) && is_named(event.class, subject);
    // the verdict is about the first hung task, and the event is the last
    let last = event.subject.as_ref().filter(|_| event.class == Class::HungTask && told.is_some());
    let others: Vec<Subject> = event.others.iter().chain(last).filter(is_other).cloned().collect();
    (!others.is_empty()).then(|| Statement::logged(Stall::Others(event.class, others)))
}

/// True where there is something to tell of a subject: whose task it is, which CPU, how long.
pub(crate) fn is_named(class: Class, subject: &Subject) -> bool {
    let task = class == Class::HungTask && subject.comm.is_some() && subject.pid.is_some();
    task || subject.cpu.is_some() || subject.seconds.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_stood_still_before_is_not_the_one_of_the_panic() {
        let of = |lines: &[&str]| {
            let event = kernel::log::event::find(lines).unwrap();
            subject_of(&event, None).cloned()
        };
        let rcu = [
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: \t0-...!: (2 ticks this GP) idle=f42c/1/0x4000000000000000 softirq=192/192 fqs=0",
            "rcu: \t(t=2003 jiffies g=-1003 q=1773 ncpus=2)",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: \t1-....: (372 ticks this GP) idle=6cac/1/0x4000000000000000 softirq=437/438 fqs=234",
            "Kernel panic - not syncing: RCU Stall",
        ];
        assert_eq!(of(&rcu).and_then(|subject| subject.cpu), Some(1));
        let hung = [
            "INFO: task dd:77 blocked for more than 120 seconds.",
            "INFO: task cp:78 blocked for more than 120 seconds.",
            "Kernel panic - not syncing: hung_task: blocked tasks",
        ];
        let hung = of(&hung).unwrap();
        assert_eq!((hung.comm.as_deref(), hung.pid, hung.seconds), (Some("dd"), Some(77), Some(120)));
        assert!(is_named(Class::HungTask, &hung) && !is_named(Class::RcuStall, &Subject::default()));
    }
}
