//! The layer above the image: the processor, where its kernel lies in memory, page tables, the CPUs' registers. It
//! knows no symbols and no types.

use crate::error::{KernelError, Result};
use crate::image::Image;
use crate::session::OpenOptions;
use crate::watched::WatchedPhys;
use arch::{Arch, Boot, CpuState, KernelMap};
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
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("arch", &self.arch).field("boot", &self.boot).finish_non_exhaustive()
    }
}

impl Machine {
    /// Finds the kernel in physical memory.
    ///
    /// # Errors
    /// No kernel is found, or the user stopped the search.
    pub fn find(image: Arc<Image>, options: &OpenOptions) -> Result<Self> {
        let dump = &image.dump;
        let arch = arch_of(dump);
        let info = image.info.clone();
        let cpu_states = arch.cpu_states(dump.notes());
        let watched = WatchedPhys { phys: &**dump, watch: &options.watch };
        let boot = Boot::find(&info, &cpu_states, header_phys_base(dump, arch), &watched);
        options.watch.progress.finish();
        let mut boot = boot.map_err(|e| match options.watch.cancel.is_cancelled() {
            true => KernelError::Stopped("looking for the kernel in memory"),
            false => KernelError::NoKernel { dump: image.name(), why: e.to_string() },
        })?;
        if let Some(offset) = options.kaslr {
            boot.kaslr_offset = offset;
        }
        let mem = address_space(&image, &boot);
        let (cpu_states, second_states) = match options.no_notes {
            true => Default::default(),
            false => (cpu_states, arch.second_states(image.dump.notes())),
        };
        Ok(Self { image, arch, info, boot, mem, cpu_states, second_states })
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

/// The architecture that a dump's headers name.
fn arch_of(dump: &Dump) -> &'static dyn Arch {
    let machine = dump.facts().machine.and_then(arch::by_machine);
    let name = || dump.facts().utsname.as_ref().and_then(|u| arch::by_name(&u.machine));
    machine.or_else(name).unwrap_or_else(arch::default)
}

/// `phys_base` from the program header that maps the kernel's image, where the dump's writer knew
/// virtual addresses (/proc/vmcore, makedumpfile -E).
fn header_phys_base(dump: &Dump, arch: &dyn Arch) -> Option<i64> {
    let [start, end, _] = arch.image_range();
    let image = dump.virt_segments().iter().find(|s| (start..end).contains(&s.virt))?;
    Some(image.phys.0.wrapping_sub(image.virt.0.wrapping_sub(start.0)).cast_signed())
}
