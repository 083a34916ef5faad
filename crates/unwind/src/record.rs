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
        if fp.0 == 0 {
            return Step::End;
        }
        if cursor.is_call
            && let Some(at) = self.arch.saved_at_record(self.mem, fp)
        {
            return self.entry(at, How::Saved);
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
        let next = match record {
            (Ok(next), Ok(_)) => next,
            (Err(fault), _) | (_, Err(fault)) => return Step::Fault(fault),
        };
        let Some(pc) = kept.filter(|pc| *pc != 0) else { return Step::End };
        if !self.is_return(VirtAddr(pc)) {
            return Step::Unknown;
        }
        // the record is at the lower end of its frame or above it: the caller's stack pointer is behind it at least
        let cfa = fp.add(16);
        let regs = place(&Regs::new(set), pc, cfa).with(set.fp, next);
        let caller = Cursor::new(regs, true, Some(fp.add(8)), How::FramePointer);
        caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa })
    }

    /// True for a link register that still is the return address of the function at the cursor: it leads out of it, behind
    /// a call. One that leads into it is left by a call that the function made, so that its record stands.
    fn is_left_by_call(&self, cursor: &Cursor, lr: VirtAddr) -> bool {
        let own = self.code.function(cursor.lookup());
        self.is_return(lr) && (own.is_none() || self.code.function(lr.sub(1)) != own)
    }
}
