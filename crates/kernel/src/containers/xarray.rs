//! Walks of XArrays and of the radix trees that they replaced (include/linux/xarray.h, lib/radix-tree.c),
//! with a budget and a limit of depth.
//!
//! Shape decides how pointers are marked: with a `struct xa_node` (4.20, 3159f943aafd) an internal entry ends
//! in binary 10; with `radix_tree_node.shift` (4.7, c12e51b07b3a) a node ends in 01; before, only the root's
//! pointer is marked, and the node's height says what its slots hold.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::{VirtAddr, VirtRead};
use rustc_hash::FxHashSet;

bind! {
    /// `struct xa_node`; a `radix_tree_node` before
    pub struct XaNode("xa_node" | "radix_tree_node") {
        shift: "shift",
        slots: "slots",
        height: "height" | "path", // until 4.7; path since 3.16 with the offset above the height
    }
}
bind! {
    /// `struct xarray`
    pub struct XArray("xarray") { head: "xa_head" }
}
bind! {
    /// `struct radix_tree_root`, until it became a name of `struct xarray`
    pub struct RadixRoot("radix_tree_root") { head: "rnode" }
}

/// More nodes than any tree that is whole has.
const MAX_NODES: usize = 1 << 22;
/// 64 bits of index in steps of 4 at least.
const MAX_DEPTH: usize = 16;
/// XA_CHUNK_SIZE at most.
const MAX_SLOTS: u64 = 64;
/// RADIX_TREE_HEIGHT_MASK of the kernels whose `path` holds an offset as well.
const HEIGHT_MASK: u32 = 0xf;

/// How a node says what its slots hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marks {
    /// Internal entries end in binary 10.
    XArray,
    /// Nodes end in 01.
    Radix,
    /// Nodes are told by the height of the one above.
    Height,
    /// An IDR's own layers (until 4.11): as with heights, and the root's pointer is not marked either.
    Layer,
}

/// Where a node has what a walk needs.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// How entries are marked.
    pub marks: Marks,
    /// Offset of the shift (a byte), or of the height or the layer (32 bits).
    pub level: u64,
    /// Offset of the slots.
    pub slots: u64,
    /// How many.
    pub count: u64,
}

impl Layout {
    /// As this kernel has it.
    ///
    /// # Errors
    /// The types do not know its nodes.
    pub fn of(s: &Session) -> Result<Self> {
        let b = s.bind::<XaNode>();
        let marks = if s.bind::<XArray>().head.exists() {
            Marks::XArray
        } else if b.shift.exists() {
            Marks::Radix
        } else {
            Marks::Height
        };
        let level = if marks == Marks::Height { b.height.offset()? } else { b.shift.offset()? };
        Ok(Self { marks, level, slots: b.slots.offset()?, count: (b.slots.size()? / 8).min(MAX_SLOTS) })
    }

    const fn is_node(&self, entry: u64) -> bool {
        match self.marks {
            // an internal entry up to 4096 is a sibling, a retry or a reservation
            Marks::XArray => entry & 3 == 2 && entry > 4096,
            Marks::Radix | Marks::Height => entry & 3 == 1,
            Marks::Layer => entry != 0,
        }
    }
    const fn is_item(&self, entry: u64) -> bool {
        entry != 0 && !(matches!(self.marks, Marks::XArray) && entry & 3 == 2)
    }
    /// Bits of an index that a node resolves.
    fn bits(&self) -> u64 {
        u64::from(self.count.max(2).ilog2())
    }
}

/// One entry: its index, what is stored, and the slots on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The index.
    pub index: u64,
    /// What is stored: a pointer, or a value with its marks.
    pub value: u64,
    /// The slot at each level; none where the root itself is the only entry.
    pub path: Box<[u8]>,
}

/// The entries of a tree, ascending, as far as it could be read, and what was damaged.
#[derive(Debug, Default)]
pub struct Entries {
    /// The entries.
    pub all: Vec<Entry>,
    /// What was damaged; what lies beside it is there all the same.
    pub problems: Vec<KernelError>,
}

/// The pointer in the root at `at`.
///
/// # Errors
/// It is not in the dump, or the types do not know it.
pub fn head(s: &Session, at: VirtAddr) -> Result<u64> {
    let b = s.bind::<XArray>();
    if b.head.exists() {
        return b.head.u64(s.mem(), at);
    }
    s.bind::<RadixRoot>().head.u64(s.mem(), at)
}

/// The entries below the pointer `head`, as a root holds it.
pub fn entries(mem: &dyn VirtRead, layout: Layout, head: u64) -> Entries {
    let mut walk = Walk {
        mem,
        layout,
        out: Entries::default(),
        seen: FxHashSet::default(),
        is_endless: false,
        path: Vec::new(),
    };
    if layout.is_node(head) {
        walk.node(VirtAddr(head & !3), 0, None);
    } else if layout.is_item(head) {
        walk.out.all.push(Entry { index: 0, value: head, path: Box::default() });
    }
    walk.out
}

struct Walk<'m> {
    mem: &'m dyn VirtRead,
    layout: Layout,
    out: Entries,
    seen: FxHashSet<VirtAddr>,
    is_endless: bool,
    path: Vec<u8>,
}

