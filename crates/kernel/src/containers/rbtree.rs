//! Walks of red-black trees (`struct rb_node`, include/linux/rbtree_types.h), with a guard against cycles,
//! a budget and a limit of depth: a dying machine's trees may lead anywhere.

use crate::error::{KernelError, Result};
use base::{VirtAddr, VirtRead};
use rustc_hash::FxHashSet;

bind! {
    /// `struct rb_node`
    pub struct RbNode("rb_node") { left: "rb_left", right: "rb_right" }
}

/// More nodes than any tree that is whole has.
const MAX_NODES: usize = 1 << 22;
/// A red-black tree of all memory's words is not as deep.
const MAX_DEPTH: usize = 128;

/// Which of a node and its children comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// The node, what is left of it, what is right of it.
    Root,
    /// Ascending: what is left of a node, the node, what is right of it.
    Linear,
}

/// One node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its `rb_node`.
    pub at: VirtAddr,
    /// The way to it from the root: false for left, true for right.
    pub path: Box<[bool]>,
}

/// The nodes of a tree as far as they could be read, and every place where that was not so.
#[derive(Debug, Default)]
pub struct Nodes {
    /// The nodes, in the order asked for.
    pub all: Vec<Node>,
    /// What was damaged; what lies beside it is there all the same.
    pub problems: Vec<KernelError>,
}

/// Where a node has its children; the offsets that every 64-bit kernel has, where types are not at hand.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Offset of `rb_left`.
    pub left: u64,
    /// Offset of `rb_right`.
    pub right: u64,
}

impl Layout {
    /// As a binding has it.
    #[must_use]
    pub fn of(b: &RbNode) -> Self {
        Self { left: b.left.offset().unwrap_or(16), right: b.right.offset().unwrap_or(8) }
    }
}

/// The nodes of the tree whose topmost node is at `root`; none where that is null.
pub fn nodes(mem: &dyn VirtRead, layout: Layout, root: VirtAddr, order: Order) -> Nodes {
    let mut out = Nodes::default();
    let mut seen = FxHashSet::default();
    let mut path = Vec::new();
    // what is to be done: enter a node, or show one whose left side is done
    enum Todo {
        Enter(VirtAddr, usize, Option<bool>),
        Show(Node, VirtAddr),
    }
    let mut todo = vec![Todo::Enter(root, 0, None)];
    while let Some(next) = todo.pop() {
        let (at, depth, side) = match next {
            Todo::Show(node, right) => {
                path.clear();
                path.extend_from_slice(&node.path);
                let depth = node.path.len();
                out.all.push(node);
                todo.push(Todo::Enter(right, depth + 1, Some(true)));
                continue;
            }
            Todo::Enter(at, ..) if at.is_null() => continue,
            Todo::Enter(at, depth, side) => (at, depth, side),
        };
        path.truncate(depth.saturating_sub(1));
        path.extend(side);
        let damaged = |why: String| KernelError::Damaged { what: "rb_node", at, why };
        if !seen.insert(at) {
            out.problems.push(damaged("the tree leads to it twice".into()));
            continue;
        }
        if seen.len() > MAX_NODES || depth > MAX_DEPTH {
            out.problems.push(damaged("the tree has no end".into()));
            break;
        }
        let (left, right) = match children(mem, layout, at) {
            Ok(both) => both,
            Err(e) => {
                out.problems.push(e);
                continue;
            }
        };
        let node = Node { at, path: path.as_slice().into() };
        match order {
            Order::Root => {
                out.all.push(node);
                todo.push(Todo::Enter(right, depth + 1, Some(true)));
            }
            Order::Linear => todo.push(Todo::Show(node, right)),
        }
        todo.push(Todo::Enter(left, depth + 1, Some(false)));
    }
    out
}

fn children(mem: &dyn VirtRead, layout: Layout, at: VirtAddr) -> Result<(VirtAddr, VirtAddr)> {
    Ok((mem.ptr(at.add(layout.left))?, mem.ptr(at.add(layout.right))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};

    /// Nodes of three words at multiples of 24: parent, right, left.
    struct Ram(Vec<[u64; 3]>);
    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
            let (node, word) = (at.0 as usize / 24, at.0 as usize % 24 / 8);
            let words = self.0.get(node).ok_or(Fault::new(at, FaultKind::NotMapped("PTE")))?;
            buf.copy_from_slice(&words[word].to_le_bytes()[..buf.len()]);
            Ok(())
        }
    }
    const LAYOUT: Layout = Layout { left: 16, right: 8 };

    fn shown(nodes: &Nodes) -> Vec<String> {
        let side = |&right: &bool| if right { "/r" } else { "/l" };
        nodes
            .all
            .iter()
            .map(|n| format!("{}{}", n.at.0 / 24, n.path.iter().map(side).collect::<String>()))
            .collect()
    }

    #[test]
    fn both_orders_with_the_way_to_each() {
        // 1 has 2 left and 3 right; 2 has 4 right; 3 has 5 left
        let ram = Ram(vec![[0; 3], [0, 72, 48], [0, 96, 0], [0, 0, 120], [0; 3], [0; 3]]);
        let root = nodes(&ram, LAYOUT, VirtAddr(24), Order::Root);
        assert_eq!(shown(&root), ["1", "2/l", "4/l/r", "3/r", "5/r/l"]);
        let line = nodes(&ram, LAYOUT, VirtAddr(24), Order::Linear);
        assert_eq!(shown(&line), ["2/l", "4/l/r", "1", "5/r/l", "3/r"]);
        assert!(line.problems.is_empty());
        assert!(nodes(&ram, LAYOUT, VirtAddr(0), Order::Root).all.is_empty());
    }

    #[test]
    fn damage_spoils_only_its_branch() {
        // left of 1 is 1 itself, right of it no memory
        let ram = Ram(vec![[0; 3], [0, 72, 24], [0; 3], [0, 0x9000, 0]]);
        let got = nodes(&ram, LAYOUT, VirtAddr(24), Order::Root);
        assert_eq!(shown(&got), ["1", "3/r"]);
        let why: Vec<String> = got.problems.iter().map(ToString::to_string).collect();
        assert_eq!(why[0], "rb_node at 0x18 is damaged: the tree leads to it twice");
        assert!(why[1].contains("not mapped"), "{}", why[1]);
    }
}
