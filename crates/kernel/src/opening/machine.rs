//! The layer above the image: the processor, where its kernel lies in memory, page tables, the CPUs' registers. It
//! knows no symbols and no types.

use crate::error::{KernelError, Result};
use crate::opening::image::Image;
use crate::opening::kernels::Kernels;
use crate::opening::logged::Logged;
use crate::opening::options::OpenOptions;
use crate::opening::release::{self, Voted};
use crate::opening::watched::WatchedPhys;
use arch::{Arch, Boot, BootError, Claim, CpuState, KernelMap, OwnName};
use base::{Fault, PhysAddr, PhysRead, VirtAddr, VirtRead, VmcoreInfo};
use std::sync::Arc;

/// Where the lines of VMCOREINFO that are used come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InfoFrom {
    /// A file that was named.
    File,
    /// The dump's headers and notes.
    Headers,
    /// The kernel's own copy.
    Memory,
    /// Nowhere: there is none that fits.
    Nowhere,
}

/// A machine of a known architecture with its kernel's address space.
#[derive(Clone)]
pub struct Machine {
    /// The dump.
    pub image: Arc<Image>,
    /// The architecture.
    pub arch: &'static Arch,
    /// VMCOREINFO: the dump's, or the kernel's own copy in memory; empty where there is none.
    pub info: VmcoreInfo,
    /// Where that is from.
    pub info_from: InfoFrom,
    /// Where the kernel lies.
    pub boot: Boot,
    /// Its address space.
    pub mem: Arc<KernelMap>,
    /// The CPUs' registers from the notes, in the notes' order.
    pub cpu_states: Vec<CpuState>,
    /// The same from notes of a second kind, where the dump has both.
    pub second_states: Vec<CpuState>,
    /// The notes of CPUs are not read, as the user wants it.
    pub notes_off: bool,
    /// The kernels that are known to be in this memory; more than one where a crash kernel ran.
    pub kernels: Vec<Boot>,
    /// The kernel's release by most of those that know it, where they differ.
    pub own_release: Option<String>,
    /// VMCOREINFO's release, where that is not the kernel's.
    pub(crate) dropped_release: Option<String>,
    /// What the user ought to know of it.
    pub warnings: Vec<String>,
    /// What its log tells, where that is all that there is.
    pub(crate) logged: Option<Arc<Logged>>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("arch", &self.arch).field("boot", &self.boot).finish_non_exhaustive()
    }
}

impl Machine {
    /// An address of code as it is in memory, without the authentication code that a signed one carries.
    #[must_use]
    pub fn code_pointer(&self, at: u64) -> u64 {
        let plain = self.arch.frames.code_pointer(at, self.mem.tables().paging);
        // 5.9 (689eae42afd7): 0 where the processor signs nothing, so that it is no signed address
        if plain == at || self.info.number("KERNELPACMASK") == Some(0) { at } else { plain }
    }

    /// The address itself, or the plain one of code that a signed one stands for. Asks page tables alone.
    #[must_use]
    pub fn plain_code(&self, at: VirtAddr) -> VirtAddr {
        let plain = VirtAddr(self.code_pointer(at.0));
        let runs = |at| self.mem.walk(at).result.is_ok_and(|page| self.arch.paging.may_run(page.entry));
        if plain != at && self.arch.is_kernel(plain) && runs(plain) { plain } else { at }
    }

