//! Who waits for what, since when, and who would have to go on first: tasks that sleep and CPUs that spin, and
//! the circles that they form.

use crate::code::registers::Chain;
use crate::code::roles;
use crate::context::machine::cpu_of;
use crate::model::{For, How, LostOwner, Stall, Statement, Stuck, Waiter, Who};
use crate::stall::locks::{self, Lock, Proof};
use crate::stall::spin::{self, Spinner, symbol_at};
use crate::victim::frames;
use base::VirtAddr;
use kernel::locking::{Kind, Standing};
use kernel::log::event::Class;
use kernel::sched::task::Task;
use kernel::sched::times::{NSEC, latest_clock};
use kernel::{Session, workqueue};
use rustc_hash::FxHashMap;

/// A task that sleeps undisturbed for so many seconds is stuck.
const STUCK: u64 = 30;
/// How many tasks are looked at.
const MAX_TASKS: usize = 200;
const FEW_TASKS: usize = 32;
/// How many waits are told.
const MAX_TOLD: usize = 12;

/// What a task waits for.
pub(crate) enum What<'s> {
    /// A lock that sleeps.
    Lock(Lock<'s>),
    /// A lock that sleeps, of which the kind alone is known.
    SomeLock(Kind),
    /// A lock that spins.
    Spin(Spinner<'s>),
    /// `wait_for_completion()` of this address, and its name.
    Completion(Option<VirtAddr>, String),
    /// The end of work whose function this is, and the task that does it.
    Work(String, Option<&'s Task>),
    /// A page or buffer, or another end of input or output.
    Io,
    /// All readers of RCU.
    Rcu,
    /// Not known.
    Other,
}

/// A task that waits.
pub(crate) struct Wait<'s> {
    pub(crate) task: &'s Task,
    /// The function that waits, the first that is not there to wait itself.
    pub(crate) within: Waiter,
    pub(crate) what: What<'s>,
    /// Seconds.
    pub(crate) since: Option<u64>,
    /// A fatal signal would end it.
    killable: bool,
    /// What the dump lost that would tell more.
    pub(crate) lost: Option<String>,
    /// What is wrong with who has its lock.
    owner: LostOwner,
}

impl<'s> Wait<'s> {
    fn lock(&self) -> Option<&Lock<'s>> {
        match &self.what {
            What::Lock(lock) => Some(lock),
            _ => None,
        }
    }

    /// The task that has what this one waits for.
    fn blocker(&self) -> Option<VirtAddr> {
        match &self.what {
            // the last of several readers, who may have gone: a circle over it is a guess
            What::Lock(l) => l.owner.task.map(|t| t.at),
            What::Spin(spinner) => spinner.holder.as_ref().map(|h| h.task.at),
            What::Work(_, worker) => worker.map(|task| task.at),
            _ => None,
        }
    }
}

/// The waits of a machine.
pub(crate) struct Waits<'s> {
    pub(crate) all: Vec<Wait<'s>>,
    /// Circles: the tasks of each.
    pub(crate) circles: Vec<Vec<VirtAddr>>,
    /// There are sleepers that were not looked at.
    more: bool,
}

impl<'s> Waits<'s> {
    /// Of the tasks that sleep without end, and of the CPUs that spin. Where the death was no stall, few are looked at.
    pub(crate) fn of(s: &'s Session, stall: bool) -> Self {
        let now = latest_clock(s).ok();
        let states = s.task_states();
        let mut asleep = s.tasks().all.iter().filter(|t| !t.active && states.is_stuck(t));
        let most = if stall { MAX_TASKS } else { FEW_TASKS };
        let mut all: Vec<Wait<'s>> = asleep.by_ref().take(most).map(|t| sleeper(s, t, now)).collect();
        let more = asleep.next().is_some();
        all.extend(spin::on_locks(s).into_iter().map(|spinner| Wait {
            task: spinner.task,
            within: Waiter::Function(spinner.function.clone()),
            what: What::Spin(spinner),
            since: None,
            killable: false,
            lost: None,
            owner: LostOwner::No,
        }));
        doubt_owners(s, &mut all);
        let circles = circles(&all);
        Self { all, circles, more }
    }

