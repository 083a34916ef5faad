//! Walks of `struct hlist_head`: lists that end with null, in which each node says where the pointer to it is.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

/// `hlist_node`: the next one, and where the pointer to this one is.
const PPREV: u64 = 8;
/// Bytes of an `hlist_head`.
pub(crate) const HLIST_HEAD: u64 = 8;

/// A walk of several lists, in which no node is met twice.
pub(crate) struct Hlists {
    what: &'static str,
    most: usize,
    seen: FxHashSet<VirtAddr>,
}

impl Hlists {
    /// Of lists called `what`, which have so many nodes at most.
    pub(crate) fn new(what: &'static str, most: usize) -> Self {
        Self { what, most, seen: FxHashSet::default() }
    }

    /// Tells `each` the nodes of the list at `head`.
    ///
    /// # Errors
    /// Why there may be more: a pointer that cannot be read, leads back or out of the kernel, a node that says that another
    /// one leads to it, and what `each` refuses.
    pub(crate) fn walk(
        &mut self,
        s: &Session,
        head: VirtAddr,
        each: &mut dyn FnMut(VirtAddr) -> Result<()>,
    ) -> Result<()> {
        let mem = s.mem();
        let damaged = |why: String| KernelError::Damaged { what: self.what, at: head, why };
        let mut from = head;
        let mut node = mem.ptr(from)?;
        while !node.is_null() {
            if !s.arch().is_kernel(node) {
                let why =
                    format!("the pointer at {from:#x} is {node:#x}, which is not in the kernel's memory");
                return Err(damaged(why));
            }
            if self.seen.len() >= self.most || !self.seen.insert(node) {
                return Err(damaged(format!("it comes back to {node:#x}, or has no end")));
            }
            let back = mem.ptr(node.add(PPREV))?;
            if back != from {
                let why = format!("{from:#x} leads to {node:#x}, which says that {back:#x} does");
                return Err(damaged(why));
            }
            each(node)?;
            from = node;
            node = mem.ptr(node)?;
        }
        Ok(())
    }
}
