//! Chains of structs of which each points to the next and the last to nothing, as those of hash tables, with a guard against
//! cycles and a budget.

use crate::error::{KernelError, Result};
use base::VirtAddr;
use rustc_hash::FxHashSet;

/// The chains of one table.
pub(crate) struct Chains {
    what: &'static str,
    at: VirtAddr,
    most: usize,
    seen: FxHashSet<(u64, VirtAddr)>,
}

impl Chains {
    /// Of the table `what` at an address, which has so many elements at most.
    pub(crate) fn new(what: &'static str, at: VirtAddr, most: usize) -> Self {
        Self { what, at, most, seen: FxHashSet::default() }
    }

    /// Tells `each` the elements from `first` on; `next` reads what follows one. Within chains of one number no element
    /// is met twice.
    ///
    /// # Errors
    /// Why there may be more: a pointer that cannot be read or leads back, and what `each` refuses.
    pub(crate) fn follow(
        &mut self,
        number: u64,
        first: Result<VirtAddr>,
        next: &dyn Fn(VirtAddr) -> Result<VirtAddr>,
        each: &mut dyn FnMut(VirtAddr) -> Result<()>,
    ) -> Result<()> {
        let mut at = first?;
        while !at.is_null() {
            if !self.seen.insert((number, at)) || self.seen.len() > self.most {
                let why = format!("a chain of it comes to {at:#x} twice, or has no end");
                return Err(KernelError::Damaged { what: self.what, at: self.at, why });
            }
            each(at)?;
            at = next(at)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is met from `first` on, where element N is followed by `links[N]`; and why it ends.
    fn met(chains: &mut Chains, number: u64, first: u64, links: &[u64]) -> (Vec<u64>, Option<String>) {
        let next = |at: VirtAddr| {
            let link = links.get(at.0 as usize).copied().map(VirtAddr);
            link.ok_or(KernelError::NoType("none"))
        };
        let mut out = Vec::new();
        let end = chains.follow(number, Ok(VirtAddr(first)), &next, &mut |at| {
            out.push(at.0);
            Ok(())
        });
        (out, end.err().map(|e| e.to_string()))
    }

    #[test]
    fn a_chain_ends_where_nothing_follows() {
        let mut chains = Chains::new("table", VirtAddr(0x10), 8);
        assert_eq!(met(&mut chains, 0, 0, &[]), (vec![], None));
        assert_eq!(met(&mut chains, 0, 1, &[0, 2, 3, 0]), (vec![1, 2, 3], None));
        // an element of another chain, where one is in several
        let (found, why) = met(&mut chains, 0, 4, &[0, 0, 3, 0, 2]);
        assert_eq!(found, [4]);
        assert!(why.unwrap().contains("comes to 0x2 twice"));
        assert_eq!(met(&mut chains, 1, 2, &[0, 0, 3, 0]), (vec![2, 3], None));
    }

    #[test]
    fn what_leads_back_on_or_nowhere_is_damage() {
        let of = |links: &[u64], most| met(&mut Chains::new("table", VirtAddr(0), most), 0, 1, links);
        assert_eq!(of(&[0, 2, 1], 8).0, [1, 2]);
        assert!(of(&[0, 2, 1], 8).1.is_some());
        assert_eq!(of(&[0, 2, 3, 0], 2).0, [1, 2], "more than there can be");
        assert_eq!(of(&[0, 7], 8).0, [1, 7]);
        assert!(of(&[0, 7], 8).1.is_some());
    }
}
