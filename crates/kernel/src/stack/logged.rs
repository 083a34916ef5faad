//! The frames of a report in the log, for a kernel of which nothing else is there.
//!
//! The kernel's own unwinder found them: what it marks with `?` it passed over, and is no frame. What it saw of an exception
//! within the trace is a frame of entry code with saved registers, and behind it the instruction that it came upon.

use crate::log::event::{Class, Event, Oops, Trace, Traced};
use crate::session::Session;
use crate::stack::backtrace::{Backtrace, Start};
use arch::Regs;
use base::VirtAddr;
use unwind::{Frame, How, Saved, StopReason, Unwound};

/// Parts of the names of functions in which a CPU starts.
const BOTTOMS: [&str; 4] = ["startup_64", "secondary_switched", "primary_switched", "start_kernel"];

impl Session {
    /// The frames that the log's report of an event has; `None` where it has none, and where there is memory to read them from.
    #[must_use]
    pub fn logged_backtrace(&self, event: &Event) -> Option<Backtrace> {
        let oops = &event.oops;
        // the registers behind a report of tasks are those of other CPUs
        let is_own = event.class != Class::HungTask && !oops.is_within;
        let mut frames: Vec<Frame> = Vec::new();
        if is_own && let Some(pc) = oops.placed(self) {
            frames.push(self.logged_frame(pc, false, How::Start));
            if let Some(first) = frames.first_mut() {
                first.regs = self.logged_regs(oops, pc);
            }
        }
        // what the kernel's unwinder passed over is no frame
        for call in oops.calls.iter().filter(|call| call.kind != Trace::Guess) {
            self.add(call, &mut frames);
        }
        if !self.is_log() || frames.is_empty() {
            return None;
        }
        if oops.from_user
            && let Some(last) = frames.last_mut()
        {
            last.saved = last.saved.take().or_else(|| Some(self.logged_entry(true)));
        }
        let last = oops.calls.iter().rev().find(|call| call.kind == Trace::Call);
        let is_bottom = last.is_some_and(|call| self.is_bottom(&call.named.0));
        let stopped = match (oops.from_user, is_bottom) {
            (true, _) => StopReason::UserMode,
            (false, true) => StopReason::EndOfStack,
            (false, false) => StopReason::NothingFound,
        };
        let unwound = Unwound { frames, stopped };
        Some(Backtrace {
            start: Start::Log,
            unwound,
            stacks: Vec::new(),
            user: None,
            doubt: None,
            remark: None,
        })
    }

    /// True for a function below which no stack has anything: code that a program, an interrupt or a new task comes in by.
    fn is_bottom(&self, name: &str) -> bool {
        self.arch().entries().entry(name).is_some()
            || name.starts_with("ret_from_fork")
            || BOTTOMS.iter().any(|part| name.contains(part))
    }

    /// All entries of an event's trace as frames, those marked with `?` as guesses.
    #[must_use]
    pub fn logged_entries(&self, event: &Event) -> Vec<Frame> {
        let mut frames = Vec::new();
        for call in &event.oops.calls {
            self.add(call, &mut frames);
        }
        frames
    }

    fn add(&self, call: &Traced, frames: &mut Vec<Frame>) {
        let (function, offset, module) = &call.named;
        let sized = call.size.and_then(|size| self.logged_function(function, module.as_deref(), size));
        let start = sized.or_else(|| self.only_function(function, module.as_deref()));
        // a function of no known place is a frame without a name
        let pc = start.map_or(VirtAddr(0), |start| start.add(*offset));
        let (is_call, how) = match call.kind {
            Trace::Call => (true, How::Logged),
            Trace::Guess => (true, How::Scan),
            Trace::Place => (false, How::Logged),
        };
        if call.kind == Trace::Place
            && let Some(entry) = frames.last_mut()
        {
            entry.saved = Some(self.logged_entry(false));
        }
        frames.push(self.logged_frame(pc, is_call && pc.0 != 0, how));
    }

    fn logged_frame(&self, pc: VirtAddr, is_call: bool, how: How) -> Frame {
        let set = self.arch().reg_set();
        let regs = Regs::new(set).with(set.pc, pc.0);
        Frame { pc, is_call, slot: None, sp: VirtAddr(0), cfa: None, how, regs, saved: None, stack: None }
    }

    /// The registers that the report has of its instruction.
    fn logged_regs(&self, oops: &Oops, pc: VirtAddr) -> Regs {
        let set = self.arch().reg_set();
        let mut regs = Regs::new(set).with(set.pc, pc.0);
        for (name, value) in &oops.registers {
            if let Some(number) = set.number(name) {
                regs.set(number, *value);
            }
        }
        regs
    }

    /// Registers that were saved and of which a trace shows the place alone.
    fn logged_entry(&self, user: bool) -> Saved {
        Saved { at: VirtAddr(0), regs: Regs::new(self.arch().reg_set()), full: false, user }
    }
}
