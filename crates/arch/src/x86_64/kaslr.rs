//! Where the running kernel is: how far KASLR moved its image, `phys_base`, and its page tables. From
//! VMCOREINFO where the dump has it, else from a CPU's CR3, else by a search of physical memory.
//!
//! Each way ends in the same check: the tables must map the kernel's image, and the image must hold the
//! kernel's banner ("Linux version ", init/version.c).

use super::evidence::{self, Fit};
use super::layout::{DEFAULT_TEXT, IMAGE_ALIGN, KERNEL_MAP_END, START_KERNEL_MAP};
use super::paging;
use crate::machine::{NameSearch, find_in_pages};
use crate::space::{Linear, PageTables, Translation};
use crate::{CpuState, OwnName};
use base::{FaultKind, PhysAddr, PhysRange, PhysRead, VirtAddr, VirtRead, VmcoreInfo};

/// How the kernel was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// VMCOREINFO said it.
    VmcoreInfo,
    /// A CPU's CR3 and the page tables that it names.
    Cr3,
    /// A search of physical memory.
    Search,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            How::VmcoreInfo => "VMCOREINFO",
            How::Cr3 => "a CPU's CR3",
            How::Search => "a search of physical memory",
        })
    }
}

/// Why no kernel was found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BootError {
    /// None of the ways led to a kernel.
    #[error("{tried}")]
    NotFound {
        /// What was tried, and what came of it.
        tried: String,
        /// What a kernel in this memory calls itself.
        name: Option<OwnName>,
    },
}

/// Where the running kernel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boot {
    /// How far the image lies above the addresses that it was linked for.
    pub kaslr_offset: u64,
    /// `phys_base`: physical address = virtual address - `__START_KERNEL_map` + this.
    pub phys_base: i64,
    /// The kernel's page tables.
    pub tables: PageTables,
    /// The first mapped address of the image, where it was looked up (`_text`).
    pub text: Option<VirtAddr>,
    /// How it was found.
    pub how: How,
}

/// The kernel's image as page tables map it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    text: VirtAddr,
    phys: PhysAddr,
}

impl Image {
    pub(crate) fn phys_base(self) -> i64 {
        self.phys.0.wrapping_sub(self.text.0.wrapping_sub(START_KERNEL_MAP)).cast_signed()
    }
}