    /// Of a machine that lives: who is stuck in it; nothing where nobody is.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        if let Some(circle) = self.circles.first() {
            return Some(Stuck::Deadlock(self.names(circle)));
        }
        let long = |w: &&Wait<'_>| w.since.is_some_and(|s| s >= STUCK) && !w.killable;
        let stuck: Vec<&Wait<'_>> = self.all.iter().filter(long).collect();
        let longest = stuck.iter().max_by_key(|w| w.since)?;
        Some(Stuck::Tasks {
            who: Who::of(longest.task),
            seconds: longest.since.unwrap_or(0),
            count: stuck.len(),
            at_least: self.more,
        })
    }

    /// Those of a circle.
    fn names(&self, circle: &[VirtAddr]) -> Vec<Who> {
        circle.iter().filter_map(|at| self.of_task(*at)).map(|w| Who::of(w.task)).collect()
    }

    /// The wait of a task.
    pub(crate) fn of_task(&self, at: VirtAddr) -> Option<&Wait<'s>> {
        self.all.iter().find(|w| w.task.at == at)
    }

    /// The statements of the `WAITS` section.
    pub(crate) fn statements(&self, class: Class) -> Vec<Statement> {
        // a death that is no stall: only locks with their owners matter
        let stall = class.is_stall()
            || matches!(class, Class::Alive | Class::Sysrq | Class::Nmi | Class::Watchdog | Class::Unknown);
        let matters = |w: &&Wait<'_>| match &w.what {
            What::Spin(_) => true,
            What::Lock(l) => stall || l.owner.task.is_some() || l.owner.gone.is_some(),
            What::SomeLock(_) => stall || w.lost.is_some(),
            _ => stall && !w.killable,
        };
        let mut out: Vec<Statement> = self.circles.iter().map(|c| self.circle(c)).collect();
        let told: Vec<&Wait<'_>> = self.all.iter().filter(matters).collect();
        out.extend(told.iter().take(MAX_TOLD).map(|w| statement(w)));
        if told.len() > MAX_TOLD {
            let said = Stall::More { count: told.len() - MAX_TOLD, at_least: self.more };
            out.push(Statement::new(How::Memory, said, &["foreach UN bt".into()]));
        }
        out
    }

    fn circle(&self, members: &[VirtAddr]) -> Statement {
        let sure = members.iter().filter_map(|at| self.of_task(*at)).all(|w| match &w.what {
            What::Spin(spinner) => spinner.holder.as_ref().is_some_and(|h| h.taken.is_none()),
            What::Lock(l) => !l.owner.readers && !l.owner.last && w.owner == LostOwner::No,
            _ => true,
        });
        let how = if sure { How::Decoded } else { How::Guessed };
        let said = Stall::Circle(self.names(members));
        Statement::new(how, said, &["foreach UN bt".into(), "bt -a".into()])
    }
}

fn sleeper<'s>(s: &'s Session, task: &'s Task, now: Option<u64>) -> Wait<'s> {
    let victim = frames::Victim::of_task(s, Some(task));
    let names = victim.names(s);
    // code without a name waits itself: who called it is another one
    let outside = names.iter().position(|n| n.is_empty() || !roles::is_waiting(n));
    let name = outside.and_then(|n| names.get(n)).filter(|name| !name.is_empty()).cloned();
    let nameless = || {
        let frame = victim.frames().get(outside?)?;
        s.locate(frame.lookup()).is_none().then_some(Waiter::Nameless(frame.pc.0))
    };
    let within = name.map(Waiter::Function).or_else(nameless).unwrap_or(Waiter::Unknown);
    let bt = victim.bt.as_ref();
    let lock = bt.and_then(|bt| locks::waited(s, bt, &names, task));
    let some = bt.filter(|_| lock.is_none()).and_then(|bt| locks::unknown(s, bt, &names, task));
    let cut = bt.filter(|_| lock.is_none()).and_then(|bt| bt.lack(s));
    let (what, lost) = match (lock, some) {
        (Some(lock), _) => (What::Lock(lock), None),
        (None, Some((kind, lost))) => (What::SomeLock(kind), lost.map(|fault| fault.to_string())),
        (None, None) => (other(s, &victim, &names), cut),
    };
    let since = now.and_then(|now| kernel::sched::times::not_run_for(s, task, now).ok()?).map(|ns| ns / NSEC);
    Wait {
        task,
        within,
        what,
        since,
        killable: s.task_states().is_killable(task),
        lost,
        owner: LostOwner::No,
    }
}

