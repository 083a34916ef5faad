//! Where CPUs have their own variables.

use super::X86_64;
use super::regs::GS_BASE;
use crate::CpuState;
use crate::capability::PerCpu;

impl PerCpu for X86_64 {
    /// The kernel has its base in GS, and where user mode's is there, `swapgs` brings it in.
    fn bases(&self, state: &CpuState) -> [Option<u64>; 2] {
        [state.regs.get(GS_BASE), state.control.and_then(|c| c.kernel_gs_base)]
    }
}
