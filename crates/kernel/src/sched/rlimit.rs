//! Resource limits (`struct rlimit`, include/uapi/asm-generic/resource.h).

use crate::error::Result;
use crate::sched::task::{SignalStruct, Task, TaskStruct};
use crate::session::Session;

/// The limits in the order of `signal_struct.rlim`.
pub const NAMES: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// `RLIM_INFINITY`
pub const INFINITY: u64 = u64::MAX;

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Without `RLIMIT_`.
    pub name: &'static str,
    /// `rlim_cur`
    pub current: u64,
    /// `rlim_max`
    pub maximum: u64,
}

/// A task's limits.
///
/// # Errors
/// They are not in the dump, or the types do not know them.
pub fn limits(s: &Session, task: &Task) -> Result<Vec<Limit>> {
    let mem = s.mem();
    let signal = s.bind::<TaskStruct>().signal.ptr(mem, task.at)?;
    let b = s.bind::<SignalStruct>();
    let at = b.rlim.at(signal)?;
    let count = b.rlim.size().ok().filter(|&n| n != 0).map_or(NAMES.len() as u64, |n| n / 16);
    NAMES
        .iter()
        .zip(0..count)
        .map(|(&name, n)| {
            let one = at.add(n * 16);
            Ok(Limit { name, current: mem.u64(one)?, maximum: mem.u64(one.add(8))? })
        })
        .collect()
}
