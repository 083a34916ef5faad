//! The direct map of all memory, told by the kernel's page tables alone: no symbol, no constant.
//!
//! It is the run of the kernel's half that maps physical memory by one distance, whatever KASLR made of its place
//! (`page_offset_base`, `arch/x86/mm/kaslr.c`).

use crate::opening::machine::Machine;
use base::{GRANULE, PhysAddr, VirtAddr};

/// Pages of memory that a distance is tried with.
const SAMPLES: u64 = 64;
/// Distances that are tried, and mapped pages that are looked at for them.
const DISTANCES: usize = 16;
const PAGES: usize = 1 << 16;

/// The kernel's address of physical address 0 in the direct map; `None` where the page tables do not show it.
#[must_use]
pub fn base(m: &Machine) -> Option<VirtAddr> {
    let [image, ..] = m.arch.layout.image_range();
    let tables = m.mem.tables();
    let samples = samples(m);
    let mut tried: Vec<u64> = Vec::new();
    for (virt, t) in tables.mapped(m.phys(), tables.kernel_half(), image).take(PAGES) {
        let distance = virt.0.wrapping_sub(t.phys.0);
        if tried.contains(&distance) {
            continue;
        }
        if is_direct_map(m, VirtAddr(distance), &samples) {
            return Some(VirtAddr(distance));
        }
        tried.push(distance);
        if tried.len() == DISTANCES {
            return None;
        }
    }
    None
}

/// Pages that the dump holds, spread over its memory.
fn samples(m: &Machine) -> Vec<PhysAddr> {
    let mut out = Vec::new();
    for range in m.phys().ranges() {
        let step = (range.len() / SAMPLES).max(GRANULE);
        let mut at = range.start;
        while let Some(next) = m.phys().skip_holes(at).filter(|next| range.contains(*next)) {
            out.push(next.page_base());
            let Some(after) = next.0.checked_add(step) else { break };
            at = PhysAddr(after);
            if out.len() as u64 > 16 * SAMPLES {
                return out;
            }
        }
    }
    out
}

/// Whether three quarters of the samples are mapped by one distance: a few pages can be taken out of the direct map.
fn is_direct_map(m: &Machine, base: VirtAddr, samples: &[PhysAddr]) -> bool {
    let tables = m.mem.tables();
    let fits = |at: &&PhysAddr| tables.translate(m.phys(), base.add(at.0)).is_ok_and(|t| t.phys == **at);
    !samples.is_empty() && 4 * samples.iter().filter(fits).count() >= 3 * samples.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::{DIRECT_MAP, Kernel};

    #[test]
    fn the_direct_map_by_the_page_tables() {
        let s = session(&Kernel::new());
        assert_eq!(base(&s.opened().machine), Some(VirtAddr(DIRECT_MAP)));
    }
}