    /// Finds the kernel in physical memory. What headers, notes and VMCOREINFO say of the machine is checked against
    /// that memory.
    ///
    /// # Errors
    /// No kernel is found, its machine is not read, or the user stopped the search.
    pub fn find(image: Arc<Image>, options: &OpenOptions) -> Result<Self> {
        let dump = &image.dump;
        let claims = claims(&image);
        // a name that no machine has can be damaged: memory decides
        let is_foreign = |claim: &&Claim| !claim.is_read() && arch::is_machine(&claim.machine);
        let foreign = claims.iter().find(is_foreign);
        if let (Some(claim), true) = (foreign, claims.iter().all(|claim| !claim.is_read())) {
            return Err(KernelError::foreign(image.name(), &claim.machine, &claim.by));
        }
        let watched = WatchedPhys { phys: &**dump, watch: &options.watch };
        let segments = segments(&image);
        let evidence = evidence(&image, &claims, &segments, &watched);
        let (mut info, mut info_from, mut warnings) = fitting_info(&image, &evidence);
        let found = Boot::find(&evidence.with_info(&info));
        options.watch.progress.finish();
        if options.watch.cancel.is_cancelled() {
            return Err(KernelError::Stopped("looking for the kernel in memory"));
        }
        let found = found.map_err(|e| nameless(&image, &claims, e))?;
        let arch = found.boot.arch;
        if let Some(claim) = claims.iter().find(|claim| claim.machine != arch.name()) {
            if !found.sure && !claim.is_read() && !is_like(&claim.machine, arch) {
                return Err(KernelError::foreign(image.name(), &claim.machine, &claim.by));
            }
            let damaged = if arch::is_machine(&claim.machine) { "" } else { ", so that name is damaged" };
            warnings.push(format!(
                "{} names the machine {}; memory has a kernel of {}{damaged}",
                claim.by,
                claim.machine,
                arch.name()
            ));
        }
        if let Some(why) = &found.dropped {
            warnings.push(format!(
                "VMCOREINFO does not fit the kernel in memory and is not used ({why}): it is damaged, or of another \
                 boot or machine"
            ));
            (info, info_from) = (VmcoreInfo::default(), InfoFrom::Nowhere);
        }
        let kernels = Kernels::of(&image, &found, options, &watched);
        options.watch.progress.finish();
        let mut boot = kernels.chosen(&image, options.kernel)?;
        if boot != found.boot {
            // it is that of the kernel which was not chosen
            (info, info_from) = (VmcoreInfo::default(), InfoFrom::Nowhere);
        }
        warnings.extend(kernels.words(options.kernel));
        warnings.extend(misplaced(&segments, &boot, &watched));
        if let Some(offset) = options.kaslr {
            boot.kaslr_offset = Some(offset);
        }
        let mem = address_space(&image, &boot);
        let (cpu_states, second_states) = match options.no_notes {
            true => Default::default(),
            false => {
                (arch.notes.cpu_states(image.dump.notes()), arch.notes.second_states(image.dump.notes()))
            }
        };
        let kernels = kernels.0;
        let mut machine = Self {
            image,
            arch,
            info,
            info_from,
            boot,
            mem,
            cpu_states,
            second_states,
            notes_off: options.no_notes,
            kernels,
            own_release: None,
            dropped_release: None,
            warnings,
            logged: None,
        };
        let (sure, at) = (found.sure, machine.info.symbol("init_uts_ns"));
        if let Some(name) = machine.own_name(at) {
            machine.check_name(&name, sure, |_| None)?;
        }
        Ok(machine)
    }

    /// The machine of a log.
    pub(crate) fn of_log(image: Arc<Image>, boot: Boot, logged: Arc<Logged>, warnings: Vec<String>) -> Self {
        Self {
            arch: boot.arch,
            mem: address_space(&image, &boot),
            image,
            info: VmcoreInfo::default(),
            info_from: InfoFrom::Nowhere,
            boot,
            cpu_states: Vec::new(),
            second_states: Vec::new(),
            notes_off: false,
            kernels: Vec::new(),
            own_release: None,
            dropped_release: None,
            warnings,
            logged: Some(logged),
        }
    }

    /// Holds what the kernel calls itself against its page tables, `sure` where memory itself shows them. A name that no
    /// machine has is damaged, and one that nothing else in the dump says, where something says what the tables do.
    ///
    /// # Errors
    /// It is the name of another machine, and nothing contradicts it.
    pub(crate) fn check_name(
        &mut self,
        name: &OwnName,
        sure: bool,
        by_symbols: impl Fn(&Arch) -> Option<&'static str>,
    ) -> Result<()> {
        if name.machine == self.arch.name() {
            return Ok(());
        }
        let word = match arch::is_machine(&name.machine) {
            false => format!(
                "the kernel calls its machine {}, which none is: its page tables are those of {}, so init_uts_ns is damaged",
                name.machine,
                self.arch.name()
            ),
            true => {
                let claims = claims(&self.image);
                let own = claims.iter().filter(|claim| claim.machine == self.arch.name());
                let mut by: Vec<String> = own.map(|claim| claim.by.clone()).collect();
                by.extend(by_symbols(self.arch).map(str::to_owned));
                by.dedup();
                if by.is_empty() || !sure {
                    return Err(self.foreign(name));
                }
                format!(
                    "the kernel calls its machine {}, but its page tables are those of {}, and so says {}: init_uts_ns is \
                     damaged",
                    name.machine,
                    self.arch.name(),
                    by.join(", ")
                )
            }
        };
        if !self.warnings.contains(&word) {
            self.warnings.push(word);
        }
        Ok(())
    }

