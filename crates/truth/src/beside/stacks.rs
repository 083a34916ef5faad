//! Known differences of stacks, and how each is told.

use std::collections::{BTreeMap, BTreeSet};

use super::frames::{self, Frame};
use super::{Beside, Hunk, texts};
use crate::Place;
use crate::aspects::sleepers::SCHEDULER;

/// All differences of a stack that is the guest's own.
pub(super) fn guests_own(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let truth = &beside.case.truth;
    let Some(stack) = frames::pid(hunk.head).and_then(|pid| truth.stacks.iter().find(|s| s.tid == pid))
    else {
        return;
    };
    let found: Vec<Place> = hunk.all.iter().filter_map(|line| Frame::parse(line)?.place()).collect();
    let skipped = found.len().saturating_sub(stack.frames.len());
    let (scheduler, rest) = found.split_at(skipped);
    if rest == stack.frames && scheduler.iter().all(|place| SCHEDULER.contains(&place.symbol.as_str())) {
        hunk.take_crash(|line| Frame::parse(line).is_some());
        hunk.take_ours(|line| Frame::parse(line).is_some());
    }
}

/// What tracers put in the place of return addresses.
const TRACERS: &[&str] = &["return_to_handler", "__kretprobe_trampoline", "arch_rethook_trampoline"];

/// Frames, words of the stack and lines of the source, where made code is on the stack, or where the word of a frame that
/// crash lacks is a tracer's.
pub(super) fn traced(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let is_tracers = |frame: &Frame| {
        let names = beside.word(frame.slot).and_then(|word| beside.symbols.get(&word));
        names.is_some_and(|names| TRACERS.iter().any(|tracer| names.contains(*tracer)))
    };
    let frames = || hunk.ours.iter().filter_map(|line| Frame::parse(line));
    if hunk.all.iter().any(|line| texts::is_of_made_code(line)) || frames().any(|frame| is_tracers(&frame)) {
        let is_word = |line: &str| line.trim_start().starts_with("ff") && line.contains(": ");
        let is_entry =
            |line: &str| Frame::parse(line.trim_start()).is_some() || is_word(line) || is_source(line);
        hunk.take_crash(is_entry);
        hunk.take_ours(is_entry);
    }
}

/// The same frame under another name of the same address.
pub(super) fn other_name(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (Frame::parse(theirs), Frame::parse(ours)) {
        (Some(theirs), Some(ours)) => {
            (theirs.slot, theirs.pc, theirs.offset) == (ours.slot, ours.pc, ours.offset)
                && beside.same_place(&theirs.function, &ours.function)
        }
        _ => false,
    });
}

/// A frame whose call was the last instruction of its function.
pub(super) fn no_return(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let is = |frame: &Frame| beside.begins(frame.pc) && beside.is_after_call(frame.pc);
    hunk.take_pairs(|theirs, ours| match (Frame::parse(theirs), Frame::parse(ours)) {
        (Some(theirs), Some(ours)) => (theirs.slot, theirs.pc) == (ours.slot, ours.pc) && is(&ours),
        _ => false,
    });
    hunk.take_ours(|line| Frame::parse(line).is_some_and(|frame| is(&frame)));
}

/// `delay_tsc` above `panic`.
pub(super) fn delay(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let is = |line: &str, name: &str| Frame::parse(line).is_some_and(|frame| frame.function == name);
    let next_is_panic = hunk.all.windows(2).any(|pair| match pair {
        [first, next] => is(first, "delay_tsc") && (is(next, "panic") || is(next, "vpanic")),
        _ => false,
    });
    hunk.take_ours(|line| next_is_panic && is(line, "delay_tsc"));
}

/// The same frame, eight bytes lower, where its program counter is.
pub(super) fn word_below(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (Frame::parse(theirs), Frame::parse(ours)) {
        (Some(theirs), Some(ours)) => {
            theirs.slot == ours.slot + 8
                && (&theirs.function, theirs.pc) == (&ours.function, ours.pc)
                && beside.word(ours.slot) == Some(ours.pc)
        }
        _ => false,
    });
}

