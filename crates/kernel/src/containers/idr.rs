//! IDRs, tables from small numbers to pointers (include/linux/idr.h, lib/idr.c), with a budget and a limit of depth.
//!
//! Shape decides: an `idr` has a tree of its own layers until 4.11 (0a835c4f090a), afterwards a radix tree, which became an
//! XArray in 4.20.

use super::xarray::{self, Entries, Entry, Layout};
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::{VirtAddr, VirtRead};

bind! {
    /// `struct idr`
    struct Idr("idr") {
        tree: "idr_rt",
        base: "idr_base", // 4.16 (6ce711f27500)
        top: "top",
    }
}
bind! {
    /// `struct idr_layer`
    struct IdrLayer("idr_layer") { slots: "ary", level: "layer" }
}

/// More layers than any table that is whole has: 31 bits of numbers, at least 32 to a layer.
const MAX_LAYERS: usize = 1 << 20;
/// Slots of a layer: 256 at most (3.9, 050a6b47d93b).
const MAX_SLOTS: u64 = 256;

/// What is in the IDR at `at`, by its number, ascending; what could not be read is among the problems.
///
/// # Errors
/// The kernel's types do not know it, or it is not in the dump.
pub fn entries(s: &Session, at: VirtAddr) -> Result<Entries> {
    let b = s.bind::<Idr>();
    if !b.tree.exists() && b.top.exists() {
        return layers(s, b.top.ptr(s.mem(), at)?);
    }
    let head = xarray::head(s, b.tree.at(at)?)?;
    let mut found = xarray::entries(s.mem(), Layout::of(s)?, head);
    if b.base.exists() {
        let base = b.base.num(s.mem(), at)?;
        found.all.iter_mut().for_each(|entry| entry.index = entry.index.wrapping_add(base));
    }
    Ok(found)
}

/// The same of the layers below `top`; null for an IDR that is empty.
fn layers(s: &Session, top: VirtAddr) -> Result<Entries> {
    let b = s.bind::<IdrLayer>();
    let count = (b.slots.size()? / 8).min(MAX_SLOTS);
    let mut walk = Walk {
        mem: s.mem(),
        level: b.level.offset()?,
        slots: b.slots.offset()?,
        bits: count.max(2).ilog2(),
        count: count as usize,
        layers: 0,
        out: Entries::default(),
    };
    if !top.is_null() {
        walk.layer(top, 0, None);
    }
    Ok(walk.out)
}

struct Walk<'m> {
    mem: &'m dyn VirtRead,
    /// Offset of a layer's height above the lowest ones (32 bits).
    level: u64,
    /// Offset of its slots.
    slots: u64,
    /// Bits of a number that a layer resolves.
    bits: u32,
    count: usize,
    layers: usize,
    out: Entries,
}

impl Walk<'_> {
    fn damaged(&mut self, at: VirtAddr, why: &str) {
        self.out.problems.push(KernelError::Damaged { what: "idr_layer", at, why: why.to_owned() });
    }

    fn read(&self, at: VirtAddr) -> Result<(u32, Vec<u8>)> {
        Ok((self.mem.u32(at.add(self.level))?, self.mem.bytes(at.add(self.slots), self.count * 8)?))
    }

    fn layer(&mut self, at: VirtAddr, base: u64, above: Option<u32>) {
        self.layers = self.layers.saturating_add(1);
        if self.layers > MAX_LAYERS {
            if self.layers == MAX_LAYERS + 1 {
                self.damaged(at, "the table has no end");
            }
            return;
        }
        let (level, raw) = match self.read(at) {
            Ok(both) => both,
            Err(e) => return self.out.problems.push(e),
        };
        let shift = level.saturating_mul(self.bits);
        // levels descend one by one, so that a circle cannot be followed for long
        if shift >= u64::BITS || above.is_some_and(|above| level.saturating_add(1) != above) {
            return self.damaged(at, "its level does not fit the one above");
        }
        for (slot, n) in raw.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).zip(0_u64..) {
            let index = base.wrapping_add(n << shift);
            match (slot, level) {
                (0, _) => {}
                (item, 0) => self.out.all.push(Entry { index, value: item, path: Box::default() }),
                (below, _) => self.layer(VirtAddr(below), index, Some(level)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// The numbers and pointers, and how many problems there are.
    fn shown(k: &Kernel, at: u64) -> (Vec<(u64, u64)>, usize) {
        let found = entries(&session(k), VirtAddr(at)).unwrap();
        (found.all.iter().map(|entry| (entry.index, entry.value)).collect(), found.problems.len())
    }

    #[test]
    fn trees_of_every_age_hold_the_same() {
        let items = [(0, 0x1000_u64), (1, 0x2000), (5, 0x3000)];
        // one level, two levels
        for wide in [false, true] {
            let more = if wide { (700, 0x4000) } else { (9, 0x4000) };
            let all: Vec<(u64, u64)> = items.into_iter().chain([more]).collect();
            for age in ["layers", "radix", "xarray"] {
                let mut k = Kernel::new();
                let at = k.variable("an_idr", 64);
                k.idr(age);
                k.fill_idr(at, &all);
                assert_eq!(shown(&k, at), (all.clone(), 0), "{age}");
            }
        }
    }

    #[test]
    fn an_empty_one_and_a_single_entry() {
        for age in ["layers", "radix", "xarray"] {
            let mut k = Kernel::new();
            let at = k.variable("an_idr", 64);
            k.idr(age);
            assert_eq!(shown(&k, at), (vec![], 0), "{age}");
            k.fill_idr(at, &[(0, 0x1000)]);
            assert_eq!(shown(&k, at), (vec![(0, 0x1000)], 0), "{age}");
        }
    }

    #[test]
    fn a_layer_that_is_missing_or_leads_back_costs_its_own_entries_alone() {
        let mut k = Kernel::new();
        let at = k.variable("an_idr", 64);
        k.idr("layers");
        let nodes = k.fill_idr(at, &[(3, 0x1000), (300, 0x2000)]);
        let (top, last) = (nodes[0], nodes[2]);
        let mut lost = k.clone();
        lost.exclude(last);
        assert_eq!(shown(&lost, at), (vec![(3, 0x1000)], 1));
        let slot = top + k.offset("idr_layer", "ary") + 8;
        k.word(slot, top);
        assert_eq!(shown(&k, at), (vec![(3, 0x1000)], 1));
    }
}
