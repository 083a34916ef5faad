//! Walks of maple trees (`struct maple_tree`, lib/maple_tree.c, 6.1), with a budget and a limit of depth.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct maple_tree`
    struct MapleTree("maple_tree") { root: "ma_root" }
}
bind! {
    /// `struct maple_range_64`
    struct Range64("maple_range_64") { pivot: "pivot", slot: "slot" }
}
bind! {
    /// `struct maple_arange_64`
    struct Arange64("maple_arange_64") { pivot: "pivot", slot: "slot" }
}

/// More nodes than any tree that is whole has.
const MAX_NODES: usize = 1 << 22;
/// MAPLE_HEIGHT_MAX
const MAX_DEPTH: u32 = 31;

/// `enum maple_type`
const LEAF_64: u64 = 1;
const RANGE_64: u64 = 2;
const ARANGE_64: u64 = 3;

/// One entry: the first and last index that it covers, and the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First index.
    pub first: u64,
    /// Last index, which it still covers.
    pub last: u64,
    /// What is stored.
    pub value: VirtAddr,
}

/// The entries of a tree, ascending, as far as it could be read, and why not further.
#[derive(Debug, Default)]
pub struct Entries {
    /// The entries.
    pub all: Vec<Entry>,
    /// The first damage; what lies beyond the damaged node is there all the same.
    pub problem: Option<KernelError>,
}

struct Walk<'s> {
    s: &'s Session,
    out: Entries,
    nodes: usize,
}

/// True for a root that is a node, as against the only entry of a tree; an internal entry elsewhere.
const fn is_node(entry: u64) -> bool {
    entry & 3 == 2 && entry > 4096
}

/// All entries of the tree at `tree`.
pub fn entries(s: &Session, tree: VirtAddr) -> Result<Entries> {
    let root = s.bind::<MapleTree>().root.u64(s.mem(), tree)?;
    let mut walk = Walk { s, out: Entries::default(), nodes: 0 };
    if is_node(root) {
        walk.node(root, 0, u64::MAX, 0);
    } else if root != 0 {
        walk.out.all.push(Entry { first: 0, last: 0, value: VirtAddr(root) });
    }
    Ok(walk.out)
}

impl Walk<'_> {
    fn damaged(&mut self, at: VirtAddr, why: &str) {
        self.failed(KernelError::Damaged { what: "maple tree node", at, why: why.to_owned() });
    }
    fn failed(&mut self, e: KernelError) {
        self.out.problem.get_or_insert(e);
    }

    fn node(&mut self, enode: u64, min: u64, max: u64, depth: u32) {
        // bits 3 to 6 of an encoded pointer are its type, the low 8 bits are no address
        let at = VirtAddr(enode & !0xff);
        let kind = enode >> 3 & 0xf;
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return self.damaged(at, "the tree has no end");
        }
        let (pivot, slot) = if kind == ARANGE_64 {
            let b = self.s.bind::<Arange64>();
            (b.pivot.clone(), b.slot.clone())
        } else if kind == LEAF_64 || kind == RANGE_64 {
            let b = self.s.bind::<Range64>();
            (b.pivot.clone(), b.slot.clone())
        } else {
            return self.damaged(at, "its type is none that a tree of ranges has");
        };
        let read = || -> Result<(Vec<u64>, Vec<u64>)> {
            let words = |field: &crate::bind::Field| -> Result<Vec<u64>> {
                let raw = self.s.mem().bytes(field.at(at)?, field.size()?.min(256) as usize)?;
                Ok(raw.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect())
            };
            Ok((words(&pivot)?, words(&slot)?))
        };
        let (pivots, slots) = match read() {
            Ok(both) => both,
            Err(e) => return self.failed(e),
        };
        let mut from = min;
        for (n, &slot) in slots.iter().enumerate() {
            // a pivot of 0 behind the first, and the one that a full node has no room for, is the node's end
            let to = match pivots.get(n) {
                Some(0) if n > 0 => max,
                Some(&to) => to,
                None => max,
            };
            if to < from || to > max {
                return self.damaged(at, "its pivots do not ascend within its range");
            }
            if slot != 0 {
                if kind == LEAF_64 {
                    if !is_node(slot) {
                        self.out.all.push(Entry { first: from, last: to, value: VirtAddr(slot) });
                    }
                } else {
                    self.node(slot, from, to, depth + 1);
                }
            }
            if to >= max {
                break;
            }
            from = to + 1;
        }
    }
}
