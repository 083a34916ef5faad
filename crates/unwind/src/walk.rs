//! The walk from frame to frame: which method is tried when, and what ends it.

use crate::{Frame, How, Saved, StopReason, Unwinder, Unwound};
use arch::Regs;
use base::{Fault, VirtAddr};

/// More frames than a 64 KiB stack (16 KiB with KASAN's factor of 4) can hold at two words each.
const MAX_FRAMES: usize = 4096;

/// The largest kernel stack: 16 KiB, times 4 with KASAN. What is further apart lies on different stacks.
const STACK_MAX: u64 = 64 << 10;
/// Pages of the largest stack.
const MAX_PAGES: usize = (STACK_MAX / base::GRANULE) as usize;
/// How often unwinding may go from one stack to another: task, softirq or IRQ, and every exception's once.
const MAX_STACKS: usize = 12;

/// What one step from a frame to its caller found.
pub(crate) enum Step {
    /// The caller, and the CFA it was found at.
    Caller { caller: Cursor, cfa: VirtAddr },
    /// The frame is entry code; these registers were saved by it.
    Entry { saved: Saved, how: How, is_call: bool },
    /// There is no caller.
    End,
    /// This method knows nothing here, or what it says cannot be.
    Unknown,
    /// It would know, but needs a register that is not known in this frame.
    Unable,
    /// The method knew where to look, but the memory is not there.
    Fault(Fault),
}

/// A frame before its own step.
#[derive(Clone)]
pub(crate) struct Cursor {
    pub(crate) regs: Regs,
    pub(crate) pc: VirtAddr,
    pub(crate) sp: VirtAddr,
    pub(crate) is_call: bool,
    pub(crate) slot: Option<VirtAddr>,
    pub(crate) how: How,
}

impl Cursor {
    pub(crate) fn new(regs: Regs, is_call: bool, slot: Option<VirtAddr>, how: How) -> Option<Self> {
        let (pc, sp) = (VirtAddr(regs.pc()?), VirtAddr(regs.sp()?));
        Some(Self { regs, pc, sp, is_call, slot, how })
    }
    /// The address to look up in tables.
    pub(crate) const fn lookup(&self) -> VirtAddr {
        if self.is_call { self.pc.sub(1) } else { self.pc }
    }
}