/// The number behind a name in lines of registers.
fn register(lines: &[String], name: &str) -> Option<u64> {
    let text = lines.iter().find_map(|line| line.split_once(name))?.1;
    u64::from_str_radix(text.split_whitespace().next()?, 16).ok()
}

/// Where a block of registers begins and ends in these lines.
fn block(lines: &[String]) -> Option<(usize, usize)> {
    let start = lines.iter().position(|line| line.contains("[exception RIP: "))?;
    let end = lines.iter().skip(start).position(|line| line.contains(" SS: "))? + start;
    Some((start, end))
}

/// Crash's `[exception RIP: …]` and registers at the place where crashlens has a frame.
pub(super) fn running(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let Some((start, end)) = block(&hunk.crash) else { return };
    let lines = hunk.crash.get(start..=end).unwrap_or_default();
    let (rip, rsp) = (register(lines, "    RIP: "), register(lines, "RSP: "));
    let same = |line: &String| {
        Frame::parse(line).is_some_and(|frame| (Some(frame.pc), Some(frame.slot)) == (rip, rsp))
    };
    if let Some(at) = hunk.ours.iter().position(same) {
        hunk.ours.remove(at);
        hunk.crash.drain(start..=end);
        // Words between the stack pointer and the caller's return address: crash takes the first that is code.
        let caller =
            hunk.all.iter().filter_map(|line| Frame::parse(line)).nth(1).map_or(0, |frame| frame.slot);
        let between = rsp.unwrap_or(0)..caller;
        hunk.take_crash(|line| Frame::parse(line).is_some_and(|frame| between.contains(&frame.slot)));
    }
}

/// Where a whole stack ends: a CPU's start, a thread's, or the way in from user mode.
const OUTERMOST: &[&str] = &[
    "secondary_startup_64_no_verify",
    "secondary_startup_64",
    "ret_from_fork",
    "entry_SYSCALL_64_after_hwframe",
    "asm_sysvec_apic_timer_interrupt",
];

/// The registers of crash's that it calls bogus itself.
pub(super) fn bogus(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    if hunk.head.is_empty() {
        // the warning without the task that has no frame of those asked for
        hunk.take_crash(|line| line == "WARNING: possibly bogus exception frame");
    }
    let Some((start, end)) = block(&hunk.crash) else { return };
    let warned = hunk.crash.get(end + 1).is_some_and(|line| line.contains("possibly bogus exception frame"));
    if warned {
        hunk.crash.drain(start..=end);
        hunk.take_crash(|line| line.starts_with("WARNING: "));
        // Where crash took the words of the IRQ stack for registers, it missed what the interrupt was taken from.
        let from = hunk.all.iter().position(|line| line.contains("] asm_call_irq_on_stack"));
        let missed: BTreeSet<&str> =
            hunk.all.iter().skip(from.map_or(usize::MAX, |at| at + 1)).map(String::as_str).collect();
        let whole = hunk.all.iter().filter_map(|line| Frame::parse(line)).next_back();
        if whole.is_some_and(|last| OUTERMOST.contains(&last.function.as_str())) {
            hunk.ours.retain(|line| !missed.contains(line.as_str()));
        }
    }
}

/// What crash says when it opens a dump without VMCOREINFO, where it stands before its first answer.
pub(super) fn no_vmcoreinfo(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    if hunk.head.is_empty() && hunk.crash.iter().any(|line| line == "crash: cannot read vmcoreinfo_data") {
        hunk.take_crash(|line| line.is_empty() || line == "crash: cannot read vmcoreinfo_data");
    }
}

/// The same function a word higher: the registers of the note, or the call that did not return, where crash has a word
/// that an earlier call left.
pub(super) fn word_above(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    hunk.take_pairs(|theirs, ours| match (Frame::parse(theirs), Frame::parse(ours)) {
        (Some(theirs), Some(ours)) => {
            theirs.slot + 8 == ours.slot
                && theirs.function == ours.function
                && theirs.pc != ours.pc
                && (ours.function == "stop_this_cpu" || beside.word(ours.slot) == Some(ours.pc))
        }
        _ => false,
    });
}