impl Boot {
    /// The architecture whose kernels are looked for.
    #[must_use]
    pub fn arch() -> &'static dyn crate::Arch {
        &super::X86_64
    }

    /// Tries every way, the surest first. `phys_base` is what the dump's own header says, where it does.
    ///
    /// # Errors
    /// No way led to a kernel.
    pub fn find(
        info: &VmcoreInfo,
        states: &[CpuState],
        phys_base: Option<i64>,
        phys: &dyn PhysRead,
    ) -> Result<Found, BootError> {
        let told = Self::from_vmcoreinfo(info, phys_base, phys);
        let fit = told.zip(swapper(info)).map(|(boot, pgd)| evidence::fit(&boot, info, pgd, phys));
        let found = |boot: Self, dropped, sure| Found {
            boot,
            others: evidence::others(&[boot], states, phys),
            dropped,
            sure,
        };
        if let (Some(boot), Some(Fit::Yes)) = (told, &fit) {
            return Ok(found(boot, None, true));
        }
        // what cannot be checked is no more than a claim: a kernel that memory shows counts more
        let (shown, name) = match Self::from_cpu_states(states, phys) {
            Some(shown) => (Some(shown), None),
            None => Self::search_named(phys),
        };
        match (shown, told, fit) {
            (Some(shown), Some(told), Some(Fit::Unknown)) if is_same_place(&shown, &told) => {
                Ok(found(told, None, true))
            }
            (Some(shown), _, fit) => {
                let dropped = match fit {
                    Some(Fit::No(why)) => Some(why),
                    Some(_) => Some(
                        "the pages that it names are not in the dump, and memory has a kernel elsewhere"
                            .into(),
                    ),
                    None if info.is_empty() => None,
                    None => Some("it does not lead to page tables".into()),
                };
                Ok(found(shown, dropped, true))
            }
            (None, Some(told), Some(Fit::Unknown)) => Ok(found(told, None, false)),
            // memory is damaged rather than VMCOREINFO wrong
            (None, Some(told), _) => Ok(Found { boot: told, others: Vec::new(), dropped: None, sure: false }),
            (None, None, _) => Err(not_found(info, states, name)),
        }
    }

    /// True where memory has what VMCOREINFO says of it, and where it says nothing that memory could have. Where the pages
    /// that tell are not there, that is not so: [`Boot::find`] looks further.
    #[must_use]
    pub fn is_confirmed(info: &VmcoreInfo, phys_base: Option<i64>, phys: &dyn PhysRead) -> bool {
        let told = Self::from_vmcoreinfo(info, phys_base, phys).zip(swapper(info));
        told.is_none_or(|(boot, pgd)| evidence::fit(&boot, info, pgd, phys) == Fit::Yes)
    }

    /// From the kernel's own words. `None` when they are not there, or lead to nothing.
    #[must_use]
    pub fn from_vmcoreinfo(info: &VmcoreInfo, phys_base: Option<i64>, phys: &dyn PhysRead) -> Option<Self> {
        let pgd = swapper(info)?;
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
        Some(Self { kaslr_offset, phys_base, tables, text, how: How::VmcoreInfo })
    }

    /// How far KASLR moved an image that was linked for the usual address and begins where this one does.
    #[must_use]
    pub fn usual_offset(&self) -> Option<u64> {
        self.text.map(|text| text.0.wrapping_sub(DEFAULT_TEXT))
    }

    /// How far KASLR moved the image, by the address that it was linked for as the boot loader read it: the member
    /// `hdr.pref_address` of the `struct boot_params` at `boot_params` (Documentation/arch/x86/boot.rst).
    #[must_use]
    pub fn offset_by_loader(&self, mem: &dyn VirtRead, boot_params: VirtAddr) -> Option<u64> {
        const PREF_ADDRESS: u64 = 0x258;
        let linked = mem.u64(boot_params.add(PREF_ADDRESS)).ok()?;
        let fits =
            linked != 0 && linked.is_multiple_of(IMAGE_ALIGN) && linked < KERNEL_MAP_END - START_KERNEL_MAP;
        fits.then_some(self.text?.0.wrapping_sub(START_KERNEL_MAP + linked))
    }

    /// From the page tables that a CPU was using when the dump was taken.
    #[must_use]
    pub fn from_cpu_states(states: &[CpuState], phys: &dyn PhysRead) -> Option<Self> {
        let tables = states.iter().filter_map(|state| Self::tables_of(state, phys));
        tables.flatten().find_map(|tables| found(tables, phys, How::Cr3))
    }

    /// The page tables that a CPU was using: two readings of its CR3.
    pub(crate) fn tables_of(state: &CpuState, phys: &dyn PhysRead) -> Option<[PageTables; 2]> {
        let control = state.control?;
        let levels = if control.la57() { 5 } else { 4 };
        // bits 0 to 11 are flags or the PCID, bit 63 its "no flush"; with page table isolation bit 12
        // says that it is the user's copy, whose kernel twin is the page before
        let root = control.cr3() & 0x000f_ffff_ffff_e000;
        let exact = control.cr3() & 0x000f_ffff_ffff_f000;
        Some([root, exact].map(|root| encrypted(paging::tables(PhysAddr(root), levels), phys)))
    }

    /// Without anything but memory: looks for a page that, taken as the topmost page table, maps the kernel's
    /// image with itself in it (`swapper_pg_dir` lies in the image's data).
    #[must_use]
    pub fn search(phys: &dyn PhysRead) -> Option<Self> {
        Self::search_named(phys).0
    }

    /// What a kernel in this memory calls itself, of any machine.
    #[must_use]
    pub fn name_in(phys: &dyn PhysRead) -> Option<OwnName> {
        Self::search_named(phys).1
    }

    /// The same, and the name that a kernel calls itself by where none is found: of another machine's, perhaps. All memory
    /// is gone through once.
    fn search_named(phys: &dyn PhysRead) -> (Option<Self>, Option<OwnName>) {
        let (mut first, mut names) = (None, Some(NameSearch::default()));
        search_all(phys.ranges(), phys, &mut names, |boot| {
            first = Some(boot);
            true
        });
        (first, names.and_then(NameSearch::found))
    }

    /// All kernels that lie in memory, beside those that are known: goes through the whole of it, or of a part.
    #[must_use]
    pub fn search_others(known: &[Self], within: Option<PhysRange>, phys: &dyn PhysRead) -> Vec<Self> {
        let mut out = known.to_vec();
        let all = phys.ranges().iter().copied();
        let ranges: Vec<PhysRange> = match within {
            Some(part) => all.filter_map(|range| overlap(range, part)).collect(),
            None => all.collect(),
        };
        search_all(&ranges, phys, &mut None, |boot| {
            if evidence::is_new_boot(&out, &boot) {
                out.push(boot);
            }
            false
        });
        out.split_off(known.len())
    }

    /// The physical address of an address in the kernel's image, by arithmetic.
    #[must_use]
    pub const fn image_phys(&self, at: VirtAddr) -> PhysAddr {
        PhysAddr(at.0.wrapping_sub(START_KERNEL_MAP).wrapping_add_signed(self.phys_base))
    }

    /// The range that the kernel's image is mapped in.
    #[must_use]
    pub const fn image(&self) -> Linear {
        let offset = START_KERNEL_MAP.wrapping_sub(self.phys_base.cast_unsigned());
        Linear { start: VirtAddr(START_KERNEL_MAP), end: VirtAddr(KERNEL_MAP_END), offset }
    }

    /// The same kernel with `swapper_pg_dir` as the root: a CR3 is some process's, whose copy of the kernel's
    /// half may lack entries made since. `swapper` is the symbol's address in the running kernel.
    #[must_use]
    pub fn with_swapper(mut self, swapper: VirtAddr, phys: &dyn PhysRead) -> Self {
        let root = PhysAddr(swapper.0.wrapping_sub(START_KERNEL_MAP).wrapping_add_signed(self.phys_base));
        let tables = PageTables { root, ..self.tables };
        if is_own_root(&tables, swapper, phys) {
            self.tables = tables;
        }
        self
    }
}

