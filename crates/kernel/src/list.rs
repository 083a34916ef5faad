//! Walks of `struct list_head` and `hlist`, with a guard against cycles and a budget, because a
//! dying machine's lists may lead anywhere.

use crate::error::{KernelError, Result};
use base::{VirtAddr, VirtRead};
use rustc_hash::FxHashSet;

/// How many entries a walk visits before it calls the list damaged.
pub const MAX_ENTRIES: usize = 4_000_000;

/// The addresses of the `list_head`s linked after a head, which is itself not one of them.
/// Ends after the first error.
pub struct ListWalk<'m> {
    mem: &'m dyn VirtRead,
    head: VirtAddr,
    next: Option<Result<VirtAddr>>,
    seen: FxHashSet<VirtAddr>,
}

/// Walks the circular list whose head is at `head` (`list_for_each`).
#[must_use]
pub fn list(mem: &dyn VirtRead, head: VirtAddr) -> ListWalk<'_> {
    let first = mem.ptr(head).map_err(KernelError::from); // list_head.next is its first member
    ListWalk { mem, head, next: Some(first), seen: FxHashSet::default() }
}

impl ListWalk<'_> {
    fn damaged(&self, why: String) -> KernelError {
        KernelError::Damaged { what: "list", at: self.head, why }
    }
}

impl Iterator for ListWalk<'_> {
    type Item = Result<VirtAddr>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = match self.next.take()? {
            Ok(at) if at == self.head => return None,
            Ok(at) if at.is_null() => return Some(Err(self.damaged("a next pointer is null".into()))),
            Ok(at) => at,
            Err(e) => return Some(Err(e)),
        };
        if !self.seen.insert(at) {
            return Some(Err(self.damaged(format!("it comes back to {at:#x} and not to its head"))));
        }
        if self.seen.len() > MAX_ENTRIES {
            return Some(Err(self.damaged(format!("more than {MAX_ENTRIES} entries"))));
        }
        self.next = Some(self.mem.ptr(at).map_err(Into::into));
        Some(Ok(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};

    /// Pointers at multiples of 8.
    struct Ram(Vec<u64>);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
            let word =
                self.0.get(at.0 as usize / 8).ok_or(Fault { at, kind: FaultKind::NotMapped("PTE") })?;
            buf.copy_from_slice(&word.to_le_bytes()[..buf.len()]);
            Ok(())
        }
    }

    #[test]
    fn a_list_ends_at_its_head() {
        let ram = Ram(vec![0, 16, 24, 8]);
        let got: Vec<_> = list(&ram, VirtAddr(8)).map(|r| r.unwrap().0).collect();
        assert_eq!(got, [16, 24]);
    }

    #[test]
    fn a_cycle_without_the_head_is_an_error_after_what_was_found() {
        let ram = Ram(vec![0, 16, 24, 16]);
        let got: Vec<_> = list(&ram, VirtAddr(8)).collect();
        assert_eq!(got.len(), 3);
        let e = got[2].as_ref().unwrap_err().to_string();
        assert_eq!(e, "list at 0x8 is damaged: it comes back to 0x10 and not to its head");
    }

    #[test]
    fn an_unmapped_entry_ends_the_walk() {
        let ram = Ram(vec![0, 0x1000]);
        let got: Vec<_> = list(&ram, VirtAddr(8)).collect();
        assert_eq!(got.len(), 2);
        assert!(got[0].is_ok() && matches!(got[1], Err(KernelError::Fault(_))));
    }
}
