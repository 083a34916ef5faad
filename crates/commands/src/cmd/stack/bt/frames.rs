//! The frames of one task.

use super::{Shape, stackdump};
use crate::show::registers;
use crate::show::tasks::{self, banner};
use base::VirtAddr;
use kernel::sched::task::Task;
use kernel::stack::backtrace::{Backtrace, Start};
use kernel::{Located, Session};
use report::{Cell, Line, Record, Role, SymbolRef};
use unwind::Frame;

/// A task's head line and frames. Where it has no frame with the reference asked for, why it may have one.
pub(super) fn record(s: &Session, task: &Task, shape: &Shape) -> Result<Record, Option<String>> {
    let bt = match shape.at {
        None => s.backtrace(task),
        Some((ip, sp)) => {
            let ip = ip.map(|ip| s.opened().machine.plain_code(ip));
            let usual = s.backtrace(task);
            let first = usual.unwound.frames.first();
            match (ip.or_else(|| first.map(|f| f.pc)), sp.or_else(|| first.map(|f| f.sp))) {
                (Some(ip), Some(sp)) => s.backtrace_from(task, ip, sp),
                _ => usual,
            }
        }
    };
    if let Some(reference) = &shape.reference
        && !mentions(s, &bt, reference)
    {
        return Err(bt.lack(s));
    }
    let mut record = Record::of(banner(task));
    if task.has_exited() && bt.unwound.frames.is_empty() && !bt.unwound.stopped.is_loss() {
        record.text("(no stack)");
        return Ok(record);
    }
    fill(s, &bt, shape, &mut record);
    tell_nmi(s, task, &bt, &mut record);
    Ok(record)
}

/// The frames of a CPU whose task is not known; `None` where the dump has no registers of it, or no frame has the
/// reference asked for.
pub(super) fn of_cpu(s: &Session, cpu: u32, shape: &Shape) -> Option<Record> {
    let bt = s.backtrace_of_cpu(cpu)?;
    if shape.reference.as_ref().is_some_and(|reference| !mentions(s, &bt, reference)) {
        return None;
    }
    let line = Line::new().text("CPU: ").field("cpu", cpu).text("  ");
    let mut record = Record::of(line.styled("(its task is not known; from its registers)", Role::Warning));
    for name in ["pid", "task", "command"] {
        record.hidden(name, Cell::absent("not known", "what this CPU ran is not known"));
    }
    fill(s, &bt, shape, &mut record);
    lost_nmi(s, &bt, cpu, "bt", &mut record);
    Some(record)
}

fn fill(s: &Session, bt: &Backtrace, shape: &Shape, record: &mut Record) {
    record.list("frames", frames(s, bt, shape));
    if let Some(user) = &bt.user {
        record.record("user_registers", registers::block(user));
    }
    ends(s, bt, "bt", record);
}

/// Where frames begin and why there are no more, and which can be left out, as a command tells it.
pub(in crate::cmd::stack) fn ends(s: &Session, bt: &Backtrace, command: &str, record: &mut Record) {
    finish(s, bt, record);
    if let Some(why) = bt.lack(s) {
        record.missing(format!("{command}: frames are missing: {why}"));
    } else if bt.start == Start::Stack && bt.doubt.is_some() {
        record.missing(format!(
            "{command}: where this CPU was is not known: its innermost frames, and the registers of user mode, can be older"
        ));
    }
    lacking_modules(s, bt, command, record);
}

/// Why there are no more frames, where that is not the way stacks end.
fn finish(s: &Session, bt: &Backtrace, record: &mut Record) {
    record.hidden("stopped", bt.unwound.stopped.to_string());
    record.hidden("start", start_word(bt.start));
    record.hidden("doubt", bt.remark.clone());
    if let Some(remark) = &bt.remark {
        let text = match bt.doubt {
            Some(_) => format!("    ({remark}: {})", instead(bt.start)),
            None => format!("    ({remark})"),
        };
        record.line(Line::new().styled(text, Role::Warning));
    } else if bt.start == Start::Log {
        let why = format!("    ({}: frames begin at those that the log names)", no_registers(s));
        record.line(Line::new().styled(why, Role::Warning));
    } else if bt.start == Start::Stack {
        let why = format!("    ({}: the innermost frames can be of calls that returned)", no_registers(s));
        record.line(Line::new().styled(why, Role::Warning));
    }
    if let Some(at) = broken_chain(s, bt) {
        let why = format!(
            "    (the chain of frame records is broken behind {at:016x}: frames can be missing there)"
        );
        record.line(Line::new().styled(why, Role::Warning));
    }
    let usual = bt.unwound.stopped.is_end();
    if !usual {
        record.line(
            Line::new().styled(format!("    (frames end here: {})", bt.unwound.stopped), Role::Warning),
        );
    }
}

