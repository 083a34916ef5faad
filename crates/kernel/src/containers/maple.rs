//! Walks of maple trees (`struct maple_tree`, lib/maple_tree.c, 6.1), with a budget and a limit of depth.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct maple_tree`
    pub struct MapleTree("maple_tree") { root: "ma_root", flags: "ma_flags" }
}
bind! {
    /// `struct maple_range_64`
    struct Range64("maple_range_64") { pivot: "pivot", slot: "slot" }
}
bind! {
    /// `struct maple_arange_64`
    struct Arange64("maple_arange_64") { pivot: "pivot", slot: "slot", gap: "gap", meta: "meta" }
}
bind! {
    /// `struct maple_node`
    struct MapleNode("maple_node") { parent: "parent", slot: "slot" }
}

/// More nodes than any tree that is whole has.
const MAX_NODES: usize = 1 << 22;
/// MAPLE_HEIGHT_MAX
const MAX_DEPTH: u32 = 31;

/// `XA_ZERO_ENTRY`: a place that is kept for an entry to come.
pub const RESERVED: u64 = 0x406;

/// `enum maple_type`
const DENSE: u64 = 0;
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
    /// The first index of a place that is kept and holds nothing ([`RESERVED`]).
    pub reserved: Option<u64>,
    /// The first damage; what lies beyond the damaged node is there all the same.
    pub problem: Option<KernelError>,
}

/// One node, as a dump of the tree shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its address.
    pub at: VirtAddr,
    /// First index that it covers.
    pub first: u64,
    /// Last index.
    pub last: u64,
    /// Nodes above it.
    pub depth: u32,
    /// `enum maple_type`
    pub kind: u64,
    /// The pointer to its parent, with its marks.
    pub parent: u64,
    /// All its pivots.
    pub pivots: Vec<u64>,
    /// All its slots.
    pub slots: Vec<u64>,
    /// The gaps, of a node of a tree that keeps them.
    pub gaps: Vec<u64>,
    /// The last slot that is used and the largest gap, of a node that keeps gaps.
    pub meta: Option<(u8, u8)>,
}

/// What a walk comes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<'w> {
    /// A node, before what is in it.
    Node(&'w Node),
    /// A slot of a leaf, empty ones included, with the slots on the way to it.
    Slot(Entry, &'w [u8]),
}

/// True for a root that is a node, as against the only entry of a tree; an internal entry elsewhere.
const fn is_node(entry: u64) -> bool {
    entry & 3 == 2 && entry > 4096
}

/// The root pointer of the tree at `tree`, and its flags, which may be missing alone.
pub fn root(s: &Session, tree: VirtAddr) -> Result<(u64, Result<u64>)> {
    let b = s.bind::<MapleTree>();
    Ok((b.root.u64(s.mem(), tree)?, b.flags.num(s.mem(), tree)))
}

/// All entries of the tree at `tree`.
pub fn entries(s: &Session, tree: VirtAddr) -> Result<Entries> {
    let (mut all, mut reserved) = (Vec::new(), None);
    let problem = walk(s, root(s, tree)?.0, &mut |seen| {
        match seen {
            Seen::Slot(entry, _) if entry.value.0 == RESERVED => {
                reserved.get_or_insert(entry.first);
            }
            Seen::Slot(entry, _) if !entry.value.is_null() => all.push(entry),
            _ => {}
        }
        true
    });
    Ok(Entries { all, reserved, problem })
}

/// Walks what the pointer `root` of a tree leads to, ascending; `see` returns false to stop. The first damage
/// comes back; what lies beside it is walked all the same.
pub fn walk(s: &Session, root: u64, see: &mut dyn FnMut(Seen<'_>) -> bool) -> Option<KernelError> {
    let mut walk = Walk { s, see, problem: None, nodes: 0, path: Vec::new(), stopped: false };
    if is_node(root) {
        walk.node(root, 0, u64::MAX, 0);
    } else if root != 0 {
        (walk.see)(Seen::Slot(Entry { first: 0, last: 0, value: VirtAddr(root) }, &[]));
    }
    walk.problem
}

struct Walk<'s, 'f> {
    s: &'s Session,
    see: &'f mut dyn FnMut(Seen<'_>) -> bool,
    problem: Option<KernelError>,
    nodes: usize,
    path: Vec<u8>,
    stopped: bool,
}

impl Walk<'_, '_> {
    fn damaged(&mut self, at: VirtAddr, why: &str) {
        self.failed(KernelError::Damaged { what: "maple tree node", at, why: why.to_owned() });
    }
    fn failed(&mut self, e: KernelError) {
        self.problem.get_or_insert(e);
    }

    fn read(&self, at: VirtAddr, kind: u64) -> Result<Node> {
        let mem = self.s.mem();
        let words = |field: &crate::bind::Field| -> Result<Vec<u64>> {
            let raw = mem.bytes(field.at(at)?, field.size()?.min(256) as usize)?;
            Ok(raw.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect())
        };
        let (mut pivots, mut gaps, mut meta) = (Vec::new(), Vec::new(), None);
        let b = self.s.bind::<MapleNode>();
        let parent = b.parent.u64(mem, at).or_else(|_| mem.u64(at).map_err(KernelError::from))?;
        let slots = if kind == ARANGE_64 {
            let b = self.s.bind::<Arange64>();
            pivots = words(&b.pivot)?;
            gaps = words(&b.gap).unwrap_or_default();
            meta = b.meta.at(at).ok().and_then(|m| Some((mem.u8(m).ok()?, mem.u8(m.add(1)).ok()?)));
            words(&b.slot)?
        } else if kind == DENSE {
            words(&b.slot)?
        } else {
            let b = self.s.bind::<Range64>();
            pivots = words(&b.pivot)?;
            words(&b.slot)?
        };
        Ok(Node { at, first: 0, last: 0, depth: 0, kind, parent, pivots, slots, gaps, meta })
    }

    fn node(&mut self, enode: u64, min: u64, max: u64, depth: u32) {
        // bits 3 to 6 of an encoded pointer are its type, the low 8 bits are no address
        let at = VirtAddr(enode & !0xff);
        let kind = enode >> 3 & 0xf;
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return self.damaged(at, "the tree has no end");
        }
        if !matches!(kind, DENSE | LEAF_64 | RANGE_64 | ARANGE_64) {
            return self.damaged(at, "its type is none that a tree of ranges has");
        }
        let node = match self.read(at, kind) {
            Ok(node) => Node { first: min, last: max, depth, ..node },
            Err(e) => return self.failed(e),
        };
        self.stopped |= !(self.see)(Seen::Node(&node));
        let mut from = min;
        for (n, &slot) in node.slots.iter().enumerate() {
            if self.stopped {
                return;
            }
            // a pivot of 0 behind the first, and the one that a full node has no room for, is the node's end
            let to = match node.pivots.get(n) {
                _ if kind == DENSE => from,
                Some(0) if n > 0 => max,
                Some(&to) => to,
                None => max,
            };
            if to < from || to > max {
                return self.damaged(at, "its pivots do not ascend within its range");
            }
            self.path.push(n as u8);
            if kind == LEAF_64 || kind == DENSE {
                let value = VirtAddr(if is_node(slot) { 0 } else { slot });
                let entry = Entry { first: from, last: to, value };
                self.stopped |= !(self.see)(Seen::Slot(entry, &self.path));
            } else if slot != 0 {
                self.node(slot, from, to, depth + 1);
            }
            self.path.pop();
            if to >= max {
                break;
            }
            from = to + 1;
        }
    }
}
