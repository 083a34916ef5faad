//! `locks`: locks that tasks wait for, with who has them ([`kernel::locking`]).

use crate::show::symbol;
use crate::show::tasks::{self, unknown};
use crate::show::when::ago;
use crate::{CommandError, Cx, Example, Run};
use ::verdict::Proof;
use base::VirtAddr;
use kernel::locking::{self, Kind, Owner, Standing, rtmutex};
use kernel::mm::slab;
use kernel::sched::task::Task;
use kernel::sched::times::{last_run, latest_clock, not_run_for};
use kernel::{Fetch, Session};
use report::{Cell, Line, Record, Report};
use std::collections::BTreeMap;

/// The command.
#[derive(Debug)]
pub(crate) struct Locks;

/// The arguments of `locks`.
#[derive(clap::Args)]
pub(crate) struct LocksArgs {}

impl Run for Locks {
    type Args = LocksArgs;
    fn name(&self) -> &'static str {
        "locks"
    }
    fn about(&self) -> &'static str {
        "locks that tasks wait for, their owners and waiters"
    }
    fn details(&self) -> &'static str {
        "Shows each lock that sleeping tasks wait for (mutexes, rw_semaphores, semaphores, rt_mutexes and the locks of \
         PREEMPT_RT): what it is, who has it, and who waits for it, the one that has waited longest first. Locks that wait \
         for each other in a circle are told as a deadlock. Of a semaphore the owner is who took it last, of readers the last \
         of them. Tasks in a function that takes a lock, of which the lock is not known, are counted."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("locks", "what tasks wait for")] }
    }
    fn run(&self, cx: &mut Cx<'_>, _args: &LocksArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut report = Report::new("locks");
        tasks::problems(s, &mut report);
        let mut locks: BTreeMap<VirtAddr, (Kind, Vec<&Task>)> = BTreeMap::new();
        let mut open = Vec::new();
        for task in &s.tasks().all {
            cx.cancel.check()?;
            match locking::waited(s, task) {
                Some((kind, at)) => locks.entry(at).or_insert_with(|| (kind, Vec::new())).1.push(task),
                None if is_in_a_lock(s, task) => open.push(task.pid),
                None => {}
            }
        }
        if locks.is_empty() && open.is_empty() {
            report.info("locks: no task waits for a lock that sleeps");
        }
        let clock = latest_clock(s).ok();
        let waits = |task: &Task| clock.and_then(|clock| not_run_for(s, task, clock).ok()?);
        let mut sure: Vec<(&Task, &[&Task])> = Vec::new();
        let mut rows = Vec::new();
        for (at, (kind, waiters)) in &mut locks {
            waiters.sort_by_cached_key(|task| (std::cmp::Reverse(waits(task)), task.pid));
            let waiters: &[&Task] = waiters;
            let owner = owner(s, *kind, *at);
            // of readers and of a semaphore the lock itself says that it may be another
            let task =
                owner.as_ref().filter(|owner| !owner.readers && !owner.last).and_then(|owner| owner.task);
            let proof = task.map(|task| Proof::of(s, task, (*kind, *at), waiters.iter().copied()));
            if let (Some(task), Some(true)) = (task, proof.map(Proof::holds)) {
                sure.push((task, waiters));
            }
            let mut row = Record::new();
            if !rows.is_empty() {
                row.blank();
            }
            lock(s, (*kind, *at), owner.as_ref().zip(Some(proof)), (waiters, &waits), &mut row);
            rows.push(row);
        }
        report.list("locks", rows);
        circles(sure.into_iter(), &mut report);
        if !open.is_empty() {
            let pids: Vec<String> = open.iter().map(ToString::to_string).collect();
            report.warning(format!(
                "locks: these tasks wait in a function that takes a lock, and which one is not known: {}",
                pids.join(", ")
            ));
        }
        Ok(report)
    }
}