/// Where the CPU that a task runs on was in an NMI and no frame is of it: see [`lost_nmi`].
pub(super) fn tell_nmi(s: &Session, task: &Task, bt: &Backtrace, record: &mut Record) {
    if let Some(cpu) = task.cpu.filter(|_| task.active) {
        lost_nmi(s, bt, cpu, "bt", record);
    }
}

/// Where a CPU was in an NMI and no frame is of it: the stack for it, where that cannot be read.
pub(in crate::cmd::stack) fn lost_nmi(
    s: &Session,
    bt: &Backtrace,
    cpu: u32,
    command: &str,
    record: &mut Record,
) {
    let is_on = |n: usize| bt.unwound.frames.iter().any(|frame| frame.stack == Some(n));
    if kernel::stack::stacks::in_nmi(s, cpu) != Some(true) || (1..bt.stacks.len()).any(is_on) {
        return;
    }
    let others = || bt.stacks.iter().filter(|stack| !stack.is_task());
    // the stack that is there for it, by its name, or else any
    let own = others().find(|stack| stack.name.starts_with("NMI"));
    for stack in own.map_or_else(|| others().collect(), |own| vec![own]) {
        if let Some(fault) = s.mem().u64(stack.end.sub(8)).err().filter(base::Fault::is_loss) {
            let of = &stack.name;
            record.missing(format!(
                "{command}: CPU {cpu} was in an NMI, and frames of it are missing: {of}: {fault}"
            ));
            return;
        }
    }
}

/// Where functions keep records of frames: the program counter of the first whose own record led nowhere, so that its caller
/// had to be guessed.
fn broken_chain(s: &Session, bt: &Backtrace) -> Option<u64> {
    s.arch().reg_set().roles.link?;
    let frames = &bt.unwound.frames;
    let guessed = frames.iter().skip(1).position(|frame| frame.how.is_guess())?;
    frames.get(guessed).map(|frame| frame.pc.0)
}

/// Why no registers of a CPU are known.
fn no_registers(s: &Session) -> &'static str {
    match s.opened().machine.notes_off {
        true => "no registers of the cpus are read, as --no_elf_notes asks",
        false => "the dump has no registers of this cpu",
    }
}

/// What frames begin at where a note's registers do not serve.
const fn instead(start: Start) -> &'static str {
    match start {
        Start::Note => "frames begin at the first",
        Start::UserMode => "another copy in the dump is of user mode",
        Start::Asked => "frames begin where it was asked for",
        Start::SecondNote => "frames begin at those of a second note",
        Start::CrashNotes => "frames begin at those that the kernel saved as it crashed",
        Start::Log => "frames begin at the registers that the log names",
        Start::StopCall => "frames begin at the call that stopped this CPU",
        Start::Stack => "frames begin on the stack, and the innermost can be of calls that returned",
        Start::Switch | Start::SwitchCall => "frames begin where the task was switched out",
        Start::Nowhere => "nothing else leads to frames",
    }
}

const fn start_word(start: Start) -> &'static str {
    match start {
        Start::Note => "registers in the dump's note",
        Start::SecondNote => "registers in a second note of the dump",
        Start::CrashNotes => "registers that the kernel saved as it crashed",
        Start::Log => "registers that the log names",
        Start::StopCall => "the call that stopped the cpu",
        Start::Switch => "switched out",
        Start::SwitchCall => "the call that switched it out, found on its stack",
        Start::Stack => "lowest return address on the stack",
        Start::UserMode => "user mode",
        Start::Asked => "the place that was asked for",
        Start::Nowhere => "nowhere",
    }
}

