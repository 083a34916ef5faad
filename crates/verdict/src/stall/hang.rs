//! A machine that did not panic: does it live, or does something in it stand still?
//!
//! **Invariant:** an old message is no evidence of a current hang; a stall counts only while its task or CPU is still stuck.

use crate::context::machine::{cpu_of, is_idle};
use crate::model::{How, Says, Stall, Statement};
use crate::stall::waits::{Waits, What};
use crate::victim::frames::of_subject;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::{self, Class, Subject};
use kernel::log::lines::Lines;
use kernel::sched::task::Task;
use kernel::sched::times::latest_clock;

/// A CPU is told of after this many seconds without a tick.
const NO_TICK: u64 = 10;
/// A soft lockup is told anew about every 20 s, with the factory's threshold.
const SOFT_AGAIN: u64 = 90;
/// A stall of RCU is told anew after three times its timeout, which is 21 or 60 s.
const RCU_AGAIN: u64 = 250;
const SECOND: u64 = 1_000_000_000;

/// Something stands still.
pub(crate) struct Hang<'s> {
    pub(crate) class: Class,
    pub(crate) task: Option<&'s Task>,
    pub(crate) subject: Option<Subject>,
    pub(crate) evidence: Statement,
}

/// What stands still, if anything does.
pub(crate) fn of<'s>(s: &'s Session, lines: Option<&Lines>, waits: &Waits<'s>) -> Option<Hang<'s>> {
    circle(s, waits).or_else(|| lines.and_then(|l| reported(s, l))).or_else(|| silent(s))
}

/// CPUs that wait for each other. Where only tasks do, the machine lives.
fn circle<'s>(s: &'s Session, waits: &Waits<'s>) -> Option<Hang<'s>> {
    let spins = |at: &VirtAddr| waits.of_task(*at).is_some_and(|w| matches!(w.what, What::Spin(_)));
    let first = *waits.circles.iter().find(|c| c.iter().any(spins))?.iter().find(|at| spins(at))?;
    let evidence = Statement::new(How::Decoded, Stall::Circles, &["foreach UN bt".into(), "bt -a".into()]);
    Some(Hang { class: Class::Deadlock, task: s.tasks().at(first), subject: None, evidence })
}

/// What the watchdogs told of and what is still so.
fn reported<'s>(s: &'s Session, lines: &Lines) -> Option<Hang<'s>> {
    let texts = lines.texts();
    let end = latest_clock(s).ok().into_iter().chain(lines.end()).max()?;
    let age = |n: usize| lines.time(n).map_or(u64::MAX, |at| end.saturating_sub(at) / SECOND);
    let stalls = event::stalls(&texts);
    let mut found = stalls.iter().rev().filter_map(|(class, n, subject)| {
        let task = of_subject(s, subject.as_ref()?);
        let still = match class {
            Class::SoftLockup => task.is_some_and(|t| t.active) && age(*n) < SOFT_AGAIN,
            Class::HardLockup => task.is_some_and(|t| late(s, t, end).is_some()),
            Class::RcuStall => age(*n) < RCU_AGAIN,
            _ => false,
        };
        let line = (*texts.get(*n)?).trim().to_owned();
        let evidence = Statement::logged(Says::Line(line));
        still.then(|| Hang { class: *class, task, subject: subject.clone(), evidence })
    });
    // the CPU that is stuck is the cause of what waits for it
    let all: Vec<Hang<'s>> = found.by_ref().collect();
    let order = [Class::HardLockup, Class::SoftLockup, Class::RcuStall];
    let first = order.iter().find_map(|class| all.iter().rfind(|h| h.class == *class))?;
    // of that the last report, which tells how long it stands by now
    let (class, cpu) = (first.class, first.subject.as_ref().and_then(|subject| subject.cpu));
    let is_last =
        |h: &Hang<'_>| h.class == class && h.subject.as_ref().and_then(|subject| subject.cpu) == cpu;
    let best = all.iter().position(is_last)?;
    all.into_iter().nth(best)
}

/// How many seconds a CPU that runs something is behind the others' clocks: its ticks do not come.
fn late(s: &Session, task: &Task, now: u64) -> Option<u64> {
    let clock = kernel::sched::times::rq_clock(s, task.cpu?).ok().filter(|c| *c != 0)?;
    let behind = now.checked_sub(clock)? / SECOND;
    // the clock of a CPU that idles stands as well
    (task.active && behind >= NO_TICK && !is_idle(s, task)).then_some(behind)
}

/// A CPU without ticks of which nobody told.
pub(crate) fn silent(s: &Session) -> Option<Hang<'_>> {
    let now = latest_clock(s).ok()?;
    let (task, seconds) = s
        .tasks()
        .all
        .iter()
        .filter(|t| t.active)
        .take(1024)
        .filter_map(|t| Some((t, late(s, t, now)?)))
        .max_by_key(|(_, seconds)| *seconds)?;
    // in user mode a CPU may do without ticks (nohz_full)
    let bt = s.backtrace(task);
    if bt.start == kernel::stack::backtrace::Start::UserMode || bt.unwound.frames.is_empty() {
        return None;
    }
    let said = Stall::NoTick { cpu: task.cpu, seconds };
    let evidence = Statement::new(How::Memory, said, &[format!("bt -c {}", cpu_of(task)), "ps -m".into()]);
    let subject = Subject { cpu: task.cpu, seconds: Some(seconds), ..Subject::default() };
    Some(Hang { class: Class::HardLockup, task: Some(task), subject: Some(subject), evidence })
}
