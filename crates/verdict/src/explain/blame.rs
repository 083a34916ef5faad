//! What is to blame: the instruction that died, else the frame whose function is not there to die, to watch or to wait;
//! with the condition or access that failed there.

use crate::case::Case;
use crate::code::roles;
use crate::explain::instruction;
use crate::explain::list;
use crate::explain::related;
use crate::model::{Access, Accessed, Cause, Condition, Counter, Evidence, How, Lack, Place, Statement};
use crate::reports::checkers;
use crate::reports::overruns;
use crate::victim::fault_frame;
use crate::victim::frames;
use base::VirtAddr;
use debuginfo::symtab::base_name;
use kernel::Session;
use kernel::log::event::{Asserted, Class, Event, Trace};
use unwind::Frame;

/// What the instruction or the frame to blame tells.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) place: Option<Place>,
    /// Where the damage was found and told of, if that is not the place.
    pub(crate) reporter: Option<Place>,
    pub(crate) condition: Option<Condition>,
    pub(crate) access: Option<Access>,
    /// Of a reference count that was found wrong: which.
    pub(crate) counter: Option<Counter>,
    pub(crate) related: Vec<Statement>,
    pub(crate) evidence: Vec<Statement>,
    pub(crate) lacks: Vec<Lack>,
}

/// What is found, and where, by the places among the victim's frames.
pub(crate) struct Blame {
    pub(crate) found: Found,
    /// The frame that the operands are read in: that of the instruction, else the one to blame.
    pub(crate) from: Option<usize>,
    /// The frame to blame.
    pub(crate) at: Option<usize>,
}

/// Place, condition or access.
pub(crate) fn of(case: &Case<'_>, class: Class) -> Blame {
    let mut blame = of_death(case, class);
    if class == Class::StackProtector {
        blame.found.related.extend(overruns::guard(case, blame.at));
    }
    if let Some(event) = case.event.as_ref().filter(|_| class == Class::Overflow) {
        let found = &mut blame.found;
        found.condition = found.condition.take().or_else(|| overruns::condition(case, blame.at));
        found.access = found.access.take().or_else(|| overruns::access(case, event, blame.at, blame.from));
    }
    if let Some(event) = case.event.as_ref().filter(|_| class == Class::ListCorruption) {
        let condition = blame.found.condition.take();
        blame.found.condition = condition.map(|condition| list::as_written(condition, event));
    }
    if let Some(event) = case.event.as_ref().filter(|_| case.s.is_log()) {
        blame = Blame { found: reported_line(blame.found, event, class), ..blame };
    }
    match case.event.as_ref().and_then(|event| event.asserted.as_ref()) {
        Some(asserted) => Blame { found: printed(blame.found, asserted), ..blame },
        None => blame,
    }
}

/// An assertion that was printed is the condition; what the code tells has its values.
fn printed(found: Found, asserted: &Asserted) -> Found {
    let condition = found.condition.unwrap_or_else(unknown_condition);
    let is_own = |place: &Place| asserted.function.as_deref().is_none_or(|f| f == base_name(&place.function));
    let place = found.place.map(|place| match &asserted.file {
        Some(file) if place.file.is_none() && is_own(&place) => {
            Place { file: Some(file.clone()), line: asserted.line, ..place }
        }
        _ => place,
    });
    let lacks = found.lacks.into_iter().filter(|lack| !matches!(lack, Lack::Condition(_))).collect();
    let condition = Condition { printed: Some(asserted.clone()), ..condition };
    Found { place, condition: Some(condition), lacks, ..found }
}

/// A condition of which nothing is known but what the log says.
const fn unknown_condition() -> Condition {
    Condition {
        expr: None,
        printed: None,
        reported: None,
        warning: false,
        caller: None,
        within: None,
        how: How::Log,
        operands: Vec::new(),
        code: Vec::new(),
        confirmed: false,
        objects: Vec::new(),
    }
}

