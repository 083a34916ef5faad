//! Where the pages of a mapping are: in memory, in swap, in their file, nowhere yet.
//!
//! **Invariant:** the work does not grow with the size of a mapping but with its page tables: a part that no table maps is one run.

use crate::mm::swap::{self, Swapped};
use crate::mm::vma::Vma;
use crate::session::Session;
use arch::UserMap;
use base::{FaultKind, Missing, PhysAddr, VirtAddr};

/// Where pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Memory(PhysAddr),
    /// In swap.
    Swap(Swapped),
    /// The entry of the page table names neither a page nor a swap device: a page that is being moved, is broken, or a mark.
    Other(u64),
    /// In the mapped file, from this byte on.
    File(u64),
    /// Nowhere: not touched yet.
    Nowhere,
    /// The page table that says so is not in the dump.
    Lost(Missing),
}

/// Pages that follow one another and are in the same kind of place. All but [`Place::File`], [`Place::Nowhere`] and
/// [`Place::Lost`] are runs of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first address.
    pub at: VirtAddr,
    /// How many pages.
    pub pages: u64,
    /// Where they are.
    pub place: Place,
}

/// The runs of pages of a mapping, ascending.
#[derive(Debug)]
pub struct Runs<'a> {
    s: &'a Session,
    map: &'a UserMap,
    vma: Vma,
    at: u64,
}

/// The pages of a mapping, in the memory of its address space.
#[must_use]
pub fn runs<'a>(s: &'a Session, map: &'a UserMap, vma: Vma) -> Runs<'a> {
    Runs { s, map, vma, at: vma.start }
}

impl Runs<'_> {
    /// Where in the mapped file an address is.
    fn file_offset(&self, at: u64) -> u64 {
        at.wrapping_sub(self.vma.start).wrapping_add(self.vma.pgoff << self.s.page_shift())
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (at, end, page) = (self.at, self.vma.end, self.s.page_size());
        if at >= end {
            return None;
        }
        let walk = self.map.walk(VirtAddr(at));
        // what the last entry that was read spans: with no table behind it, all of that is not mapped
        let span = || {
            let levels = self.map.tables().paging.levels;
            let level = walk.steps.len().checked_sub(1).and_then(|depth| levels.get(depth));
            level.map_or(end.saturating_sub(at), |level| {
                let size = 1_u64 << level.shift;
                size.saturating_sub(at & (size - 1))
            })
        };
        let nowhere =
            if self.vma.file.is_null() { Place::Nowhere } else { Place::File(self.file_offset(at)) };
        let (place, bytes) = match &walk.result {
            Ok(found) => (Place::Memory(found.phys), page),
            Err(FaultKind::Swapped) => {
                let entry = walk.steps.last().map_or(0, |step| step.entry);
                (swap::entry(self.s, entry).map_or(Place::Other(entry), Place::Swap), page)
            }
            Err(FaultKind::Table(m) | FaultKind::Page(m)) => (Place::Lost(*m), span()),
            Err(FaultKind::NotMapped(_)) => (nowhere, span()),
            Err(FaultKind::NonCanonical) => (nowhere, end.saturating_sub(at)),
        };
        let next = at.saturating_add(bytes.max(page)).min(end);
        self.at = next;
        Some(Run { at: VirtAddr(at), pages: next.saturating_sub(at).div_ceil(page), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::address_space;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    const START: u64 = 0x40_0000;

    /// An address space whose pages 0 and 2 are in memory, of a mapping of `pages`.
    fn found(pages: u64, file: u64, lose: bool) -> Vec<(u64, u64, String)> {
        let mut k = Kernel::new();
        k.structure("mm_struct", 64, &[("pgd", 0, "*void")]);
        let (root, mm) = (k.user_tables(), k.object("mm_struct"));
        k.word(mm, root);
        let memory = [k.memory(4096), k.memory(4096)];
        k.map_user(root, START, memory[0]).map_user(root, START + 0x2000, memory[1]);
        if lose {
            k.exclude(root);
        }
        let s = session(&k);
        let map = address_space::user_memory_of(&s, VirtAddr(mm)).unwrap();
        let vma = Vma {
            at: VirtAddr(1),
            start: START,
            end: START + pages * 0x1000,
            flags: 0,
            file: VirtAddr(file),
            pgoff: 5,
        };
        let word = |place| match place {
            Place::Memory(at) => {
                let n = memory.iter().position(|m| k.pfn(*m) == at.0 >> 12).unwrap();
                format!("memory {n}")
            }
            Place::File(offset) => format!("file {offset:x}"),
            other => format!("{other:?}").split('(').next().unwrap().to_owned(),
        };
        runs(&s, &map, vma).take(2000).map(|run| (run.at.0 - START, run.pages, word(run.place))).collect()
    }

    fn run(at: u64, pages: u64, place: &str) -> (u64, u64, String) {
        (at, pages, place.to_owned())
    }

    #[test]
    fn what_no_table_maps_is_one_run() {
        let all = found(1024, 0, false);
        assert_eq!(all.len(), 512 + 1, "one table, and what lies behind it");
        assert_eq!(all[..3], [run(0, 1, "memory 0"), run(0x1000, 1, "Nowhere"), run(0x2000, 1, "memory 1")]);
        assert_eq!(all[512], run(0x20_0000, 512, "Nowhere"));
    }

    #[test]
    fn pages_of_a_file_have_their_place_in_it() {
        let all = found(3, 0xffff_8880_0000_1000, false);
        assert_eq!(all, [run(0, 1, "memory 0"), run(0x1000, 1, "file 6000"), run(0x2000, 1, "memory 1")]);
    }

    #[test]
    fn a_lost_table_is_told_and_ends_nothing() {
        assert_eq!(found(1024, 0, true), [run(0, 1024, "Lost")]);
    }
}
