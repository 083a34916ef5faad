//! What an entry of a kernel's list must hold to be one: a list that leads astray, or memory that was overwritten, shows
//! numbers where a task or a module is expected, and every number could be shown. One question is asked of all kinds of
//! entries: what of it cannot be. What a single member contradicts is not known; an entry that most of its members
//! contradict is none. What cannot be is told in the file of each kind: `sched/plausible.rs`, `module/plausible.rs`.

use crate::error::KernelError;
use base::{GRANULE, VirtAddr, VirtRead};

/// The error for an entry that is none.
pub(crate) fn not_one(what: &'static str, at: VirtAddr, kind: &str, why: &str) -> KernelError {
    KernelError::Damaged { what, at, why: format!("it cannot be a {kind}: {why}") }
}

/// True where the whole page around an address holds zeros: what stands there for memory that is missing.
pub(crate) fn is_zero_page(mem: &dyn VirtRead, at: VirtAddr) -> bool {
    let page = VirtAddr(at.0 - at.page_offset());
    mem.bytes(page, GRANULE as usize).is_ok_and(|bytes| bytes.iter().all(|b| *b == 0))
}

/// A value of a variable that is 0 in few kernels: on a page of zeros it is not known.
///
/// # Errors
/// Where it is not known.
pub(crate) fn not_zeros(
    mem: &dyn VirtRead,
    what: &'static str,
    at: VirtAddr,
    value: u64,
) -> Result<u64, KernelError> {
    if value == 0 && is_zero_page(mem, at) {
        return Err(KernelError::Damaged { what, at, why: "its whole page holds zeros".to_owned() });
    }
    Ok(value)
}