/// Of a log: the line that reports an assertion is what is known of its condition, and what only memory tells is said once.
fn reported_line(found: Found, event: &Event, class: Class) -> Found {
    let is_of_memory = |lack: &Lack| {
        matches!(
            lack,
            Lack::Code(_) | Lack::Condition(_) | Lack::Instruction | Lack::Jumper(_) | Lack::NotFollowed(_)
        )
    };
    let lacks = found.lacks.into_iter().filter(|lack| !is_of_memory(lack)).collect();
    let line = || (Cause::of(class) == Cause::Assertion).then(|| event.line.clone());
    let condition = found.condition.or_else(|| {
        let warning = class == Class::Warning || event.is_fatal_warning();
        Some(Condition { reported: Some(line()?), warning, ..unknown_condition() })
    });
    let access = found.access.or_else(|| logged_access(event, class));
    Found { condition, access, lacks, ..found }
}

/// The access that the words of a page fault tell.
fn logged_access(event: &Event, class: Class) -> Option<Access> {
    let is_access =
        matches!(class, Class::NullPointer | Class::UserAddress | Class::PageFault | Class::ReadOnlyWrite);
    let (at, code) = event.oops.address.zip(event.oops.error_code).filter(|_| is_access)?;
    let what = Accessed::Memory { writes: code & 2 != 0, size: 0, at, expr: None, why: Vec::new() };
    Some(Access { what, how: How::Log, operands: Vec::new(), code: Vec::new(), at: Some(at) })
}

fn of_death(case: &Case<'_>, class: Class) -> Blame {
    let s = case.s;
    match case.found.as_ref().filter(|_| class.has_instruction()) {
        Some(c) if class == Class::WildJump && !s.is_text(c.pc) => {
            let found = instruction::wild_jump(s, c);
            // of a log who called it: the stack is not there
            let place = found.place.or_else(|| called_from(case, c.frame?));
            let found = Found { place, ..found };
            let at = found.place.as_ref().and_then(|place| caller_at(case, c.frame?, place)).or(c.frame);
            Blame { found, from: c.frame, at }
        }
        Some(c) => {
            let found = instruction::of(s, c, case.event.as_ref(), class, &case.victim);
            let from = c.frame;
            match who_erred(case, class, from, c.pc) {
                Erred::Caller(at, place) => {
                    let is_freeing = found.place.as_ref().is_some_and(|p| roles::is_freeing(&p.function));
                    let found = found_by(found);
                    let twice = found.condition.as_ref().filter(|_| is_freeing);
                    let twice = twice.and_then(|c| related::freed_twice(s, c));
                    let related = twice.into_iter().chain(found.related).collect();
                    Blame { found: Found { place: Some(place), related, ..found }, from, at }
                }
                Erred::Lost(at) => {
                    let found = found_by(found);
                    let lacks = found.lacks.into_iter().chain(unknown_caller(found.reporter.as_ref()));
                    Blame { found: Found { lacks: lacks.collect(), ..found }, from, at }
                }
                Erred::Itself => Blame { found, from, at: from },
            }
        }
        None => of_frame(case, class),
    }
}

/// What is found where the place only found the damage: it is no place, and its condition is asked in it.
fn found_by(found: Found) -> Found {
    let within = found.place.as_ref().map(|place| base_name(&place.function).to_owned());
    // of one that the caller asked before it called the finder, the code is the caller's
    let condition = found.condition.map(|condition| match &condition.caller {
        Some(_) => condition,
        None => Condition { within, ..condition },
    });
    Found { reporter: found.place, place: None, condition, ..found }
}

/// Who called the function that found the damage, where its frame tells nothing.
fn unknown_caller(finder: Option<&Place>) -> Option<Lack> {
    Some(Lack::Caller(base_name(&finder?.function).to_owned()))
}

