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
///
/// # Errors
/// The root pointer is not in the dump, or the types do not know it.
pub fn root(s: &Session, tree: VirtAddr) -> Result<(u64, Result<u64>)> {
    let b = s.bind::<MapleTree>();
    Ok((b.root.u64(s.mem(), tree)?, b.flags.num(s.mem(), tree)))
}

/// All entries of the tree at `tree`.
///
/// # Errors
/// The root pointer is not in the dump, or the types do not know the tree. What is wrong further down is told in
/// [`Entries`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A kernel with the types of maple trees, and a tree without a root.
    fn tree() -> (Kernel, u64) {
        let mut k = Kernel::new();
        k.structure("maple_tree", 16, &[("ma_flags", 4, "u32"), ("ma_root", 8, "*void")]);
        k.structure("maple_range_64", 256, &[("pivot", 8, "u64[15]"), ("slot", 128, "*void[16]")]);
        let arange = [
            ("pivot", 8, "u64[9]"),
            ("slot", 80, "*void[10]"),
            ("gap", 160, "u64[10]"),
            ("meta", 240, "u8[2]"),
        ];
        k.structure("maple_arange_64", 256, &arange);
        k.structure("maple_node", 256, &[("parent", 0, "*void"), ("slot", 8, "*void[31]")]);
        let tree = k.object("maple_tree");
        k.set(tree, "maple_tree", "ma_flags", 0x31);
        (k, tree)
    }

    /// The pointer to a node, with its type.
    const fn pointer(node: u64, kind: u64) -> u64 {
        node | kind << 3 | 2
    }

    /// A leaf whose slots end at these indices.
    fn leaf(k: &mut Kernel, slots: &[(u64, u64)]) -> u64 {
        let at = k.memory(256);
        for (n, (pivot, value)) in (0..).zip(slots) {
            k.word(at + 8 + n * 8, *pivot).word(at + 128 + n * 8, *value);
        }
        at
    }

    /// A tree of two leaves below a node that keeps gaps: the node, and the leaves.
    fn two_leaves() -> (Kernel, u64, [u64; 3]) {
        let (mut k, tree) = tree();
        let first = leaf(&mut k, &[(9, 0x1000), (19, 0), (29, 0x2000)]);
        let second = leaf(&mut k, &[(39, RESERVED), (u64::MAX, 0x3000)]);
        let top = k.memory(256);
        k.word(top + 8, 29).word(top + 80, pointer(first, LEAF_64)).word(top + 88, pointer(second, LEAF_64));
        k.word(top + 160, 10).put(top + 240, &[1, 10]);
        k.set(tree, "maple_tree", "ma_root", pointer(top, ARANGE_64));
        (k, tree, [top, first, second])
    }

    /// First and last index and value of each entry.
    fn all(found: &Entries) -> Vec<(u64, u64, u64)> {
        found.all.iter().map(|e| (e.first, e.last, e.value.0)).collect()
    }

    #[test]
    fn trees_without_a_node_have_one_entry_or_none() {
        let (mut k, at) = tree();
        let none = entries(&session(&k), VirtAddr(at)).unwrap();
        assert!(none.all.is_empty() && none.problem.is_none());
        k.set(at, "maple_tree", "ma_root", 0x1000);
        let s = session(&k);
        assert_eq!(all(&entries(&s, VirtAddr(at)).unwrap()), [(0, 0, 0x1000)]);
        assert_eq!(root(&s, VirtAddr(at)).unwrap().1.unwrap(), 0x31);
    }

    #[test]
    fn entries_ascend_over_leaves_and_a_kept_place_is_none() {
        let (k, tree, [top, first, _]) = two_leaves();
        let s = session(&k);
        let found = entries(&s, VirtAddr(tree)).unwrap();
        assert_eq!(all(&found), [(0, 9, 0x1000), (20, 29, 0x2000), (40, u64::MAX, 0x3000)]);
        assert_eq!((found.reserved, found.problem.is_none()), (Some(30), true));
        // the walk shows nodes before what is in them, and the way to each slot
        let (mut nodes, mut paths) = (Vec::new(), Vec::new());
        let root = root(&s, VirtAddr(tree)).unwrap().0;
        let problem = walk(&s, root, &mut |seen| {
            match seen {
                Seen::Node(node) => nodes.push(node.clone()),
                Seen::Slot(entry, path) => paths.push((entry.first, path.to_vec())),
            }
            paths.len() < 4
        });
        assert!(problem.is_none());
        assert_eq!(
            paths,
            [(0, vec![0, 0]), (10, vec![0, 1]), (20, vec![0, 2]), (30, vec![1, 0])],
            "it stops"
        );
        let told: Vec<_> = nodes.iter().map(|n| (n.first, n.last, n.depth, n.kind)).collect();
        assert_eq!(
            told,
            [(0, u64::MAX, 0, ARANGE_64), (0, 29, 1, LEAF_64), (30, u64::MAX, 1, LEAF_64)],
            "what a node covers is told by those above it"
        );
        assert_eq!((nodes[0].at.0, nodes[1].at.0), (top, first));
        assert_eq!((nodes[0].gaps[0], nodes[0].meta, nodes[1].meta), (10, Some((1, 10)), None));
    }

    #[test]
    fn damage_of_one_node_is_told_and_costs_that_node_alone() {
        let (whole, tree, [top, first, second]) = two_leaves();
        let problem = |k: &Kernel| {
            let found = entries(&session(k), VirtAddr(tree)).unwrap();
            (all(&found), found.problem.map(|e| e.to_string()).unwrap_or_default())
        };
        let rest = [(40, u64::MAX, 0x3000)];
        // the second pivot is below the first
        let (found, why) = problem(whole.clone().word(first + 16, 5));
        assert_eq!(found, [(0, 9, 0x1000), rest[0]]);
        assert!(why.contains("do not ascend"), "{why}");
        // the last is beyond what the node above says
        let (found, why) = problem(whole.clone().word(first + 24, 35));
        assert_eq!((found.len(), why.contains("do not ascend")), (2, true), "{why}");
        // a type that no tree of ranges has
        let (found, why) = problem(whole.clone().word(top + 80, pointer(first, 9)));
        assert_eq!((found, why.contains("its type")), (rest.to_vec(), true), "{why}");
        // a node that is its own child
        let (found, why) = problem(whole.clone().word(top + 80, pointer(top, ARANGE_64)));
        assert_eq!((found, why.contains("no end")), (rest.to_vec(), true), "{why}");
        // a page that is not in the dump, in a kernel that has the nodes in pages of their own
        let mut apart = whole.clone();
        let page = apart.memory(4096);
        apart.word(top + 88, pointer(page, LEAF_64)).exclude(page);
        let (found, why) = problem(&apart);
        assert_eq!(found, [(0, 9, 0x1000), (20, 29, 0x2000)]);
        assert!(why.contains("excluded"), "{why}");
        assert_ne!(page, second);
    }
}
