//! Where the running kernel is: its image, its page tables, how far KASLR moved it. From VMCOREINFO where the dump has it,
//! else from the page tables that a CPU used, else by a search of physical memory. What differs from one architecture to the
//! next they say themselves ([`crate::Arch`]); here stand the order of the ways and what memory must confirm.

use crate::machine::{NameSearch, claimed_by};
use crate::space::{Linear, PageTables};
use crate::{ARCHES, Arch, Claim, CpuState, OwnName};
use base::{FaultKind, Gap, PhysAddr, PhysRange, PhysRead, RawNote, VirtAddr, VirtRead, VmcoreInfo};

/// How the kernel was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// VMCOREINFO said it.
    VmcoreInfo,
    /// The page tables that this register of a CPU names.
    Cpu(&'static str),
    /// A search of physical memory.
    Search,
    /// It lies nowhere: there is no memory, and the text of a log tells of it.
    Log,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            How::VmcoreInfo => f.write_str("VMCOREINFO"),
            How::Cpu(register) => write!(f, "a CPU's {register}"),
            How::Search => f.write_str("a search of physical memory"),
            How::Log => f.write_str("the text of its log"),
        }
    }
}

/// Why no kernel was found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
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

/// What a dump's headers say that can lead to its kernel. None of it is believed before memory confirms it.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The machines that it claims to be of.
    pub claims: &'a [Claim],
    /// Its notes.
    pub notes: &'a [RawNote],
    /// VMCOREINFO; empty where there is none.
    pub info: &'a VmcoreInfo,
    /// Virtual and physical addresses at which segments begin, where the dump's writer knew both.
    pub segments: &'a [(VirtAddr, PhysAddr)],
    /// The memory.
    pub phys: &'a dyn PhysRead,
}

impl Evidence<'_> {
    /// The same with other VMCOREINFO.
    #[must_use]
    pub fn with_info<'b>(&'b self, info: &'b VmcoreInfo) -> Evidence<'b> {
        Evidence { info, ..*self }
    }

    /// The architectures that the headers name, the surest first, and the others; all of them where the headers name none.
    fn arches(&self) -> (Vec<&'static Arch>, Vec<&'static Arch>) {
        let mut named: Vec<&'static Arch> = Vec::new();
        for arch in self.claims.iter().filter_map(|claim| crate::by_name(&claim.machine)) {
            if !named.contains(&arch) {
                named.push(arch);
            }
        }
        let others: Vec<_> = ARCHES.iter().copied().filter(|arch| !named.contains(arch)).collect();
        if named.is_empty() { (others, named) } else { (named, others) }
    }

    /// Where VMCOREINFO places a kernel, in the architecture's reading.
    fn by_vmcoreinfo(&self, arch: &Arch) -> Option<Boot> {
        // a line that only another machine's text has
        if self.info.is_empty() || claimed_by(self.info).is_some_and(|(_, machine)| machine != arch.name()) {
            return None;
        }
        let [start, end, _] = arch.layout.image_range();
        let image = self.segments.iter().find(|(virt, _)| (start..end).contains(virt));
        arch.boot.by_vmcoreinfo(self.info, image.map(|(virt, at)| virt.0.wrapping_sub(at.0)), self.phys)
    }
}

/// Where the running kernel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boot {
    /// What machine's kernel it is.
    pub arch: &'static Arch,
    /// How far the image lies above the addresses that it was linked for, where that is known.
    pub kaslr_offset: Option<u64>,
    /// The range that the kernel's image is mapped in.
    pub image: Linear,
    /// The kernel's page tables.
    pub tables: PageTables,
    /// The first mapped address of the image, where it was looked up: `_text`, or `_stext`.
    pub text: Option<VirtAddr>,
    /// How it was found.
    pub how: How,
}

