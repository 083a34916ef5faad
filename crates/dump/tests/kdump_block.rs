//! `block_size` of a kdump header that is another machine's page: its pages tell that they are not of that size.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::{Pfn, PhysRead};
use dump::{Dump, Warning};
use testkit::dump::{DumpSpec, PAGE, Packing};

/// Of `block_size` in the header of x86-64.
const BLOCK_SIZE: usize = 428;

fn page(pfn: u64) -> Vec<u8> {
    (pfn + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(PAGE / 8)
}

#[test]
fn a_block_size_that_no_page_has_is_mended() {
    for pages in [1_u64, 7, 40, 300, 1000, 2500] {
        let spec = (0..pages).fold(DumpSpec::x86_64().vmcoreinfo("OSRELEASE=6.1.0\n"), |spec, n| {
            spec.page(3 * n + 1, &page(3 * n + 1))
        });
        for packing in Packing::ALL {
            let sound = spec.kdump(packing);
            assert!(Dump::from_bytes(vec![sound.clone()]).unwrap().facts().warnings.is_empty());
            for size in [0x2000_u32, 0x4000, 0x8000, 0x1_0000, 0, 0x800, 0x1001] {
                let what = format!("{pages} pages, {packing:?}, {size:#x}");
                let mut file = sound.clone();
                file[BLOCK_SIZE..BLOCK_SIZE + 4].copy_from_slice(&size.to_le_bytes());
                let dump = Dump::from_bytes(vec![file]).unwrap_or_else(|e| panic!("{what}: {e}"));
                for n in 0..pages {
                    let mut bytes = vec![0; PAGE];
                    let read = dump.read_phys(Pfn(3 * n + 1).addr(), &mut bytes);
                    assert!(read.is_ok() && bytes == page(3 * n + 1), "{what}: {:?}", dump.facts().warnings);
                }
                let told =
                    |w: &Warning| matches!(w, Warning::FieldMended { field: "block_size", taken: 4096, .. });
                assert!(dump.facts().warnings.iter().any(told), "{what}: {:?}", dump.facts().warnings);
            }
        }
    }
}