    /// True where VMCOREINFO is the one that the headers or a file gave, and not one that was found in memory.
    #[cfg(test)]
    #[must_use]
    pub(crate) const fn info_is_given(&self) -> bool {
        matches!(self.info_from, InfoFrom::File | InfoFrom::Headers)
    }

    /// Takes the kernel's own copy of VMCOREINFO.
    pub(crate) fn take_own_info(&mut self, info: VmcoreInfo) {
        (self.info, self.info_from) = (info, InfoFrom::Memory);
    }

    /// True where those that know the release without a table of symbols differ.
    pub(crate) fn releases_differ(&self) -> bool {
        let at = self.info.symbol("init_uts_ns");
        let known = Voted::of(&release::witnesses(self, |name| at.filter(|_| name == "init_uts_ns")));
        known.is_some_and(|voted| !voted.odd.is_empty())
    }

    /// Asks all that know the release, and tells those that say otherwise than most. VMCOREINFO's is dropped where it is one
    /// of them.
    pub(crate) fn hold_release(&mut self, symbol: impl Fn(&str) -> Option<VirtAddr>) {
        let Some(voted) = Voted::of(&release::witnesses(self, symbol)) else { return };
        let Some(words) = voted.words() else { return };
        if !self.warnings.contains(&words) {
            self.warnings.push(words);
        }
        if let Some(told) = self.info.get("OSRELEASE").filter(|told| *told != voted.release) {
            self.dropped_release = Some(told.to_owned());
            self.info = self.info.without(&["OSRELEASE".to_owned()]);
        }
        self.own_release = Some(voted.release);
    }

    /// What the kernel calls itself, in its `init_uts_ns` at this address.
    pub(crate) fn own_name(&self, init_uts_ns: Option<VirtAddr>) -> Option<OwnName> {
        let at = init_uts_ns?;
        let told = self.info.offset("uts_namespace.name");
        // behind a struct kref up to 5.10 (9a56493f6942)
        let offsets = told.into_iter().chain([0, 4, 8]);
        let mut read = |offset| OwnName::read(&self.mem.bytes(at.add(offset), 390).ok()?);
        offsets.into_iter().find_map(&mut read)
    }

    /// The error for a kernel that calls itself one of another machine.
    fn foreign(&self, name: &OwnName) -> KernelError {
        if arch::by_name(&name.machine).is_none() {
            return KernelError::foreign(self.image.name(), &name.machine, "the kernel's own name in memory");
        }
        let why = format!(
            "the page tables are of a kernel of {}, which calls itself one of {}: the name or the tables are damaged",
            arch::kernel_name(self.arch.name()),
            arch::kernel_name(&name.machine)
        );
        KernelError::NoKernel { dump: self.image.name(), why }
    }

    /// Physical memory.
    #[must_use]
    pub fn phys(&self) -> &dyn PhysRead {
        self.image.phys()
    }

    /// Takes another kernel in the same memory.
    pub(crate) fn change_to(&mut self, kernels: Kernels, boot: Boot) {
        self.boot = boot;
        self.mem = address_space(&self.image, &boot);
        (self.info, self.own_release, self.dropped_release) = Default::default();
        self.info_from = InfoFrom::Nowhere;
        self.warnings.extend(kernels.words(None));
        self.kernels = kernels.0;
    }

    /// Takes the page tables that `swapper_pg_dir` names, now that symbols are known, in place of those of the process
    /// that a CPU happened to run.
    pub(crate) fn use_swapper(&mut self, swapper: VirtAddr) {
        self.boot = self.boot.with_swapper(swapper, self.image.phys());
        self.mem = address_space(&self.image, &self.boot);
    }

    /// VMCOREINFO where the kernel itself keeps it: at `vmcoreinfo_data`, a pointer since 4.13 (203e9e41219b), an array
    /// before; or in the note that it made of that at `vmcoreinfo_note`, the same.
    pub(crate) fn own_vmcoreinfo(&self, symbol: impl Fn(&str) -> Option<VirtAddr>) -> Option<VmcoreInfo> {
        /// `Elf64_Nhdr`, and "VMCOREINFO" with its padding.
        const NOTE_HEAD: u64 = 24;
        let text_at = |at: VirtAddr| {
            let text = self.mem.cstr(at, 1 << 16).or_else(|_| self.mem.cstr(at, 4096)).ok()?;
            text.starts_with(b"OSRELEASE=").then_some(text)
        };
        let [data, note] = ["vmcoreinfo_data", "vmcoreinfo_note"].map(symbol);
        let pointed = |at: Option<VirtAddr>| self.mem.ptr(at?).ok();
        let note_text = |at: Option<VirtAddr>| text_at(at?.add(NOTE_HEAD));
        let text = data.and_then(text_at).or_else(|| text_at(pointed(data)?));
        let text = text.or_else(|| note_text(note)).or_else(|| note_text(pointed(note)));
        text.map(|text| VmcoreInfo::parse(&text))
    }

