//! Several kernels in one memory: when a kernel dies whose machine has kdump, it starts a crash kernel in memory that it
//! had set aside, and leaves all else as it was. A hypervisor's dump taken from then on holds both.
//!
//! Which is which the kernels say: a crash kernel was told where the headers of the old memory are (`elfcorehdr_addr`,
//! kernel/crash_dump.c), and a kernel that is about to start one notes the CPU that does so (`crashing_cpu`). The one that
//! died comes first, as it is the one that is asked about.

use crate::error::{KernelError, Result};
use crate::opening::image::Image;
use crate::opening::machine::address_space;
use crate::opening::options::OpenOptions;
use crate::opening::symbols::find_in_image;
use arch::{Arch, Boot, CpuState, Found, How};
use base::{PhysAddr, PhysRange, PhysRead, VirtAddr, VirtRead};
use debuginfo::symtab::SymbolTable;

/// The kernels, the one that is asked about first.
pub(crate) struct Kernels(pub(crate) Vec<Boot>);

impl Kernels {
    /// Those that the headers and the CPUs lead to; all of memory is searched only where the user wants another one.
    pub(crate) fn of(image: &Image, found: &Found, options: &OpenOptions, phys: &dyn PhysRead) -> Self {
        let mut all = vec![found.boot];
        all.extend(&found.others);
        // who asks for the first one where a crash kernel alone is known means the one that died
        let is_alone =
            |n| n == 1 && all.len() == 1 && is_crash_kernel_at(image, &found.boot, options) == Some(true);
        // a hypervisor's notes lead to what each CPU ran: where none leads anywhere, VMCOREINFO may be the crash kernel's
        let is_blind =
            || found.boot.how == How::VmcoreInfo && has_empty_notes(image, found.boot.arch) && is_alone(1);
        if options.kernel.map_or_else(is_blind, |n| n > all.len() || is_alone(n)) {
            let more = Boot::search_others(&all, None, phys);
            all.extend(more);
        }
        if all.len() > 1 {
            // the order of those of which this is not known stays
            all.sort_by_cached_key(|boot| is_crash_kernel_at(image, boot, options).unwrap_or(false));
        }
        Self(all)
    }

    pub(crate) fn chosen(&self, image: &Image, wanted: Option<usize>) -> Result<Boot> {
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

    pub(crate) fn words(&self, wanted: Option<usize>) -> Option<String> {
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

/// Whether the dump has notes of CPUs, all of which are zero.
fn has_empty_notes(image: &Image, arch: &Arch) -> bool {
    let states = arch.notes.cpu_states(image.dump.notes());
    !states.is_empty() && states.iter().all(CpuState::is_blank)
}

/// `kernel 1 at physical address 0x1000000, found by VMCOREINFO`, of the one with this place in the list.
#[must_use]
pub fn kernel_words(place: usize, boot: &Boot) -> String {
    let at = boot.image_start().map(|at| format!(" at physical address {at:#x}")).unwrap_or_default();
    format!("kernel {}{at}, found by {}", place.saturating_add(1), boot.how)
}

/// Whether the kernel at a place is a crash kernel, by its own symbols in memory.
fn is_crash_kernel_at(image: &Image, boot: &Boot, options: &OpenOptions) -> Option<bool> {
    let mem = address_space(image, boot);
    let found = find_in_image(&mem, image.phys(), boot, boot.text?, &options.watch).ok()?;
    is_crash_kernel(&found.table, &*mem)
}

/// Whether a kernel is a crash kernel; `None` where that cannot be read.
pub(crate) fn is_crash_kernel(table: &SymbolTable, mem: &dyn VirtRead) -> Option<bool> {
    /// `ELFCORE_ADDR_MAX`
    const NONE: u64 = u64::MAX;
    mem.u64(table.addr("elfcorehdr_addr")?).ok().map(|at| at != NONE)
}

/// The kernels that ran in memory which this one had set aside for them; empty unless it started one.
pub(crate) fn started(
    boot: &Boot,
    table: &SymbolTable,
    mem: &dyn VirtRead,
    phys: &dyn PhysRead,
) -> Vec<Boot> {
    let starts = |at: VirtAddr| mem.u32(at).ok().filter(|cpu| cpu.cast_signed() != -1);
    let Some(_) = table.addr("crashing_cpu").and_then(starts) else { return Vec::new() };
    // struct resource begins with its first and its last address
    let area = |name: &str| {
        let at = table.addr(name)?;
        let (start, last) = (mem.u64(at).ok()?, mem.u64(at.add(8)).ok()?);
        (start < last).then(|| PhysRange { start: PhysAddr(start), end: PhysAddr(last.saturating_add(1)) })
    };
    let areas = ["crashk_res", "crashk_low_res"].into_iter().filter_map(area);
    areas.flat_map(|area| Boot::search_others(&[*boot], Some(area), phys)).collect()
}
