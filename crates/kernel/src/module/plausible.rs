//! What a `struct module` must hold to be one.
//!
//! Source: arch/*/include/asm (`MODULES_VADDR`, `MODULES_END`).

use super::{Module, ModuleMemory};
use crate::error::KernelError;
use crate::plausible::not_one;
use crate::session::Session;
use base::VirtAddr;

/// No module has as much memory, not even one with all of a compiler's checks.
const MODULE_MAX: u64 = 512 << 20;

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
        None if m.memory.is_empty() => {
            Err(not_one("struct module", m.at, "module", "it has no memory that stays"))
        }
        None => Ok(()),
    }
}

/// Two modules of which one lies in the other's memory: one of them is not what it says.
pub(crate) fn overlap(all: &[Module]) -> Option<KernelError> {
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