/// What a search for the kernel came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Where the kernel is.
    pub boot: Boot,
    /// Other kernels that CPUs ran: a crash kernel.
    pub others: Vec<Boot>,
    /// Why VMCOREINFO was not believed, where it was not.
    pub dropped: Option<String>,
    /// Memory itself confirms it: it does not rest on the headers' words alone.
    pub sure: bool,
}

/// The address of the kernel's topmost page table. `init_level4_pgt` became `init_top_pgt` in 4.13 (65ade2f872b4);
/// `swapper_pg_dir` is a macro for either.
fn swapper(info: &VmcoreInfo) -> Option<VirtAddr> {
    ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"].iter().find_map(|n| info.symbol(n))
}

fn not_found(info: &VmcoreInfo, states: &[CpuState], name: Option<OwnName>) -> BootError {
    BootError::NotFound {
        tried: format!(
            "VMCOREINFO {}; {} CPU notes with page tables; no page of it is a kernel's topmost page table",
            if info.is_empty() { "is not there" } else { "does not lead to page tables" },
            states.iter().filter(|s| s.control.is_some()).count(),
        ),
        name,
    }
}

/// The image and the banner in it, or nothing.
fn found(tables: PageTables, phys: &dyn PhysRead, how: How) -> Option<Boot> {
    let image = first_mapped(&tables, phys)?;
    banner(&tables, phys, image)?;
    Some(Boot {
        kaslr_offset: image.text.0.wrapping_sub(DEFAULT_TEXT),
        phys_base: image.phys_base(),
        tables,
        text: Some(image.text),
        how,
    })
}

/// The lowest page mapped in the kernel image's range: `_text`, as everything before it is unmapped at boot
/// (cleanup_highmap, arch/x86/mm/init_64.c).
pub(crate) fn first_mapped(tables: &PageTables, phys: &dyn PhysRead) -> Option<Image> {
    let (text, Translation { phys, entry, .. }) =
        tables.mapped(phys, VirtAddr(START_KERNEL_MAP), VirtAddr(KERNEL_MAP_END)).next()?;
    // arm64 tables walk like these; they mark the kernel's pages as not executable for the user, in a bit that x86 lacks
    let foreign = entry & ARM64_UXN != 0;
    (!foreign && text.0 >= DEFAULT_TEXT && text.0 % IMAGE_ALIGN == 0).then_some(Image { text, phys })
}

/// Bit 54 of an arm64 descriptor: unprivileged execute never. x86 leaves it to software, and Linux leaves it clear.
const ARM64_UXN: u64 = 1 << 54;

/// How much of the image to look through: text and read-only data of the largest kernels.
const BANNER_LIMIT: u64 = 192 << 20;

/// The address of the banner: it lies in read-only data, which follows the text.
fn banner(tables: &PageTables, phys: &dyn PhysRead, image: Image) -> Option<VirtAddr> {
    // read-only data begin on a 2 MiB boundary and, in most builds, with the banner
    find_banner(tables, phys, image, 0x1000).or_else(|| find_banner(tables, phys, image, IMAGE_ALIGN))
}

/// Looks at the first `most` bytes of every mapped page of the image.
fn find_banner(tables: &PageTables, phys: &dyn PhysRead, image: Image, most: u64) -> Option<VirtAddr> {
    let end = VirtAddr(image.text.0.saturating_add(BANNER_LIMIT).min(KERNEL_MAP_END));
    find_in_pages(tables.mapped(phys, image.text, end), phys, most)
}