impl Boot {
    /// Tries every way, the surest first.
    ///
    /// # Errors
    /// No way led to a kernel.
    pub fn find(evidence: &Evidence<'_>) -> Result<Found, BootError> {
        let (named, others) = evidence.arches();
        let (told, fit) = match by_vmcoreinfo(evidence, &named) {
            Some((told, fit)) => (Some(told), Some(fit)),
            None => (None, None),
        };
        let found = |boot: Self, dropped, sure| Found {
            boot,
            others: others_of(boot, &boot.arch.notes.cpu_states(evidence.notes), evidence.phys),
            dropped,
            sure,
        };
        if let (Some(boot), Some(Fit::Yes)) = (told, &fit) {
            return Ok(found(boot, None, true));
        }
        // what cannot be checked is no more than a claim: a kernel that memory shows counts more
        let all = || named.iter().chain(&others);
        let ran =
            all().find_map(|arch| Self::ran(arch, &arch.notes.cpu_states(evidence.notes), evidence.phys));
        let (shown, name) = match ran {
            Some(shown) => (Some(shown), None),
            None => match Self::search_named(&named, evidence.phys) {
                // memory is gone through again where no kernel of a machine that is named lies in it
                (None, name) if !others.is_empty() => (Self::first(&others, evidence.phys, &mut None), name),
                found => found,
            },
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
                    None if evidence.info.is_empty() => None,
                    None => Some("it does not lead to page tables".into()),
                };
                Ok(found(shown, dropped, true))
            }
            (None, Some(told), Some(Fit::Unknown)) => Ok(found(told, None, false)),
            // memory is damaged rather than VMCOREINFO wrong
            (None, Some(told), _) => Ok(Found { boot: told, others: Vec::new(), dropped: None, sure: false }),
            (None, None, _) => Err(not_found(evidence, name)),
        }
    }

    /// True where memory has what VMCOREINFO says of it, and where it says nothing that memory could have. Where the pages
    /// that tell are not there, that is not so: [`Boot::find`] looks further.
    #[must_use]
    pub fn is_confirmed(evidence: &Evidence<'_>) -> bool {
        by_vmcoreinfo(evidence, &evidence.arches().0).is_none_or(|(_, fit)| fit == Fit::Yes)
    }

    /// From the page tables that a CPU was using when the dump was taken.
    fn ran(arch: &Arch, states: &[CpuState], phys: &dyn PhysRead) -> Option<Self> {
        let used = states.iter().flat_map(|state| arch.boot.tables_used(state, phys));
        used.into_iter().find_map(|(register, tables)| {
            Some(Self { how: How::Cpu(register), ..arch.boot.kernel_in(tables, phys)? })
        })
    }

    /// Without anything but memory: looks for a page that, taken as the topmost page table, maps the kernel's image with
    /// itself in it (`swapper_pg_dir` lies in the image's data).
    #[must_use]
    pub fn search(phys: &dyn PhysRead) -> Option<Self> {
        Self::first(ARCHES, phys, &mut None)
    }

    /// The first kernel in memory, and the name that one calls itself by where none is found: of another machine's, perhaps.
    /// All memory is gone through once.
    fn search_named(arches: &[&'static Arch], phys: &dyn PhysRead) -> (Option<Self>, Option<OwnName>) {
        let mut names = Some(NameSearch::default());
        (Self::first(arches, phys, &mut names), names.and_then(NameSearch::found))
    }

    fn first(arches: &[&'static Arch], phys: &dyn PhysRead, names: &mut Option<NameSearch>) -> Option<Self> {
        let mut first = None;
        search_all(arches, phys.ranges(), phys, names, |boot| {
            first = Some(boot);
            true
        });
        first
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
        let mut arches: Vec<&'static Arch> = Vec::new();
        for boot in known {
            if !arches.contains(&boot.arch) {
                arches.push(boot.arch);
            }
        }
        search_all(&arches, &ranges, phys, &mut None, |boot| {
            if is_new(&out, boot.image.offset) {
                out.push(boot);
            }
            false
        });
        out.split_off(known.len())
    }

    /// A kernel of whose memory nothing is there, so that no page tables lead to it.
    #[must_use]
    pub fn without_memory(arch: &'static Arch, kaslr_offset: Option<u64>) -> Option<Self> {
        let paging = arch.paging.modes().first().copied()?;
        Some(Self {
            arch,
            kaslr_offset,
            image: Linear { start: VirtAddr(0), end: VirtAddr(0), offset: 0 },
            tables: PageTables::of(PhysAddr(0), paging),
            text: None,
            how: How::Log,
        })
    }

    /// How far addresses that the linker gave are moved: not at all where it is not known that they are.
    #[must_use]
    pub fn slide(&self) -> u64 {
        self.kaslr_offset.unwrap_or(0)
    }

    /// The physical address of an address in the kernel's image, by arithmetic.
    #[must_use]
    pub const fn image_phys(&self, at: VirtAddr) -> PhysAddr {
        PhysAddr(at.0.wrapping_sub(self.image.offset))
    }

    /// Where the kernel's image begins in physical memory, as far as its text is known.
    #[must_use]
    pub fn image_start(&self) -> Option<PhysAddr> {
        self.text.map(|text| PhysAddr(self.image_phys(text).0 & !(self.arch.layout.image_align() - 1)))
    }

    /// The same kernel with `swapper_pg_dir` as the root: the tables of a CPU are some process's, whose copy of the kernel's
    /// half may lack entries made since. `swapper` is the symbol's address in the running kernel.
    #[must_use]
    pub fn with_swapper(mut self, swapper: VirtAddr, phys: &dyn PhysRead) -> Self {
        let tables = PageTables { root: self.image_phys(swapper), ..self.tables };
        if is_own_root(&tables, swapper, phys) {
            self.tables = tables;
        }
        self
    }

    /// How far KASLR can have moved an image that is linked as one of the releases does and begins where this one does.
    #[must_use]
    pub fn usual_offsets(&self, info: &VmcoreInfo) -> Vec<u64> {
        let Some(text) = self.text else { return Vec::new() };
        // what is mapped may begin behind the image's head, which is as long as the image is aligned
        let head = if self.arch.layout.may_begin_at_stext() { self.arch.layout.image_align() } else { 0 };
        let all = self.arch.boot.usual_texts(info, self.tables.paging).into_iter();
        all.flat_map(|linked| [0, head].map(|head| text.0.wrapping_sub(linked.0).wrapping_sub(head)))
            .collect()
    }

    /// How far KASLR moved the image, by the address that it was linked for as the boot loader read it.
    #[must_use]
    pub fn offset_by_loader(
        &self,
        mem: &dyn VirtRead,
        symbol: &dyn Fn(&str) -> Option<VirtAddr>,
    ) -> Option<u64> {
        Some(self.text?.0.wrapping_sub(self.arch.boot.text_by_loader(mem, symbol)?.0))
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

/// How VMCOREINFO fits memory.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fit {
    /// Memory has what it says.
    Yes,
    /// The pages that could tell are not in the dump.
    Unknown,
    /// Memory has something else there.
    No(String),
}

/// The address of the kernel's topmost page table. `init_level4_pgt` became `init_top_pgt` in x86's 4.13 (65ade2f872b4);
/// `swapper_pg_dir` is a macro for either.
pub(crate) fn swapper(info: &VmcoreInfo) -> Option<VirtAddr> {
    ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"].iter().find_map(|n| info.symbol(n))
}

/// Where VMCOREINFO places the kernel, and how that fits memory; the first architecture for which it fits, else the first
/// in whose reading it leads to page tables.
fn by_vmcoreinfo(evidence: &Evidence<'_>, arches: &[&'static Arch]) -> Option<(Boot, Fit)> {
    let pgd = swapper(evidence.info)?;
    let mut first = None;
    for arch in arches {
        let Some(boot) = evidence.by_vmcoreinfo(arch) else { continue };
        let fit = fit(&boot, evidence.info, pgd, evidence.phys);
        if fit == Fit::Yes {
            return Some((boot, fit));
        }
        first = first.or(Some((boot, fit)));
    }
    first
}

/// Looks at two places that VMCOREINFO names: the topmost page table, which maps itself, and the kernel's name. Reads a
/// few pages.
fn fit(boot: &Boot, info: &VmcoreInfo, pgd: VirtAddr, phys: &dyn PhysRead) -> Fit {
    let root = match boot.tables.translate(phys, pgd) {
        Ok(found) if found.phys == boot.tables.root => Fit::Yes,
        Ok(found) => Fit::No(format!(
            "its swapper_pg_dir is mapped at {:#x}, not at {:#x} where it should be",
            found.phys, boot.tables.root
        )),
        Err(FaultKind::Table(missing)) if missing.why != Gap::Absent => Fit::Unknown,
        Err(FaultKind::Table(missing)) => {
            Fit::No(format!("its page tables would be at {:#x}, where the dump has no memory", missing.at))
        }
        Err(_) => Fit::No(format!("its swapper_pg_dir at {pgd:#x} does not map itself")),
    };
    match (root, own_name(boot, info, phys)) {
        (Fit::Unknown, Some(Some(name))) if Some(&*name.release) == info.get("OSRELEASE") => Fit::Yes,
        (Fit::Unknown, Some(_)) => Fit::No("the kernel's name is not where its init_uts_ns should be".into()),
        (fit, _) => fit,
    }
}

/// The kernel's name at VMCOREINFO's `init_uts_ns`; the outer `None` where that is not known or not in the dump.
fn own_name(boot: &Boot, info: &VmcoreInfo, phys: &dyn PhysRead) -> Option<Option<OwnName>> {
    let at = boot.image_phys(info.symbol("init_uts_ns")?);
    let mut bytes = [0; 400];
    phys.read_phys(at, &mut bytes).ok()?;
    // the name was behind a struct kref up to 5.10 (9a56493f6942)
    let told = info.offset("uts_namespace.name").and_then(|o| usize::try_from(o).ok());
    let offsets = told.into_iter().chain([0, 4, 8]);
    Some(offsets.filter_map(|o| bytes.get(o..)).find_map(OwnName::read))
}

/// The kernels that CPUs ran when the dump was taken, other than this one.
fn others_of(boot: Boot, states: &[CpuState], phys: &dyn PhysRead) -> Vec<Boot> {
    let mut all = vec![boot];
    for state in states {
        // the kernel's image has one place, whatever process runs: a few entries of the tables tell
        let tables = boot.arch.boot.tables_used(state, phys);
        let Some(offset) = tables.iter().find_map(|(_, t)| boot.arch.boot.image_offset(t, phys)) else {
            continue;
        };
        if is_new(&all, offset)
            && let Some(found) = Boot::ran(boot.arch, std::slice::from_ref(state), phys)
            && is_new(&all, found.image.offset)
        {
            all.push(found);
        }
    }
    all.split_off(1)
}

/// True for an image at another place than those known.
fn is_new(known: &[Boot], offset: u64) -> bool {
    !known.iter().any(|k| k.image.offset == offset)
}

fn not_found(evidence: &Evidence<'_>, name: Option<OwnName>) -> BootError {
    let with_tables = |arch: &&Arch| {
        let states = arch.notes.cpu_states(evidence.notes);
        states.iter().filter(|state| !arch.boot.tables_used(state, evidence.phys).is_empty()).count()
    };
    BootError::NotFound {
        tried: format!(
            "VMCOREINFO {}; {} CPU notes with page tables; no page of it is a kernel's topmost page table",
            if evidence.info.is_empty() { "is not there" } else { "does not lead to page tables" },
            ARCHES.iter().map(with_tables).max().unwrap_or(0),
        ),
        name,
    }
}

/// True when the root, seen through its own tables, is found at the address that its symbol has.
pub(crate) fn is_own_root(tables: &PageTables, symbol: VirtAddr, phys: &dyn PhysRead) -> bool {
    tables.translate(phys, symbol).is_ok_and(|t| t.phys == tables.root)
}

/// True where what is told can be of the kernel that memory shows, as far as both say where that is: another boot's text
/// leads to the same distance between virtual and physical addresses, but not to the same image.
fn is_same_place(shown: &Boot, told: &Boot) -> bool {
    let same_text = shown.text.zip(told.text).is_none_or(|(a, b)| a == b);
    // a search finds the topmost table itself, a CPU one of any process
    let same_root = shown.how != How::Search || shown.tables.root == told.tables.root;
    shown.image.offset == told.image.offset && same_text && same_root
}

/// Pages that are looked at in one go, of the smallest size that any architecture has.
const AT_ONCE: usize = 64;
const PAGE: usize = 0x1000;

/// Hands every kernel's own page tables to `is_enough`, up to the one for which that is true. What a kernel calls itself is
/// looked for in the same bytes where `names` wants that.
fn search_all(
    arches: &[&'static Arch],
    ranges: &[PhysRange],
    phys: &dyn PhysRead,
    names: &mut Option<NameSearch>,
    mut is_enough: impl FnMut(Boot) -> bool,
) {
    let mut buf = vec![0; AT_ONCE * PAGE];
    for range in ranges {
        let mut at = range.start.add(PAGE as u64 - 1).page_base();
        while let Some(present) = phys.skip_holes(at).filter(|p| *p < range.end) {
            let Some(aligned) = present.0.checked_next_multiple_of(PAGE as u64) else { break };
            at = PhysAddr(aligned);
            let most =
                usize::try_from(range.end.0.saturating_sub(aligned)).unwrap_or(usize::MAX).min(buf.len());
            let Some(bytes) = buf.get_mut(..most) else { break };
            let read = phys.read_stretch(at, bytes).unwrap_or(0);
            let bytes = bytes.get(..read).unwrap_or_default();
            for (n, page) in (0_u64..).zip(bytes.chunks_exact(PAGE)) {
                let here = at.add(n * PAGE as u64);
                let found = arches.iter().find_map(|arch| arch.boot.kernel_at(here, page, phys));
                if found.is_some_and(&mut is_enough) {
                    return;
                }
            }
            if let Some(names) = names {
                names.look(at, bytes, phys);
            }
            at = PhysAddr(at.0.saturating_add((read as u64 & !(PAGE as u64 - 1)).max(PAGE as u64)));
        }
    }
}

/// What two ranges have in common.
fn overlap(a: PhysRange, b: PhysRange) -> Option<PhysRange> {
    let (start, end) = (a.start.max(b.start), a.end.min(b.end));
    (start < end).then_some(PhysRange { start, end })
}
