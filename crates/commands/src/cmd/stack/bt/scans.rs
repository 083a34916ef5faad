//! What a search of the stacks finds: text addresses (`-t`, `-T`), saved registers (`-e`, `-E`),
//! overflows (`-v`).

use super::{Shape, frames};
use crate::show::registers;
use crate::show::tasks::banner;
use crate::{CommandError, Cx};
use base::{Bytes, FaultKind, VirtAddr};
use kernel::sched::task::{Task, thread_info};
use kernel::stack::stacks::{cpu_stacks, task_stack};
use kernel::{Located, Session};
use report::{Cell, Item, Line, NoteKind, Record, Report};
use unwind::Stack;

/// Every word of a stack that lies in code.
pub(super) fn text(s: &Session, task: &Task, all: bool) -> Record {
    let mut record = Record::new();
    record.line(banner(task));
    let bt = s.backtrace(task);
    let own = task_stack(s, task);
    let first = bt.unwound.frames.first();
    let from = if all {
        // above the end marker, and the thread_info of old kernels
        own.start.add(if thread_info(s, task).is_some_and(|at| Some(at) == task.stack) { 128 } else { 8 })
    } else {
        if let Some(f) = first {
            let name = s.locate(f.lookup()).map_or("(unknown)".to_owned(), |l| l.symbol.name.to_owned());
            let line = Line::new().text("              START: ").field("start", name).text(" at ");
            record.line(line.field("start_pc", Cell::Addr(f.pc.0)).zeros(16));
        }
        first.map_or(own.start, |f| f.slot.unwrap_or(f.sp))
    };
    let stacks = bt.stacks.iter().filter(|k| k.contains(from));
    let mut rows = Vec::new();
    for stack in stacks {
        let mut at = VirtAddr(if stack.contains(from) { from.0 } else { stack.start.0 } & !7);
        while at < stack.end {
            if let Some((word, l)) = code_at(s, at) {
                let line = Line::new().text("  [").field("at", Cell::Addr(at.0)).zeros(16).text("] ");
                let line = line.field("function", l.symbol.name.to_owned()).text(" at ");
                let line = line.field("pc", Cell::Addr(word)).zeros(16);
                rows.push(Record::of(match l.symbol.module {
                    Some(m) => line.text(" [").field("module", m.to_owned()).text("]"),
                    None => line,
                }));
            }
            at = at.add(8);
        }
    }
    record.list("text", rows);
    tell_holes(s, &own, &mut record);
    frames::tell_nmi(s, task, &bt, &mut record);
    if let Some(saved) = bt.unwound.frames.last().and_then(|f| f.saved.as_ref()).filter(|r| r.user) {
        record.record("registers", registers::block(&saved.regs));
    }
    record
}

/// Says where words of a stack could not be looked at, as parts of it are not in the dump.
fn tell_holes(s: &Session, stack: &Stack, record: &mut Record) {
    let pages = (stack.start.0..stack.end.0).step_by(s.page_size() as usize);
    // pages that are not mapped guard the stack: they hold nothing
    let is_missing = |at: &u64| {
        let read = s.mem().u64(VirtAddr(*at));
        read.is_err_and(|fault| !matches!(fault.kind, FaultKind::NotMapped(_)))
    };
    let missing = pages.filter(is_missing).count();
    if missing > 0 {
        record.missing(format!(
            "bt: pages of this stack that are not in the dump: {missing}; what they hold is not shown"
        ));
    }
    if let Some(why) = &s.kernel_symbols().problem {
        record.lacking(
            s.kernel_symbols().is_lost,
            format!("bt: what lies in functions whose symbols are lost is not shown: {why}"),
        );
    }
    let unnamed = s.modules_without_symbols();
    if !unnamed.is_empty() {
        let names = unnamed.join(", ");
        record.missing(format!(
            "bt: what lies in functions of {names} may not be shown: their symbols are lost"
        ));
    }
    if let Some(e) = s.modules_problem() {
        record.lacking(e.is_loss(), format!("bt: what lies in modules that are not known is not shown: {e}"));
    }
}

