//! Walks of `struct list_head` and `hlist`, with a guard against cycles and a budget, because a
//! dying machine's lists may lead anywhere.

use crate::error::{KernelError, Result};
use base::{Fault, VirtAddr, VirtRead};
use rustc_hash::FxHashSet;

/// How many entries a walk visits before it calls the list damaged.
pub const MAX_ENTRIES: usize = 4_000_000;

/// The addresses of the `list_head`s linked after a head, which is itself not one of them.
/// Ends after the first error.
pub struct ListWalk<'m> {
    mem: &'m dyn VirtRead,
    head: VirtAddr,
    /// The one before `next`.
    last: VirtAddr,
    next: Option<Result<VirtAddr>>,
    seen: FxHashSet<VirtAddr>,
}

/// Walks the circular list whose head is at `head` (`list_for_each`).
#[must_use]
pub fn list(mem: &dyn VirtRead, head: VirtAddr) -> ListWalk<'_> {
    let first = mem.ptr(head).map_err(KernelError::from); // list_head.next is its first member
    ListWalk { mem, head, last: head, next: Some(first), seen: FxHashSet::default() }
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
        self.next = match behind(self.mem, self.head, (self.last, at), NEXT) {
            Ok(next) => Some(next.map_err(Into::into)),
            Err(damaged) => return Some(Err(damaged)),
        };
        self.last = at;
        Some(Ok(at))
    }
}

/// Walks a circular list from both ends. `entry` is told each `list_head` once and says whether it is what the list
/// should hold: one that is not is damage, and what it links is not followed. Where the way forward ends before the
/// head, the list is walked from its other end too (`prev`), up to what is known; the problems say where either broke.
/// Where the way forward steps over entries, the next one's `prev` tells of them.
pub fn both_ways(
    mem: &dyn VirtRead,
    head: VirtAddr,
    entry: &mut dyn FnMut(VirtAddr) -> Result<()>,
) -> Vec<KernelError> {
    let mut seen = FxHashSet::default();
    let mut problems = Vec::new();
    // of pointers back that lie the first is told and the others are counted: they can be millions
    let mut lies = 0;
    let forward = one_way(mem, head, NEXT, (&mut problems, &mut lies), &mut seen, entry);
    if let Some(more) = lies.checked_sub(1).filter(|more| *more > 0) {
        let why = format!("{more} more of its entries say that another one is before them");
        problems.push(KernelError::Damaged { what: "list", at: head, why });
    }
    let (last, why) = match forward {
        Ok(last) => (last, None),
        Err(why) => (VirtAddr(0), Some(why)),
    };
    // the last entry is the head's `prev`: another one says that the list ends early
    match (why, mem.ptr(head.add(PREV))) {
        (None, Ok(prev)) if prev == last => return problems,
        (None, Err(e)) => {
            problems.push(e.into());
            return problems;
        }
        (None, Ok(prev)) => problems.push(KernelError::Damaged {
            what: "list",
            at: head,
            why: format!("it ends at {last:#x}, and its head says that {prev:#x} is the last entry"),
        }),
        (Some(why), _) => problems.push(why),
    }
    if let Err(why) = one_way(mem, head, PREV, (&mut problems, &mut 0), &mut seen, entry) {
        problems.push(why);
    }
    problems
}

/// Where `struct list_head` has its two pointers.
const NEXT: u64 = 0;
const PREV: u64 = 8;

