//! Locks that give their priority on, which is every lock that sleeps in a kernel with `PREEMPT_RT`, spinlocks too: a
//! task that waits for one says so itself (`pi_blocked_on`), and the lock names its owner.
//!
//! A lock of readers and writers is such a lock, which a writer takes first and then waits for the readers to go; they
//! are counted only.
//!
//! Sources: kernel/locking/rtmutex.c, rtmutex_common.h (`rt_mutex_waiter`; `rt_mutex_base`, 5.15, before it `rt_mutex`;
//! bit 0 of `owner` says that others wait), rwbase_rt.c and include/linux/rwbase_rt.h (5.15; `READER_BIAS`,
//! `WRITER_BIAS`).

use crate::locking::{Kind, Owner};
use crate::sched::task::Task;
use crate::session::Session;
use base::VirtAddr;

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

bind! {
    struct RwBase("rwbase_rt") { readers: "readers", mutex: "rtmutex" }
}

bind! {
    struct RwSemaphore("rw_semaphore") { base: "rwbase" }
}

/// Added to the readers while no writer is there or waits.
const READER_BIAS: u32 = 1 << 31;
/// In place of the readers while a writer has the lock.
const WRITER_BIAS: u32 = 1 << 30;

/// Bits of `owner` beside the task: others wait.
const HAS_WAITERS: u64 = 1;

/// The lock that a task says it waits for, and the task that has it.
pub fn waited<'s>(s: &'s Session, task: &Task) -> Option<(VirtAddr, Option<&'s Task>)> {
    let mem = s.mem();
    let at = s.bind::<Blocked>().waiter.ptr(mem, task.at).ok().filter(|at| !at.is_null())?;
    let waiter = s.bind::<Waiter>();
    if waiter.task.ptr(mem, at).ok() != Some(task.at) {
        return None;
    }
    let lock = waiter.lock.ptr(mem, at).ok().filter(|at| !at.is_null())?;
    Some((lock, owner(s, lock)?))
}

/// Who has a lock; `None` where that cannot be read.
fn owner(s: &Session, lock: VirtAddr) -> Option<Option<&Task>> {
    let mem = s.mem();
    let (now, before) = (s.bind::<LockBase>(), s.bind::<LockBefore515>());
    let owner = now.owner.ptr(mem, lock).or_else(|_| before.owner.ptr(mem, lock)).ok()?;
    Some(s.tasks().at(VirtAddr(owner.0 & !HAS_WAITERS)))
}

/// True for locks of readers and writers, in a kernel that makes them so: with `PREEMPT_RT`, since 5.15.
pub fn is_shared(s: &Session, kind: Kind) -> bool {
    match kind {
        Kind::RwLock => s.bind::<RwBase>().readers.exists(),
        Kind::RwSemaphore => s.bind::<RwSemaphore>().base.exists(),
        _ => false,
    }
}

/// Who has a lock of readers and writers.
pub fn shared(s: &Session, lock: VirtAddr) -> Option<Owner<'_>> {
    let base = s.bind::<RwBase>();
    let readers = base.readers.u32(s.mem(), lock).ok()?;
    let mutex = lock.add(base.mutex.offset().ok()?);
    match holders(readers)? {
        Holders::Writer => Some(Owner { task: owner(s, mutex)?, ..Owner::default() }),
        Holders::Readers(count) => Some(Owner { readers: count > 0, ..Owner::default() }),
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Holders {
    Writer,
    Readers(u32),
}

/// What the count of a lock of readers and writers says; `None` where it is none.
const fn holders(readers: u32) -> Option<Holders> {
    match readers & !READER_BIAS {
        WRITER_BIAS if readers == WRITER_BIAS => Some(Holders::Writer),
        count if count < WRITER_BIAS => Some(Holders::Readers(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_and_writers_are_told_apart() {
        assert_eq!(holders(READER_BIAS), Some(Holders::Readers(0)));
        assert_eq!(holders(READER_BIAS + 3), Some(Holders::Readers(3)));
        assert_eq!(holders(1), Some(Holders::Readers(1)), "a writer waits for it");
        assert_eq!(holders(WRITER_BIAS), Some(Holders::Writer));
        assert_eq!(holders(WRITER_BIAS + 1), None);
        assert_eq!(holders(u32::MAX), None);
    }
}