    /// Whether the kernel's banner begins at `at`.
    pub(crate) fn has_banner(&self, at: VirtAddr) -> std::result::Result<bool, Fault> {
        self.mem.bytes(at, arch::BANNER.len()).map(|text| text == arch::BANNER)
    }

    /// The release in the kernel's banner at `at`.
    pub(crate) fn banner_release(&self, at: VirtAddr) -> Option<String> {
        let text = self.mem.cstr(at, 256).ok()?;
        let text = String::from_utf8_lossy(text.strip_prefix(arch::BANNER)?).into_owned();
        text.split_whitespace().next().map(str::to_owned)
    }
}

/// True for a name that no machine has and that is nearly the one of this.
fn is_like(name: &str, arch: &Arch) -> bool {
    !arch::is_machine(name) && !base::near_names(name, std::iter::once(arch.name())).is_empty()
}

pub(crate) fn address_space(image: &Image, boot: &Boot) -> Arc<KernelMap> {
    let phys: Arc<dyn PhysRead> = image.dump.clone();
    Arc::new(KernelMap::new(phys, boot.tables).with_image(boot.image))
}

/// True where memory shows that the VMCOREINFO of a dump's headers is of the kernel in it. Reads a few pages, and looks for
/// no kernel.
#[must_use]
pub fn vmcoreinfo_fits(image: &Image) -> bool {
    let (claims, segments) = (claims(image), segments(image));
    claims.iter().any(|claim| !claim.is_read())
        || Boot::is_confirmed(&evidence(image, &claims, &segments, image.phys()))
}

/// VMCOREINFO of the file that was named or of the headers; where there are several texts, the first that fits memory. And
/// what there is to say of that.
fn fitting_info(image: &Image, evidence: &arch::Evidence<'_>) -> (VmcoreInfo, InfoFrom, Vec<String>) {
    let mut notes: Vec<VmcoreInfo> = Vec::new();
    for note in image.dump.notes().iter().filter(|note| note.is("VMCOREINFO")) {
        let info = VmcoreInfo::parse(&note.desc);
        if !notes.iter().any(|known| known.text() == info.text()) {
            notes.push(info);
        }
    }
    let fits = |info: &VmcoreInfo| !info.is_empty() && Boot::is_confirmed(&evidence.with_info(info));
    let told = image.info.clone();
    let Some(file) = &image.info_file else {
        if notes.len() < 2 {
            let from = if told.is_empty() { InfoFrom::Nowhere } else { InfoFrom::Headers };
            return (told, from, Vec::new());
        }
        let count = notes.len();
        let fitting = notes.iter().position(fits);
        let used = match fitting {
            Some(n) => format!("number {} is used, which fits the kernel in memory", n.saturating_add(1)),
            None => "none of them fits the kernel in memory".to_owned(),
        };
        let why = format!("the dump has {count} notes of VMCOREINFO, which differ: {used}");
        let info = fitting.and_then(|n| notes.into_iter().nth(n)).unwrap_or(told);
        return (info, InfoFrom::Headers, vec![why]);
    };
    let own = if fits(&told) { None } else { notes.into_iter().find(fits) };
    let Some(own) = own else { return (told, InfoFrom::File, Vec::new()) };
    let file = file.display();
    let why = format!("{file}: this VMCOREINFO does not fit the kernel in memory: the dump's own is used");
    (own, InfoFrom::Headers, vec![why])
}

/// What the headers say that can lead to the kernel.
fn evidence<'a>(
    image: &'a Image,
    claims: &'a [Claim],
    segments: &'a [(VirtAddr, PhysAddr)],
    phys: &'a dyn PhysRead,
) -> arch::Evidence<'a> {
    arch::Evidence { claims, notes: image.dump.notes(), info: &image.info, segments, phys }
}

/// Where segments begin, where the dump's writer knew virtual addresses (/proc/vmcore, makedumpfile -E).
fn segments(image: &Image) -> Vec<(VirtAddr, PhysAddr)> {
    image.dump.virt_segments().iter().map(|s| (s.virt, s.phys)).collect()
}

/// More program headers than these are held against each other when the dump is opened.
const FEW: usize = 2;