/// True when the root, seen through its own tables, is found at the address that its symbol has.
fn is_own_root(tables: &PageTables, symbol: VirtAddr, phys: &dyn PhysRead) -> bool {
    tables.translate(phys, symbol).is_ok_and(|t| t.phys == tables.root)
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

/// Pages that are looked at in one go.
const AT_ONCE: usize = 64;

/// Hands every kernel's own page tables to `is_enough`, up to the one for which that is true. What a kernel calls itself is
/// looked for in the same bytes where `names` wants that.
fn search_all(
    ranges: &[PhysRange],
    phys: &dyn PhysRead,
    names: &mut Option<NameSearch>,
    mut is_enough: impl FnMut(Boot) -> bool,
) {
    let mut buf = vec![0; AT_ONCE * 0x1000];
    for range in ranges {
        let mut at = range.start.add(0xfff).page_base();
        while let Some(present) = phys.skip_holes(at).filter(|p| *p < range.end) {
            let Some(aligned) = present.0.checked_next_multiple_of(0x1000) else { break };
            at = PhysAddr(aligned);
            let most =
                usize::try_from(range.end.0.saturating_sub(aligned)).unwrap_or(usize::MAX).min(buf.len());
            let Some(bytes) = buf.get_mut(..most) else { break };
            let read = phys.read_stretch(at, bytes).unwrap_or(0);
            let bytes = bytes.get(..read).unwrap_or_default();
            for (n, page) in (0_u64..).zip(bytes.chunks_exact(0x1000)) {
                if is_candidate(phys, page)
                    && own_kernel(at.add(n * 0x1000), phys).is_some_and(&mut is_enough)
                {
                    return;
                }
            }
            if let Some(names) = names {
                names.look(at, bytes, phys);
            }
            at = PhysAddr(at.0.saturating_add((read as u64 & !0xfff).max(0x1000)));
        }
    }
}

/// The kernel whose topmost page table the page at `at` is, with itself in it.
fn own_kernel(at: PhysAddr, phys: &dyn PhysRead) -> Option<Boot> {
    [4, 5].into_iter().find_map(|levels| {
        let tables = paging::tables(at, levels);
        let boot = found(tables, phys, How::Search)?;
        let own = VirtAddr(at.0.wrapping_add_signed(-boot.phys_base).wrapping_add(START_KERNEL_MAP));
        is_own_root(&tables, own, phys).then_some(boot)
    })
}

/// True where what is told can be of the kernel that memory shows, as far as both say where that is: another boot's text
/// leads to the same distance between virtual and physical addresses, but not to the same image.
fn is_same_place(shown: &Boot, told: &Boot) -> bool {
    let same_text = shown.text.zip(told.text).is_none_or(|(a, b)| a == b);
    // a search finds the topmost table itself, a CPU one of any process
    let same_root = shown.how != How::Search || shown.tables.root == told.tables.root;
    shown.phys_base == told.phys_base && same_text && same_root
}

/// Whether the entry of a topmost table that maps the kernel's image has a mark of memory encryption; `None` where the
/// table is not in the dump, or maps none.
fn is_marked(root: PhysAddr, mark: u64, phys: &dyn PhysRead) -> Option<bool> {
    let mut entry = [0; 8];
    phys.read_phys(root.add(511 * 8), &mut entry).ok()?;
    let entry = u64::from_le_bytes(entry);
    (entry & paging::PRESENT != 0).then_some(entry & mark != 0)
}

/// What two ranges have in common.
fn overlap(a: PhysRange, b: PhysRange) -> Option<PhysRange> {
    let (start, end) = (a.start.max(b.start), a.end.min(b.end));
    (start < end).then_some(PhysRange { start, end })
}

/// A cheap look at a page: can it be the kernel's topmost page table? Its last entry (kernel image) names a
/// table in RAM, its first half (user space) is empty, and it has at least one more entry (direct map).
fn is_candidate(phys: &dyn PhysRead, bytes: &[u8]) -> bool {
    let word = |i: usize| {
        let start = i * 8;
        bytes.get(start..start + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
    };
    let names_table = |entry: u64| {
        let table = PhysAddr(entry & 0x000f_ffff_ffff_f000);
        // present and writable, not huge
        entry & 0x83 == 0x03 && phys.ranges().iter().any(|r| r.contains(table))
    };
    names_table(word(511)) && (0..256).all(|i| word(i) == 0) && (256..511).any(|i| names_table(word(i)))
}

#[cfg(test)]
#[path = "kaslr_tests.rs"]
mod tests;
