//! Where the running kernel is: its page tables, how far its image lies from physical memory, where the linear map begins.
//!
//! From VMCOREINFO where the dump has it, else by a search of memory for a page that, taken as the topmost table, maps the
//! kernel's image with itself in it. Notes carry neither TTBR nor TCR. Each way ends in the same check: the kernel's banner
//! lies in the image.

use super::layout::{self, IMAGE_ALIGN, TEXT_ALIGN};
use super::paging::{self, MODES, UXN};
use super::{ARCH, Arm64};
use crate::boot::swapper;
use crate::capability::FindKernel;
use crate::machine;
use crate::space::{Linear, PageTables, Paging};
use crate::{Boot, How};
use base::{PhysAddr, PhysRead, VirtAddr, VmcoreInfo};

/// How much of the image lies behind `swapper_pg_dir` at most, and before it: the largest kernels.
const IMAGE_LIMIT: u64 = 256 << 20;
/// Pages that a candidate may map before the one with itself: more than a kernel's modules and `vmalloc` areas have.
const MAPPED_LIMIT: usize = 1 << 18;

/// From the kernel's own words; `None` when they are not there, or lead to nothing.
pub(crate) fn by_vmcoreinfo(info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot> {
    let pgd = swapper(info)?;
    // since 4.12 (20a166243328); the headers of /proc/vmcore have the same
    let offset = info.number("kimage_voffset").map(i64::cast_unsigned).or(header)?;
    let page = info.get("PAGESIZE")?.parse::<u64>().ok().filter(|size| size.is_power_of_two())?;
    // TCR_EL1.T1SZ (since 5.8, bbdbc11804ff) tells what the processor does; VA_BITS what the kernel was built for
    let built = info.number("VA_BITS").and_then(|bits| u32::try_from(bits).ok());
    let told = info.number("TCR_EL1_T1SZ").and_then(|t| 64_u32.checked_sub(u32::try_from(t).ok()?));
    let mode = paging::mode(page.trailing_zeros(), told.or(built)?)?;
    let tables = tables(PhysAddr(pgd.0.wrapping_sub(offset)), mode);
    let stext = || info.symbol("_stext").map(|at| VirtAddr(at.0 & !(TEXT_ALIGN - 1)));
    let text = image_start(&tables, pgd, offset, phys).or_else(stext);
    Some(Boot {
        kaslr_offset: info.kernel_offset(),
        how: How::VmcoreInfo,
        text,
        ..placed(tables, text.unwrap_or(pgd), offset)
    })
}

/// A kernel whose image begins at `text`.
fn placed(tables: PageTables, text: VirtAddr, offset: u64) -> Boot {
    Boot {
        arch: &ARCH,
        kaslr_offset: None,
        image: Linear { start: text, end: text.add(2 * IMAGE_LIMIT), offset },
        tables,
        text: Some(text),
        how: How::Search,
    }
}

/// Kernel tables, and none for the user: those belong to processes.
fn tables(root: PhysAddr, mode: &'static Paging) -> PageTables {
    PageTables { user: Some(crate::space::NO_TABLES), ..PageTables::of(root, mode) }
}

/// The kernel whose topmost table is seen through itself at `pgd`.
fn confirmed(tables: PageTables, pgd: VirtAddr, phys: &dyn PhysRead) -> Option<Boot> {
    let found = tables.translate(phys, pgd).ok().filter(|found| found.phys == tables.root)?;
    let offset = pgd.0.wrapping_sub(found.phys.0);
    let boot = placed(tables, image_start(&tables, pgd, offset, phys)?, offset);
    has_banner(&tables, &boot.image, phys).then_some(boot)
}

/// The first page of the image: the lowest that is mapped, before `pgd`, in one piece with physical memory.
fn image_start(tables: &PageTables, pgd: VirtAddr, offset: u64, phys: &dyn PhysRead) -> Option<VirtAddr> {
    let from =
        VirtAddr(pgd.0.saturating_sub(IMAGE_LIMIT).max(layout::page_end(tables.paging.address_bits).0));
    let mut pages = tables.mapped(phys, from, pgd.add(1)).take(MAPPED_LIMIT);
    pages.find(|(at, t)| at.0.wrapping_sub(t.phys.0) == offset).map(|(at, _)| at)
}

/// True where the image holds the kernel's banner, in its read-only data.
fn has_banner(tables: &PageTables, image: &Linear, phys: &dyn PhysRead) -> bool {
    let pages = tables.mapped(phys, image.start, image.end).take(MAPPED_LIMIT);
    let own = pages.filter(|(at, t)| at.0.wrapping_sub(t.phys.0) == image.offset);
    machine::has_banner(own.map(|(_, t)| t), phys, IMAGE_ALIGN)
}

/// A page of nothing.
static EMPTY: [u8; 0x1000] = [0; 0x1000];

/// The kernel whose topmost table begins with this page.
pub(crate) fn kernel_at(at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot> {
    // most of memory is zeros, and a look at all words of a page costs more than a comparison
    if page == EMPTY {
        return None;
    }
    let words = words_of(page)?;
    MODES.iter().find_map(|mode| by_root(at, mode, &words, phys))
}

/// The entries of a table with their places, where few of them are set and all of those name tables: what a topmost table
/// has.
fn words_of(bytes: &[u8]) -> Option<Vec<(usize, u64)>> {
    const MOST: usize = 64;
    let mut words = Vec::new();
    for (i, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        if word != 0 {
            if word & 3 != 3 || words.len() == MOST {
                return None;
            }
            words.push((i, word));
        }
    }
    (!words.is_empty()).then_some(words)
}

/// A kernel whose topmost table lies here, in this mode.
fn by_root(at: PhysAddr, mode: &'static Paging, words: &[(usize, u64)], phys: &dyn PhysRead) -> Option<Boot> {
    let root = mode.levels.first()?;
    let len = 8_usize << root.bits;
    let whole = match len {
        ..=0x1000 => words.to_vec(),
        _ if at.0.is_multiple_of(len as u64) => {
            let mut bytes = vec![0; len];
            phys.read_phys(at, &mut bytes).ok()?;
            words_of(&bytes)?
        }
        _ => return None,
    };
    // the linear map in the lower half of the table, the image in the upper one
    let end = layout::page_end(mode.address_bits);
    let middle = (end.0 >> root.shift) as usize & ((1 << root.bits) - 1);
    let in_ram = |word: u64| {
        let next = PhysAddr(word & 0x0000_ffff_ffff_f000 & (u64::MAX << mode.page_shift()));
        phys.covers(next)
    };
    if whole.iter().any(|(i, word)| *i >= 1 << root.bits || !in_ram(*word)) {
        return None;
    }
    if !whole.iter().any(|(i, _)| *i < middle) || !whole.iter().any(|(i, _)| *i >= middle) {
        return None;
    }
    let tables = tables(at, mode);
    let mut pages = tables.mapped(phys, end, VirtAddr(u64::MAX)).take(MAPPED_LIMIT);
    // the kernel's own pages are not executable for user mode, and a process's tables have some that are
    let own = pages.find_map(|(virt, t)| match t.entry & UXN {
        0 => Some(None),
        _ if t.phys <= at && at.0 < t.phys.0.saturating_add(t.page_size) => {
            Some(Some(virt.add(at.0 - t.phys.0)))
        }
        _ => None,
    });
    confirmed(tables, own??, phys)
}

impl FindKernel for Arm64 {
    fn by_vmcoreinfo(&self, info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot> {
        by_vmcoreinfo(info, header, phys)
    }
    fn kernel_at(&self, at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot> {
        kernel_at(at, page, phys)
    }
    fn usual_texts(&self, info: &VmcoreInfo, paging: &Paging) -> Vec<VirtAddr> {
        layout::linked_texts(info, paging)
    }
}

#[cfg(test)]
#[path = "boot_tests.rs"]
mod tests;
