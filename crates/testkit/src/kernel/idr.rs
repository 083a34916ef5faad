//! IDRs (tables from numbers to pointers) of a generated kernel, as releases had them.

use super::Kernel;

impl Kernel {
    /// The structs of an IDR: of `layers` (until 4.10), on a `radix` tree (4.11), on an `xarray` (4.20). `struct idr` has 64
    /// bytes.
    pub fn idr(&mut self, age: &str) -> &mut Self {
        if age == "layers" {
            let layer = [("prefix", 0, "s32"), ("layer", 4, "s32"), ("ary", 8, "*idr_layer[256]")];
            self.structure("idr_layer", 2112, &layer);
            return self.structure(
                "idr",
                64,
                &[("hint", 0, "*idr_layer"), ("top", 8, "*idr_layer"), ("layers", 16, "s32")],
            );
        }
        let (root, head, node) = match age {
            "radix" => ("radix_tree_root", "rnode", "radix_tree_node"),
            _ => ("xarray", "xa_head", "xa_node"),
        };
        self.structure(root, 16, &[("flags", 0, "u32"), (head, 8, "*void")]);
        self.structure(node, 576, &[("shift", 0, "u8"), ("offset", 1, "u8"), ("slots", 40, "*void[64]")]);
        self.structure("idr", 64, &[("idr_rt", 0, root), ("idr_next", 20, "u32")])
    }

    /// Fills the IDR at `at` with pointers by their numbers; the addresses of its nodes, each in a page of its own, a node
    /// before those below it.
    ///
    /// # Panics
    /// [`Self::idr`] was not called.
    pub fn fill_idr(&mut self, at: u64, items: &[(u64, u64)]) -> Vec<u64> {
        let shape = match ["idr_layer", "radix_tree_node", "xa_node"].map(|node| self.types.knows(node)) {
            [true, ..] => Shape { node: "idr_layer", slots: "ary", bits: 8, mark: 0 },
            [_, true, _] => Shape { node: "radix_tree_node", slots: "slots", bits: 6, mark: 1 },
            _ => Shape { node: "xa_node", slots: "slots", bits: 6, mark: 2 },
        };
        let mut nodes = Vec::new();
        let last = items.iter().map(|(index, _)| *index).max();
        let head = match (items, last) {
            ([(0, item)], _) if shape.mark != 0 => *item,
            (_, Some(last)) => {
                let levels = (0..).find(|level| last >> (shape.bits * (level + 1)) == 0).unwrap_or(0);
                self.idr_node(&shape, levels, items, &mut nodes) | shape.mark
            }
            _ => 0,
        };
        // that pointer is the second word of each
        self.word(at + 8, head);
        nodes
    }

    fn idr_node(&mut self, shape: &Shape, level: u32, items: &[(u64, u64)], nodes: &mut Vec<u64>) -> u64 {
        let at = self.memory(4096);
        nodes.push(at);
        let shift = level * shape.bits;
        match shape.mark {
            0 => self.set(at, shape.node, "layer", level.into()),
            _ => self.set(at, shape.node, "shift", shift.into()),
        };
        for slot in 0..1_u64 << shape.bits {
            let below: Vec<(u64, u64)> = items
                .iter()
                .filter(|(index, _)| index >> shift == slot)
                .map(|(index, item)| (index - (slot << shift), *item))
                .collect();
            let Some((_, item)) = below.first() else { continue };
            let held = match level {
                0 => *item,
                _ => self.idr_node(shape, level - 1, &below, nodes) | shape.mark,
            };
            self.word(at + self.offset(shape.node, shape.slots) + slot * 8, held);
        }
        at
    }
}

/// How a kind of IDR is built.
struct Shape {
    node: &'static str,
    slots: &'static str,
    /// Bits of a number that a node resolves.
    bits: u32,
    /// The low bits of a pointer to a node.
    mark: u64,
}