/// Frames as crash numbers them: what an exception interrupted has no number where it is on the same
/// stack, its place is the `[exception RIP: …]` line.
fn frames(s: &Session, bt: &Backtrace, shape: &Shape) -> Vec<Record> {
    let mut out = Vec::new();
    let all = &bt.unwound.frames;
    let mut number = 0_usize;
    let mut interrupted = false;
    for (n, frame) in all.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|p| all.get(p));
        let mut record = Record::new();
        if let (Some(before), Some(from)) = (before, before.and_then(|b| b.stack))
            && frame.stack != before.stack
            && let Some(stack) = bt.stacks.get(from)
            && !stack.name.is_empty()
        {
            record.line(Line::of(format!("--- <{}> ---", stack.name)));
            record.hidden("left_stack", stack.name.clone());
        }
        if before.is_some_and(|b| b.stack.is_none()) && frame.stack.is_some() {
            record.hidden(
                "left_stack",
                Cell::absent("not known", "where this CPU's own stacks are is not in the dump"),
            );
        }
        let same_stack = before.is_none_or(|b| b.stack == frame.stack);
        if interrupted && same_stack {
            // shown with the registers of the frame before
            interrupted = frame.saved.is_some();
            if shape.lines {
                source(s, frame, &mut record);
            }
            if shape.locals {
                locals(s, bt, n, &mut record);
            }
            // its words were shown with those of the frame that saved its registers
            record.hidden("interrupted", true);
            record.hidden("pc", Cell::Addr(frame.pc.0));
            record.hidden("function", symbol_cell(s, frame, true, true));
            out.push(record);
            continue;
        }
        // an interrupted frame has no return address: its own stack pointer tells where it was
        let at = if interrupted { frame.sp } else { frame.slot.unwrap_or(frame.sp) };
        record.line(head(s, frame, number, at, shape));
        live_patch(s, frame.lookup(), &mut record);
        record.hidden("sp", Cell::Addr(frame.sp.0));
        record.hidden("how", frame.how.word());
        number += 1;
        if shape.lines {
            source(s, frame, &mut record);
        }
        if shape.locals {
            locals(s, bt, n, &mut record);
        }
        if let Some(saved) = &frame.saved {
            if !saved.user
                && let Some(pc) = saved.regs.pc()
            {
                record.line(exception_line(s, pc));
                live_patch(s, VirtAddr(pc), &mut record);
            }
            record.record("registers", registers::block(&saved.regs));
        }
        if let Some(dump) = shape.dump {
            stackdump::between(s, frame, behind_interrupted(all, n), dump, &mut record);
        }
        interrupted = frame.saved.as_ref().is_some_and(|r| !r.user);
        out.push(record);
    }
    out
}

/// What a live patch has to do with the function at an address: it replaces another, or is replaced.
fn live_patch(s: &Session, at: VirtAddr, record: &mut Record) {
    if s.live_patches().all.is_empty() {
        return;
    }
    if let Some(role) = s.locate(at).and_then(|l| s.patched_function(l.symbol.addr)) {
        record.line(Line::new().text("    (").field("live_patch", role.to_string()).text(")"));
    }
}

/// The frame up to which the words of frame `n` go: the next that has a number. What an exception interrupted on the
/// same stack has none, and its words are in one piece with the registers saved below them.
fn behind_interrupted(all: &[Frame], n: usize) -> Option<&Frame> {
    let mut frame = all.get(n)?;
    let mut at = n.saturating_add(1);
    while frame.saved.as_ref().is_some_and(|saved| !saved.user) {
        let interrupted = all.get(at).filter(|next| next.stack == frame.stack)?;
        frame = interrupted;
        at = at.saturating_add(1);
    }
    all.get(at)
}

/// ` #5 [ff38d7e3404c36f8] virtqueue_add_sgs at ffffffffc0568222 [virtio_ring]`
fn head(s: &Session, frame: &Frame, number: usize, at: VirtAddr, shape: &Shape) -> Line {
    let located = s.locate(frame.lookup());
    let module = located.and_then(|l| l.symbol.module).map(str::to_owned);
    let mut line = Line::new()
        .text(if number < 10 { " #" } else { "#" })
        .field("number", number)
        .text(" [")
        .field("at", Cell::Addr(at.0))
        .zeros(16)
        .text("] ");
    if frame.how.is_guess() {
        line = line.text("? ");
    }
    line = line
        .field("function", symbol_cell(s, frame, shape.offsets, shape.hex))
        .text(" at ")
        .field("pc", Cell::Addr(frame.pc.0))
        .zeros(16);
    match module {
        Some(m) => line.text(" [").field("module", m).text("]"),
        None => line,
    }
}