/// The frame behind frame `n`, where that is the one of the place which called.
fn caller_at(case: &Case<'_>, n: usize, place: &Place) -> Option<usize> {
    let frame = case.victim.frames().get(n + 1).filter(|frame| !frame.how.is_guess())?;
    let function = case.s.locate(frame.lookup())?.symbol.name;
    (function == place.function).then_some(n + 1)
}

/// The place of the call behind frame `n` of a log's report.
fn called_from(case: &Case<'_>, n: usize) -> Option<Place> {
    let caller =
        case.victim.frames().get(n + 1).filter(|f| case.s.is_log() && f.is_call && !f.how.is_guess())?;
    Some(fault_frame::place_of_return(case.s, caller))
}

/// Whose doing it was that a function died.
enum Erred {
    /// Its own.
    Itself,
    /// That of who called it, at a frame as far as there is one: it only found the damage.
    Caller(Option<usize>, Place),
    /// It only found the damage, and who called it is not certain: the frame from which on it is not.
    Lost(Option<usize>),
}

/// Whose doing the death at an instruction was, in frame `n` as far as the stack has it.
fn who_erred(case: &Case<'_>, class: Class, n: Option<usize>, pc: VirtAddr) -> Erred {
    let s = case.s;
    // what is asserted of memory that is freed was asked of who frees it
    let is_asserted = matches!(class, Class::Bug | Class::Warning);
    let finds = |name: &str| roles::is_finding(name) || (is_asserted && roles::is_freeing(name));
    let at = n.and_then(|n| case.victim.frames().get(n)).map_or(pc, Frame::lookup);
    let Some(finder) = s.locate(at).map(|l| l.symbol.name).filter(|name| finds(name)) else {
        return Erred::Itself;
    };
    let finding = |(frame, name): &(&Frame, &str)| finds(name) && frame.saved.is_none();
    let at = n.map(|n| n.saturating_add(case.victim.named(s, n).take_while(finding).count()));
    match at.and_then(|at| case.victim.named(s, at).next()) {
        Some((frame, _)) if frame.saved.is_none() => {
            Erred::Caller(at, fault_frame::place_of_return(s, frame))
        }
        // entry code called it
        Some(_) => Erred::Itself,
        None => match logged_caller(case, finder, &finds) {
            Some(place) => Erred::Caller(at, place),
            None => Erred::Lost(at),
        },
    }
}

/// Who called the function that found the damage, as the log's own trace has it: the first that does not find damage itself.
fn logged_caller(case: &Case<'_>, finder: &str, finds: &dyn Fn(&str) -> bool) -> Option<Place> {
    let event = case.event.as_ref()?;
    let (died, ..) = event.oops.rip.as_ref().filter(|_| !event.oops.is_within)?;
    if base_name(died) != base_name(finder) {
        return None;
    }
    let calls = event.oops.calls.iter().filter(|call| call.kind != Trace::Guess);
    let caller = calls.take_while(|call| call.kind == Trace::Call).find(|call| !finds(&call.named.0))?;
    let (function, offset, module) = &caller.named;
    let place = of_log(case.s, (function, *offset, module.as_ref()), event);
    Some(Place { file: None, line: None, ..place })
}

/// Of a death that no instruction tells of.
fn of_frame(case: &Case<'_>, class: Class) -> Blame {
    let (s, event, frames) = (case.s, case.event.as_ref(), case.victim.frames());
    let from = blamed(case, class);
    let frame = from.and_then(|n| frames.get(n));
    let mut found = Found::default();
    if let Some(frame) = frame {
        let place = place_of_frame(s, event, class, frame);
        found.evidence.push(Statement::new(How::Memory, Evidence::Frame(place.clone()), &["bt".into()]));
        found.place = Some(place);
    } else if let Some(event) = event {
        found.place = said_place(s, event);
    }
    let callers = from.and_then(|n| frames.get(n + 1..)).unwrap_or_default();
    found.condition =
        frame.filter(|_| is_call(class)).and_then(|frame| instruction::warned(s, frame, callers));
    if class.has_instruction() && found.condition.is_none() {
        found.lacks.push(unplaced(s, event));
    }
    found.access = reported_access(case, class, from);
    Blame { found, from, at: from }
}

