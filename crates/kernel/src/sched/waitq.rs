//! Wait queues: a `wait_queue_head` links `wait_queue_entry`s (`__wait_queue_head`, `__wait_queue` and `task_list` before
//! 4.13, 2055da97389a); a waiter's `private` is its task where its function wakes tasks.

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct wait_queue_head`
    struct WaitQueueHead("wait_queue_head" | "__wait_queue_head") { head: "head" | "task_list" }
}
bind! {
    /// `struct wait_queue_entry`
    struct WaitQueueEntry("wait_queue_entry" | "__wait_queue") {
        entry: "entry" | "task_list",
        private: "private" | "task",
        func: "func",
    }
}

/// An entry of a wait queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Its `struct wait_queue_entry`.
    pub at: VirtAddr,
    /// `private`: a task, where `func` wakes one.
    pub private: VirtAddr,
    /// The function that is called to wake it; `None` where that is not in the dump.
    pub func: Option<VirtAddr>,
}

/// Hands the waiters of the queue at `queue` to `each`, from both ends where the list is broken. What comes back says why
/// there may be others: empty where the queue is whole.
///
/// # Errors
/// The kernel's types do not know the queue.
pub fn waiters(
    s: &Session,
    queue: VirtAddr,
    each: &mut dyn FnMut(Waiter) -> Result<()>,
) -> Result<Vec<KernelError>> {
    let (head, entry) = (s.bind::<WaitQueueHead>(), s.bind::<WaitQueueEntry>());
    let mut unread = None;
    let mut problems = both_ways(s.mem(), head.head.at(queue)?, &mut |link| {
        let at = entry.entry.container(link)?;
        match entry.private.ptr(s.mem(), at) {
            Ok(private) => {
                let func = entry.func.ptr(s.mem(), at).ok();
                // what is woken by no code is no waiter
                if let Some(func) = func.filter(|func| !s.is_text(*func)) {
                    let why = format!("it cannot be a waiter: its func is {:#x}", func.0);
                    return Err(KernelError::Damaged { what: "wait_queue_entry", at, why });
                }
                each(Waiter { at, private, func })
            }
            // a page of it that is missing costs this one, and the list goes on
            Err(e @ KernelError::Fault(_)) => {
                unread = Some(e);
                Ok(())
            }
            Err(e) => Err(e),
        }
    });
    problems.splice(0..0, unread);
    Ok(problems)
}
