//! Where an x86-64 kernel is: its image in page tables, `phys_base`, the topmost table among all pages of memory.
//!
//! Each way ends in the same check: the tables must map the kernel's image, and the image must hold the
//! kernel's banner ("Linux version ", init/version.c).

use super::layout;
use super::layout::{DEFAULT_TEXT, IMAGE_ALIGN, KERNEL_MAP_END, START_KERNEL_MAP};
use super::{ARCH, X86_64, paging};
use crate::Paging;
use crate::boot::{is_own_root, swapper};
use crate::capability::FindKernel;
use crate::machine;
use crate::space::{Linear, PageTables, Translation};
use crate::{Boot, CpuState, How};
use base::{FaultKind, PhysAddr, PhysRead, VirtAddr, VirtRead, VmcoreInfo};

/// The kernel's image as page tables map it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    text: VirtAddr,
    phys: PhysAddr,
}

impl Image {
    fn offset(self) -> u64 {
        self.text.0.wrapping_sub(self.phys.0)
    }
}

/// Virtual minus physical address of the image: `__START_KERNEL_map` - `phys_base`.
const fn offset_of(phys_base: i64) -> u64 {
    START_KERNEL_MAP.wrapping_sub(phys_base.cast_unsigned())
}

/// The range that the kernel's image is mapped in.
const fn image_range(offset: u64) -> Linear {
    Linear { start: VirtAddr(START_KERNEL_MAP), end: VirtAddr(KERNEL_MAP_END), offset }
}

