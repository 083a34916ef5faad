//! What the frames of a stack lack: whether they reach its end, and whether words that cannot be read were passed over.

use super::backtrace::{Backtrace, Start};
use super::code::SessionCode;
use crate::session::Session;
use base::{Fault, GRANULE, VirtAddr};
use unwind::{Code as _, Frame, StopReason};

impl Backtrace {
    /// Why frames are missing; `None` where they are all that the stack has. A stack that is damaged ends early as one does of
    /// which pages are lost. A log has no more than it names; and where somebody else said where to begin, only what the dump
    /// lost counts.
    #[must_use]
    pub fn lack(&self, s: &Session) -> Option<String> {
        match self.unwound.stopped {
            _ if s.is_log() => None,
            stopped if stopped.is_loss() => Some(stopped.to_string()),
            // no types say where to begin, or the task has no stack any more
            StopReason::NoStart => None,
            _ if self.start == Start::Asked => None,
            stopped if !stopped.is_end() => Some(stopped.to_string()),
            _ => {
                let lost = self.passed_over(s).or_else(|| self.unguided(s));
                lost.map(|fault| format!("frames were looked for further up: {fault}"))
            }
        }
    }

    /// The frames whose callers are guesses, with those.
    fn guessed(&self) -> impl Iterator<Item = (&Frame, &Frame)> {
        let frames = &self.unwound.frames;
        frames.iter().zip(frames.iter().skip(1)).filter(|(_, caller)| caller.how.is_guess())
    }

    /// The first page that could not be read between a frame and the guess behind it, or, where frames begin at whatever the
    /// stack holds, below the first.
    fn passed_over(&self, s: &Session) -> Option<Fault> {
        let frames = &self.unwound.frames;
        // what lies on different stacks lies behind nothing
        let near = self.guessed().filter(|(frame, caller)| frame.stack == caller.stack);
        let gaps = near.map(|(frame, caller)| (frame.sp, caller.slot.unwrap_or(caller.sp)));
        let below = || {
            let first = frames.first().filter(|_| self.start == Start::Stack)?;
            Some((self.stacks.get(first.stack?)?.start, first.slot.unwrap_or(first.sp)))
        };
        gaps.chain(below()).find_map(|(from, to)| lost_page(s, from, to))
    }

    /// What the dump lost of the table or of the code that would have led from a frame to its caller, where that is a guess.
    fn unguided(&self, s: &Session) -> Option<Fault> {
        let code = SessionCode::at_hand(s, None);
        self.guessed().map(|(frame, _)| frame.lookup()).find_map(|at| {
            let unread = || s.mem().u8(at).err().filter(Fault::is_loss);
            code.lost_table(at).or_else(unread)
        })
    }
}

/// No stack is larger: 64 KiB.
const MAX_PAGES: usize = 16;

/// The first page of a part of a stack that the dump lost.
fn lost_page(s: &Session, from: VirtAddr, to: VirtAddr) -> Option<Fault> {
    let pages = std::iter::successors(Some(from.0), |at| (at | (GRANULE - 1)).checked_add(1));
    let pages = pages.take_while(|at| *at < to.0).take(MAX_PAGES + 1);
    pages.filter_map(|at| s.mem().u8(VirtAddr(at)).err()).find(Fault::is_loss)
}
