//! Locks that give their priority on, which is every lock that sleeps in a kernel with `PREEMPT_RT`, spinlocks too: a
//! task that waits for one says so itself (`pi_blocked_on`), and the lock names its owner.
//!
//! Sources: kernel/locking/rtmutex.c, rtmutex_common.h (`rt_mutex_waiter`; `rt_mutex_base`, 5.15, before it `rt_mutex`;
//! bit 0 of `owner` says that others wait), rwbase_rt.c.

use base::VirtAddr;
use kernel::task::Task;
use kernel::{Session, bind};

bind! {
    struct Blocked("task_struct") { waiter: "pi_blocked_on" }
}
bind! {
    struct Waiter("rt_mutex_waiter") { task: "task", lock: "lock" }
}
bind! {
    struct LockBase("rt_mutex_base") { owner: "owner" }
}
bind! {
    struct LockBefore515("rt_mutex") { owner: "owner" }
}

/// Bits of `owner` beside the task: others wait.
const HAS_WAITERS: u64 = 1;

/// The lock that a task says it waits for, and the task that has it.
pub(crate) fn waited<'s>(s: &'s Session, task: &Task) -> Option<(VirtAddr, Option<&'s Task>)> {
    let mem = s.mem();
    let at = s.bind::<Blocked>().waiter.ptr(mem, task.at).ok().filter(|at| !at.is_null())?;
    let waiter = s.bind::<Waiter>();
    if waiter.task.ptr(mem, at).ok() != Some(task.at) {
        return None;
    }
    let lock = waiter.lock.ptr(mem, at).ok().filter(|at| !at.is_null())?;
    let (now, before) = (s.bind::<LockBase>(), s.bind::<LockBefore515>());
    let owner = now.owner.ptr(mem, lock).or_else(|_| before.owner.ptr(mem, lock)).ok()?;
    Some((lock, s.tasks().at(VirtAddr(owner.0 & !HAS_WAITERS))))
}