/// Segments whose address in the kernel the kernel's own page tables have elsewhere in physical memory: of two headers none
/// tells which field is damaged.
fn misplaced(segments: &[(VirtAddr, PhysAddr)], boot: &Boot, phys: &dyn PhysRead) -> Vec<String> {
    let few = segments.get(..segments.len().min(FEW)).filter(|few| few.len() == segments.len());
    let mapped = |&(virt, at): &(VirtAddr, PhysAddr)| {
        let found = boot.tables.translate(phys, virt).ok()?.phys;
        (found != at).then(|| {
            format!(
                "a program header has memory of {virt:#x} at physical address {at:#x}, the kernel's page tables have it at \
                 {found:#x}: its p_vaddr or its p_paddr is damaged, and what is read there may be other memory; copy the \
                 dump again"
            )
        })
    };
    few.unwrap_or_default().iter().filter_map(mapped).collect()
}

/// What headers, notes and VMCOREINFO say of the machine.
pub(crate) fn claims(image: &Image) -> Vec<Claim> {
    let facts = image.dump.facts();
    let wide = facts.words.is_none_or(|words| words.size == 8);
    let name = facts.utsname.as_ref().map(|u| u.machine.as_str());
    arch::claims(facts.machine, wide, name, &image.info, image.dump.notes())
}

/// Why there is no kernel: memory that calls itself another machine's is that machine's.
fn nameless(image: &Image, claims: &[Claim], why: BootError) -> KernelError {
    let (tried, name) = match why {
        BootError::NotFound { tried, name } => (tried, name),
        other => (other.to_string(), None),
    };
    let dump = image.name();
    let foreign = claims.iter().find(|claim| !claim.is_read());
    let why = match claims.first().filter(|claim| claim.is_read()) {
        Some(claim) => format!("{} by {}; {tried}", arch::kernel_name(&claim.machine), claim.by),
        None => tried,
    };
    match (name, foreign) {
        (Some(name), _) if arch::by_name(&name.machine).is_none() => {
            let by = match name.release.as_str() {
                "" => "the header of a kernel's image in memory".to_owned(),
                release => format!("the name of Linux {release} in memory"),
            };
            KernelError::foreign(dump, &name.machine, &by)
        }
        (Some(name), _) => {
            let why = format!("{why}; memory has the name of Linux {} ({})", name.release, name.machine);
            let begins = arch::by_name(&name.machine).and_then(|arch| arch.layout.memory_begins().first());
            let why = match begins.filter(|_| image.is_raw_from_zero()) {
                Some(at) => format!(
                    "{why}; memory of such machines begins at {at:#x}, for one: name the file as {dump}@{at:#x}"
                ),
                None => why,
            };
            KernelError::NoKernel { dump, why }
        }
        (None, Some(claim)) => KernelError::foreign(dump, &claim.machine, &claim.by),
        (None, None) => {
            let lost = image.lost_memory().map(|lost| format!("{lost}; ")).unwrap_or_default();
            KernelError::NoKernel { dump, why: format!("{lost}{why}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::kernel::{DIRECT_MAP, Kernel, TEXT};

    #[test]
    fn a_header_that_the_page_tables_contradict_is_told() {
        let s = crate::testing::session(&Kernel::new());
        let told = |segments: &[(u64, u64)]| {
            let all: Vec<_> = segments.iter().map(|&(v, p)| (VirtAddr(v), PhysAddr(p))).collect();
            misplaced(&all, s.boot(), s.phys())
        };
        let image = s.boot().image_phys(VirtAddr(TEXT)).0;
        let (low, high) = ((DIRECT_MAP + 0x1000, 0x1000), (DIRECT_MAP + 0x100_0000, 0x100_0000));
        assert!(
            told(&[low, high]).is_empty() && told(&[(TEXT, image), low]).is_empty() && told(&[]).is_empty()
        );
        let wrong = told(&[low, (high.0, 0x180_0000)]);
        assert!(wrong.len() == 1 && wrong[0].contains("at physical address 0x1800000"), "{wrong:?}");
        assert!(wrong[0].contains("have it at 0x1000000"), "{wrong:?}");
        assert_eq!(told(&[(TEXT, image + 0x20_0000), low]).len(), 1);
        // an address that nothing maps contradicts nothing; of three the headers tell by themselves
        assert!(told(&[(0xffff_f000_0000_0000, 0x5000)]).is_empty());
        assert!(told(&[low, low, (high.0, 0x180_0000)]).is_empty());
    }
}