/// The word at an address, where it lies in a function.
fn code_at(s: &Session, at: VirtAddr) -> Option<(u64, Located<'_>)> {
    let word = s.opened().machine.code_pointer(s.mem().u64(at).ok()?);
    if !s.is_text(VirtAddr(word)) {
        return None;
    }
    s.locate(VirtAddr(word)).filter(|l| l.symbol.is_text()).map(|l| (word, l))
}

/// `-o`: every word of the stack that could be a return address as a frame, with the registers that exceptions saved;
/// where the reference asked for is not among them, why it may be.
pub(super) fn old(s: &Session, task: &Task, shape: &Shape) -> Result<Record, Option<String>> {
    let mut record = Record::new();
    record.line(banner(task));
    let bt = s.backtrace(task);
    let frames = &bt.unwound.frames;
    let first = frames.first();
    let start = first.map(|f| f.slot.unwrap_or(f.sp));
    let stack = bt.stacks.iter().find(|stack| start.is_some_and(|at| stack.contains(at)));
    let (mut rows, mut named) = (Vec::new(), shape.reference.is_none());
    let wanted = shape.reference.as_deref().and_then(crate::engine::number::hex);
    let wanted = wanted.map(|at| s.opened().machine.code_pointer(at));
    tell_holes(s, stack.unwrap_or(&task_stack(s, task)), &mut record);
    frames::tell_nmi(s, task, &bt, &mut record);
    let mut at = start.unwrap_or(VirtAddr(0));
    while stack.is_some_and(|stack| at < stack.end) {
        // a function's first byte is a pointer to it: no call returns there
        if let Some((word, l)) = code_at(s, at).filter(|(_, l)| l.offset > 0) {
            named |= wanted == Some(word) || shape.reference.as_deref() == Some(l.symbol.name);
            let mut row = Record::of(frames::old_head(rows.len(), at, word, &l, shape));
            let saved = frames.iter().filter(|f| f.slot == Some(at)).find_map(|f| f.saved.as_ref());
            if let Some(saved) = saved {
                if let Some(pc) = saved.regs.pc().filter(|_| !saved.user) {
                    row.line(frames::exception_line(s, pc));
                }
                row.record("registers", registers::block(&saved.regs));
                // the words of the registers are no frames
                at = at.add(s.arch().frames.saved_layout().size);
            }
            rows.push(row);
        }
        at = at.add(8);
    }
    let lost = record.items.iter().find_map(|item| match item {
        Item::Note(note) if note.kind == NoteKind::Missing => Some(note.text.clone()),
        _ => None,
    });
    record.list("frames", rows);
    if named { Ok(record) } else { Err(lost) }
}

/// The saved registers on a stack, lowest first.
fn saved_on(s: &Session, stack: &Stack) -> Vec<VirtAddr> {
    let is_text = |at: VirtAddr| s.is_text(at);
    let mut out = Vec::new();
    let size = s.arch().frames.saved_layout().size;
    let mut at = stack.start;
    while at.add(size) <= stack.end {
        let words = stack.end.0.wrapping_sub(at.0).wrapping_sub(size) / 8 + 1;
        let Some(found) = s.arch().frames.find_saved(s.mem(), at, words, &is_text) else { break };
        out.push(found);
        at = found.add(size);
    }
    out
}

fn frame_record(s: &Session, at: VirtAddr) -> Option<Record> {
    let regs = s.arch().frames.saved(s.mem(), at).ok()?;
    let mut record = Record::new();
    let user = s.arch().frames.is_user(&regs);
    let mode = if user { "USER" } else { "KERNEL" };
    record.blank();
    record.line(
        Line::new()
            .text("  ")
            .field("mode", mode)
            .text("-MODE EXCEPTION FRAME AT: ")
            .field("at", Cell::Addr(at.0))
            .zeros(16),
    );
    if !user
        && let Some(pc) = regs.pc()
        && let Some(l) = s.locate(VirtAddr(pc))
    {
        let place = Cell::symbol(l.symbol.name, l.offset);
        record.line(super::frames::exception_head(s).field("exception_pc", place).text("]"));
    }
    record.record("registers", registers::block(&regs));
    Some(record)
}