/// Follows one of the two pointers to the head or (back) to what the way forward met; the last entry. What pointers back
/// contradict on the way forward is added to `problems`.
fn one_way(
    mem: &dyn VirtRead,
    head: VirtAddr,
    link: u64,
    (problems, lies): (&mut Vec<KernelError>, &mut u64),
    seen: &mut FxHashSet<VirtAddr>,
    entry: &mut dyn FnMut(VirtAddr) -> Result<()>,
) -> Result<VirtAddr> {
    let error = |why: String| KernelError::Damaged { what: "list", at: head, why };
    let is_back = link == PREV;
    let mut last = head;
    let mut own = FxHashSet::default();
    let mut next = mem.ptr(head.add(link));
    loop {
        let at = next?;
        if at == head || (is_back && seen.contains(&at)) {
            return Ok(last);
        }
        if at.is_null() {
            return Err(error(format!("the {} pointer is null", if is_back { "prev" } else { "next" })));
        }
        if !own.insert(at) {
            return Err(error(format!("it comes back to {at:#x} and not to its head")));
        }
        if seen.len() > MAX_ENTRIES {
            return Err(error(format!("more than {MAX_ENTRIES} entries")));
        }
        next = behind(mem, head, (last, at), link)?;
        // one that was stepped over is told already
        if !seen.contains(&at) {
            entry(at)?;
            seen.insert(at);
        }
        if !is_back
            && let Ok(prev) = mem.ptr(at.add(PREV))
            && prev != last
        {
            if *lies == 0 {
                let why = format!("{last:#x} leads to {at:#x}, which says that {prev:#x} is before it");
                problems.push(error(why));
            }
            *lies = lies.saturating_add(1);
            stepped_over(mem, (head, at), seen, entry);
        }
        last = at;
    }
}

/// What the entry that a pointer leads to links next. An address that no memory can have is damage of the pointer to it; a
/// page that the dump lacks is none.
fn behind(
    mem: &dyn VirtRead,
    head: VirtAddr,
    (from, to): (VirtAddr, VirtAddr),
    link: u64,
) -> Result<std::result::Result<VirtAddr, Fault>> {
    match mem.ptr(to.add(link)) {
        Err(fault) if !fault.is_missing() => {
            let name = if link == PREV { "prev" } else { "next" };
            let why = format!("the {name} pointer at {:#x} is {to:#x}: {fault}", from.add(link));
            Err(KernelError::Damaged { what: "list", at: head, why })
        }
        read => Ok(read),
    }
}

