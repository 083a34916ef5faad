//! How functions call and return, and what entries save. No function's first instructions are read: frame records tell more
//! ([`Frames::saved_at_record`]).

use super::{Arm64, ptregs, regs, unwind};
use crate::capability::Frames;
use crate::{IsText, Paging, Regs, Resume, SavedLayout};
use base::{Fault, VirtAddr, VirtRead};

impl Frames for Arm64 {
    fn saved_layout(&self) -> SavedLayout {
        SavedLayout { size: ptregs::SIZE, interrupt: ptregs::PC_AT }
    }
    fn saved(&self, mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
        ptregs::read(mem, at)
    }
    fn interrupted(&self, mem: &dyn VirtRead, at: VirtAddr, _before: &Regs) -> Result<Regs, Fault> {
        // the processor itself saves nothing in memory: entry code saves all
        ptregs::read(mem, at)
    }
    fn is_user(&self, regs: &Regs) -> bool {
        ptregs::is_user(regs)
    }
    fn interrupts_off(&self, regs: &Regs) -> Option<bool> {
        // PSTATE.I
        Some(regs.get(regs::PSTATE)? & 0x80 != 0)
    }
    fn can_be_saved(&self, regs: &Regs) -> bool {
        ptregs::is_possible(regs)
    }
    fn find_saved(
        &self,
        mem: &dyn VirtRead,
        at: VirtAddr,
        words: u64,
        is_text: IsText<'_>,
    ) -> Option<VirtAddr> {
        unwind::find_saved(mem, at, words, is_text)
    }
    fn saved_at_record(&self, mem: &dyn VirtRead, fp: VirtAddr) -> Option<VirtAddr> {
        unwind::saved_at_record(mem, fp)
    }
    fn code_pointer(&self, at: u64, paging: &Paging) -> u64 {
        unwind::strip(at, paging.address_bits)
    }
    fn follows_call(&self, mem: &dyn VirtRead, at: VirtAddr) -> bool {
        unwind::follows_call(mem, at)
    }
    fn longest_call(&self) -> u64 {
        4
    }
    fn call_target(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
        unwind::call_target(mem, at)
    }
    fn sleeping(
        &self,
        mem: &dyn VirtRead,
        context: VirtAddr,
        _legacy: &dyn Fn() -> Option<VirtAddr>,
        _is_text: IsText<'_>,
        _function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
    ) -> Option<Resume> {
        unwind::sleeping(mem, context)
    }
}
