//! The ids of tasks, held against the `struct pid` by which the kernel finds each, and against their processes' leaders.
//!
//! `copy_process` (kernel/fork.c) sets a task's `pid` to the first number of its `struct pid`, whose list of tasks leads
//! back to it, and its `tgid` to its leader's `pid`; `exchange_tids` (kernel/pid.c) changes all of these together.
//!
//! **Invariant:** of two numbers that contradict each other none is believed silently: that is told, and the one that a
//! third place has is taken.

use super::find::{Find, PidStruct, Upid};
use crate::error::{KernelError, Result};
use crate::sched::plausible;
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::{FxHashMap, FxHashSet};

bind! {
    /// `struct pid_link`, until 4.19 (2c4704756cab): a task has one for each kind of id, that of its own id first
    struct PidLink("pid_link") { pid: "pid" }
}

bind! {
    /// `signal_struct`, since 4.19 (2c4704756cab)
    struct SignalIds("signal_struct") { pids: "pids" }
}

/// So deep pid namespaces may be nested (`MAX_PID_NS_LEVEL`).
const MAX_LEVEL: u64 = 32;

/// The process group of a task, by the numbers of the first pid namespace.
///
/// # Errors
/// It is not known or not in the dump.
pub fn process_group(s: &Session, task: &Task) -> Result<i32> {
    of_kind(s, task, "PIDTYPE_PGID")
}

/// The session of a task, by the numbers of the first pid namespace.
///
/// # Errors
/// It is not known or not in the dump.
pub fn session_id(s: &Session, task: &Task) -> Result<i32> {
    of_kind(s, task, "PIDTYPE_SID")
}

/// The number that a task has in its own pid namespace; none where that is the first one.
///
/// # Errors
/// It is not known or not in the dump.
pub fn inner_number(s: &Session, task: &Task) -> Result<Option<i32>> {
    let (mem, pid, of_number) = (s.mem(), s.bind::<PidStruct>(), s.bind::<Upid>());
    let gone = || KernelError::GivenUp { pid: task.pid, what: "struct pid" };
    // what does not lead back to the task, or has another number, tells nothing
    let (own, _) = own_number(s, task.at).filter(|(_, number)| *number == task.pid).ok_or_else(gone)?;
    let level = pid.level.num(mem, own)?;
    if level > MAX_LEVEL {
        let why = format!("it is {level} pid namespaces deep");
        return Err(KernelError::Damaged { what: "struct pid", at: own, why });
    }
    if level == 0 {
        return Ok(None);
    }
    let step = of_number.size.ok_or(KernelError::NoType("upid"))?;
    of_number.nr.i32(mem, pid.numbers.at(own)?.add(level.saturating_mul(step))).map(Some)
}

/// The number of a kind of id.
fn number_of(s: &Session, kind: &str) -> Result<u64> {
    let values = s.types().find_enumerator(kind).into_iter();
    let kind = values.filter_map(|(_, value)| u64::try_from(value).ok()).find(|value| *value < 8);
    kind.ok_or(KernelError::NoEnumeration("pid_type"))
}

/// The `struct pid` of a kind that a task's process has; none before 4.19, or where it is not known.
pub(super) fn of_signal(s: &Session, task: VirtAddr, kind: &str) -> Option<VirtAddr> {
    let signal = s.bind::<TaskStruct>().signal.ptr(s.mem(), task).ok()?;
    let slot = s.bind::<SignalIds>().pids.at(signal).ok()?.add(number_of(s, kind).ok()? * 8);
    s.mem().ptr(slot).ok().filter(|at| !at.is_null())
}

fn of_kind(s: &Session, task: &Task, kind: &str) -> Result<i32> {
    let (mem, pid) = (s.mem(), s.bind::<PidStruct>());
    let kind = number_of(s, kind)?;
    let (of_signal, b) = (s.bind::<SignalIds>(), s.bind::<TaskStruct>());
    let slot = if of_signal.pids.exists() {
        of_signal.pids.at(b.signal.ptr(mem, task.at)?)?.add(kind * 8)
    } else {
        // until then those of the leader count
        let link = s.bind::<PidLink>();
        let step = link.size.ok_or(KernelError::NoType("pid_link"))?;
        link.pid.at(b.pid_links.at(b.group_leader.ptr(mem, task.at)?)?.add(kind.saturating_mul(step)))?
    };
    let at = mem.ptr(slot)?;
    if at.is_null() {
        return Err(KernelError::GivenUp { pid: task.pid, what: "struct pid" });
    }
    s.bind::<Upid>().nr.i32(mem, pid.numbers.at(at)?)
}