/// True for a task that sleeps in a function that takes a lock.
fn is_in_a_lock(s: &Session, task: &Task) -> bool {
    let states = s.task_states();
    if task.active || !(states.is_stuck(task) || states.is_killable(task)) {
        return false;
    }
    let takes = |name: &str| locking::kind_of(name).is_some();
    let bt = s.backtrace(task);
    bt.unwound
        .frames
        .iter()
        .any(|frame| s.locate(frame.lookup()).is_some_and(|found| takes(found.symbol.name)))
}

/// Who has a lock; none where memory does not say it.
fn owner<'s>(s: &'s Session, kind: Kind, at: VirtAddr) -> Option<Owner<'s>> {
    if rtmutex::is_shared(s, kind) {
        return rtmutex::shared(s, at);
    }
    match kind {
        Kind::RtMutex | Kind::Spinlock | Kind::RwLock => {
            // those that wait say it
            let task = s.tasks().all.iter().find_map(|task| {
                let (lock, owner) = rtmutex::waited(s, task)?;
                (lock == at).then_some(owner)
            })?;
            Some(Owner { task, ..Owner::default() })
        }
        _ => locking::owner(s, kind, at),
    }
}

/// What must be known of the task that a lock names as its owner.
const fn proviso(proof: Proof) -> &'static str {
    let (Proof::NotTaken(began) | Proof::NotFollowed(began)) = proof else { return "" };
    match began {
        Standing::Older => "  (by its task_struct: a task that had this before may have ended with the lock)",
        Standing::Younger => {
            ", which began after the wait: most likely another task that has exited, or it took it since"
        }
        Standing::Unknown => {
            "  (whether it began before the wait is not known: another task may have had the lock and ended)"
        }
    }
}

/// For how long a task has not run, in nanoseconds, where that is known.
type Waits<'a> = &'a dyn Fn(&Task) -> Option<u64>;

/// What a lock's address is in: a variable, or an object of a cache.
fn place(s: &Session, at: VirtAddr) -> Option<Cell> {
    if s.in_image(at) || s.module_at(at).is_some() {
        return Some(symbol::of(s, at));
    }
    slab::cache_of(s, at).map(|cache| Cell::from(format!("in an object of {cache}")))
}