/// A word of the stack in the layout of a frame.
pub(super) fn old_head(number: usize, at: VirtAddr, pc: u64, l: &Located<'_>, shape: &Shape) -> Line {
    let name = SymbolRef {
        name: l.symbol.name.to_owned(),
        offset: l.offset,
        hex: shape.hex,
        bare: !shape.offsets,
        ..SymbolRef::default()
    };
    let line = Line::new().text(if number < 10 { " #" } else { "#" }).field("number", number).text(" [");
    let line = line.field("at", Cell::Addr(at.0)).zeros(16).text("] ").field("function", Cell::from(name));
    let line = line.text(" at ").field("pc", Cell::Addr(pc)).zeros(16);
    match l.symbol.module {
        Some(m) => line.text(" [").field("module", m.to_owned()).text("]"),
        None => line,
    }
}

/// `    [exception RIP: `, with the architecture's name of the register.
pub(super) fn exception_head(s: &Session) -> Line {
    let set = s.arch().reg_set();
    let name = set.name(set.pc).unwrap_or("pc").to_ascii_uppercase();
    Line::new().styled(format!("    [exception {name}: "), Role::Strong)
}

/// `    [exception RIP: virtqueue_add_split+980]`
pub(super) fn exception_line(s: &Session, pc: u64) -> Line {
    exception_head(s).field("exception_pc", place_of(s, pc)).text("]")
}

fn symbol_cell(s: &Session, frame: &Frame, offsets: bool, hex: bool) -> Cell {
    match s.locate(frame.lookup()) {
        Some(l) => {
            let offset = frame.pc.0.wrapping_sub(l.symbol.addr.0);
            Cell::from(SymbolRef {
                name: l.symbol.name.to_owned(),
                offset,
                hex,
                bare: !offsets,
                ..SymbolRef::default()
            })
        }
        None => tasks::no_symbol("no symbol"),
    }
}

/// What may be left out of frames: calls in modules, where not all of them are known and frames had to be guessed.
fn lacking_modules(s: &Session, bt: &Backtrace, command: &str, record: &mut Record) {
    if let Some((_, why)) = s.frames_lack_modules(&bt.unwound) {
        record.missing(format!(
            "{command}: frames in modules can be left out: the list of modules is not whole: {why}"
        ));
    }
}

/// `virtqueue_add_split+980`, or the address where no symbol covers it.
fn place_of(s: &Session, pc: u64) -> Cell {
    match s.locate(VirtAddr(pc)) {
        Some(l) => {
            Cell::from(SymbolRef { name: l.symbol.name.to_owned(), offset: l.offset, ..SymbolRef::default() })
        }
        None => {
            let at = VirtAddr(pc);
            let text = match s.module_at(at) {
                Some(module) => format!("{pc:016x} in module {}, its symbol is not known", module.name),
                None if s.may_be_of_module(at) => format!("{pc:016x}, of a module that is not known"),
                None if s.is_text(at) => format!("{pc:016x}, its symbol is not known"),
                None => format!("unknown or invalid address {pc:016x}"),
            };
            Cell::shown(Cell::Addr(pc), text)
        }
    }
}

/// File and line, for each call inlined here, innermost first.
fn source(s: &Session, frame: &Frame, record: &mut Record) {
    let inlined = s.inline_frames(frame.lookup());
    let mut lines = Vec::new();
    for code in &inlined {
        let mut line = Line::new().text("    ");
        match &code.line {
            Some(at) => {
                line = line.field("file", Cell::str(at.file.to_string())).role(Role::Path).text(": ");
                line = line.field("line", at.line);
            }
            None => line = line.text("(no line)"),
        }
        if code.inlined {
            line = line.text("  (inlined ").field("function", code.function.to_string()).text(")");
        }
        lines.push(Record::of(line));
    }
    if !lines.is_empty() {
        record.list("source", lines);
    }
}

/// Parameters and local variables.
fn locals(s: &Session, bt: &Backtrace, frame: usize, record: &mut Record) {
    let found = crate::show::locals::of_frame(s, bt, frame);
    if !found.is_empty() {
        record.list("locals", found);
    }
}

/// True where a frame lies in the function, or holds the address, that `reference` names.
fn mentions(s: &Session, bt: &Backtrace, reference: &str) -> bool {
    let wanted = crate::engine::number::hex(reference);
    bt.unwound.frames.iter().enumerate().any(|(n, f)| {
        let named = s.locate(f.lookup()).is_some_and(|l| l.symbol.name == reference);
        let held = wanted.is_some_and(|value| {
            let plain = s.opened().machine.code_pointer(value);
            f.pc.0 == plain
                || stackdump::words(s, f, bt.unwound.frames.get(n + 1)).any(|(_, w)| w == Ok(value))
        });
        named || held
    })
}
