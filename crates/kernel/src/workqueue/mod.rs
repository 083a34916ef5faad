//! Work that is done later by threads of the kernel (include/linux/workqueue.h).

pub mod delayed;
pub mod pool;
pub mod queue;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct work_struct`
    struct WorkStruct("work_struct") { data: "data", entry: "entry", func: "func" }
}

/// The function that a `struct work_struct` is to call.
///
/// # Errors
/// The kernel's types do not know it, or it is not in the dump.
pub fn function(s: &Session, work: VirtAddr) -> Result<VirtAddr> {
    s.bind::<WorkStruct>().func.ptr(s.mem(), work)
}
