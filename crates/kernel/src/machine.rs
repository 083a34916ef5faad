//! The layer above the image: the processor, where its kernel lies in memory, page tables, the CPUs' registers. It
//! knows no symbols and no types.

use crate::error::{KernelError, Result};
use crate::image::Image;
use crate::session::OpenOptions;
use crate::watched::WatchedPhys;
use arch::{Arch, Boot, Claim, CpuState, Found, KernelMap, OwnName};
use base::{PhysRead, VirtAddr, VirtRead, VmcoreInfo};
use dump::Dump;
use std::sync::Arc;

/// A machine of a known architecture with its kernel's address space.
#[derive(Clone)]
pub struct Machine {
    /// The dump.
    pub image: Arc<Image>,
    /// The architecture.
    pub arch: &'static dyn Arch,
    /// VMCOREINFO: the dump's, or the kernel's own copy in memory; empty where there is none.
    pub info: VmcoreInfo,
    /// Where the kernel lies.
    pub boot: Boot,
    /// Its address space.
    pub mem: Arc<KernelMap>,
    /// The CPUs' registers from the notes, in the notes' order.
    pub cpu_states: Vec<CpuState>,
    /// The same from notes of a second kind, where the dump has both.
    pub second_states: Vec<CpuState>,
    /// The kernels that are known to be in this memory; more than one where a crash kernel ran.
    pub kernels: Vec<Boot>,
    /// What the user ought to know of it.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("arch", &self.arch).field("boot", &self.boot).finish_non_exhaustive()
    }
}

impl Machine {
    /// Finds the kernel in physical memory. What headers, notes and VMCOREINFO say of the machine is checked against
    /// that memory.
    ///
    /// # Errors
    /// No kernel is found, its machine is not read, or the user stopped the search.
    pub fn find(image: Arc<Image>, options: &OpenOptions) -> Result<Self> {
        let dump = &image.dump;
        let claims = claims(&image);
        let foreign = claims.iter().find(|claim| !claim.is_read());
        if let (Some(claim), true) = (foreign, claims.iter().all(|claim| !claim.is_read())) {
            return Err(KernelError::foreign(image.name(), &claim.machine, &claim.by));
        }
        let arch = Boot::arch();
        let mut info = image.info.clone();
        let cpu_states = arch.cpu_states(dump.notes());
        let watched = WatchedPhys { phys: &**dump, watch: &options.watch };
        let found = Boot::find(&info, &cpu_states, header_phys_base(dump, arch), &watched);
        options.watch.progress.finish();
        if options.watch.cancel.is_cancelled() {
            return Err(KernelError::Stopped("looking for the kernel in memory"));
        }
        let found = found.map_err(|e| nameless(&image, foreign, &e.to_string(), &watched))?;
        let mut warnings = Vec::new();
        if let Some(claim) = foreign {
            if !found.sure {
                return Err(KernelError::foreign(image.name(), &claim.machine, &claim.by));
            }
            warnings.push(format!(
                "{} names the machine {}; memory has a kernel of {}",
                claim.by,
                claim.machine,
                arch.name()
            ));
        }
        if let Some(why) = &found.dropped {
            warnings.push(format!("VMCOREINFO is of another boot or machine and is not used: {why}"));
            info = VmcoreInfo::default();
        }
        let kernels = Kernels::of(&found, options.kernel, &watched);
        options.watch.progress.finish();
        let mut boot = kernels.chosen(&image, options.kernel)?;
        if boot != found.boot {
            // it is that of the kernel which was not chosen
            info = VmcoreInfo::default();
        }
        warnings.extend(kernels.words(options.kernel));
        if let Some(offset) = options.kaslr {
            boot.kaslr_offset = offset;
        }
        let mem = address_space(&image, &boot);
        let (cpu_states, second_states) = match options.no_notes {
            true => Default::default(),
            false => (cpu_states, arch.second_states(image.dump.notes())),
        };
        let kernels = kernels.0;
        let machine = Self { image, arch, info, boot, mem, cpu_states, second_states, kernels, warnings };
        match machine.own_name(machine.info.symbol("init_uts_ns")) {
            Some(name) if name.machine != arch.name() => Err(machine.foreign(&name)),
            _ => Ok(machine),
        }
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
    pub(crate) fn foreign(&self, name: &OwnName) -> KernelError {
        KernelError::foreign(self.image.name(), &name.machine, "the kernel's own name in memory")
    }

    /// Physical memory.
    #[must_use]
    pub fn phys(&self) -> &dyn PhysRead {
        self.image.phys()
    }

    /// Takes the page tables that `swapper_pg_dir` names, now that symbols are known, in place of those of the process
    /// that a CPU happened to run.
    pub(crate) fn use_swapper(&mut self, swapper: VirtAddr) {
        self.boot = self.boot.with_swapper(swapper, self.image.phys());
        self.mem = address_space(&self.image, &self.boot);
    }

    /// Reads VMCOREINFO where the kernel itself keeps it, for a dump that came without: `at` is `vmcoreinfo_data`, a
    /// pointer since 4.13 (203e9e41219b), an array before.
    pub(crate) fn read_vmcoreinfo(&mut self, at: VirtAddr) {
        let text_at = |at: VirtAddr| {
            let text = self.mem.cstr(at, 1 << 16).or_else(|_| self.mem.cstr(at, 4096)).ok()?;
            text.starts_with(b"OSRELEASE=").then_some(text)
        };
        if let Some(text) = text_at(at).or_else(|| text_at(self.mem.ptr(at).ok()?)) {
            self.info = VmcoreInfo::parse(&text);
        }
    }

    /// The release in the kernel's banner at `at`.
    pub(crate) fn banner_release(&self, at: VirtAddr) -> Option<String> {
        let text = self.mem.cstr(at, 256).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let release = text.strip_prefix("Linux version ").and_then(|r| r.split_whitespace().next());
        release.map(str::to_owned)
    }
}

fn address_space(image: &Image, boot: &Boot) -> Arc<KernelMap> {
    let phys: Arc<dyn PhysRead> = image.dump.clone();
    Arc::new(KernelMap::new(phys, boot.tables).with_image(boot.phys_base))
}

/// True where memory shows that the VMCOREINFO of a dump's headers is of the kernel in it. Reads a few pages, and looks for
/// no kernel.
#[must_use]
pub fn vmcoreinfo_fits(image: &Image) -> bool {
    let foreign = claims(image).iter().any(|claim| !claim.is_read());
    let phys_base = header_phys_base(&image.dump, Boot::arch());
    foreign || Boot::is_confirmed(&image.info, phys_base, image.phys())
}

/// What headers, notes and VMCOREINFO say of the machine.
fn claims(image: &Image) -> Vec<Claim> {
    let facts = image.dump.facts();
    let wide = facts.words.is_none_or(|words| words.size == 8);
    let name = facts.utsname.as_ref().map(|u| u.machine.as_str());
    arch::claims(facts.machine, wide, name, &image.info, image.dump.notes())
}

/// Why there is no kernel: memory that calls itself another machine's is that machine's.
fn nameless(image: &Image, foreign: Option<&Claim>, why: &str, phys: &dyn PhysRead) -> KernelError {
    let dump = image.name();
    let own = OwnName::search(phys);
    match (own, foreign) {
        (Some(name), _) if arch::by_name(&name.machine).is_none() => KernelError::foreign(
            dump,
            &name.machine,
            &format!("the name of Linux {} in memory", name.release),
        ),
        (Some(name), _) => {
            let why = format!("{why}; memory has the name of Linux {} ({})", name.release, name.machine);
            KernelError::NoKernel { dump, why }
        }
        (None, Some(claim)) => KernelError::foreign(dump, &claim.machine, &claim.by),
        (None, None) => KernelError::NoKernel { dump, why: why.to_owned() },
    }
}

/// The kernels in one memory: more than one where a crash kernel ran when the dump was taken.
struct Kernels(Vec<Boot>);

impl Kernels {
    /// Those that the headers and the CPUs lead to; all of memory is searched only where the user wants another one.
    fn of(found: &Found, wanted: Option<usize>, phys: &dyn PhysRead) -> Self {
        let mut all = vec![found.boot];
        all.extend(&found.others);
        if wanted.is_some_and(|n| n > all.len()) {
            let more = Boot::search_others(&all, phys);
            all.extend(more);
        }
        Self(all)
    }