/// `-e`: the saved registers on a task's stack.
pub(super) fn exceptions(s: &Session, task: &Task) -> Record {
    let mut record = Record::new();
    record.line(banner(task));
    let stack = task_stack(s, task);
    let found: Vec<Record> = saved_on(s, &stack).into_iter().filter_map(|at| frame_record(s, at)).collect();
    tell_holes(s, &stack, &mut record);
    if found.is_empty() {
        record.text("(none found)");
    }
    record.list("exception_frames", found);
    record
}

/// `-E`: the saved registers on the IRQ stacks of these CPUs, and on the exception stacks of each.
pub(super) fn cpu_exceptions(cx: &Cx<'_>, s: &Session, cpus: &[u32]) -> Result<Report, CommandError> {
    let mut report = Report::new("bt");
    let mut out = Vec::new();
    let stacks: Vec<(u32, Vec<Stack>)> = cpus.iter().map(|&cpu| (cpu, cpu_stacks(s, cpu))).collect();
    let has_irq = |all: &[Stack]| all.iter().any(|stack| stack.name == kernel::stack::stacks::IRQ_STACK);
    let unknown: Vec<String> = stacks
        .iter()
        .filter(|(_, all)| all.len() < 2 || !has_irq(all))
        .map(|(cpu, _)| cpu.to_string())
        .collect();
    if !unknown.is_empty() {
        let is_loss = cpus.iter().any(|cpu| kernel::stack::stacks::irq_stack_is_lost(s, *cpu));
        let text = format!("bt: where all stacks of CPU {} are is not known", unknown.join(", "));
        report.lacking(is_loss, text);
    }
    for irq in [true, false] {
        for (cpu, stack) in stacks.iter().flat_map(|(cpu, all)| all.iter().map(move |stack| (cpu, stack))) {
            cx.cancel.check()?;
            if (stack.name == kernel::stack::stacks::IRQ_STACK) != irq {
                continue;
            }
            let mut record = Record::new();
            record.line(
                Line::new()
                    .text("CPU ")
                    .field("cpu", *cpu)
                    .text(" ")
                    .field("stack", stack.name.to_uppercase())
                    .text(":"),
            );
            let found: Vec<Record> =
                saved_on(s, stack).into_iter().filter_map(|at| frame_record(s, at)).collect();
            tell_holes(s, stack, &mut record);
            if found.is_empty() {
                record.text("(none found)");
            }
            record.list("exception_frames", found);
            record.blank();
            out.push(record);
        }
    }
    report.list("stacks", out);
    Ok(report)
}

/// STACK_END_MAGIC (include/uapi/linux/magic.h): the kernel writes it to the lowest word of a stack.
const STACK_END_MAGIC: u64 = 0x57ac_6e9d;

/// Bytes of a stack's low end that a `thread_info` of old kernels can take.
const MAX_THREAD_INFO: usize = 256;

/// Whether a word where the marker belongs says that something else was written there. The first task has none before
/// 3.18 (d4311ff1a8da).
const fn is_overwritten(word: u64, is_init_task: bool) -> bool {
    word & 0xffff_ffff != STACK_END_MAGIC && !(is_init_task && word == 0)
}

/// Where the markers are, from the low ends of stacks on: behind the `thread_info` of old kernels.
fn marker_offset(s: &Session) -> Option<u64> {
    let info = s.bind::<kernel::sched::task::ThreadInfo>();
    let tasks: Vec<_> = s.tasks().all.iter().filter(|t| t.stack.is_some_and(|at| !at.is_null())).collect();
    if info.ty.is_some_and(|ty| !s.types().is_guess(ty)) {
        let within = tasks.first().is_some_and(|t| thread_info(s, t) == t.stack);
        return if within { info.size } else { Some(0) };
    }
    let ends = tasks.iter().filter_map(|t| s.mem().bytes(task_stack(s, t).start, MAX_THREAD_INFO).ok());
    common_marker(&ends.collect::<Vec<_>>())
}