impl Walk<'_> {
    fn damaged(&mut self, at: VirtAddr, why: &str) {
        self.out.problems.push(KernelError::Damaged { what: "tree node", at, why: why.to_owned() });
    }

    /// The node's shift, and its slots.
    fn read(&self, at: VirtAddr) -> Result<(u64, Vec<u64>)> {
        let bits = self.layout.bits();
        let level = at.add(self.layout.level);
        let shift = match self.layout.marks {
            Marks::Height => {
                let height = self.mem.u32(level)? & HEIGHT_MASK;
                u64::from(height).saturating_sub(1).saturating_mul(bits)
            }
            Marks::Layer => u64::from(self.mem.u32(level)?).saturating_mul(bits),
            Marks::XArray | Marks::Radix => u64::from(self.mem.u8(level)?),
        };
        let raw = self.mem.bytes(at.add(self.layout.slots), self.layout.count as usize * 8)?;
        Ok((shift, raw.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect()))
    }

    fn node(&mut self, at: VirtAddr, base: u64, above: Option<u64>) {
        if self.seen.len() >= MAX_NODES {
            if !std::mem::replace(&mut self.is_endless, true) {
                self.damaged(at, "the tree has no end");
            }
            return;
        }
        let (shift, slots) = match self.read(at) {
            Ok(both) => both,
            Err(e) => return self.out.problems.push(e),
        };
        // shifts descend one step at a time, so that a circle cannot be followed
        let fits = above.is_none_or(|above| shift.checked_add(self.layout.bits()) == Some(above));
        if shift >= 64 || !fits || self.path.len() >= MAX_DEPTH {
            return self.damaged(at, "its level does not fit the one above");
        }
        // a node stands in a tree once
        if !self.seen.insert(at) {
            return self.damaged(at, "two slots of the tree lead to it");
        }
        for (n, &slot) in slots.iter().enumerate() {
            let index = base.wrapping_add((n as u64).wrapping_shl(shift as u32));
            let is_node = match self.layout.marks {
                Marks::Height | Marks::Layer => shift > 0 && slot != 0,
                _ => self.layout.is_node(slot) && shift > 0,
            };
            self.path.push(n as u8);
            if is_node {
                self.node(VirtAddr(slot & !3), index, Some(shift));
            } else if self.layout.is_item(slot) {
                self.out.all.push(Entry { index, value: slot, path: self.path.as_slice().into() });
            }
            self.path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};

    /// Nodes of five words at multiples of 64: level, four slots.
    struct Ram(Vec<[u64; 5]>);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
            let node = at.0 as usize / 64;
            let words = self.0.get(node).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let from = at.0 as usize % 64;
            buf.copy_from_slice(&bytes[from..from + buf.len()]);
            Ok(())
        }
    }
    fn layout(marks: Marks) -> Layout {
        Layout { marks, level: 0, slots: 8, count: 4 }
    }
    fn shown(e: &Entries) -> Vec<(u64, u64, Vec<u8>)> {
        e.all.iter().map(|e| (e.index, e.value, e.path.to_vec())).collect()
    }

    #[test]
    fn an_xarray_of_two_levels_skips_siblings() {
        let at = |n: u64| ((n + 128) * 64) | 2;
        let mut nodes = vec![[0; 5]; 131];
        nodes[128] = [2, at(1), 0, 0x5000, 0xe]; // an item of order 2 and its sibling
        nodes[129] = [0, 0, 0x1000, 0x23, 0];
        let got = entries(&Ram(nodes), layout(Marks::XArray), at(0));
        assert_eq!(shown(&got), [(1, 0x1000, vec![0, 1]), (2, 0x23, vec![0, 2]), (8, 0x5000, vec![2])]);
        assert!(got.problems.is_empty());
    }

    #[test]
    fn a_single_entry_stands_in_the_root() {
        let got = entries(&Ram(vec![]), layout(Marks::XArray), 0x1000);
        assert_eq!(shown(&got), [(0, 0x1000, vec![])]);
        assert!(entries(&Ram(vec![]), layout(Marks::XArray), 0).all.is_empty());
    }

    #[test]
    fn radix_trees_of_both_ages() {
        let new = Ram(vec![[0; 5], [2, 0, 128 | 1, 0, 0], [0, 0x1000, 0, 0, 0x2000]]);
        let want = [(4, 0x1000, vec![1, 0]), (7, 0x2000, vec![1, 3])];
        assert_eq!(shown(&entries(&new, layout(Marks::Radix), 64 | 1)), want);
        let old = Ram(vec![[0; 5], [2, 0, 128, 0, 0], [1, 0x1000, 0, 0, 0x2000]]);
        assert_eq!(shown(&entries(&old, layout(Marks::Height), 64 | 1)), want);
    }

    #[test]
    fn a_node_that_two_slots_lead_to_is_told_once() {
        let at = |n: u64| ((n + 128) * 64) | 2;
        let mut nodes = vec![[0; 5]; 130];
        nodes[128] = [2, at(1), at(1), 0, 0];
        nodes[129] = [0, 0x1000, 0, 0, 0];
        let got = entries(&Ram(nodes), layout(Marks::XArray), at(0));
        assert_eq!((shown(&got), got.problems.len()), (vec![(0, 0x1000, vec![0, 0])], 1));
    }

    #[test]
    fn a_circle_and_a_hole_are_damage_beside_the_rest() {
        let at = |n: u64| ((n + 128) * 64) | 2;
        let mut nodes = vec![[0; 5]; 129];
        nodes[128] = [2, at(0), 0x1000, at(9), 0];
        let got = entries(&Ram(nodes), layout(Marks::XArray), at(0));
        assert_eq!(shown(&got), [(4, 0x1000, vec![1])]);
        assert_eq!(got.problems.len(), 2);
        assert!(got.problems[0].to_string().contains("its level does not fit"));
    }
}
