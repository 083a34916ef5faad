//! What a verdict is made from: the log's lines, the event that counts, who waits, the victim and its fault frame; and
//! the kind of death that they tell.

use crate::code::roles;
use crate::model::{How, Lack, Says, Statement, Who};
use crate::stall::hang::{self, Hang};
use crate::stall::waits::Waits;
use crate::victim::fault_frame::{self, FaultFrame};
use crate::victim::frames::Victim;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::{self, Class, Event};
use kernel::log::lines::Lines;
use kernel::log::panic_buffer;

/// What the verdict is made from.
pub(crate) struct Case<'s> {
    pub(crate) s: &'s Session,
    pub(crate) lines: Option<&'s Lines>,
    pub(crate) event: Option<Event>,
    pub(crate) hang: Option<Hang<'s>>,
    pub(crate) waits: Option<Waits<'s>>,
    pub(crate) victim: Victim<'s>,
    pub(crate) found: Option<FaultFrame>,
}

/// A case, and what its opening told.
pub(crate) struct Opened<'s> {
    pub(crate) case: Case<'s>,
    pub(crate) evidence: Vec<Statement>,
    pub(crate) lacks: Vec<Lack>,
}

/// Gathers what there is. `brief` leaves out what only the longer sections need.
pub(crate) fn open(s: &Session, brief: bool) -> Opened<'_> {
    let (lines, lost) = read_log(s);
    let mut lacks: Vec<Lack> = lost.into_iter().collect();
    let logged = lines.and_then(|l| event::fatal(s, l));
    let logged = match lines.filter(|_| s.is_log()) {
        Some(lines) => {
            let texts = lines.texts();
            logged.map(|event| event.of_first(&texts).with_ending(&texts))
        }
        None => logged,
    };
    let mut evidence = logged.as_ref().map(|event| first_lines(event, lines)).unwrap_or_default();
    let panicked = logged.is_some() || kernel::sched::panic::panic_cpu(s).is_some();
    let mut victim = Victim::of(s, logged.as_ref());
    let found = fault_frame::find(s, logged.as_ref(), &victim).filter(|_| panicked || lines.is_none());
    let unlogged = lines.is_none() && found.is_none() && panicked;
    let buffered = unlogged.then(|| panic_buffer::text(s)).flatten().map(|text| event::panic_lines(&text));
    evidence.extend(buffered.as_deref().map(of_buffer));
    let event = logged.or_else(|| event::find(&[buffered.as_deref()?]));
    if victim.task.is_none() && !s.is_log() {
        lacks.extend(no_victim(s, event.as_ref()));
    }
    let stalls = event.as_ref().is_none_or(|e| e.class.is_stall());
    let waits = (!s.is_log() && (!brief || (!panicked && stalls))).then(|| Waits::of(s, stalls));
    let hang = waits.as_ref().filter(|_| !panicked).and_then(|w| hang::of(s, lines, w));
    if let Some(h) = &hang {
        evidence.push(h.evidence.clone());
        victim = Victim::of_task(s, h.task);
    }
    if !panicked && hang.is_none() && lines.is_some() {
        // it lives: a task that an old warning names is not what the verdict is of
        let first = waits.as_ref().and_then(|w| w.circles.first()?.first());
        victim = Victim::of_task(s, first.and_then(|at| s.tasks().at(*at)));
    }
    if s.is_log() {
        lacks.push(Lack::Memory);
    }
    lacks.extend(doubted(s, &victim).map(Lack::Registers));
    Opened { case: Case { s, lines, event, hang, waits, victim, found }, evidence, lacks }
}

/// Why there is no task to tell of. Of a task that hangs, who told of it is another.
fn no_victim(s: &Session, event: Option<&Event>) -> Option<Lack> {
    if event.is_some_and(|e| e.class == Class::HungTask) {
        return None;
    }
    match event.and_then(|e| e.oops.comm.clone().zip(e.oops.pid)) {
        Some((comm, pid)) => {
            let is_known = s.tasks().with_pid(pid).any(|task| task.comm == comm);
            (!is_known).then_some(Lack::ReportedTask(Who { comm, pid }))
        }
        None => kernel::sched::panic::panic_cpu(s).map(Lack::PanicTask),
    }
}

/// The lines of the log that the event is known by, and that of the panic where memory alone has it.
fn first_lines(event: &Event, lines: Option<&Lines>) -> Vec<Statement> {
    let panic = event.panic.as_ref().filter(|p| **p != event.line);
    let buffered = lines.and_then(|lines| lines.panic.as_deref());
    let told = |line: &String| match buffered == Some(line) {
        true => of_buffer(line),
        false => Statement::logged(Says::Line(line.clone())),
    };
    [Some(&event.line), panic].into_iter().flatten().map(told).collect()
}

/// The line of a panic, from the buffer of `panic()`.
fn of_buffer(line: &str) -> Statement {
    Statement::new(How::Memory, Says::Line(line.to_owned()), &["sym panic".into()])
}

