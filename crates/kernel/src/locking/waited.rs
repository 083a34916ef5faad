//! Which lock a sleeping task waits for, by what the kernel notes of it and by the functions that it is in.

use super::{Kind, blocker, listed, rtmutex};
use crate::sched::task::Task;
use crate::session::Session;
use base::VirtAddr;
use debuginfo::symtab::base_name;

/// Functions that take a semaphore, with underscores before them where they wait.
const COUNTING_DOWN: &[&str] =
    &["down", "down_common", "down_interruptible", "down_killable", "down_timeout"];

/// The kind of lock that a function takes, by its name; such functions have its address in the first argument.
#[must_use]
pub fn kind_of(function: &str) -> Option<Kind> {
    let name = base_name(function);
    let mutex = name.starts_with("__mutex_lock")
        || name.starts_with("mutex_lock")
        || name.starts_with("__ww_mutex_lock");
    let semaphore =
        ["rwsem_down_", "down_read", "down_write", "__down_read", "__down_write", "call_rwsem_down_"]
            .iter()
            .any(|f| name.starts_with(f))
            && !name.ends_with("_trylock");
    match (mutex, semaphore) {
        (true, _) => Some(Kind::Mutex),
        (_, true) => Some(Kind::RwSemaphore),
        _ if COUNTING_DOWN.contains(&name.trim_start_matches('_')) => Some(Kind::Semaphore),
        _ if name.starts_with("rt_spin_lock") => Some(Kind::Spinlock),
        _ if name.starts_with("rt_read_lock") || name.starts_with("rt_write_lock") => Some(Kind::RwLock),
        _ if name.starts_with("rt_mutex_lock") => Some(Kind::RtMutex),
        _ => None,
    }
}

/// True for a function that gives back a lock of this kind, by its name; such functions have its address in the first
/// argument.
#[must_use]
pub fn gives(function: &str, kind: Kind) -> bool {
    let name = base_name(function);
    let starts: &[&str] = match kind {
        Kind::Mutex => &["mutex_unlock", "ww_mutex_unlock"],
        Kind::RwSemaphore => &["up_read", "up_write", "downgrade_write"],
        Kind::Semaphore => return name == "up",
        Kind::RtMutex => &["rt_mutex_unlock"],
        Kind::Spinlock => &["rt_spin_unlock"],
        Kind::RwLock => &["rt_read_unlock", "rt_write_unlock"],
    };
    starts.iter().any(|start| name.trim_start_matches('_').starts_with(start))
}

/// True for a function that tries to take a lock of this kind, and that may have taken it.
#[must_use]
pub fn tries(function: &str, kind: Kind) -> bool {
    let name = base_name(function);
    let of = match kind {
        Kind::Mutex => ["mutex_trylock", "ww_mutex_trylock", "atomic_dec_and_mutex_lock"].contains(&name),
        Kind::RwSemaphore => ["down_read_trylock", "down_write_trylock"].contains(&name),
        Kind::Semaphore => name == "down_trylock",
        Kind::RtMutex => name == "rt_mutex_trylock",
        Kind::Spinlock => name == "rt_spin_trylock",
        Kind::RwLock => ["rt_read_trylock", "rt_write_trylock"].contains(&name),
    };
    of || kind_of(name) == Some(kind)
}

/// The lock that a task waits for: the one that the kernel itself notes, else the one whose list of waiters leads to an
/// entry on the stack of a function that takes such a lock. `None` also where it waits and neither tells.
#[must_use]
pub fn waited(s: &Session, task: &Task) -> Option<(Kind, VirtAddr)> {
    if let Some(said) = blocker::said(s, task) {
        return Some(said);
    }
    if let Some((at, _)) = rtmutex::waited(s, task) {
        return Some((Kind::RtMutex, at));
    }
    if task.active || !s.task_states().is_stuck(task) && !s.task_states().is_killable(task) {
        return None;
    }
    let bt = s.backtrace(task);
    let stack = bt.stacks.first()?;
    bt.unwound.frames.iter().find_map(|frame| {
        let kind = kind_of(s.locate(frame.lookup())?.symbol.name)?;
        Some((kind, listed(s, stack, frame.sp, kind, task).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_by_the_lock_that_they_take() {
        assert_eq!(kind_of("__mutex_lock.constprop.0"), Some(Kind::Mutex));
        assert_eq!(kind_of("rwsem_down_write_slowpath"), Some(Kind::RwSemaphore));
        assert_eq!(kind_of("call_rwsem_down_read_failed"), Some(Kind::RwSemaphore));
        assert_eq!(kind_of("down_write_killable"), Some(Kind::RwSemaphore));
        assert_eq!(kind_of("rt_spin_lock"), Some(Kind::Spinlock));
        assert_eq!(kind_of("rt_mutex_lock_interruptible"), Some(Kind::RtMutex));
        assert_eq!(kind_of("rt_write_lock"), Some(Kind::RwLock));
        assert_eq!(kind_of("down_interruptible"), Some(Kind::Semaphore));
        assert_eq!(kind_of("___down_common"), Some(Kind::Semaphore));
        assert_eq!(kind_of("down"), Some(Kind::Semaphore));
        assert_eq!(kind_of("down_trylock"), None);
        assert_eq!(kind_of("download"), None);
        assert_eq!(kind_of("vfs_read"), None);
        assert!(tries("mutex_trylock", Kind::Mutex) && tries("mutex_lock_nested", Kind::Mutex));
        assert!(!tries("mutex_unlock", Kind::Mutex) && !tries("down_read", Kind::Mutex));
        assert!(gives("mutex_unlock", Kind::Mutex) && gives("__up_write", Kind::RwSemaphore));
        assert!(gives("up", Kind::Semaphore) && !gives("update", Kind::Semaphore));
    }
}