/// Stacks of idle tasks that were not asked for.
pub(super) fn idle(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    if frames::pid(hunk.head) == Some(0) && hunk.all.is_empty() {
        hunk.crash.clear();
    }
}

/// A task that ran in user mode: its registers are the note's, what crash shows is left on the stack from before.
pub(super) fn user_mode(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let noted = hunk.ours.iter().any(|line| line.contains("ORIG_RAX: (not saved)"));
    let spins =
        beside.case.truth.tasks.iter().any(|task| {
            Some(task.pid) == frames::pid(hunk.head) && task.state == "R" && task.comm == "job-spin"
        });
    let entry = |line: &str| Frame::parse(line).is_none_or(|frame| frame.function.starts_with("asm_"));
    if noted && spins && hunk.all.iter().all(|line| entry(line)) {
        hunk.crash.clear();
        hunk.ours.clear();
    }
}

/// Stacks of exceptions that crash does not look at, without anything on them.
pub(super) fn more_stacks(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    // lines that both have, only moved by those between
    hunk.take_pairs(|theirs, ours| theirs == ours);
    let name = |line: &String| {
        [" MCE", " VC", " VC2"].iter().any(|stack| line.ends_with(&format!("{stack} EXCEPTION STACK:")))
    };
    let names = hunk.ours.iter().filter(|line| name(line)).count();
    let nothing = hunk.ours.iter().filter(|line| *line == "(none found)").count();
    let empty = hunk.ours.iter().filter(|line| line.is_empty()).count();
    if names + nothing + empty == hunk.ours.len() && names == nothing && empty <= names {
        hunk.ours.clear();
    }
}

/// Registers of crash's that overlap others of its own.
pub(super) fn overlapping(_: &Beside<'_>, hunk: &mut Hunk<'_>) {
    const BYTES: u64 = 168;
    let at = |line: &String| {
        let (_, at) = line.split_once("-MODE EXCEPTION FRAME AT: ")?;
        u64::from_str_radix(at, 16).ok()
    };
    let all: BTreeSet<u64> = hunk.theirs.iter().filter_map(at).collect();
    let mut dropping = false;
    hunk.crash.retain(|line| {
        if let Some(this) = at(line) {
            let from = this.saturating_sub(BYTES - 1);
            dropping = all.range(from..this).next().is_some();
        } else if line.ends_with("STACK:") {
            dropping = false;
        }
        !(dropping || line.is_empty())
    });
}

/// The lines of the source below each frame.
fn sources(lines: &[String]) -> BTreeMap<u64, Vec<&str>> {
    let mut out: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut pc = None;
    for line in lines {
        match (Frame::parse(line), pc) {
            (Some(frame), _) => pc = Some(frame.pc),
            (None, Some(pc)) if is_source(line) => out.entry(pc).or_default().push(line.trim()),
            _ => pc = None,
        }
    }
    out
}

fn is_source(line: &str) -> bool {
    line.starts_with("    ") && [".c: ", ".h: ", ".S: "].iter().any(|end| line.contains(end))
}

/// Lines of the source: crash's are among crashlens's, or are those of the address behind the call. Of several inlined
/// functions of headers that begin there, crashlens takes the innermost one's, crash the last of the table.
pub(super) fn source_lines(beside: &Beside<'_>, hunk: &mut Hunk<'_>) {
    let (theirs, ours) = (sources(hunk.theirs), sources(hunk.all));
    let explained = theirs.iter().all(|(pc, lines)| {
        let mine = ours.get(pc).map(Vec::as_slice).unwrap_or_default();
        let behind = beside.place(*pc);
        let is_inlined = |line: &str| line.contains("/include/");
        lines.iter().all(|line| {
            mine.iter().any(|our| our.split("  (inlined").next() == Some(line))
                || behind.as_deref() == Some(line)
                || behind.as_deref().is_some_and(is_inlined) && is_inlined(line)
        })
    });
    if explained {
        hunk.take_crash(is_source);
        hunk.take_ours(is_source);
    }
}
