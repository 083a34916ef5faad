//! The namespaces of a task (include/linux/nsproxy.h).

use crate::error::{KernelError, Result};
use crate::plausible::not_zeros;
use crate::sched::task::{Task, TaskStruct};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct nsproxy`
    pub struct NsProxy("nsproxy") { ipc: "ipc_ns", mnt: "mnt_ns", net: "net_ns" }
}

/// Where a task's namespaces are named.
///
/// # Errors
/// They are not in the dump, or the task has given them up: it is dead, or about to be.
pub fn of(s: &Session, task: &Task) -> Result<VirtAddr> {
    let own = &s.bind::<TaskStruct>().nsproxy;
    match not_zeros(s.mem(), "task_struct", own.at(task.at)?, own.ptr(s.mem(), task.at)?.0)? {
        at if at != 0 => Ok(VirtAddr(at)),
        _ => Err(KernelError::GivenUp { pid: task.pid, what: "namespaces" }),
    }
}
