//! Notes with registers.
//!
//! `NT_PRSTATUS` is `struct elf_prstatus` with the registers of `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h)
//! from byte 112 on. QEMU writes one a CPU, and no others that tell of page tables.

use super::Arm64;
use super::regs::{PC, PSTATE, SET, SP};
use crate::capability::CpuNotes;
use crate::{CpuState, Regs};
use base::{Bytes, OutOfBounds, RawNote};

/// Offsets in `struct elf_prstatus`.
const PR_PID: usize = 32;
const PR_REG: usize = 112;

/// The CPUs' registers from the notes, in their order.
pub(crate) fn cpu_states(notes: &[RawNote]) -> Vec<CpuState> {
    notes.iter().filter(|n| n.is("CORE") && n.kind == 1).filter_map(|n| prstatus(&n.desc).ok()).collect()
}

fn prstatus(desc: &[u8]) -> Result<CpuState, OutOfBounds> {
    let bytes = Bytes::new(desc);
    let mut regs = Regs::new(&SET);
    for (i, number) in (0..=PC).chain([PSTATE]).enumerate() {
        regs.set(number, bytes.u64_at(PR_REG + 8 * i)?);
    }
    let pid = bytes.i32_at(PR_PID)?;
    Ok(CpuState { regs, control: None, pid: (pid > 0).then_some(pid), source: "NT_PRSTATUS" })
}

/// True for a CPU that was never switched on: it waits at 0, or at the firmware's entry, with its MMU off.
pub(crate) fn is_reset(state: &CpuState) -> bool {
    // PSTATE of a reset: EL1h with all exceptions masked
    (state.regs.get(PC), state.regs.get(SP), state.regs.get(PSTATE)) == (Some(0), Some(0), Some(0x3c5))
}

impl CpuNotes for Arm64 {
    fn cpu_states(&self, notes: &[RawNote]) -> Vec<CpuState> {
        cpu_states(notes)
    }
    fn is_reset(&self, state: &CpuState) -> bool {
        is_reset(state)
    }
    fn is_narrow(&self, regs: &Regs) -> bool {
        regs.get(PSTATE).is_some_and(|pstate| pstate & 0x10 != 0)
    }
    fn general(&self) -> Vec<usize> {
        (0..=PC).chain([PSTATE]).collect()
    }
}
