//! The step by frame records: where a call leaves its return address in a register, every function that calls keeps it on
//! the stack beside its caller's frame pointer, and the frame pointer is at that pair (AAPCS64, "the frame pointer").

use crate::fallback::place;
use crate::walk::{Cursor, Step};
use crate::{How, Unwinder};
use arch::Regs;
use base::VirtAddr;

impl Unwinder<'_> {
    /// The caller, by the link register in a function that has not kept it yet or never does, else by its record; or the
    /// registers that an entry saved beside its own record.
    pub(crate) fn by_record(&self, cursor: &Cursor) -> Step {
        let set = cursor.regs.reg_set();
        let (Some(link), Some(fp)) = (set.roles.link, cursor.regs.fp().map(VirtAddr)) else {
            return Step::Unknown;
        };
        if fp.0 == 0 && cursor.is_call && self.is_outermost(cursor.sp) {
            return Step::End;
        }
        if cursor.is_call
            && let Some(at) = self.arch.frames.saved_at_record(self.mem, fp)
        {
            let entry = self.entry(at, How::Saved);
            // the registers of user mode end a task's stack: elsewhere zeros can look so
            if !matches!(&entry, Step::Entry { saved, .. } if saved.user && !self.is_outermost(fp)) {
                return entry;
            }
        }
        let record = (self.word(fp), self.word(fp.add(8)));
        let kept = record.1.ok().map(|lr| self.code.code_pointer(lr));
        let live = cursor.regs.get(link).filter(|_| !cursor.is_call).map(|lr| self.code.code_pointer(lr));
        if let Some(lr) = live.filter(|lr| Some(*lr) != kept && self.is_left_by_call(cursor, VirtAddr(*lr))) {
            let mut regs = place(&cursor.regs, lr, cursor.sp);
            regs.clear(link);
            let caller = Cursor::new(regs, true, None, How::Link);
            return caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa: cursor.sp });
        }
        // a frame pointer that leads to no stack is broken: what lies on the stack may lead on
        if !self.is_stack(fp) || fp.0 == 0 {
            return Step::Unknown;
        }
        let next = match record {
            (Ok(next), Ok(_)) => next,
            (Err(fault), _) | (_, Err(fault)) => return Step::Fault(fault),
        };
        // zeros end the chain in the room for registers at the end of a task's stack (5.12, 7d7b720a4b80), and are a broken
        // one elsewhere
        let Some(pc) = kept.filter(|pc| *pc != 0) else {
            return if next == 0 && self.is_outermost(fp) { Step::End } else { Step::Unknown };
        };
        let pc = self.return_of(cursor, fp.add(8), pc);
        // code that was given back since, or is not in the dump, cannot show the call
        if !self.is_traced_return(pc) {
            return Step::Unknown;
        }
        // the record is at the lower end of its frame or above it: the caller's stack pointer is behind it at least
        let cfa = fp.add(16);
        let regs = place(&Regs::new(set), pc.0, cfa).with(set.fp, next);
        let caller = Cursor::new(regs, true, Some(fp.add(8)), How::FramePointer);
        caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa })
    }

    /// The registers of a caller whose return address was found in this word of a stack: where frames are chained by records,
    /// the word below is the caller's frame pointer, which leads further up the same stack or ends the chain.
    #[must_use]
    pub fn with_record(&self, regs: Regs, slot: VirtAddr) -> Regs {
        let set = regs.reg_set();
        let ends = |fp: u64| fp == 0 && self.is_outermost(slot);
        let above = |fp: &u64| ends(*fp) || *fp > slot.0 && self.is_stack(VirtAddr(*fp));
        match set.roles.link.and_then(|_| self.word(slot.sub(8)).ok()).filter(above) {
            Some(fp) => regs.with(set.fp, fp),
            None => regs,
        }
    }

    /// True where a task's stack has room for the outermost function at most: up to the registers at its end, that function's
    /// own frame.
    fn is_outermost(&self, at: VirtAddr) -> bool {
        const FRAME: u64 = 256;
        let room = self.arch.frames.saved_layout().size + 32 + FRAME;
        let stack = self.stack_of(at).and_then(|i| self.stacks.get(i));
        stack.is_none_or(|stack| stack.is_task() && stack.end.0.wrapping_sub(at.0) <= room)
    }

    /// True for a link register that still is the return address of the function at the cursor: it leads out of it, behind
    /// a call. One that leads into it is left by a call that the function made, so that its record stands. Where neither
    /// place is in a known function and one is near the other, the call tells: whether it led to the code at the cursor.
    fn is_left_by_call(&self, cursor: &Cursor, lr: VirtAddr) -> bool {
        const NEAR: u64 = 4096;
        let at = cursor.lookup();
        let elsewhere = match (self.code.function(at), self.code.function(lr.sub(1))) {
            (None, None) if at.0.abs_diff(lr.0) < NEAR => {
                let called = self.arch.frames.call_target(self.mem, lr);
                called.is_none_or(|called| at.0.checked_sub(called.0).is_some_and(|into| into < NEAR))
            }
            (None, None) => true,
            (own, left) => own != left,
        };
        self.is_return(lr) && elsewhere
    }
}