/// The frame to blame.
fn blamed(case: &Case<'_>, class: Class) -> Option<usize> {
    let (s, frames) = (case.s, case.victim.frames());
    // a module that asked for memory when there was none left; the kernel's own requests say nothing
    let asked =
        |f: &Frame| !f.how.is_guess() && s.locate(f.lookup()).is_some_and(|l| l.symbol.module.is_some());
    let names = case.victim.names(s);
    let idles = |n: &usize| names.get(*n).is_some_and(|name| roles::is_idling(name));
    // of a machine that lives the first of those who wait for each other
    let of = if class == Class::Alive { Class::HungTask } else { class };
    frames::blamed(s.arch(), of, &names, frames)
        .filter(|n| !(idles(n) && matches!(class, Class::Nmi | Class::Watchdog)))
        .map(|n| if class == Class::Sanitizer { reported(case, n) } else { n })
        .or_else(|| frames.iter().position(asked).filter(|_| class == Class::OutOfMemory))
}

/// The place of the frame to blame, with the line that says most.
fn place_of_frame(s: &Session, event: Option<&Event>, class: Class, frame: &Frame) -> Place {
    let mut place = fault_frame::place_of_return(s, frame);
    // of a warning that calls, debug information may name an inline function of a header
    let here =
        |function: &str, offset: u64| is_call(class) && function == place.function && offset == place.offset;
    if let Some(said) = event.map(|e| &e.oops.said)
        && (place.file.is_none()
            || (said.file.is_some() && said.function.as_ref().is_some_and(|(f, o, _)| here(f, *o))))
        && !matches!(class, Class::Panic | Class::StackProtector)
    {
        place.file.clone_from(&said.file);
        place.line = said.line;
    }
    place
}

/// The access that a checker of memory or of the language reported.
fn reported_access(case: &Case<'_>, class: Class, from: Option<usize>) -> Option<Access> {
    let s = case.s;
    // a sanitizer that protects pages: the fault's registers are those of the access
    if class == Class::Sanitizer
        && let Some(c) = &case.found
        && c.frame.is_some_and(|n| Some(n) == from)
    {
        return instruction::protected(s, c, case.event.as_ref(), &case.victim);
    }
    let (lines, event) = case.lines.zip(case.event.as_ref())?;
    match class {
        Class::Ubsan => checkers::undefined(&lines.texts(), event.at),
        Class::Sanitizer => checkers::kasan_access(s, &case.victim, from, &lines.texts(), event.at),
        _ => None,
    }
}

/// Why the instruction to blame is not known.
fn unplaced(s: &Session, event: Option<&Event>) -> Lack {
    match event.and_then(|e| e.oops.rip.clone()) {
        Some((function, offset, module)) => {
            let named = s.named(&function).len();
            Lack::Unplaced { function, offset, module, named }
        }
        None => Lack::Instruction,
    }
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
    Some(of_log(s, (function, *offset, module.as_ref()), event))
}

/// A place that the log names.
fn of_log(s: &Session, (function, offset, module): (&String, u64, Option<&String>), event: &Event) -> Place {
    let qualified = module.as_ref().map_or_else(|| function.clone(), |m| format!("{m}:{function}"));
    let all = s.named(&qualified);
    let mut of = all.iter().filter(|sym| sym.is_text());
    let only = of.next().filter(|_| of.next().is_none());
    Place {
        address: only.map_or(0, |sym| sym.addr.add(offset).0),
        function: function.clone(),
        offset,
        module: module.cloned(),
        file: event.oops.said.file.clone(),
        line: event.oops.said.line,
        inlined: None,
    }
}