impl Find<'_> {
    /// Checks all that were found; changes what two other places contradict, and tells it.
    pub(super) fn check_ids(&mut self) {
        let mut changed: FxHashSet<VirtAddr> = FxHashSet::default();
        let mut by_number: Option<FxHashMap<VirtAddr, u64>> = None;
        for n in 0..self.out.all.len() {
            let Some((at, pid)) = self.out.all.get(n).map(|t| (t.at, t.pid)).filter(|(_, pid)| *pid != 0)
            else {
                continue;
            };
            let Some((of, number)) = own_number(self.s, at).filter(|(_, number)| *number != pid) else {
                continue;
            };
            let found = by_number.get_or_insert_with(|| self.numbered()).get(&of);
            if found.is_some_and(|index| i64::try_from(*index) == Ok(number.into())) {
                let why = format!("its pid is {pid}, but the kernel finds it by {number}, which is taken");
                self.wrong(n, why, |t| t.pid = number);
            } else {
                let why = format!("its pid is {pid}, but its struct pid says {number}: either can be right");
                self.wrong(n, why, |_| {});
            }
        }
        let pids: FxHashMap<VirtAddr, i32> = self.out.all.iter().map(|t| (t.at, t.pid)).collect();
        for n in 0..self.out.all.len() {
            let Some((at, tgid)) = self.out.all.get(n).map(|t| (t.at, t.tgid)).filter(|(_, tgid)| *tgid != 0)
            else {
                continue;
            };
            let leader = self.s.bind::<TaskStruct>().group_leader.ptr(self.s.mem(), at).ok();
            let Some((leader, pid)) = leader.and_then(|at| Some((at, *pids.get(&at)?))) else { continue };
            if pid == tgid || pid == 0 {
                continue;
            }
            if own_number(self.s, leader).is_some_and(|(_, number)| number == pid) {
                let why = format!("its tgid is {tgid}, but its process's leader is {pid}, which is taken");
                self.wrong(n, why, |t| t.tgid = pid);
                changed.insert(at);
            } else {
                let why =
                    format!("its tgid is {tgid}, but its process's leader is {pid}: either can be right");
                self.wrong(n, why, |_| {});
            }
        }
        if !changed.is_empty() {
            self.name_parents(&changed);
        }
    }

    /// The parents' ids of those whose parents have another than they say.
    fn name_parents(&mut self, changed: &FxHashSet<VirtAddr>) {
        let tgids: FxHashMap<VirtAddr, i32> =
            self.out.all.iter().filter(|t| changed.contains(&t.at)).map(|t| (t.at, t.tgid)).collect();
        let b = self.s.bind::<TaskStruct>();
        for t in &mut self.out.all {
            let parent = b.real_parent.ptr(self.s.mem(), t.at).or_else(|_| b.parent.ptr(self.s.mem(), t.at));
            if let Some(tgid) = parent.ok().and_then(|at| tgids.get(&at)) {
                t.ppid = t.ppid.map(|_| *tgid);
            }
        }
    }

    /// Tells what is wrong with a task, and mends it.
    fn wrong(&mut self, n: usize, why: String, mend: impl FnOnce(&mut Task)) {
        let Some(t) = self.out.all.get_mut(n) else { return };
        mend(t);
        let at = t.at;
        t.wrong.get_or_insert_with(|| why.clone());
        self.problem(KernelError::Damaged { what: "task_struct", at, why });
    }

    /// The number under which the kernel keeps each `struct pid`, where it keeps them by number.
    fn numbered(&self) -> FxHashMap<VirtAddr, u64> {
        self.pids_by_number().unwrap_or_default().into_iter().map(|(index, pid)| (pid, index)).collect()
    }
}

/// A task's `struct pid`, and whether what it holds is not in the dump; none where the task has none any more.
pub(super) fn own_pid(s: &Session, task: VirtAddr) -> Option<(VirtAddr, bool)> {
    let (mem, b, pid) = (s.mem(), s.bind::<TaskStruct>(), s.bind::<PidStruct>());
    let own = match b.thread_pid.ptr(mem, task) {
        Ok(at) => at,
        Err(_) => s.bind::<PidLink>().pid.ptr(mem, b.pid_links.at(task).ok()?).ok()?,
    };
    let first = mem.ptr(pid.tasks.at(own).ok().filter(|_| !own.is_null())?);
    Some((own, first.is_err_and(|fault| fault.is_loss())))
}

/// A task's `struct pid`, which leads back to it, and the number in it.
pub(super) fn own_number(s: &Session, task: VirtAddr) -> Option<(VirtAddr, i32)> {
    let (mem, b, pid) = (s.mem(), s.bind::<TaskStruct>(), s.bind::<PidStruct>());
    let (own, _) = own_pid(s, task)?;
    let first = mem.ptr(pid.tasks.at(own).ok()?).ok()?;
    let number = s.bind::<Upid>().nr.i32(mem, pid.numbers.at(own).ok()?).ok()?;
    let leads_back = b.pid_links.container(first).ok() == Some(task);
    (leads_back && number != 0 && plausible::wrong_id("pid", number).is_none()).then_some((own, number))
}
