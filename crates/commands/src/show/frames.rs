//! The numbers by which a user names frames.

use kernel::stack::backtrace::Backtrace;

/// bt's number of each frame; `None` for what an exception interrupted.
pub(crate) fn numbers(bt: &Backtrace) -> Vec<Option<usize>> {
    let frames = &bt.unwound.frames;
    let mut number = 0;
    let mut interrupted = false;
    let mut before: Option<&unwind::Frame> = None;
    frames
        .iter()
        .map(|frame| {
            let same_stack = before.is_none_or(|b| b.stack == frame.stack);
            before = Some(frame);
            if interrupted && same_stack {
                interrupted = frame.saved.is_some();
                return None;
            }
            interrupted = frame.saved.as_ref().is_some_and(|r| !r.user);
            number += 1;
            Some(number - 1)
        })
        .collect()
}

/// The number by which `frame` chooses a frame, of all [`numbers`]: bt's, and for what an exception interrupted that of the
/// frame that shows its registers.
pub(crate) fn number_of(numbers: &[Option<usize>], n: usize) -> Option<usize> {
    numbers.get(n).copied().flatten().or_else(|| numbers.get(n.checked_sub(1)?).copied().flatten())
}
