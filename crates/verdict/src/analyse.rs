//! From a dump to its verdict.

use crate::code::roles;
use crate::context::process;
use crate::explain::instruction;
use crate::explain::objects;
use crate::explain::related;
use crate::known;
use crate::memory::usage;
use crate::model::{How, Place, Statement, Verdict};
use crate::reports::checkers;
use crate::reports::lines::{Lines, stamp};
use crate::reports::machine_check;
use crate::reports::panic_text;
use crate::signature;
use crate::stall::evidence;
use crate::stall::hang::{self, Hang};
use crate::stall::spin;
use crate::stall::waits::Waits;
use crate::victim::fault_frame::{self, FaultFrame};
use crate::victim::frames::{self, Victim};
use crate::victim::module;
use crate::words::headline;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::{self, Class, Event};
use std::path::PathBuf;

/// How to analyse.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A folder with more known issues.
    pub known: Option<PathBuf>,
    /// Only the kind of death, the place and the condition: what a banner has room for.
    pub brief: bool,
}

/// What the verdict is made from.
pub(crate) struct Case<'s> {
    pub(crate) s: &'s Session,
    pub(crate) lines: Option<Lines>,
    pub(crate) event: Option<Event>,
    pub(crate) hang: Option<Hang<'s>>,
    pub(crate) waits: Option<Waits<'s>>,
    pub(crate) victim: Victim<'s>,
    pub(crate) found: Option<FaultFrame>,
}

/// Says what killed the machine.
#[must_use]
pub fn analyse(s: &Session, options: &Options) -> Verdict {
    let mut v = Verdict::new();
    let case = open(s, options, &mut v);
    v.class = classify(&case);
    let from = blame(&case, &mut v);
    v.headline = headline::headline(&case, &v);
    if v.class.has_instruction()
        && let Some(by) = module::served(s, &case.victim, from, &v)
    {
        v.headline.push_str(&by);
    }
    if options.brief {
        return v;
    }
    let event = case.event.as_ref();
    v.context = match v.class {
        Class::Alive => process::alive(s),
        _ => {
            let from = from.unwrap_or_else(|| frames::behind_death(v.class, &case.victim.names(s)));
            process::of(s, &case.victim, event, from)
        }
    };
    v.context.extend(headline::init_exit(&case, &v));
    module::modules(s, &case.victim, from, &mut v);
    // an assertion of the allocator's is its caller's business as well
    let of_allocator = v.class == Class::Bug
        && v.place.as_ref().is_some_and(|p| {
            p.module.is_none() && !p.function.is_empty() && roles::is_allocating(&p.function)
        });
    if matches!(v.class, Class::ListCorruption | Class::Refcount | Class::Overflow) || of_allocator {
        callers(s, &case.victim, from, &mut v);
    }
    if let Some(waits) = &case.waits {
        v.waits = waits.told(v.class);
        evidence::tell(s, &case.victim, waits, &mut v);
    }
    if v.class == Class::Atomic {
        v.waits.extend(case.victim.task.map(|t| evidence::held(s, t)).unwrap_or_default());
    }
    if v.class.has_instruction() && s.arch().isa().is_err() {
        let arch = s.arch().name();
        v.undetermined.push(format!(
            "the instruction, its condition and its operands: code of {arch} is not decoded yet"
        ));
    }
    if let Some(lack) = s.tasks().lack() {
        v.undetermined.push(format!("who else waits, and for what: {lack}"));
    }
    if let [cpu, ..] = s.tasks().unknown_cpus.as_slice() {
        v.undetermined.push(format!("what CPU {cpu} ran: its run queue is not readable"));
    }
    v.related.extend(out_of_memory(&case, v.class));
    let reported = case.lines.as_ref().and_then(|lines| related::reported_object(s, v.class, &lines.texts()));
    v.objects = objects::of(s, &v, reported);
    v.related.extend(report(&case, &v));
    v.history = history(&case, v.class);
    let stack = stack(&case, from, &v);
    // of a log that is not whole, another message may be the first
    let classed =
        v.class != Class::Unknown && case.lines.as_ref().is_some_and(|lines| lines.stopped.is_none());
    v.signature = match classed {
        true => signature::of(s.arch(), v.class, stack.iter().map(Option::as_deref)),
        false => Err(String::new()),
    };
    let stack: Vec<String> = stack.into_iter().flatten().collect();
    known_issues(s, options, event, &stack, &mut v);
    v
}

