//! What a `struct module` must hold to be one.
//!
//! Source: arch/*/include/asm (`MODULES_VADDR`, `MODULES_END`).

use super::{Module, ModuleMemory};
use crate::error::KernelError;
use crate::plausible::not_one;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashMap;

/// No module has as much memory, not even one with all of a compiler's checks.
const MODULE_MAX: u64 = 512 << 20;

/// No kernel has as many taint flags (`TAINT_FLAGS_COUNT`: 20 in 6.17).
const TAINT_BITS: u32 = 32;

/// True for a mask that can be a module's `taints`.
pub(crate) const fn can_be_taints(mask: u64) -> bool {
    mask >> TAINT_BITS == 0
}

/// Why a run of memory can be no module's.
fn wrong_run(s: &Session, run: &ModuleMemory) -> Option<String> {
    let [image, _, modules] = s.arch().layout.image_range();
    let end = run.base.0.checked_add(run.size);
    let fits = s.arch().is_kernel(run.base)
        && run.size <= MODULE_MAX
        && end.is_some_and(|end| run.base < image || run.base >= modules || end <= modules.0)
        && !(s.in_image(run.base) || end.is_some_and(|end| run.size > 0 && s.in_image(VirtAddr(end - 1))));
    (!fits).then(|| format!("its {} is {} bytes at {:#x}", run.kind, run.size, run.base.0))
}

/// Why a module can be none: memory that no module has.
pub(crate) fn module(s: &Session, m: &Module) -> Result<(), KernelError> {
    let runs = m.memory.iter().chain(&m.init);
    match runs.clone().find_map(|run| wrong_run(s, run)) {
        Some(why) => Err(not_one("struct module", m.at, "module", &why)),
        None if m.size() == 0 => Err(not_one("struct module", m.at, "module", "it has no memory that stays")),
        None if !holds_itself(m) => {
            let why = format!("it does not lie in its {} bytes from {:#x} on", m.size(), m.base().0);
            Err(not_one("struct module", m.at, "module", &why))
        }
        None => Ok(()),
    }
}

/// A `struct module` is a section of its module's data (`.gnu.linkonce.this_module`). Where it does not lie near them it was
/// made otherwise.
fn holds_itself(m: &Module) -> bool {
    let is_near = |run: &ModuleMemory| (run.base.0 ^ m.at.0) >> 32 == 0;
    !m.memory.iter().any(is_near) || m.memory.iter().any(|run| run.contains(m.at))
}

/// What modules say together that cannot be.
pub(crate) fn contradiction(all: &[Module]) -> Option<KernelError> {
    overlap(all).or_else(|| one_name(all))
}

/// Two modules of one name, which the kernel does not load.
fn one_name(all: &[Module]) -> Option<KernelError> {
    let mut known = FxHashMap::default();
    all.iter().filter(|m| m.has_name()).find_map(|m| {
        let first: VirtAddr = known.insert(m.name.as_str(), m.at)?;
        let why = format!("it and the one at {first:#x} are both called {}", m.name);
        Some(KernelError::Damaged { what: "struct module", at: m.at, why })
    })
}

/// Two modules of which one lies in the other's memory: one of them is not what it says.
fn overlap(all: &[Module]) -> Option<KernelError> {
    let mut runs: Vec<(u64, u64, &Module)> = all
        .iter()
        .flat_map(|m| m.memory.iter().map(move |run| (run.base.0, run.base.0.saturating_add(run.size), m)))
        .filter(|(start, end, _)| start < end)
        .collect();
    runs.sort_by_key(|(start, ..)| *start);
    runs.windows(2).find_map(|pair| match pair {
        [(_, end, one), (start, _, other)] if start < end && one.at != other.at => {
            let why = format!("{} and {} have the same memory at {start:#x}", one.name, other.name);
            Some(KernelError::Damaged { what: "struct module", at: other.at, why })
        }
        _ => None,
    })
}
