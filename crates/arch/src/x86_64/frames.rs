//! How functions call and return, and what entries save.

use super::{X86_64, ptregs, regs, shape, unwind};
use crate::capability::Frames;
use crate::{FrameShape, IsText, Prologue, Regs, Resume, SavedLayout};
use base::{Fault, VirtAddr, VirtRead};

impl Frames for X86_64 {
    fn saved_layout(&self) -> SavedLayout {
        SavedLayout { size: ptregs::SIZE, interrupt: ptregs::IRET }
    }
    fn saved(&self, mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
        ptregs::read(mem, at)
    }
    fn interrupted(&self, mem: &dyn VirtRead, at: VirtAddr, before: &Regs) -> Result<Regs, Fault> {
        ptregs::interrupted(mem, at, before)
    }
    fn is_user(&self, regs: &Regs) -> bool {
        ptregs::is_user(regs)
    }
    fn interrupts_off(&self, regs: &Regs) -> Option<bool> {
        // EFLAGS.IF
        Some(regs.get(regs::RFLAGS)? & 0x200 == 0)
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
        unwind::find_pt_regs(mem, at, words, is_text)
    }
    fn follows_call(&self, mem: &dyn VirtRead, at: VirtAddr) -> bool {
        unwind::follows_call(mem, at)
    }
    fn longest_call(&self) -> u64 {
        7
    }
    fn call_target(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
        unwind::call_target(mem, at)
    }
    fn jumps_to(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr> {
        unwind::jumps_to(mem, at)
    }
    fn prologue(&self, mem: &dyn VirtRead, start: VirtAddr, pc: VirtAddr) -> Prologue {
        unwind::prologue(mem, start, pc)
    }
    fn frame_shape(&self, parts: &[(u64, &[u8])], at: u64) -> Option<FrameShape> {
        shape::frame_shape(parts, at)
    }
    fn sleeping(
        &self,
        mem: &dyn VirtRead,
        sp: VirtAddr,
        legacy: &dyn Fn() -> Option<VirtAddr>,
        is_text: IsText<'_>,
        function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
    ) -> Option<Resume> {
        unwind::sleeping(mem, sp, legacy, is_text, function)
    }
    fn after_switch(&self, start: VirtAddr, code: &[u8], switch_to: VirtAddr) -> Option<VirtAddr> {
        unwind::after_switch(start, code, switch_to)
    }
}
