//! The step by what a function's own code does to the stack: exact where no table tells, and where one tells
//! and names a register that nobody kept. And the step from an interrupt stack by the word at its top, which
//! links back to the stack that was interrupted.

use crate::fallback::place;
use crate::walk::{Cursor, Step};
use crate::{How, Unwinder};
use arch::{FrameShape, Kept, Regs};
use base::VirtAddr;

/// The link is at most a cache line below the top of an interrupt stack (3.10 leaves 64 bytes there).
const LINK_WITHIN: u64 = 128;

impl Unwinder<'_> {
    pub(crate) fn by_shape(&self, cursor: &Cursor) -> Step {
        let Some(shape) = self.code.shape(cursor.lookup()) else { return Step::Unknown };
        let mut known = false;
        for cfa in cfas(&shape, &cursor.regs) {
            known = true;
            let slot = cfa.sub(8);
            let upward = self.stack_of(slot) != self.stack_of(cursor.sp) || slot >= cursor.sp;
            if !upward || !self.is_stack(slot) {
                continue;
            }
            let Ok(pc) = self.word(slot).map(|word| self.return_of(cursor, slot, word)) else { continue };
            if !self.is_traced_return(pc) {
                continue;
            }
            let mut regs = place(&Regs::new(cursor.regs.reg_set()), pc.0, cfa);
            for &number in self.kept_numbers() {
                regs.put(number, self.kept(&shape, cursor, cfa, number));
            }
            if let Some(caller) = Cursor::new(regs, true, Some(slot), How::Code) {
                return Step::Caller { caller, cfa };
            }
        }
        if known { Step::Unknown } else { Step::Unable }
    }

    /// The registers that functions give back.
    pub(crate) fn kept_numbers(&self) -> &'static [usize] {
        self.arch.reg_set().roles.preserved
    }

    /// The caller's value of a register that functions give back, by the shape of the frame whose CFA is known.
    pub(crate) fn kept(
        &self,
        shape: &FrameShape,
        cursor: &Cursor,
        cfa: VirtAddr,
        number: usize,
    ) -> Option<u64> {
        match shape.kept(number) {
            Kept::Same => cursor.regs.get(number),
            Kept::AtCfa(offset) => self.word(cfa.offset(offset)).ok(),
            Kept::Lost => None,
        }
    }

    /// True where the function's code puts the CFA where a table did.
    pub(crate) fn agrees(&self, shape: &FrameShape, regs: &Regs, cfa: VirtAddr) -> bool {
        cfas(shape, regs).any(|own| own == cfa)
    }

    /// The stack that was interrupted, from a frame at the top of the interrupt stack: the first thing pushed
    /// there is the stack pointer that was left.
    pub(crate) fn link(&self, cursor: &Cursor) -> Option<VirtAddr> {
        let own = self.stack_of(cursor.sp)?;
        let stack = self.stacks.get(own)?;
        if stack.is_task() || stack.end.0.wrapping_sub(cursor.sp.0) > LINK_WITHIN {
            return None;
        }
        let to = self.mem.ptr(cursor.sp).ok()?;
        (self.stack_of(to) != Some(own) && self.is_stack(to)).then_some(to)
    }

    /// Code that called on the interrupt stack keeps its frame on the stack it left: `mov %rsp,%rbp` came before
    /// the switch, and the link is that very stack pointer. So the link stands for a frame pointer that nobody
    /// kept (`asm_call_on_stack` of 5.8 to 5.11, `call_softirq` and `do_softirq_own_stack` before; `call_on_irq_stack` of
    /// arm64, whose frame record leads there).
    pub(crate) fn by_link(&self, cursor: &Cursor) -> Step {
        if !cursor.is_call || cursor.regs.fp().is_some() {
            return Step::Unknown;
        }
        let Some(link) = self.link(cursor) else { return Step::Unknown };
        let mut linked = cursor.clone();
        linked.regs.set(cursor.regs.reg_set().fp, link.0);
        for method in [Self::by_orc, Self::by_cfi, Self::by_record, Self::by_shape, Self::by_frame_pointer] {
            match method(self, &linked) {
                Step::Caller { caller, cfa } if self.is_return(caller.pc) => {
                    return Step::Caller { caller, cfa };
                }
                _ => {}
            }
        }
        Step::Unknown
    }
}

/// Where the CFA can be: by the stack pointer, and by the frame pointer.
fn cfas(shape: &FrameShape, regs: &Regs) -> impl Iterator<Item = VirtAddr> {
    let by = |from: Option<u64>, distance: Option<i64>| Some(VirtAddr(from?).offset(distance?));
    let sp = by(regs.sp(), shape.from_sp);
    sp.into_iter().chain(by(regs.fp(), shape.from_fp).filter(move |bp| Some(*bp) != sp))
}
