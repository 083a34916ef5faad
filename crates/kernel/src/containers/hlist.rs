//! Walks of `struct hlist_head` and `hlist_nulls_head` (include/linux/list.h, list_nulls.h), with a guard against cycles and
//! a budget. Both structs begin with the pointer that is followed; the last one is null, or odd (`hlist_nulls`). Each node of
//! the kernel's own lists says where the pointer to it is.

use crate::containers::chain::Chains;
use crate::containers::list::MAX_ENTRIES;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::{VirtAddr, VirtRead};
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

/// The addresses of the nodes behind the head at `head`, as far as they could be read, and why not further.
pub fn nodes(mem: &dyn VirtRead, head: VirtAddr) -> (Vec<VirtAddr>, Option<KernelError>) {
    let mut out = Vec::new();
    // hlist_head.first and hlist_node.next stand first; an odd pointer is the mark at the end of an hlist_nulls
    let next = |at: VirtAddr| {
        let next = mem.ptr(at)?;
        Ok(if next.0 & 1 == 1 { VirtAddr(0) } else { next })
    };
    let end = Chains::new("hlist", head, MAX_ENTRIES).follow(0, next(head), &next, &mut |at| {
        // one that is not there is no entry
        mem.ptr(at)?;
        out.push(at);
        Ok(())
    });
    (out, end.err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};

    /// Pointers at multiples of 8.
    struct Ram(Vec<u64>);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
            let word = self.0.get(at.0 as usize / 8).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
            buf.copy_from_slice(&word.to_le_bytes()[..buf.len()]);
            Ok(())
        }
    }

    /// What is behind the head at 8, and why there may be more.
    fn walked(ram: &[u64]) -> (Vec<u64>, Option<String>) {
        let (nodes, problem) = nodes(&Ram(ram.to_vec()), VirtAddr(8));
        (nodes.into_iter().map(|at| at.0).collect(), problem.map(|e| e.to_string()))
    }

    #[test]
    fn a_list_ends_at_null_or_at_its_mark() {
        assert_eq!(walked(&[0, 16, 24, 0]), (vec![16, 24], None));
        assert_eq!(walked(&[0, 16, 24, 7]), (vec![16, 24], None));
        assert_eq!(walked(&[0, 0]), (vec![], None));
        assert_eq!(walked(&[0, 1]), (vec![], None));
    }

    #[test]
    fn a_list_that_leads_back_or_nowhere_says_so() {
        let (found, why) = walked(&[0, 16, 24, 16]);
        assert_eq!(found, [16, 24]);
        assert!(why.unwrap().contains("comes to 0x10 twice"));
        let (found, why) = walked(&[0, 16, 0x9000]);
        assert_eq!(found, [16]);
        assert!(why.unwrap().contains("0x9000"));
        assert!(walked(&[0]).1.is_some());
    }
}