/// Gathers what there is.
fn open<'s>(s: &'s Session, options: &Options, v: &mut Verdict) -> Case<'s> {
    let lines = read_log(s, v);
    let mut event = lines.as_ref().and_then(|l| event::find(&l.texts()));
    if let Some(e) = &event {
        let commands = ["log".to_owned()];
        v.evidence.push(Statement::new(How::Log, e.line.clone(), &commands));
        if let Some(panic) = e.panic.as_ref().filter(|p| **p != e.line) {
            v.evidence.push(Statement::new(How::Log, panic.clone(), &commands));
        }
    }
    let panicked = event.is_some() || kernel::sched::panic::panic_cpu(s).is_some();
    let mut victim = Victim::of(s, event.as_ref());
    let found = fault_frame::find(s, event.as_ref(), &victim).filter(|_| panicked || lines.is_none());
    if event.is_none() && found.is_none() && panicked {
        event = from_buffer(s, v);
    }
    if victim.task.is_none()
        && event.as_ref().is_none_or(|e| e.class != Class::HungTask)
        && let Some(cpu) = kernel::sched::panic::panic_cpu(s)
    {
        v.undetermined.push(format!("the task that panicked: what CPU {cpu} ran cannot be read"));
    }
    let stalls = event.as_ref().is_none_or(|e| e.class.is_stall());
    let waits = (!options.brief || (!panicked && stalls)).then(|| Waits::of(s, stalls));
    let hang = waits.as_ref().filter(|_| !panicked).and_then(|w| hang::of(s, lines.as_ref(), w));
    if let Some(h) = &hang {
        v.evidence.push(h.evidence.clone());
        victim = Victim::of_task(s, h.task);
    }
    if !panicked && hang.is_none() && lines.is_some() {
        // it lives: a task that an old warning names is not what the verdict is of
        let first = waits.as_ref().and_then(|w| w.circles.first()?.first());
        victim = Victim::of_task(s, first.and_then(|at| s.tasks().at(*at)));
    }
    v.undetermined.extend(doubted(s, &victim));
    Case { s, lines, event, hang, waits, victim, found }
}

/// Why the victim's CPU has no registers of its own in the dump, or none that can be checked.
fn doubted(s: &Session, victim: &Victim<'_>) -> Option<String> {
    let (bt, cpu) = (victim.bt.as_ref()?, victim.task?.cpu?);
    let unchecked = || s.cpu_registers(cpu).sound().next().is_some_and(|claim| claim.unchecked.is_some());
    bt.remark.clone().filter(|_| bt.doubt.is_some() || unchecked())
}

fn read_log(s: &Session, v: &mut Verdict) -> Option<Lines> {
    match Lines::of(s) {
        Ok(lines) => {
            if let Some(e) = &lines.stopped {
                v.undetermined.push(format!("what a part of the log says: {e}"));
            }
            Some(lines)
        }
        Err(e) => {
            v.undetermined.push(format!("what the log says: {e}"));
            None
        }
    }
}

/// The panic's message from its own buffer, where the log does not have it.
fn from_buffer(s: &Session, v: &mut Verdict) -> Option<Event> {
    let text = panic_text::of(s)?;
    let line = format!("Kernel panic - not syncing: {text}");
    v.evidence.push(Statement::new(How::Memory, line.clone(), &["sym panic".into()]));
    event::find(&[&line])
}