/// From the kernel's own words. `None` when they are not there, or lead to nothing.
pub(crate) fn by_vmcoreinfo(info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot> {
    let pgd = swapper(info)?;
    let phys_base = header.map(|offset| START_KERNEL_MAP.wrapping_sub(offset).cast_signed());
    let levels = if info.number("pgtable_l5_enabled") == Some(1) { 5 } else { 4 };
    // one bit, above all RAM; what is no such bit is no mask
    let end = phys.ranges().last().map_or(0, |r| r.end.0);
    let mask = info.number("sme_mask").unwrap_or(0).cast_unsigned();
    let encryption = if mask.is_power_of_two() && mask >= end { mask } else { 0 };
    let marked = |root| encryption != 0 && is_marked(root, encryption, phys) != Some(false);
    let told = info.number("phys_base").or(phys_base);
    let at = |phys_base: i64| {
        let root = PhysAddr(pgd.0.wrapping_sub(START_KERNEL_MAP).wrapping_add_signed(phys_base));
        let encryption = if marked(root) { encryption } else { 0 };
        (phys_base, PageTables { encryption, ..paging::tables(root, levels) })
    };
    // before 4.10 (401721ecd1dc) the note lacks phys_base: 0 unless the image was relocated
    let (phys_base, tables) = match told {
        Some(told) => at(told),
        None => bases(phys, |base| at(base).1.root).map(at).find(|(_, t)| is_own_root(t, pgd, phys))?,
    };
    let kaslr_offset = info.kernel_offset().unwrap_or(0);
    let told = || info.symbol("_stext").map(|t| VirtAddr(t.0 & !(IMAGE_ALIGN - 1)));
    // the first page that is mapped, unless the table that maps what is told is not in the dump
    let is_lost = |at: &VirtAddr| matches!(tables.translate(phys, *at), Err(FaultKind::Table(_)));
    let mapped = first_mapped(&tables, phys).map(|image| image.text);
    let text = told().filter(|told| mapped.is_none_or(|at| *told < at && is_lost(told))).or(mapped);
    Some(Boot {
        arch: &ARCH,
        kaslr_offset: Some(kaslr_offset),
        image: image_range(offset_of(phys_base)),
        tables,
        text,
        how: How::VmcoreInfo,
    })
}

/// The page tables that a CPU was using: two readings of its CR3.
pub(crate) fn tables_used(state: &CpuState, phys: &dyn PhysRead) -> Vec<(&'static str, PageTables)> {
    let Some(control) = state.control else { return Vec::new() };
    let levels = if control.la57() { 5 } else { 4 };
    // bits 0 to 11 are flags or the PCID, bit 63 its "no flush"; with page table isolation bit 12
    // says that it is the user's copy, whose kernel twin is the page before
    let root = control.cr3() & 0x000f_ffff_ffff_e000;
    let exact = control.cr3() & 0x000f_ffff_ffff_f000;
    [root, exact].map(|root| ("CR3", encrypted(paging::tables(PhysAddr(root), levels), phys))).into()
}

/// How far virtual addresses of the image that these tables map lie above the physical ones.
pub(crate) fn image_offset(tables: &PageTables, phys: &dyn PhysRead) -> Option<u64> {
    first_mapped(tables, phys).map(Image::offset)
}

/// The image and the banner in it, or nothing.
pub(crate) fn kernel_in(tables: PageTables, phys: &dyn PhysRead) -> Option<Boot> {
    let image = first_mapped(&tables, phys).filter(|image| has_banner(&tables, phys, *image))?;
    Some(Boot {
        arch: &ARCH,
        kaslr_offset: Some(image.text.0.wrapping_sub(DEFAULT_TEXT)),
        image: image_range(image.offset()),
        tables,
        text: Some(image.text),
        how: How::Search,
    })
}

/// The lowest page mapped in the kernel image's range: `_text`, as everything before it is unmapped at boot
/// (cleanup_highmap, arch/x86/mm/init_64.c).
fn first_mapped(tables: &PageTables, phys: &dyn PhysRead) -> Option<Image> {
    let (text, Translation { phys, entry, .. }) =
        tables.mapped(phys, VirtAddr(START_KERNEL_MAP), VirtAddr(KERNEL_MAP_END)).next()?;
    // tables of other machines walk like these
    let foreign = entry & SOFTWARE_54 != 0;
    (!foreign && text.0 >= DEFAULT_TEXT && text.0 % IMAGE_ALIGN == 0).then_some(Image { text, phys })
}

/// A bit that x86 leaves to software and Linux leaves clear; arm64 marks all pages of its kernel with it.
const SOFTWARE_54: u64 = 1 << 54;

/// How much of the image to look through: text and read-only data of the largest kernels.
const BANNER_LIMIT: u64 = 192 << 20;

/// True where the image has a banner: in read-only data, which follows the text.
fn has_banner(tables: &PageTables, phys: &dyn PhysRead, image: Image) -> bool {
    let end = VirtAddr(image.text.0.saturating_add(BANNER_LIMIT).min(KERNEL_MAP_END));
    let within = |most| {
        let pages = tables.mapped(phys, image.text, end).map(|(_, t)| t);
        machine::has_banner(pages, phys, most)
    };
    // read-only data begin on a 2 MiB boundary and, in most builds, with the banner
    within(0x1000) || within(IMAGE_ALIGN)
}

/// Values that `phys_base` can have: 0, then every position of the image that has the page at `root`
/// in this memory.
fn bases(phys: &dyn PhysRead, root: impl Fn(i64) -> PhysAddr) -> impl Iterator<Item = i64> {
    let first = root(0).0 % IMAGE_ALIGN;
    let mut next = Some(first);
    let positions = std::iter::from_fn(move || {
        let from = next?;
        let present = phys.skip_holes(PhysAddr(from))?.0;
        // the first position at or after the page that is there
        let at = first
            .checked_add(present.saturating_sub(first).div_ceil(IMAGE_ALIGN).checked_mul(IMAGE_ALIGN)?)?;
        next = at.checked_add(IMAGE_ALIGN);
        (at < phys.ranges().last()?.end.0).then(|| at.wrapping_sub(root(0).0).cast_signed())
    });
    std::iter::once(0).chain(positions)
}

/// With memory encryption the tables' own addresses carry the mark: the lowest address bit that no RAM has
/// and that the root's last entry has set.
fn encrypted(tables: PageTables, phys: &dyn PhysRead) -> PageTables {
    let end = phys.ranges().last().map_or(0, |r| r.end.0);
    if tables.root.0 < end {
        return tables;
    }
    let bit = 63 - tables.root.0.leading_zeros().min(63);
    let mask = 1_u64 << bit;
    PageTables { root: PhysAddr(tables.root.0 & !mask), encryption: mask, ..tables }
}

/// The kernel whose topmost page table the page at `at` is, with itself in it.
pub(crate) fn kernel_at(at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot> {
    if !is_candidate(phys, page) {
        return None;
    }
    [4, 5].into_iter().find_map(|levels| {
        let tables = paging::tables(at, levels);
        let boot = kernel_in(tables, phys)?;
        let own = VirtAddr(at.0.wrapping_add(boot.image.offset));
        is_own_root(&tables, own, phys).then_some(boot)
    })
}

/// Where the image was linked to begin, as the boot loader read it: the member `hdr.pref_address` of `boot_params`
/// (Documentation/arch/x86/boot.rst).
pub(crate) fn text_by_loader(
    mem: &dyn VirtRead,
    symbol: &dyn Fn(&str) -> Option<VirtAddr>,
) -> Option<VirtAddr> {
    const PREF_ADDRESS: u64 = 0x258;
    let linked = mem.u64(symbol("boot_params")?.add(PREF_ADDRESS)).ok()?;
    let fits =
        linked != 0 && linked.is_multiple_of(IMAGE_ALIGN) && linked < KERNEL_MAP_END - START_KERNEL_MAP;
    fits.then_some(VirtAddr(START_KERNEL_MAP.wrapping_add(linked)))
}

/// Whether the entry of a topmost table that maps the kernel's image has a mark of memory encryption; `None` where the
/// table is not in the dump, or maps none.
fn is_marked(root: PhysAddr, mark: u64, phys: &dyn PhysRead) -> Option<bool> {
    let mut entry = [0; 8];
    phys.read_phys(root.add(511 * 8), &mut entry).ok()?;
    let entry = u64::from_le_bytes(entry);
    (entry & paging::PRESENT != 0).then_some(entry & mark != 0)
}

/// Entries from here on (`CPU_ENTRY_AREA_PGD`, `ESPFIX_PGD_ENTRY`, the image) are also in the table below a topmost one of five
/// levels; those before it only a topmost table of four levels has.
const SHARED_ENTRIES: usize = 508;

/// A cheap look at a page: can it be the kernel's topmost page table? Its last entry (kernel image) names a
/// table in RAM, its first half (user space) is empty, and it has at least one more entry (direct map) that the table
/// below a topmost one of five levels has not.
fn is_candidate(phys: &dyn PhysRead, bytes: &[u8]) -> bool {
    let word = |i: usize| {
        let start = i * 8;
        bytes.get(start..start + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
    };
    let names_table = |entry: u64| {
        let table = PhysAddr(entry & 0x000f_ffff_ffff_f000);
        // present and writable, not huge
        entry & 0x83 == 0x03 && phys.covers(table)
    };
    names_table(word(511))
        && (0..256).all(|i| word(i) == 0)
        && (256..SHARED_ENTRIES).any(|i| names_table(word(i)))
}

impl FindKernel for X86_64 {
    fn by_vmcoreinfo(&self, info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot> {
        by_vmcoreinfo(info, header, phys)
    }
    fn tables_used(&self, state: &CpuState, phys: &dyn PhysRead) -> Vec<(&'static str, PageTables)> {
        tables_used(state, phys)
    }
    fn image_offset(&self, tables: &PageTables, phys: &dyn PhysRead) -> Option<u64> {
        image_offset(tables, phys)
    }
    fn kernel_in(&self, tables: PageTables, phys: &dyn PhysRead) -> Option<Boot> {
        kernel_in(tables, phys)
    }
    fn kernel_at(&self, at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot> {
        kernel_at(at, page, phys)
    }
    fn usual_texts(&self, _info: &VmcoreInfo, _paging: &Paging) -> Vec<VirtAddr> {
        vec![VirtAddr(layout::DEFAULT_TEXT)]
    }
    fn text_by_loader(
        &self,
        mem: &dyn VirtRead,
        symbol: &dyn Fn(&str) -> Option<VirtAddr>,
    ) -> Option<VirtAddr> {
        text_by_loader(mem, symbol)
    }
}

#[cfg(test)]
#[path = "boot_tests.rs"]
mod tests;
