//! What VMCOREINFO says, checked against memory: it can be of another boot or another machine. And other kernels in the
//! same memory: a crash kernel that was running when a hypervisor took the dump.

use super::kaslr::{Boot, Image, first_mapped};
use super::layout::IMAGE_ALIGN;
use crate::{CpuState, OwnName};
use base::{FaultKind, Gap, PhysAddr, PhysRead, VirtAddr, VmcoreInfo};

/// How VMCOREINFO fits memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// Memory has what it says.
    Yes,
    /// The pages that could tell are not in the dump.
    Unknown,
    /// Memory has something else there.
    No(String),
}

/// Looks at two places that VMCOREINFO names: the topmost page table, which maps itself, and the kernel's name. Reads a
/// few pages.
pub(crate) fn fit(boot: &Boot, info: &VmcoreInfo, pgd: VirtAddr, phys: &dyn PhysRead) -> Fit {
    let root = match boot.tables.translate(phys, pgd) {
        Ok(found) if found.phys == boot.tables.root => Fit::Yes,
        Ok(found) => Fit::No(format!(
            "its swapper_pg_dir is mapped at {:#x}, not at {:#x} where it should be",
            found.phys, boot.tables.root
        )),
        Err(FaultKind::Table(missing)) if missing.why != Gap::Absent => Fit::Unknown,
        Err(FaultKind::Table(missing)) => {
            Fit::No(format!("its page tables would be at {:#x}, where this machine has no RAM", missing.at))
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
pub(crate) fn own_name(boot: &Boot, info: &VmcoreInfo, phys: &dyn PhysRead) -> Option<Option<OwnName>> {
    let at = boot.image_phys(info.symbol("init_uts_ns")?);
    let mut bytes = [0; 400];
    phys.read_phys(at, &mut bytes).ok()?;
    // the name was behind a struct kref up to 5.10 (9a56493f6942)
    let told = info.offset("uts_namespace.name").and_then(|o| usize::try_from(o).ok());
    let offsets = told.into_iter().chain([0, 4, 8]);
    Some(offsets.filter_map(|o| bytes.get(o..)).find_map(OwnName::read))
}

/// The kernels that CPUs ran when the dump was taken, other than those that are known.
pub(crate) fn others(known: &[Boot], states: &[CpuState], phys: &dyn PhysRead) -> Vec<Boot> {
    let mut out: Vec<Boot> = Vec::new();
    for state in states {
        let one = std::slice::from_ref(state);
        let Some(tables) = Boot::tables_of(state, phys) else { continue };
        // the kernel's image has one place, whatever process runs: a few entries of the tables tell
        let Some(image) = tables.into_iter().find_map(|t| first_mapped(&t, phys)) else { continue };
        let is_new = |all: &[Boot]| !all.iter().any(|b| is_image(b, image));
        if is_new(known)
            && is_new(&out)
            && let Some(boot) = Boot::from_cpu_states(one, phys)
            && is_new_boot(known, &boot)
            && is_new_boot(&out, &boot)
        {
            out.push(boot);
        }
    }
    out
}

/// True for the image of this kernel.
fn is_image(boot: &Boot, image: Image) -> bool {
    boot.phys_base == image.phys_base()
}

/// True for a kernel that is at another place than those known.
pub(crate) fn is_new_boot(known: &[Boot], boot: &Boot) -> bool {
    !known.iter().any(|k| k.phys_base == boot.phys_base)
}

impl Boot {
    /// Where the kernel's image begins in physical memory, as far as its text is known.
    #[must_use]
    pub fn image_start(&self) -> Option<PhysAddr> {
        self.text.map(|text| PhysAddr(self.image_phys(text).0 & !(IMAGE_ALIGN - 1)))
    }
}