fn lock(
    s: &Session,
    (kind, at): (Kind, VirtAddr),
    owner: Option<(&Owner<'_>, Option<Proof>)>,
    (waiters, waits): (&[&Task], Waits<'_>),
    row: &mut Record,
) {
    let line = Line::new().field("kind", kind.word()).text(" ").field("lock", at);
    row.line(match place(s, at) {
        Some(place) => line.text("  (").field("place", place).text(")"),
        None => line,
    });
    let line = Line::of("  OWNER:  ");
    row.line(match owner {
        None => line.field("owner", Cell::absent("?", "what the lock says of its owner is none")),
        Some((Owner { task: Some(task), readers, last, .. }, proof)) => {
            let what = match (*readers, *last) {
                (true, _) => "  (the last of its readers)",
                (_, true) => "  (who took it last)",
                _ => proof.map_or("", proviso),
            };
            let began_later = matches!(
                proof,
                Some(Proof::NotTaken(Standing::Younger) | Proof::NotFollowed(Standing::Younger))
            );
            // the heading names no owner that most likely is none
            let line = if began_later && !*readers && !*last {
                line.text("its task_struct is now that of ")
            } else {
                line
            };
            line.field("owner", named(task)).text(what)
        }
        Some((Owner { gone: Some(gone), .. }, _)) => {
            let text = format!("PID {} {}, which has ended", gone.pid, gone.comm);
            line.field("owner", Cell::shown(gone.pid, text))
        }
        Some((Owner { readers: true, .. }, _)) => line.field("owner", "readers"),
        Some((Owner { nobody: true, .. }, _)) => line.field("owner", "nobody"),
        Some(_) => line.field("owner", Cell::absent("?", "the lock does not say who has it")),
    });
    row.text(if waiters.len() == 1 { "  1 WAITER:" } else { "  WAITERS:" });
    let all = waiters.iter().map(|task| {
        let waits = match waits(task) {
            Some(age) => Cell::shown(age, ago(age)),
            None => unknown_age(s, task),
        };
        let line =
            Line::of("    PID: ").field("pid", task.pid).left(7).text("  TASK: ").field("task", task.at);
        let line = line.text("  ").field("state", tasks::state(s, task)).text("  COMMAND: \"");
        let line = line.field("command", task.comm.clone()).text("\"  not run for ");
        Record::of(line.field("waits_nsec", waits))
    });
    row.list("waiters", all.collect());
}

/// `PID 12 kworker/0:1`
fn named(task: &Task) -> Cell {
    let mut text = format!("PID {} {}", task.pid, task.comm);
    if task.has_exited() {
        text.push_str(" (dead)");
    }
    Cell::shown(task.pid, text)
}

fn unknown_age(s: &Session, task: &Task) -> Cell {
    match last_run(s, task) {
        Err(e) => unknown("?", &e),
        Ok(_) => Cell::absent("?", "the kernel did not note when it ran last, or no clock is known"),
    }
}

/// Tells of tasks that wait for each other: of owners with those who wait for them.
fn circles<'a>(locks: impl Iterator<Item = (&'a Task, &'a [&'a Task])>, report: &mut Report) {
    // by each task, the one that has what it waits for
    let mut next: BTreeMap<i32, i32> = BTreeMap::new();
    for (owner, waiters) in locks {
        next.extend(waiters.iter().map(|task| (task.pid, owner.pid)));
    }
    let mut told: Vec<i32> = Vec::new();
    for first in next.keys() {
        let mut way = vec![*first];
        while let Some(owner) = way.last().and_then(|last| next.get(last)) {
            if let Some(at) = way.iter().position(|pid| pid == owner) {
                let circle = way.get(at..).unwrap_or_default();
                if !circle.iter().any(|pid| told.contains(pid)) {
                    let pids: Vec<String> = circle.iter().map(ToString::to_string).collect();
                    report.warning(format!(
                        "locks: a deadlock: each of these waits for what the next one has, and the last for what the first has: {}",
                        pids.join(", ")
                    ));
                    told.extend(circle);
                }
                break;
            }
            way.push(*owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: i32) -> Task {
        Task {
            at: VirtAddr(0x1000 * u64::from(pid.unsigned_abs())),
            pid,
            tgid: pid,
            ppid: Some(1),
            comm: "made".to_owned(),
            cpu: Some(0),
            state: Some(2),
            exit_state: Some(0),
            flags: Some(0),
            mm: None,
            stack: None,
            on_cpu: None,
            active: false,
            wrong: None,
        }
    }

    /// What is told of locks, each with its owner and its only waiter.
    fn told(of: &[(&Task, &Task)]) -> String {
        let waiters: Vec<[&Task; 1]> = of.iter().map(|(_, waiter)| [*waiter]).collect();
        let locks = of.iter().zip(&waiters).map(|((owner, _), waiters)| (*owner, waiters.as_slice()));
        let mut report = Report::new("locks");
        circles(locks, &mut report);
        let mut out = Vec::new();
        render::text(&report, render::Colour::Plain, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_circle_is_told_once() {
        let [a, b, c, d] = [1, 2, 3, 4].map(task);
        assert_eq!(told(&[(&a, &b), (&b, &c)]), "", "c waits for b, who waits for a, who waits for nobody");
        let text = told(&[(&a, &b), (&b, &a), (&a, &d)]);
        assert!(text.contains("a deadlock") && text.contains("for what the first has: 1, 2"), "{text}");
        assert_eq!(
            text.matches("deadlock").count(),
            1,
            "d waits for one of the circle, and is not in it: {text}"
        );
        assert!(told(&[(&a, &a)]).contains("a deadlock"), "a task that waits for itself");
        let text = told(&[(&a, &b), (&b, &c), (&c, &a)]);
        assert_eq!(text.matches("deadlock").count(), 1, "{text}");
    }
}