    fn chosen(&self, image: &Image, wanted: Option<usize>) -> Result<Boot> {
        let number = wanted.unwrap_or(1);
        let chosen = number.checked_sub(1).and_then(|n| self.0.get(n)).copied();
        chosen.ok_or_else(|| {
            let list = self.list().join("; ");
            KernelError::Open(format!("{}: --kernel {number}: this dump has: {list}", image.name()))
        })
    }

    /// `kernel 1 at physical address 0x1000000, found by VMCOREINFO`
    fn list(&self) -> Vec<String> {
        self.0.iter().enumerate().map(|(n, boot)| kernel_words(n, boot)).collect()
    }

    fn words(&self, wanted: Option<usize>) -> Option<String> {
        (self.0.len() > 1).then(|| {
            format!(
                "this dump holds {} kernels: {}; this is kernel {}, --kernel N opens another",
                self.0.len(),
                self.list().join("; "),
                wanted.unwrap_or(1)
            )
        })
    }
}

/// `kernel 1 at physical address 0x1000000, found by VMCOREINFO`, of the one with this place in the list.
#[must_use]
pub fn kernel_words(place: usize, boot: &Boot) -> String {
    let at = boot.image_start().map(|at| format!(" at physical address {at:#x}")).unwrap_or_default();
    format!("kernel {}{at}, found by {}", place.saturating_add(1), boot.how)
}

/// `phys_base` from the program header that maps the kernel's image, where the dump's writer knew
/// virtual addresses (/proc/vmcore, makedumpfile -E).
fn header_phys_base(dump: &Dump, arch: &dyn Arch) -> Option<i64> {
    let [start, end, _] = arch.image_range();
    let image = dump.virt_segments().iter().find(|s| (start..end).contains(&s.virt))?;
    Some(image.phys.0.wrapping_sub(image.virt.0.wrapping_sub(start.0)).cast_signed())
}
