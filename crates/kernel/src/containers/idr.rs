//! IDRs, tables from small numbers to pointers (include/linux/idr.h, lib/idr.c), with a budget and a limit of depth.
//!
//! Shape decides: an `idr` has a tree of its own layers until 4.11 (0a835c4f090a), afterwards a radix tree, which became an
//! XArray in 4.20.

use super::xarray::{self, Entries, Layout, Marks};
use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

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
    let layout = Layout { marks: Marks::Layer, level: b.level.offset()?, slots: b.slots.offset()?, count };
    Ok(xarray::entries(s.mem(), layout, top.0))
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