impl Unwinder<'_> {
    /// Unwinds from registers whose program counter is the next instruction: a CPU's.
    #[must_use]
    pub fn unwind(&self, regs: Regs) -> Unwound {
        self.start(Cursor::new(regs, false, None, How::Start))
    }

    /// Unwinds a task that does not run, from what the switch away from it left.
    #[must_use]
    pub fn resume(&self, from: &crate::Resume) -> Unwound {
        self.start(Cursor::new(from.regs, from.is_call, from.slot, How::Start))
    }

    fn start(&self, cursor: Option<Cursor>) -> Unwound {
        let mut frames = Vec::new();
        let stopped = match cursor {
            Some(cursor) => self.walk(cursor, &mut frames),
            None => StopReason::NoStart,
        };
        mark_unproven(&mut frames);
        Unwound { frames, stopped }
    }

    fn walk(&self, start: Cursor, frames: &mut Vec<Frame>) -> StopReason {
        let mut cursor = start;
        // stacks left behind: a stack is entered once
        let mut left = Vec::new();
        loop {
            let stack = self.stack_of(cursor.sp);
            let mut frame = Frame {
                pc: cursor.pc,
                is_call: cursor.is_call,
                slot: cursor.slot,
                sp: cursor.sp,
                cfa: None,
                how: cursor.how,
                regs: cursor.regs,
                saved: None,
                stack,
            };
            let step = self.step(&cursor);
            let (next, stop) = match step {
                Step::Caller { caller, cfa } => {
                    // where a search found a caller says nothing of this frame: a return address was overwritten
                    frame.cfa = if caller.how.is_guess() { self.orc_own(&cursor) } else { Some(cfa) };
                    (Some(caller), StopReason::NothingFound)
                }
                Step::Entry { saved, .. } if self.is_room(&saved) => (None, StopReason::EndOfStack),
                Step::Entry { saved, how, is_call } => {
                    let stop = if saved.user { StopReason::UserMode } else { StopReason::NothingFound };
                    let next = (!saved.user).then(|| {
                        Cursor::new(
                            saved.regs,
                            is_call,
                            Some(saved.at.add(self.arch.frames.saved_layout().interrupt)),
                            how,
                        )
                    });
                    frame.saved = Some(saved);
                    (next.flatten(), stop)
                }
                Step::End => (None, StopReason::EndOfStack),
                Step::Unknown | Step::Unable => {
                    frame.saved = self.user_entry(&cursor);
                    let is_user = frame.saved.is_some();
                    (None, if is_user { StopReason::UserMode } else { self.end(&cursor) })
                }
                Step::Fault(fault) => (None, StopReason::Fault(fault)),
            };
            frames.push(frame);
            let Some(mut next) = next else { return stop };
            next.is_call = next.is_call && !self.begins_function(next.pc);
            if frames.len() >= MAX_FRAMES {
                return StopReason::TooMany;
            }
            if let Err(stop) = self.progress(&cursor, &next, &mut left) {
                return stop;
            }
            cursor = next;
        }
    }

    /// True for the first byte of a function, as no call before it shows that one returns there: nothing lies before it that
    /// belongs to the frame.
    fn begins_function(&self, pc: VirtAddr) -> bool {
        let read = |bytes: u64| self.mem.u8(pc.sub(bytes)).is_ok();
        !self.arch.frames.follows_call(self.mem, pc)
            && read(1)
            && read(self.arch.frames.longest_call())
            && self.code.function(pc) == Some(pc)
    }

    /// The first page from here to the end of the stack that cannot be read.
    fn unread(&self, sp: VirtAddr) -> Option<Fault> {
        let end = match self.stack_of(sp).and_then(|i| self.stacks.get(i)) {
            Some(stack) => stack.end.0,
            None => (sp.0 | (base::GRANULE - 1)).wrapping_add(1),
        };
        let pages = std::iter::successors(Some(sp.0 & !7), |at| (at | (base::GRANULE - 1)).checked_add(1));
        let pages = pages.take_while(|at| *at < end).take(MAX_PAGES);
        pages.filter_map(|at| self.word(VirtAddr(at)).err()).next()
    }

    /// A caller is further up the same stack, or on a stack that was not left before. `left` collects those.
    fn progress(&self, from: &Cursor, to: &Cursor, left: &mut Vec<Option<usize>>) -> Result<(), StopReason> {
        let (stack, next) = (self.stack_of(from.sp), self.stack_of(to.sp));
        let unknown = stack.is_none() && next.is_none();
        let far = from.sp.0.abs_diff(to.sp.0) > STACK_MAX;
        if stack == next && !(unknown && far) {
            // an interrupted leaf function can have pushed nothing: equal is progress only for it. One may also have taken its
            // return address off the stack, as vfork() does, and have it in a register
            let in_register = !from.is_call && to.how == How::Cfi && to.slot.is_none();
            let exact = (!to.is_call || to.how == How::Link || in_register) && to.sp == from.sp;
            return if to.sp > from.sp || exact { Ok(()) } else { Err(StopReason::NoProgress(to.sp)) };
        }
        left.push(stack);
        let again = next.is_some() && left.contains(&next);
        if again || left.len() > MAX_STACKS { Err(StopReason::NoProgress(to.sp)) } else { Ok(()) }
    }

    /// One step, by the surest method that knows this place.
    fn step(&self, cursor: &Cursor) -> Step {
        // what the tracer's code does to a stack is nothing that was done to this one yet
        if cursor.slot.is_some() && self.code.is_swapped(cursor.pc) {
            return self.by_scan(cursor);
        }
        let mut fault = None;
        let mut unable = false;
        for method in [Self::by_orc, Self::by_cfi] {
            match method(self, cursor) {
                Step::Unknown => {}
                Step::Unable => unable = true,
                Step::Fault(f) => fault = fault.or(Some(f)),
                found => return found,
            }
        }
        // a table that knows the frame and lacks a register says that this is no entry code
        let guesses: &[fn(&Self, &Cursor) -> Step] = if unable {
            &[
                Self::by_record,
                Self::by_link,
                Self::by_shape,
                Self::by_called,
                Self::by_frame_pointer,
                Self::by_scan,
            ]
        } else {
            &[
                Self::by_record,
                Self::by_link,
                Self::by_shape,
                Self::by_called,
                Self::by_saved,
                Self::by_wild_call,
                Self::by_frame_pointer,
                Self::by_scan,
            ]
        };
        for method in guesses {
            match method(self, cursor) {
                Step::Unknown | Step::Unable => {}
                Step::Fault(f) => fault = fault.or(Some(f)),
                found => return found,
            }
        }
        fault.map_or(Step::Unknown, Step::Fault)
    }

    /// The stack that holds an address, or ends at it.
    pub(crate) fn stack_of(&self, at: VirtAddr) -> Option<usize> {
        self.stacks
            .iter()
            .position(|s| s.contains(at))
            .or_else(|| self.stacks.iter().position(|s| s.end == at))
    }

    /// True for what a kernel thread has where others have the registers of user mode, at the end of the task's stack
    /// (the first): until 4.x with the kernel's segments, so that it looks like an entry, from nowhere.
    fn is_room(&self, saved: &Saved) -> bool {
        let nowhere = !saved.user && saved.regs.pc().is_none_or(|pc| !self.code.is_text(VirtAddr(pc)));
        let end = saved.at.add(self.arch.frames.saved_layout().size);
        nowhere && self.stacks.first().is_some_and(|own| own.end.0.wrapping_sub(end.0) <= 16)
    }

    /// Why the stack ends at a frame from which nothing leads on.
    fn end(&self, cursor: &Cursor) -> StopReason {
        let lost = self.code.lost_table(cursor.lookup());
        if lost.is_none() && self.at_bottom(cursor) {
            return StopReason::EndOfStack;
        }
        // words that cannot be read may have been the next return address
        match (self.unread(cursor.sp), lost) {
            (Some(fault), _) => StopReason::Fault(fault),
            (None, Some(fault)) => StopReason::LostTable(fault),
            (None, None) => StopReason::NothingFound,
        }
    }

    /// True when, on a task's stack, only the room that every task keeps for `struct pt_regs` is left above.
    fn at_bottom(&self, cursor: &Cursor) -> bool {
        let stack = self.stack_of(cursor.sp).and_then(|i| self.stacks.get(i));
        stack.is_some_and(|s| {
            s.is_task() && s.end.0 - cursor.sp.0 <= self.arch.frames.saved_layout().size + 16
        })
    }

    /// True when tables that lead to this CFA and return address are to be believed: on a known stack any code,
    /// elsewhere only what follows a call.
    pub(crate) fn is_caller(&self, cfa: VirtAddr, pc: VirtAddr) -> bool {
        cfa.0.is_multiple_of(8) && if self.is_stack(cfa) { self.code.is_text(pc) } else { self.is_return(pc) }
    }

    /// True when a stack pointer can be this.
    pub(crate) fn is_stack(&self, at: VirtAddr) -> bool {
        at.0.is_multiple_of(8) && (self.stacks.is_empty() || self.stack_of(at).is_some())
    }

    /// A word of a stack.
    pub(crate) fn word(&self, at: VirtAddr) -> Result<u64, Fault> {
        self.mem.u64(at)
    }

    /// The registers saved at `at`, taken as what this frame was entered with.
    pub(crate) fn entry(&self, at: VirtAddr, how: How) -> Step {
        match self.arch.frames.saved(self.mem, at) {
            Ok(regs) => {
                let user = self.arch.frames.is_user(&regs);
                Step::Entry { saved: Saved { at, regs, full: true, user }, how, is_call: false }
            }
            Err(fault) => Step::Fault(fault),
        }
    }
}

/// Frames behind a guess rest on it, whatever found them: only where they lead to the end of the stack without another guess
/// do they bear it out. Those before another one are guesses as well.
fn mark_unproven(frames: &mut [Frame]) {
    let Some(last) = frames.iter().rposition(|frame| frame.how.is_guess()) else { return };
    let first = frames.iter().position(|frame| frame.how.is_guess()).unwrap_or(last);
    for frame in frames.get_mut(first..last).unwrap_or_default() {
        // what an exception saved says of itself what it is
        if frame.saved.is_none() {
            frame.how = How::Scan;
        }
    }
}