fn classify(case: &Case<'_>) -> Class {
    let s = case.s;
    let nowhere = case.found.as_ref().is_some_and(|c| !s.is_text(c.pc));
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
            Class::InvalidOpcode if case.lines.as_ref().is_none_or(|l| l.stopped.is_some()) => {
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
            if case.lines.as_ref().is_some_and(|l| l.stopped.is_some())
                && !kernel::sched::panic::nobody_panicked(s) =>
        {
            Class::Unknown
        }
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

/// Why the instruction to blame is not known.
fn unplaced(s: &Session, event: Option<&Event>) -> String {
    let Some((function, offset, module)) = event.and_then(|e| e.oops.rip.as_ref()) else {
        return "neither the stack nor the log gives the instruction's address and registers".into();
    };
    let of = module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
    let known = match s.named(function).len() {
        0 => "no symbol of that name is known".to_owned(),
        1 => "it cannot be placed in the dump's code".to_owned(),
        n => format!("{n} functions have that name"),
    };
    format!("the stack does not give the instruction; the log names {function}+{offset:#x}{of}, but {known}")
}

/// Place, condition or access; the index of the frame to blame.
fn blame(case: &Case<'_>, v: &mut Verdict) -> Option<usize> {
    let (s, event) = (case.s, case.event.as_ref());
    if let Some(c) = case.found.as_ref().filter(|_| v.class.has_instruction()) {
        if v.class == Class::WildJump && !s.is_text(c.pc) {
            instruction::wild_jump(s, c, v);
        } else {
            instruction::told(s, c, event, v, &case.victim);
        }
        return c.frame;
    }
    if v.class.has_instruction() {
        v.undetermined.push(format!("condition and access: {}", unplaced(s, event)));
    }
    let frames = case.victim.frames();
    // a module that asked for memory when there was none left; the kernel's own requests say nothing
    let asked = |f: &unwind::Frame| {
        !f.how.is_guess() && s.locate(f.lookup()).is_some_and(|l| l.symbol.module.is_some())
    };
    let idle = case.victim.task.is_some_and(|t| t.pid == 0);
    // of a machine that lives the first of those who wait for each other
    let class = if v.class == Class::Alive { Class::HungTask } else { v.class };
    let blamed = frames::blamed(s.arch(), class, &case.victim.names(s), frames)
        .filter(|_| !(idle && matches!(v.class, Class::Nmi | Class::Watchdog)))
        .map(|n| if v.class == Class::Sanitizer { reported(case, n) } else { n })
        .or_else(|| frames.iter().position(asked).filter(|_| v.class == Class::OutOfMemory));
    if let Some(frame) = blamed.and_then(|n| frames.get(n)) {
        // a caller is named by its return address, as backtraces have it
        let mut place = fault_frame::place_of_call(s, frame.lookup());
        if (v.class.is_stall() || v.class == Class::Nmi) && !frame.is_call {
            // of a CPU in a loop the line that makes it go on, not that of the turn it was in
            let jump = spin::loop_at(s, frame.lookup());
            let line = jump.map(|at| fault_frame::place_of_call(s, at)).filter(|p| p.file == place.file);
            place.line = line.and_then(|p| p.line).or(place.line);
        }
        place.offset = place.offset.saturating_add(frame.pc.0.wrapping_sub(place.address));
        place.address = frame.pc.0;
        // of a warning that calls, debug information may name an inline function of a header
        let here = |function: &str, offset: u64| {
            is_call(v.class) && function == place.function && offset == place.offset
        };
        if let Some(said) = event.map(|e| &e.oops.said)
            && (place.file.is_none()
                || (said.file.is_some() && said.function.as_ref().is_some_and(|(f, o, _)| here(f, *o))))
            && !matches!(v.class, Class::Panic | Class::StackProtector)
        {
            place.file.clone_from(&said.file);
            place.line = said.line;
        }
        v.evidence.push(Statement::new(How::Memory, format!("frame of {place}"), &["bt".into()]));
        v.place = Some(place);
    } else if let Some(event) = event {
        v.place = said_place(s, event);
    }
    if is_call(v.class)
        && v.condition.is_none()
        && let Some((n, frame)) = blamed.and_then(|n| Some((n, frames.get(n)?)))
    {
        v.condition = instruction::warned(s, frame, frames.get(n + 1..).unwrap_or_default());
        if v.condition.is_some() {
            v.undetermined.retain(|text| !text.starts_with("condition and access: "));
        }
    }
    if let (Some(lines), Some(event)) = (&case.lines, event) {
        match v.class {
            Class::Ubsan => v.access = checkers::undefined(&lines.texts(), event.at),
            Class::Sanitizer => {
                v.access = checkers::kasan_access(s, &case.victim, blamed, &lines.texts(), event.at);
            }
            _ => {}
        }
    }
    // a sanitizer that protects pages: the fault's registers are those of the access
    if v.class == Class::Sanitizer
        && let Some(c) = &case.found
        && let Some(frame) = c.frame.filter(|n| Some(*n) == blamed)
    {
        let callers = frames.get(frame + 1..).unwrap_or_default();
        v.access = instruction::protected(s, c, callers, frames.get(frame).and_then(|f| f.cfa));
    }
    blamed
}

/// True for deaths that were a function's call where the processor has no trap for them: of a warning, until 4.11.
const fn is_call(class: Class) -> bool {
    matches!(class, Class::Warning | Class::ListCorruption | Class::Refcount)
}

/// The frame that a sanitizer's report names, where it lies further out than the one found: that is one of the
/// allocator's own, by whatever name.
fn reported(case: &Case<'_>, found: usize) -> usize {
    let Some((function, ..)) = case.event.as_ref().and_then(|e| e.oops.said.function.as_ref()) else {
        return found;
    };
    let named = |f: &unwind::Frame| case.s.locate(f.lookup()).is_some_and(|l| l.symbol.name == function);
    case.victim.certain(found).find(|(_, f)| named(f)).map_or(found, |(n, _)| n)
}

/// The place that the message itself names, where no frame does.
fn said_place(s: &Session, event: &Event) -> Option<Place> {
    // registers that follow a report of tasks are those of the other CPUs
    let rip = event.oops.rip.as_ref().filter(|_| event.class != Class::HungTask);
    let (function, offset, module) = event.oops.said.function.as_ref().or(rip)?;
    if matches!(
        event.class,
        Class::Sysrq | Class::MachineCheck | Class::Nmi | Class::OutOfMemory | Class::InitKilled
    ) {
        return None;
    }
    let qualified = module.as_ref().map_or_else(|| function.clone(), |m| format!("{m}:{function}"));
    let all = s.named(&qualified);
    let mut of = all.iter().filter(|sym| sym.is_text());
    let only = of.next().filter(|_| of.next().is_none());
    Some(Place {
        address: only.map_or(0, |sym| sym.addr.add(*offset).0),
        function: function.clone(),
        offset: *offset,
        module: module.clone(),
        file: event.oops.said.file.clone(),
        line: event.oops.said.line,
        inlined: None,
    })
}

/// Of a check in a library: who called it.
fn callers(s: &Session, victim: &Victim<'_>, from: Option<usize>, v: &mut Verdict) {
    let Some(from) = from.filter(|n| *n > 0) else { return };
    let own =
        v.place.as_ref().map(|p| debuginfo::symtab::base_name(&p.function).to_owned()).unwrap_or_default();
    let caller =
        victim.certain(from).filter_map(|(_, f)| s.locate(f.lookup()).map(|l| (f.lookup(), l))).find(
            |(_, l)| debuginfo::symtab::base_name(l.symbol.name) != own && !roles::is_finding(l.symbol.name),
        );
    if let Some((at, _)) = caller {
        let place = fault_frame::place(s, at);
        let mut text = format!("called by {place}");
        if let (Some(file), Some(line)) = (&place.file, place.line) {
            text = format!("{text}, {file}:{line}");
        }
        // the module's own line may have it, with the line of the call itself
        let known = format!("called by {place}");
        if !v.module.iter().any(|m| m.text.contains(&known)) {
            v.module.push(Statement::new(How::Memory, text, &["bt".into()]));
        }
    }
}

/// The object that a report of a checker is about, as its lines have it.
fn report(case: &Case<'_>, v: &Verdict) -> Vec<Statement> {
    let Some(lines) = &case.lines else { return Vec::new() };
    match v.class {
        Class::SlabCorruption => related::of_slab_report(case.s, &lines.texts(), &v.objects),
        Class::PageCorruption => related::of_page_report(&lines.texts()),
        Class::Sanitizer => {
            let texts = lines.texts();
            let mut out = related::of_kfence_report(&texts, &v.objects);
            out.extend(case.event.iter().flat_map(|e| checkers::kasan_object(&texts, e.at)));
            out
        }
        Class::StackOverflow => checkers::stack_users(case.s, &case.victim),
        Class::MachineCheck => machine_check::told(&lines.texts()),
        _ => Vec::new(),
    }
}

fn out_of_memory(case: &Case<'_>, class: Class) -> Vec<Statement> {
    if class != Class::OutOfMemory {
        return Vec::new();
    }
    let lines = case.lines.as_ref().map(Lines::texts).unwrap_or_default();
    usage::of(case.s, &lines, case.event.as_ref().map_or(0, |e| e.at))
}

/// What came before, and what came of it.
fn history(case: &Case<'_>, class: Class) -> Vec<Statement> {
    let Some(lines) = &case.lines else { return Vec::new() };
    let commands = ["log".to_owned()];
    let at = |n: usize| {
        lines.time(n).filter(|ts| *ts != 0).map_or_else(String::new, |ts| format!("{} ", stamp(ts)))
    };
    let Some(event) = &case.event else {
        // stalls are what the waits are of
        let told = event::reports(&lines.texts());
        let of = |(n, text): &(usize, String)| {
            Statement::new(How::Log, format!("in the log: {}{text}", at(*n)), &commands)
        };
        return told.iter().filter(|_| class == Class::Alive).map(of).collect();
    };
    // what the first line or the records of a machine check say already
    let told = |text: &str| {
        event::plain(text) == event::plain(&event.line)
            || class == Class::MachineCheck && text.contains("[Hardware Error]")
    };
    let mut out: Vec<Statement> = event
        .earlier
        .iter()
        .filter(|(_, text)| !told(text))
        .map(|(n, text)| Statement::new(How::Log, format!("before: {}{text}", at(*n)), &commands))
        .collect();
    if class.is_stall() {
        out.extend(evidence::others(event, case.victim.task.map(|t| t.pid)));
    }
    if let Some((n, text)) = &event.later {
        let lived = lines
            .time(*n)
            .zip(lines.time(event.at))
            .and_then(|(end, start)| end.checked_sub(start))
            .map(|ns| ns / 1_000_000_000)
            .filter(|s| *s > 0)
            .map_or_else(String::new, |s| format!("the machine lived on for {s} s, until "));
        out.push(Statement::new(How::Log, format!("after: {}{lived}{text}", at(*n)), &commands));
    }
    out
}

/// The functions that led to the place, innermost first, without what dying and waiting itself calls; `None` for one that is
/// not known, and where frames end before the stack does.
fn stack(case: &Case<'_>, from: Option<usize>, v: &Verdict) -> Vec<Option<String>> {
    let known = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
    let mut names: Vec<Option<String>> = v.place.as_ref().map(|p| known(&p.function)).into_iter().collect();
    match (from, &case.event) {
        (Some(n), _) => names.extend(process::known_names(case.s, &case.victim, n)),
        (None, _) if names.is_empty() => names.extend(process::known_names(case.s, &case.victim, 0)),
        // the log's trace has other frames than the stack: without those marked as guesses, with those of the report itself
        (None, Some(e)) => {
            names.push(None);
            names.extend(e.oops.trace.iter().map(known));
        }
        (None, None) => {}
    }
    if matches!(v.class, Class::Alive | Class::Unknown) {
        names.clear();
    }
    // what panic() called while the dump was taken says nothing
    let panic = names.iter().rposition(|n| n.as_deref().is_some_and(roles::is_panic));
    names
        .into_iter()
        .skip(panic.map_or(0, |n| n + 1))
        .take_while(|n| n.as_ref().is_none_or(|n| !signature::is_interrupt(case.s.arch(), n)))
        .filter(|n| n.as_ref().is_none_or(|n| !roles::is_dying(n) && !roles::is_delaying(n)))
        .collect()
}

fn known_issues(s: &Session, options: &Options, event: Option<&Event>, stack: &[String], v: &mut Verdict) {
    match known::load(options.known.as_deref()) {
        Ok(entries) => {
            let uts = kernel::machine::system::utsname(s).ok();
            let build = uts.as_ref().map_or("", |u| u.version.as_str());
            let release = kernel::machine::system::release(s).unwrap_or_default();
            let message = event.map_or("", |e| e.line.as_str());
            v.known = known::matching(&entries, v, &known::Seen { message, release: &release, build, stack });
        }
        Err(e) => v.undetermined.push(format!("known issues: {e}")),
    }
}
