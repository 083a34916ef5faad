//! When tasks started, ran last, and how long they ran.

use crate::error::{KernelError, Result};
use crate::sched::task::{RunQueue, Task, TaskStruct};
use crate::session::Session;

/// Nanoseconds in a second.
pub const NSEC: u64 = 1_000_000_000;

/// A task's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskTimes {
    /// `start_time` as the kernel has it: nanoseconds since boot; before 3.17 (ccbf62d8a284) the seconds of a
    /// `timespec`.
    pub start_time: u64,
    /// Seconds since boot at which it started.
    pub start_sec: u64,
    /// User time in the kernel's unit: nanoseconds since 4.11 (5613fda9a503), ticks before.
    pub utime: u64,
    /// System time, likewise.
    pub stime: u64,
}

impl TaskTimes {
    /// When it started, by the monotonic clock in nanoseconds; to the second where the kernel keeps a `timespec`.
    #[must_use]
    pub const fn monotonic_nsec(&self) -> u64 {
        if self.start_time == self.start_sec { self.start_sec.saturating_mul(NSEC) } else { self.start_time }
    }
}

/// Reads a task's times.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn task_times(s: &Session, task: &Task) -> Result<TaskTimes> {
    let mem = s.mem();
    let b = s.bind::<TaskStruct>();
    // a timespec is 16 bytes: its seconds come first
    let timespec = b.start_time.size().is_ok_and(|size| size == 16);
    let start_time = b.start_time.u64(mem, task.at)?;
    let since_boot = match b.start_boottime.exists() {
        true => b.start_boottime.u64(mem, task.at)?,
        false => start_time,
    };
    Ok(TaskTimes {
        start_time,
        start_sec: if timespec { start_time } else { since_boot / NSEC },
        utime: b.utime.num(mem, task.at)?,
        stime: b.stime.num(mem, task.at)?,
    })
}

/// When a task was last put on a CPU, in its run queue's clock (nanoseconds).
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn last_run(s: &Session, task: &Task) -> Result<u64> {
    s.bind::<TaskStruct>().last_run.u64(s.mem(), task.at)
}

/// For how many nanoseconds a task has not run, by [`latest_clock`]; none where the kernel did not note when it ran last, as it
/// does not of idle tasks.
///
/// # Errors
/// Those of [`last_run`].
pub fn not_run_for(s: &Session, task: &Task, clock: u64) -> Result<Option<u64>> {
    let last = last_run(s, task)?;
    Ok((last != 0).then(|| clock.saturating_sub(last)))
}

/// The most recent clock of all run queues, in nanoseconds: what tasks' last runs are held against.
///
/// # Errors
/// That of none is known, or one is lost: it may have been the most recent.
pub fn latest_clock(s: &Session) -> Result<u64> {
    let (mut latest, mut why) = (None, None);
    for cpu in &s.cpus().possible {
        match rq_clock(s, *cpu) {
            Ok(clock) => latest = latest.max(Some(clock)),
            Err(e) if e.is_loss() => return Err(e),
            Err(e) => why = Some(e),
        }
    }
    latest.ok_or_else(|| why.unwrap_or(KernelError::NoType("rq")))
}

/// The clock of a CPU's run queue, in nanoseconds.
///
/// # Errors
/// Where the queue is, or its clock, is not in the dump, or the types do not know it.
pub fn rq_clock(s: &Session, cpu: u32) -> Result<u64> {
    let rq = s.per_cpu("runqueues", cpu)?;
    s.bind::<RunQueue>().clock.u64(s.mem(), rq)
}
