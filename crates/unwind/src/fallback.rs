//! Steps without tables: saved registers recognised on the stack, the chain of frame pointers, and the scan.

use crate::walk::{Cursor, Step};
use crate::{How, Saved, Unwinder};
use arch::{Prologue, Regs};
use base::{Fault, VirtAddr};
use debuginfo::orc::{OrcBp, OrcEntry, OrcKind};

/// How far above an entry's stack pointer its saved registers begin: entry code has pushed at most a few words
/// (a return address, a link to the interrupted stack).
const ENTRY_WORDS: u64 = 4;
/// How much of a stack without known bounds to scan: up to the end of its 16 KiB.
const STACK_SIZE: u64 = 16 << 10;

impl Unwinder<'_> {
    /// Entry code, told by the saved registers that begin where its stack pointer is, or at the start of the
    /// stack that an interrupt stack's top word links to.
    pub(crate) fn by_saved(&self, cursor: &Cursor) -> Step {
        let is_text = |at: VirtAddr| self.code.is_text(at);
        // entry code is told by tables and by its own code: where neither can be read, registers on the stack can be what
        // any function keeps of an exception
        let at = cursor.lookup();
        let is_lost = |at: VirtAddr| self.mem.u8(at).is_err();
        if !cursor.is_call
            || is_lost(at)
            || self.code.function(at).is_some_and(is_lost)
            || self.code.is_nameless(at)
        {
            return Step::Unknown;
        }
        // right where the stack pointer is, any code of the kernel's half will do: the modules may not be known
        let is_kernel = |at: VirtAddr| self.arch.is_kernel(at);
        let here = self.arch.frames.find_saved(self.mem, cursor.sp, 1, &is_kernel);
        let near = || self.arch.frames.find_saved(self.mem, cursor.sp, ENTRY_WORDS, &is_text);
        if let Some(at) = here.or_else(near) {
            return self.called_before(cursor, cursor.sp, at).unwrap_or_else(|| self.entry(at, How::Saved));
        }
        let saved = self.arch.frames.saved_layout();
        let Some(to) = self.link(cursor).or_else(|| self.nested_link(cursor)) else { return Step::Unknown };
        // it can point into the structure: entry code of 3.10 takes the address of its rbp
        match self.arch.frames.find_saved(self.mem, to.sub(saved.interrupt), saved.size / 8, &is_text) {
            Some(at) if at < to => self.partly(self.entry(at, How::Saved), cursor, &|_| true),
            Some(at) => self.called_before(cursor, to, at).unwrap_or_else(|| self.entry(at, How::Saved)),
            None => Step::Unknown,
        }
    }

    /// The caller that stands between a frame's words and registers that lie behind them: registers are those of the
    /// frame right below them, so that whatever was called from there has its return address in between. The frame that
    /// is told by them is sure; of one further in only the return address is known.
    fn called_before(&self, cursor: &Cursor, from: VirtAddr, registers: VirtAddr) -> Option<Step> {
        let mut slots = (from.0.wrapping_add(7) & !7..registers.0).step_by(8).map(VirtAddr);
        slots.find_map(|slot| {
            let pc = match self.return_word(slot) {
                Ok(pc) => pc,
                Err(fault) => return Some(Step::Fault(fault)),
            };
            let cfa = slot.add(8);
            let how = if cfa == registers { How::Saved } else { How::Scan };
            let caller = self.can_be_return(pc).then(|| self.scanned(cursor, slot, pc, how))??;
            Some(Step::Caller { caller, cfa })
        })
    }

    /// The link of an interrupt that came on the interrupt stack itself: entry code of 3.10 pushes its stack pointer
    /// there too, which is the word above.
    fn nested_link(&self, cursor: &Cursor) -> Option<VirtAddr> {
        let to = self.mem.ptr(cursor.sp).ok()?;
        (to == cursor.sp.add(8) && self.is_stack(to)).then_some(to)
    }

    /// Registers of an entry that saved only what calls may overwrite, and the frame pointer: the others (those that
    /// are `left`) are as the frame has them.
    pub(crate) fn partly(&self, entry: Step, cursor: &Cursor, left: &dyn Fn(usize) -> bool) -> Step {
        let Step::Entry { mut saved, how, is_call } = entry else { return entry };
        let fp = saved.regs.reg_set().fp;
        for &number in self.kept_numbers().iter().filter(|number| **number != fp && left(**number)) {
            saved.regs.put(number, cursor.regs.get(number));
        }
        Step::Entry { saved, how, is_call }
    }

    /// A call through a null or wild pointer: nothing ran there, so that the return address is on top.
    pub(crate) fn by_wild_call(&self, cursor: &Cursor) -> Step {
        if cursor.is_call || self.code.is_text(cursor.pc) {
            return Step::Unknown;
        }
        match self.return_word(cursor.sp) {
            Ok(pc) if self.is_return(pc) => {
                let cfa = cursor.sp.add(8);
                let regs = place(&cursor.regs, pc.0, cfa);
                let caller = Cursor::new(regs, true, Some(cursor.sp), How::WildCall);
                caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa })
            }
            Ok(_) => Step::Unknown,
            Err(fault) => Step::Fault(fault),
        }
    }

    /// `push %rbp; mov %rsp,%rbp` at the start of every function makes a chain: `*rbp` is the caller's rbp,
    /// the word above the return address.
    pub(crate) fn by_frame_pointer(&self, cursor: &Cursor) -> Step {
        let Some(bp) = cursor.regs.fp().map(VirtAddr) else { return Step::Unknown };
        let state = match self.code.function(cursor.lookup()) {
            Some(start) => self.arch.frames.prologue(self.mem, start, cursor.pc),
            // of the image's code nothing is known without a name; other code without one (BPF programs and trampolines whose
            // list is lost) keeps frame pointers in every kernel
            None if self.code.is_nameless(cursor.lookup()) => Prologue::Absent,
            None => Prologue::Done,
        };
        let (slot, bp_at) = match state {
            Prologue::NotPushed => (cursor.sp, None),
            Prologue::Pushed => (cursor.sp.add(8), Some(cursor.sp)),
            Prologue::Done => (bp.add(8), Some(bp)),
            Prologue::Absent => return Step::Unknown,
        };
        // the frame is above what the function has pushed
        let upward = self.stack_of(slot) != self.stack_of(cursor.sp) || slot >= cursor.sp;
        if !upward || !self.is_stack(slot) {
            return Step::Unknown;
        }
        let (Ok(pc), Ok(caller_bp)) = (self.word(slot), bp_at.map_or(Ok(bp.0), |at| self.word(at))) else {
            return Step::Unknown;
        };
        let pc = self.return_of(cursor, slot, pc);
        if !self.is_return(pc) && !self.code.is_swapped(pc) {
            return Step::Unknown;
        }
        let cfa = slot.add(8);
        let none = Regs::new(cursor.regs.reg_set());
        let regs = place(&none, pc.0, cfa).with(cursor.regs.reg_set().fp, caller_bp);
        let is_any = self.code.are_names_lost() && self.code.function(cursor.lookup()).is_none();
        let how = if is_any { How::Scan } else { How::FramePointer };
        let caller = Cursor::new(regs, true, Some(slot), how);
        caller.map_or(Step::Unknown, |caller| Step::Caller { caller, cfa })
    }

    /// The next return address on the stack behind a direct call of this very function, where a table does not
    /// contradict it: code without tables (`__crash_kexec`) is told by it, entry code is never called so.
    pub(crate) fn by_called(&self, cursor: &Cursor) -> Step {
        let Some(function) = self.code.function(cursor.lookup()) else { return Step::Unknown };
        let calls_it = |at| self.arch.frames.call_target(self.mem, at) == Some(function);
        self.scan(cursor, How::Called, &calls_it, false)
    }

    /// The next word on the stack that is a return address, where there is one from which the tables can go on; else
    /// the next at all.
    pub(crate) fn by_scan(&self, cursor: &Cursor) -> Step {
        self.scan(cursor, How::Scan, &|_| true, true)
    }

    fn scan(&self, cursor: &Cursor, how: How, wanted: &dyn Fn(VirtAddr) -> bool, even_stale: bool) -> Step {
        let end = match self.stack_of(cursor.sp).and_then(|i| self.stacks.get(i)) {
            Some(stack) => stack.end,
            None => VirtAddr((cursor.sp.0 | (STACK_SIZE - 1)).wrapping_add(1)),
        };
        let mut first = None;
        let mut slot = VirtAddr(cursor.sp.0.wrapping_add(7) & !7);
        while slot < end && slot >= cursor.sp {
            if let Ok(pc) = self.return_word(slot)
                && self.is_return(pc)
                && wanted(pc)
                && let Some(caller) = self.scanned(cursor, slot, pc, how)
            {
                let cfa = slot.add(8);
                if !self.is_stale(&caller) {
                    return Step::Caller { caller, cfa };
                }
                first = first.or(Some((caller, cfa)).filter(|_| even_stale));
            }
            slot = slot.add(8);
        }
        first.map_or(Step::Unknown, |(caller, cfa)| Step::Caller { caller, cfa })
    }

    /// A caller whose return address was found in this word.
    fn scanned(&self, cursor: &Cursor, slot: VirtAddr, pc: VirtAddr, how: How) -> Option<Cursor> {
        let set = cursor.regs.reg_set();
        let mut regs = place(&Regs::new(set), pc.0, slot.add(8));
        regs.put(set.fp, self.scanned_bp(cursor, slot));
        let regs = self.with_record(regs, slot);
        Cursor::new(regs, true, Some(slot), how)
    }

    /// The caller's frame pointer, when its return address is taken to be at `slot`: where the function saved it,
    /// if its table says so; else still the same, as code without a frame leaves it alone.
    fn scanned_bp(&self, cursor: &Cursor, slot: VirtAddr) -> Option<u64> {
        if let Some(OrcEntry { bp: OrcBp::AtCfa(offset), .. }) = self.code.orc(cursor.lookup()) {
            return self.word(slot.add(8).offset(offset.into())).ok();
        }
        cursor.regs.fp().filter(|bp| *bp > slot.0 && self.is_stack(VirtAddr(*bp)))
    }

    /// A table says what must be above this frame, and it is not there: an old return address that later frames
    /// did not overwrite.
    fn is_stale(&self, caller: &Cursor) -> bool {
        let at = caller.lookup();
        match self.by_orc(caller) {
            Step::Unknown if self.code.orc(at).is_some_and(|e| e.kind != OrcKind::Undefined) => true,
            Step::Unknown => match self.code.cfi(at) {
                Some(_) => matches!(self.by_cfi(caller), Step::Unknown | Step::Fault(_)),
                None => self.code.orc(at).is_none() && self.shape_denies(caller),
            },
            Step::Fault(_) => true,
            _ => false,
        }
    }

    /// Without a table: the code says where the return address is, no return address is there, and no entry
    /// code's registers are near either.
    fn shape_denies(&self, caller: &Cursor) -> bool {
        let known = self.code.shape(caller.lookup()).is_some_and(|shape| shape.from_sp.is_some());
        known
            && matches!(self.by_shape(caller), Step::Unknown)
            && !matches!(self.by_saved(caller), Step::Entry { .. } | Step::Caller { .. })
    }

    /// Where nothing led on: the registers of user mode that lie at the end of a user task's stack.
    pub(crate) fn user_entry(&self, cursor: &Cursor) -> Option<Saved> {
        let end = self.stacks.get(self.stack_of(cursor.sp)?)?.end;
        let at = end.sub(self.arch.frames.saved_layout().size);
        let from = cursor.sp.0.max(at.0.saturating_sub(16));
        let words = at.0.checked_sub(from)? / 8 + 1;
        let at = self.arch.frames.find_saved(self.mem, VirtAddr(from), words, &|_| false)?;
        let regs = self.arch.frames.saved(self.mem, at).ok()?;
        let direct = !self.may_hold_frames(cursor.sp, at);
        (direct && self.arch.frames.is_user(&regs)).then_some(Saved { at, regs, full: true, user: true })
    }

    /// True where a word between two places of a stack may be a return address that no symbol covers: frames lie there
    /// that were not found.
    fn may_hold_frames(&self, from: VirtAddr, to: VirtAddr) -> bool {
        let [start, _, end] = self.arch.layout.image_range();
        let mut slots = (from.0.wrapping_add(7) & !7..to.0).step_by(8).map(VirtAddr);
        slots.any(|slot| match self.return_word(slot) {
            Ok(pc) if (start..end).contains(&pc) => {
                self.mem.u8(pc.sub(1)).is_err() || self.arch.frames.follows_call(self.mem, pc)
            }
            Ok(_) => false,
            Err(_) => true,
        })
    }

    /// What can be a return address, where something else says that one is there: code, behind a call as far as the dump has
    /// the code.
    #[must_use]
    pub fn can_be_return(&self, pc: VirtAddr) -> bool {
        let lost = || [1, self.arch.frames.longest_call()].iter().any(|n| self.mem.u8(pc.sub(*n)).is_err());
        self.code.is_text(pc) && (self.arch.frames.follows_call(self.mem, pc) || lost())
    }

    /// The same, or what a tracer put in a return address's place and nothing tells of.
    pub(crate) fn is_traced_return(&self, pc: VirtAddr) -> bool {
        self.can_be_return(pc) || self.code.is_swapped(pc)
    }

    /// A word of a stack that may be a return address, without the authentication code of a signed one. Where a tracer
    /// noted another one of this very word, that one.
    fn return_word(&self, at: VirtAddr) -> Result<VirtAddr, Fault> {
        self.word(at).map(|word| self.code.returned_to(at, VirtAddr(self.code.code_pointer(word)), None))
    }

    /// The return address of the frame at the cursor, of which `word` is in memory at `slot`.
    pub(crate) fn return_of(&self, cursor: &Cursor, slot: VirtAddr, word: u64) -> VirtAddr {
        self.code.returned_to(slot, VirtAddr(self.code.code_pointer(word)), Some(cursor.lookup()))
    }

    /// A return address: code, behind a call.
    pub(crate) fn is_return(&self, pc: VirtAddr) -> bool {
        self.code.is_text(pc) && self.arch.frames.follows_call(self.mem, pc)
    }
}

/// Registers with this program counter and stack pointer.
pub(crate) fn place(regs: &Regs, pc: u64, sp: VirtAddr) -> Regs {
    let set = regs.reg_set();
    regs.with(set.pc, pc).with(set.sp, sp.0)
}
