//! How old the task is whose `task_struct` a lock names as its owner.
//!
//! A lock keeps the address of a `task_struct`. Where its owner exits with the lock held, the next task that is made may be
//! given that memory, and looks like the owner. One that began after the wait shows it; one that began before may have had the
//! lock, or may have been made between the owner's exit and the wait.

use crate::machine::system;
use crate::sched::task::Task;
use crate::sched::times::{latest_clock, not_run_for, task_times};
use crate::session::Session;

/// What the run queues' clock and the monotonic one may drift apart, and what a tick leaves open, in nanoseconds.
const DRIFT: u64 = 100_000_000;

/// When the task began that a lock names, beside those who wait for the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Before the first of them began to wait.
    Older,
    /// After that.
    Younger,
    /// Not known.
    Unknown,
}

impl Standing {
    /// Of the nanoseconds that the longest wait has lasted, and that the task has lived.
    const fn of(waited: Option<u64>, lived: Option<u64>) -> Self {
        match (waited, lived) {
            (Some(waited), Some(lived)) if waited > lived.saturating_add(DRIFT) => Self::Younger,
            (Some(_), Some(_)) => Self::Older,
            _ => Self::Unknown,
        }
    }
}

/// Whether the task that a lock names began before those who wait for that did.
pub fn standing<'a>(s: &Session, owner: &Task, waiters: impl IntoIterator<Item = &'a Task>) -> Standing {
    let now = system::monotonic_nsec(s).ok().and_then(|nsec| u64::try_from(nsec).ok());
    // where the start is kept to the second, it may have been later
    let lived = now.and_then(|now| now.checked_sub(task_times(s, owner).ok()?.monotonic_nsec()));
    // one whose time is not known may have waited the longest
    let clock = latest_clock(s).ok();
    let waited = |task| clock.and_then(|clock| not_run_for(s, task, clock).ok()?);
    let mut longest = Some(0);
    for task in waiters {
        longest = longest.zip(waited(task)).map(|(most, nsec)| nsec.max(most));
    }
    Standing::of(longest, lived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_not_known_proves_nothing() {
        assert_eq!(Standing::of(Some(DRIFT + 2), Some(1)), Standing::Younger);
        assert_eq!(Standing::of(Some(DRIFT), Some(1)), Standing::Older);
        assert_eq!(Standing::of(None, Some(1)), Standing::Unknown);
        assert_eq!(Standing::of(Some(DRIFT), None), Standing::Unknown);
    }
}