/// Finds the owners that may be none: a lock names its owner by the address of a `task_struct`, which another task may have
/// had before. What a task's own frames have called to take, it has.
fn doubt_owners(s: &Session, all: &mut [Wait<'_>]) {
    let waiting: Vec<(VirtAddr, &Task)> = all.iter().filter_map(|w| Some((w.lock()?.at, w.task))).collect();
    // many can wait for one lock
    let mut known: FxHashMap<VirtAddr, LostOwner> = FxHashMap::default();
    for wait in all {
        let Some(lock) = wait.lock() else { continue };
        wait.owner = match lock.owner.task {
            Some(task) if task.has_exited() => LostOwner::Ended,
            // of readers and of a semaphore the lock itself says that it may be another
            Some(_) if lock.owner.readers || lock.owner.last => LostOwner::No,
            Some(task) => *known.entry(lock.at).or_insert_with(|| {
                let of_lock = waiting.iter().filter(|(at, _)| *at == lock.at).map(|(_, task)| *task);
                match Proof::of(s, task, (lock.kind, lock.at), of_lock) {
                    proof if proof.holds() => LostOwner::No,
                    Proof::NotTaken(Standing::Younger) | Proof::NotFollowed(Standing::Younger) => {
                        LostOwner::Younger
                    }
                    _ => LostOwner::Unproven,
                }
            }),
            None if lock.owner.gone.is_some() => LostOwner::Ended,
            None if lock.owner.nobody => LostOwner::Nobody,
            None => LostOwner::No,
        };
    }
}

/// Waits that are for no lock.
fn other<'s>(s: &'s Session, victim: &frames::Victim<'_>, names: &[String]) -> What<'s> {
    let frames = victim.frames();
    let has = |starts: &[&str]| names.iter().position(|n| starts.iter().any(|f| n.starts_with(f)));
    let argument = |n: usize| {
        let chain = Chain::of(s, frames, 0, n + 1);
        let (passed, path) = chain.passed(n + 1);
        let value = chain.first_argument(n).or(passed);
        (value.filter(|v| s.arch().is_kernel(VirtAddr(*v))).map(VirtAddr), path.filter(|_| passed == value))
    };
    if let Some(n) = has(&["__flush_work", "flush_work"]) {
        let (work, _) = argument(n);
        let func = work.and_then(|at| workqueue::function(s, at).ok());
        let name = func.and_then(|f| s.locate(f)).filter(|l| l.offset == 0).map(|l| l.symbol.name.to_owned());
        return What::Work(name.unwrap_or_default(), work.and_then(|at| worker_of(s, at)));
    }
    if has(&["synchronize_rcu", "synchronize_sched", "wait_rcu_gp", "__wait_rcu_gp"]).is_some() {
        return What::Rcu;
    }
    if let Some(n) = has(&["wait_for_completion", "__wait_for_common", "wait_for_common"]) {
        let (at, path) = argument(n);
        let name = at.and_then(|at| symbol_at(s, at)).or(path).unwrap_or_default();
        return What::Completion(at, name);
    }
    let io = [
        "io_schedule",
        "folio_wait_",
        "wait_on_page_",
        "__wait_on_buffer",
        "__lock_buffer",
        "__folio_lock",
        "__lock_page",
    ];
    if has(&io).is_some() {
        return What::Io;
    }
    What::Other
}

/// The task of the worker that does a work.
fn worker_of(s: &Session, work: VirtAddr) -> Option<&Task> {
    let pools = workqueue::pool::pools(s).ok()?;
    let does = |worker: &workqueue::pool::Worker| matches!(&worker.running, Ok(Some(running)) if running.work.at == work);
    let worker = pools.all.iter().flat_map(|pool| &pool.workers).find(|worker| does(worker))?;
    s.tasks().at(*worker.task.as_ref().ok()?)
}

fn statement(w: &Wait<'_>) -> Statement {
    let bt = format!("bt {}", w.task.pid);
    let (what, commands) = match &w.what {
        What::Spin(spinner) => return spins(w.task, spinner),
        What::Lock(l) => (lock(l, w.owner), vec![bt, format!("struct {} {:x}", l.kind.structure(), l.at)]),
        What::SomeLock(kind) => (For::SomeLock(*kind), vec![bt]),
        What::Completion(at, name) => (For::Completion(name.clone(), at.map(|at| at.0)), vec![bt]),
        What::Work(function, worker) => {
            (For::Work(function.clone(), worker.map(Who::of)), vec![bt, "wq".into()])
        }
        What::Io => (For::Io, vec![bt]),
        What::Rcu => (For::Rcu, vec![bt]),
        What::Other => (For::Other, vec![bt]),
    };
    let said = Stall::Waits { who: Who::of(w.task), within: w.within.clone(), what, seconds: w.since };
    Statement::new(if w.owner.is_doubted() { How::Guessed } else { How::Decoded }, said, &commands)
}

fn lock(l: &Lock<'_>, lost: LostOwner) -> For {
    let gone = l.owner.gone.as_ref();
    For::Lock {
        kind: l.kind,
        name: l.name.clone(),
        at: l.at.0,
        owner: l.owner.task.map(Who::of).or_else(|| gone.map(|g| Who { comm: g.comm.clone(), pid: g.pid })),
        readers: l.owner.readers,
        last: l.owner.last,
        lost,
    }
}

/// A CPU that spins: who has its lock is a guess where the lock itself does not say it.
fn spins(task: &Task, spinner: &Spinner<'_>) -> Statement {
    let guessed = spinner.holder.as_ref().is_some_and(|h| h.taken.is_some());
    let how = if guessed { How::Guessed } else { How::Decoded };
    let said = Stall::Spins {
        cpu: task.cpu,
        who: Who::of(task),
        function: spinner.function.clone(),
        lock: spinner.at.map(|at| (spinner.name.clone(), at.0)),
        state: spinner.state.clone(),
        own: spinner.holder.as_ref().is_some_and(|h| h.task.at == task.at),
        holder: spinner.holder.as_ref().map(|h| (Who::of(h.task), h.taken.clone())),
    };
    Statement::new(how, said, &[format!("bt -c {}", cpu_of(task))])
}

/// Circles of those who wait for each other.
fn circles(waits: &[Wait<'_>]) -> Vec<Vec<VirtAddr>> {
    let edges: Vec<(VirtAddr, Option<VirtAddr>)> = waits.iter().map(|w| (w.task.at, w.blocker())).collect();
    circles_of(&edges)
}

fn circles_of(edges: &[(VirtAddr, Option<VirtAddr>)]) -> Vec<Vec<VirtAddr>> {
    let next = |at: VirtAddr| edges.iter().find(|(t, _)| *t == at).and_then(|(_, to)| *to);
    let mut out: Vec<Vec<VirtAddr>> = Vec::new();
    for (start, _) in edges {
        let mut circle = vec![*start];
        let mut here = *start;
        while let Some(to) = next(here) {
            if to == *start {
                if !out.iter().flatten().any(|at| circle.contains(at)) {
                    out.push(circle);
                }
                break;
            }
            if circle.contains(&to) || circle.len() > 64 {
                break;
            }
            circle.push(to);
            here = to;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once_and_tails_are_none() {
        let at = VirtAddr;
        let edges = [
            (at(1), Some(at(2))),
            (at(2), Some(at(3))),
            (at(3), Some(at(1))),
            (at(4), Some(at(1))),
            (at(5), Some(at(9))),
            (at(6), Some(at(6))),
        ];
        assert_eq!(circles_of(&edges), [vec![at(1), at(2), at(3)], vec![at(6)]]);
        assert!(circles_of(&edges[3..5]).is_empty());
    }
}
