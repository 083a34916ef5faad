//! The words of a stack: `bt -r`, `-f`, `-F`, `-FF`.

use crate::show::tasks::banner;
use base::{Fault, VirtAddr};
use kernel::Session;
use kernel::sched::task::Task;
use report::{Cell, Line, Record};
use unwind::Frame;

/// How words are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dump {
    /// As they are.
    Words,
    /// Symbols.
    Symbols,
    /// Symbols, and `[cache]` for slab objects.
    Named,
    /// Symbols, and `[address:cache]`.
    Objects,
}

/// No frame that is shown is larger.
const MAX_FRAME: u64 = 64 << 10;

/// The words of a frame: those between the slot of its program counter and that of its caller's.
pub(super) fn words<'s>(
    s: &'s Session,
    frame: &Frame,
    next: Option<&Frame>,
) -> impl Iterator<Item = (VirtAddr, Result<u64, Fault>)> + use<'s> {
    // what was interrupted was read from the registers saved, perhaps on another stack
    let from = match frame.slot {
        Some(slot) if frame.is_call => slot.add(8),
        _ => frame.sp,
    };
    let end = match (next.and_then(|n| n.slot), frame.cfa) {
        (Some(slot), _) if slot >= from => slot.add(8),
        (_, Some(cfa)) if cfa >= from => cfa,
        _ => from,
    };
    // the registers that the frame saved are its words, also where the next frame is on another stack
    let saved = frame.saved.as_ref().map(|saved| saved.at.add(s.arch().frames.saved_layout().size));
    let end = saved.filter(|saved| *saved > end && saved.0.wrapping_sub(from.0) <= MAX_FRAME).unwrap_or(end);
    let count = end.0.wrapping_sub(from.0).min(MAX_FRAME) / 8;
    (0..count).map(move |n| {
        let at = from.add(n * 8);
        (at, s.mem().u64(at))
    })
}

/// Appends the words of a frame, two a line.
pub(super) fn between(s: &Session, frame: &Frame, next: Option<&Frame>, how: Dump, record: &mut Record) {
    let all: Vec<(VirtAddr, Result<u64, Fault>)> = words(s, frame, next).collect();
    let rows = all
        .chunks(2)
        .filter_map(|pair| {
            let (at, _) = pair.first()?;
            let mut line = Line::new().text("    ").field("address", Cell::Addr(at.0)).zeros(16).text(": ");
            for (_, word) in pair {
                line = line.field("words", cell(s, word, how)).left(16).text(" ");
            }
            Some(Record::of(line))
        })
        .collect();
    record.list("stack", rows);
}

fn cell(s: &Session, word: &Result<u64, Fault>, how: Dump) -> Cell {
    let value = match word {
        Ok(value) => *value,
        Err(fault) => return Cell::from(*fault),
    };
    let plain = || Cell::hex_digits(value, 16);
    if how == Dump::Words || value >> 47 == 0 {
        return plain();
    }
    let at = VirtAddr(value);
    if let Some(l) = s.locate_word(value) {
        return Cell::symbol(l.symbol.name, l.offset);
    }
    match Some(at).filter(|_| how != Dump::Symbols).and_then(|at| kernel::mm::slab::cache_of(s, at)) {
        Some(cache) if how == Dump::Objects => Cell::shown(plain(), format!("[{value:016x}:{cache}]")),
        Some(cache) => Cell::shown(plain(), format!("[{cache}]")),
        None => plain(),
    }
}

/// The whole stack of a task.
pub(super) fn raw(s: &Session, task: &Task) -> Record {
    let mut record = Record::new();
    record.line(banner(task));
    let stack = kernel::stack::stacks::task_stack(s, task);
    let mut rows = Vec::new();
    let mut at = stack.start;
    while at < stack.end {
        let mut line = Line::new().field("address", Cell::Addr(at.0)).zeros(16).text(":  ");
        for n in 0..2 {
            let word = s.mem().u64(at.add(n * 8));
            line = line.field("words", cell(s, &word, Dump::Symbols)).left(16).text(" ");
        }
        rows.push(Record::of(line));
        at = at.add(16);
    }
    record.list("stack", rows);
    record
}