/// The place at which most stacks have the marker.
fn common_marker(ends: &[Vec<u8>]) -> Option<u64> {
    let marked =
        |end: &[u8], at| Bytes::new(end).u32_at(at).is_ok_and(|word| u64::from(word) == STACK_END_MAGIC);
    let count = |at: usize| ends.iter().filter(|end| marked(end, at)).count();
    let best = (0..MAX_THREAD_INFO).step_by(8).max_by_key(|&at| (count(at), std::cmp::Reverse(at)))?;
    (count(best) * 2 > ends.len()).then_some(best as u64)
}

/// `-v`: stacks whose end marker was overwritten, or that were left below their start.
pub(super) fn overflows(cx: &Cx<'_>, s: &Session) -> Result<Report, CommandError> {
    let mut report = Report::new("bt");
    let mut out = Vec::new();
    let (behind, init_task) = (marker_offset(s), s.symbol("init_task"));
    if behind.is_none() {
        report.info(
            "bt: end markers are not checked: they come behind thread_info, whose size the vmlinux would tell",
        );
    }
    let (mut unknown, mut unread) = (0, 0);
    for task in &s.tasks().all {
        cx.cancel.check()?;
        match task.stack {
            Some(at) if at.is_null() => continue, // a zombie's stack is gone
            Some(_) => {}
            None => {
                unknown += 1;
                continue;
            }
        }
        let stack = task_stack(s, task);
        let mut problems = Vec::new();
        let mut is_read = true;
        if let Some(marker) = behind.map(|n| stack.start.add(n)) {
            match s.mem().u64(marker) {
                Ok(word) if is_overwritten(word, init_task == Some(task.at)) => {
                    problems
                        .push(format!("end marker at {marker:x} is {word:016x}, not {STACK_END_MAGIC:08x}"));
                }
                Ok(_) => {}
                Err(_) => is_read = false,
            }
        }
        match s.bind::<kernel::sched::task::TaskStruct>().thread_sp.ptr(s.mem(), task.at) {
            Ok(sp) if !task.active && !stack.contains(sp) => problems.push(format!(
                "saved stack pointer {sp:x} is outside of {:x} to {:x}",
                stack.start, stack.end
            )),
            Err(kernel::KernelError::Fault(_)) if !task.active => is_read = false,
            _ => {}
        }
        if !is_read {
            unread += 1;
        }
        if !problems.is_empty() {
            let mut record = Record::of(banner(task));
            for p in problems {
                record.line(Line::new().text("  possible stack overflow: ").field("problem", p));
            }
            out.push(record);
        }
    }
    if unknown > 0 {
        report.missing(format!(
            "bt: where the stacks of {unknown} more tasks are is not known: they are not checked"
        ));
    }
    if unread > 0 {
        report.missing(format!(
            "bt: of {unread} more stacks the end marker or the saved stack pointer is not in the dump: they are not checked in full"
        ));
    }
    if out.is_empty() {
        let others = if unknown + unread > 0 { " in the others" } else { "" };
        report.text(format!("No stack overflows detected{others}"));
    }
    report.list("overflows", out);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_where_most_stacks_have_them() {
        let end = |at: Option<usize>| {
            let mut bytes = vec![0xff; MAX_THREAD_INFO];
            if let Some(at) = at {
                bytes[at..at + 8].copy_from_slice(&STACK_END_MAGIC.to_le_bytes());
            }
            bytes
        };
        assert_eq!(common_marker(&[end(Some(0x68)), end(None), end(Some(0x68))]), Some(0x68));
        assert_eq!(common_marker(&[end(Some(0)), end(Some(0)), end(Some(8))]), Some(0));
        assert_eq!(common_marker(&[end(None), end(Some(8)), end(Some(16))]), None);
        assert_eq!(common_marker(&[]), None);
        assert_eq!(common_marker(&[vec![1; 3]]), None);
    }

    #[test]
    fn the_first_task_of_old_kernels_has_no_marker() {
        assert!(!is_overwritten(STACK_END_MAGIC, true) && !is_overwritten(STACK_END_MAGIC, false));
        assert!(!is_overwritten(0, true) && is_overwritten(0, false) && is_overwritten(1, true));
    }
}
