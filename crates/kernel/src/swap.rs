//! Swap devices (`swap_info`, mm/swapfile.c), and the entries of page tables that name them.

use crate::error::Result;
use crate::path;
use crate::session::Session;
use arch::SwapLayout;
use base::VirtAddr;

bind! {
    /// `struct swap_info_struct` (include/linux/swap.h)
    pub struct SwapInfo("swap_info_struct") {
        flags: "flags",
        prio: "prio",
        pages: "pages",
        max: "max",
        inuse: "inuse_pages",
        swap_file: "swap_file",
        swap_map: "swap_map",
    }
}

/// MAX_SWAPFILES is below this: the type has five bits.
const MAX_TYPES: u64 = 32;

/// The `swap_info_struct` of a type, where there is one.
pub fn info(s: &Session, kind: u64) -> Option<VirtAddr> {
    let table = s.symbol("swap_info")?;
    if kind >= MAX_TYPES {
        return None;
    }
    // an array of pointers since 2.6.33 (efa90a981bbc)
    s.mem().ptr(table.add(kind * 8)).ok().filter(|at| at.0 >> 63 == 1)
}

/// A page in swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Which device, by its number.
    pub kind: u64,
    /// The page in it.
    pub offset: u64,
    /// The device's or file's path, where the dump has it.
    pub file: Option<String>,
}

/// What a page table entry that is not present says about swap. How it is packed changed over the years:
/// the packing under which the entry names a device that is there, and a page within it, is the one.
#[must_use]
pub fn entry(s: &Session, entry: u64) -> Option<Swapped> {
    [SwapLayout::Inverted, SwapLayout::Bit9, SwapLayout::Bit1].into_iter().find_map(|layout| {
        let (kind, offset) = s.arch().swap_entry(entry, layout)?;
        let at = info(s, kind)?;
        let b = s.bind::<SwapInfo>();
        let max = b.max.u32(s.mem(), at).map_or(u64::MAX, u64::from);
        (offset != 0 && offset < max).then(|| Swapped { kind, offset, file: file(s, at).ok() })
    })
}

fn file(s: &Session, info: VirtAddr) -> Result<String> {
    path::of_file(s, s.bind::<SwapInfo>().swap_file.ptr(s.mem(), info)?)
}