/// The entries before one, up to what is known: each has to lead to the one behind it as well, for a pointer back that is
/// damaged leads anywhere.
fn stepped_over(
    mem: &dyn VirtRead,
    (head, from): (VirtAddr, VirtAddr),
    seen: &mut FxHashSet<VirtAddr>,
    entry: &mut dyn FnMut(VirtAddr) -> Result<()>,
) {
    let mut behind = from;
    while let Ok(at) = mem.ptr(behind.add(PREV)) {
        let is_linked = at != head && !at.is_null() && mem.ptr(at).is_ok_and(|next| next == behind);
        if !is_linked || seen.len() > MAX_ENTRIES || seen.contains(&at) || entry(at).is_err() {
            return;
        }
        seen.insert(at);
        behind = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::FaultKind;

    /// Rings of `next` and `prev` at multiples of 16; the head is at 16.
    fn walked(ram: &[[u64; 2]]) -> (Vec<u64>, Vec<String>) {
        let ram = Ram(ram.iter().flatten().copied().collect());
        let mut out = Vec::new();
        let problems = both_ways(&ram, VirtAddr(16), &mut |at| match at.0 {
            // as one does who reads the entry
            0x9000 => Err(KernelError::Damaged { what: "thing", at, why: "it is not mapped".into() }),
            0x70 => Err(KernelError::Damaged { what: "thing", at, why: "it is none".into() }),
            _ => {
                out.push(at.0);
                Ok(())
            }
        });
        (out, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn of_pointers_back_that_lie_the_first_is_told() {
        let all: Vec<u64> = (8..208).map(|n| n * 16).collect();
        let mut ram = vec![[0, 0]; 208];
        for (n, two) in all.windows(2).enumerate() {
            ram[n + 8] = [two[1], 0x7777];
        }
        ram[1] = [128, 207 * 16];
        ram[207] = [16, 206 * 16];
        let (found, problems) = walked(&ram);
        assert_eq!((found.len(), problems.len()), (200, 2), "{problems:?}");
        assert!(problems[0].contains("0x10 leads to 0x80, which says that 0x7777"), "{problems:?}");
        assert!(problems[1].contains("198 more of its entries"), "{problems:?}");
    }

    #[test]
    fn a_whole_list_is_walked_one_way() {
        let whole = [[0, 0], [32, 64], [48, 16], [64, 32], [16, 48]];
        assert_eq!(walked(&whole), (vec![32, 48, 64], vec![]));
        assert_eq!(walked(&[[0, 0], [16, 16]]), (vec![], vec![]));
    }

    #[test]
    fn a_broken_list_is_walked_from_its_other_end_too() {
        // the second entry's next is lost, null, leads in a circle, to what is no entry, or past an entry to the end
        for (next, word) in [
            (0x9000, "not mapped"),
            (0, "the next pointer is null"),
            (32, "it comes back to 0x20"),
            (0x70, "thing at 0x70 is damaged: it is none"),
            (16, "it ends at 0x30, and its head says that 0x50"),
        ] {
            let mut ram = vec![[0, 0], [32, 80], [48, 16], [next, 32], [80, 48], [16, 64], [0, 0], [16, 16]];
            let (all, problems) = walked(&ram);
            assert_eq!(all, [32, 48, 80, 64], "{next:x}");
            assert!(problems.len() == 1 && problems[0].contains(word), "{next:x}: {problems:?}");
            // and where the way back is lost as well, what lies between is not found
            ram[5][1] = 0;
            let (all, problems) = walked(&ram);
            assert_eq!((all, problems.len()), (vec![32, 48, 80], 2), "{next:x}");
        }
    }

    #[test]
    fn an_entry_that_is_stepped_over_is_found_by_the_pointers_back() {
        // 32, 48, 64, 80, of which one pointer forward steps over one or two
        let whole = [[0, 0], [32, 80], [48, 16], [64, 32], [80, 48], [16, 64]];
        for (from, next, found, word) in [
            (2, 64, [32, 64, 48, 80], "0x20 leads to 0x40, which says that 0x30 is before it"),
            (2, 80, [32, 80, 64, 48], "0x20 leads to 0x50, which says that 0x40 is before it"),
            (1, 48, [48, 32, 64, 80], "0x10 leads to 0x30, which says that 0x20 is before it"),
        ] {
            let mut ram = whole.to_vec();
            ram[from][0] = next;
            let (all, problems) = walked(&ram);
            assert_eq!(all, found);
            assert!(problems.len() == 1 && problems[0].contains(word), "{problems:?}");
        }
        // a pointer back that leads to no entry, to one that is elsewhere, or nowhere: all are known, and the list is damaged
        for prev in [16, 64, 0, 0x60, 0x9000] {
            let mut ram = whole.to_vec();
            ram[3][1] = prev;
            ram.resize(8, [0, 0]);
            let (all, problems) = walked(&ram);
            assert_eq!((all, problems.len()), (vec![32, 48, 64, 80], 1), "{prev:x}: {problems:?}");
        }
    }

    #[test]
    fn an_entry_is_told_once_where_two_pointers_lead_to_it() {
        // 32 leads to 64, whose pointer back tells 80 (which leads to 64 as well); and 64 leads to 80
        let ram = [[0, 0], [32, 80], [64, 16], [0, 0], [80, 80], [64, 64]];
        let (all, problems) = walked(&ram);
        assert_eq!(all, [32, 64, 80]);
        assert!(!problems.is_empty());
    }

    /// Pointers at multiples of 8.
    struct Ram(Vec<u64>);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
            let word = self.0.get(at.0 as usize / 8).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
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
        let [Err(KernelError::Damaged { why, .. })] = got.as_slice() else { panic!("{got:?}") };
        assert!(why.starts_with("the next pointer at 0x8 is 0x1000: address 0x1000: not mapped"), "{why}");
    }
}