/// The log's lines, and what of them is lost.
fn read_log(s: &Session) -> (Option<&Lines>, Option<Lack>) {
    match Lines::of(s) {
        Ok(lines) => {
            let lost = lines.stopped.as_ref().map(|e| Lack::LogPart(e.to_string()));
            (Some(lines), lost)
        }
        Err(e) => (None, Some(Lack::Log(e.to_string()))),
    }
}

/// Why the victim's CPU has no registers of its own in the dump, or none that can be checked.
fn doubted(s: &Session, victim: &Victim<'_>) -> Option<String> {
    let (bt, cpu) = (victim.bt.as_ref()?, victim.task?.cpu?);
    let unchecked = || s.cpu_registers(cpu).sound().next().is_some_and(|claim| claim.unchecked.is_some());
    bt.remark.clone().filter(|_| bt.doubt.is_some() || unchecked())
}

/// The kind of death.
pub(crate) fn classify(case: &Case<'_>) -> Class {
    match by_words(case) {
        // the line that says what was found is lost: who found it is not
        class @ (Class::Bug | Class::Warning) if case.lines.is_none_or(|l| l.stopped.is_some()) => {
            let finder = case.found.as_ref().and_then(|c| case.s.locate(c.pc));
            finder.and_then(|l| roles::finds(l.symbol.name)).unwrap_or(class)
        }
        class => class,
    }
}

/// The kind of death by the log's words, as far as there are any, and by the frame.
fn by_words(case: &Case<'_>) -> Class {
    let s = case.s;
    let nowhere = case.found.as_ref().is_some_and(|c| !s.is_text(c.pc) && !s.may_be_of_module(c.pc));
    if let Some(e) = &case.event {
        // a fault of the processor's own fetch: the program counter is what faulted
        let fault = matches!(
            e.class,
            Class::NullPointer | Class::PageFault | Class::UserAddress | Class::GeneralProtection
        );
        let framed = || fault_frame::class_by_frame(s, case.found.as_ref()?, None);
        return match e.class {
            // the words of the oops are lost, and its frame is not
            Class::Panic if e.ends_an_oops() => framed().unwrap_or(Class::Panic),
            // the line that says what failed may be lost: the bug table tells, where it is in the dump
            Class::InvalidOpcode if case.lines.is_none_or(|l| l.stopped.is_some()) => {
                framed().unwrap_or(Class::Panic)
            }
            _ if fault && nowhere => Class::WildJump,
            Class::DoubleFault | Class::PageFault if below_stack(case) => Class::StackOverflow,
            class => class,
        };
    }
    if let Some(h) = &case.hang {
        return h.class;
    }
    if let Some(class) = case.found.as_ref().and_then(|c| fault_frame::class_by_frame(s, c, None)) {
        return if nowhere { Class::WildJump } else { class };
    }
    if let Some(class) = fault_frame::class_by_panic(&case.victim.names(s)) {
        return class;
    }
    match (case.lines.is_some(), kernel::sched::panic::panic_cpu(s).is_some()) {
        (_, true) => Class::Panic,
        // the part of the log that is lost may have the end
        (true, false)
            if case.lines.is_some_and(|l| l.stopped.is_some())
                && !kernel::sched::panic::nobody_panicked(s) =>
        {
            Class::Unknown
        }
        // without a task nobody knows what it did
        (true, false) if s.tasks().all.is_empty() && !s.is_log() => Class::Unknown,
        (true, false) => Class::Alive,
        (false, false) => Class::Unknown,
    }
}

/// How far below its stack a task is known by the stack pointer to have overrun it; and how far where it is full of
/// one function's frames.
const OVERRUN: u64 = 0x4000;
const FAR: u64 = 0x10_0000;
/// How many frames of one function are a recursion.
const RECURSION: usize = 8;

/// The stack pointer was below the task's own stack: kernels without guard pages do not say so.
fn below_stack(case: &Case<'_>) -> bool {
    let sp = case.found.as_ref().and_then(|c| c.regs.sp());
    let stack = case.victim.task.and_then(|t| t.stack).map(|at| at.0).filter(|at| *at != 0);
    let Some(below) = stack.zip(sp).and_then(|(stack, sp)| stack.checked_sub(sp)).filter(|n| *n > 0) else {
        return false;
    };
    let others = case.victim.bt.as_ref().and_then(|bt| bt.stacks.get(1..)).unwrap_or_default();
    if sp.is_some_and(|sp| others.iter().any(|stack| stack.contains(VirtAddr(sp)))) {
        return false; // a stack of the CPU's own
    }
    let own = case.found.as_ref().and_then(|c| case.s.locate(c.pc)).map(|l| l.symbol.name);
    let recursion =
        || case.victim.names(case.s).iter().filter(|n| Some(n.as_str()) == own).count() >= RECURSION;
    below <= OVERRUN || (below <= FAR && recursion())
}
