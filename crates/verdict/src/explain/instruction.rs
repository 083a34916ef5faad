//! The instruction to blame: its place, the condition that led to its trap, the access that it failed in, or who
//! jumped to where no instruction is.

use crate::code::function::Code;
use crate::code::printed::Printed;
use crate::explain::access;
use crate::explain::blame::Found;
use crate::explain::condition;
use crate::explain::counter;
use crate::explain::pointer;
use crate::explain::related;
use crate::model::{
    Access, Accessed, Condition, Evidence, How, Lack, Object, Place, Related, Says, Statement,
};
use crate::naming::names::Namer;
use crate::victim::fault_frame::{self, FaultFrame};
use crate::victim::frames::Victim;
use arch::dataflow::Operand;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::{Class, Event, Said};
use kernel::module::bug::Entry;
use std::rc::Rc;
use unwind::Frame;

/// The instruction `int3`.
const INT3: u8 = 0xcc;

/// Place, condition or access.
pub(crate) fn of(
    s: &Session,
    c: &FaultFrame,
    event: Option<&Event>,
    class: Class,
    victim: &Victim<'_>,
) -> Found {
    if is_breakpoint(c, event, class) {
        return breakpoint(s, c, event);
    }
    let bug = kernel::module::bug::entry_at(s, c.pc);
    let place = placed(s, c, event, bug.as_ref());
    let evidence = [Some(registers(s, c, event, victim)), bug.as_ref().and_then(of_table)];
    let mut found =
        Found { place: Some(place), evidence: evidence.into_iter().flatten().collect(), ..Found::default() };
    let Some(code) = Code::around(s, c.pc) else {
        // where no code is followed at all, that is said once
        if s.arch().lift().is_ok() {
            found.lacks.push(Lack::Code(c.pc.0));
        }
        return found;
    };
    let cause = cause(namer_at(s, c, event, victim, &code), c, event, class, bug.as_ref());
    found.evidence.extend(cause.evidence);
    Found { place: found.place, evidence: found.evidence, ..cause }
}

/// True for a breakpoint, whose exception comes behind it.
fn is_breakpoint(c: &FaultFrame, event: Option<&Event>, class: Class) -> bool {
    class == Class::Exception
        && (c.entry.as_deref().is_some_and(|e| e.ends_with("int3"))
            || event.is_some_and(|e| e.line.starts_with("int3")))
}

fn breakpoint(s: &Session, c: &FaultFrame, event: Option<&Event>) -> Found {
    let own = fault_frame::place(s, c.pc.sub(1));
    let place = Place { file: own.file, line: own.line, inlined: own.inlined, ..named(s, c, event) };
    // the kernel changes code under one, which is gone when that is done
    let what = Accessed::Breakpoint { gone: !matches!(s.mem().u8(c.pc.sub(1)), Ok(INT3)) };
    let access = Access { what, how: c.how, operands: Vec::new(), code: Vec::new(), at: None };
    Found { place: Some(place), access: Some(access), ..Found::default() }
}

/// The place of the instruction by its symbol; where what covers the address is not in the dump, the log's RIP line names
/// it.
fn named(s: &Session, c: &FaultFrame, event: Option<&Event>) -> Place {
    let place = fault_frame::place(s, c.pc);
    let logged = event.filter(|e| e.class != Class::HungTask).and_then(|e| e.oops.rip.clone());
    match logged.filter(|_| place.function.is_empty()) {
        Some((function, offset, module)) => Place { function, offset, module, ..place },
        None => place,
    }
}

/// The place of the instruction, with the line that says most.
fn placed(s: &Session, c: &FaultFrame, event: Option<&Event>, bug: Option<&Entry>) -> Place {
    let mut place = named(s, c, event);
    // the bug table is the authority: debug information may name a header's inline function
    if let Some((file, line)) = bug.and_then(|b| b.file.clone().zip(b.line)) {
        (place.file, place.line) = (Some(file), Some(line));
    }
    // of a log the kernel's own words are the authority
    let own = |said: &&Said| {
        let is_here = said.function.as_ref().is_none_or(|(function, ..)| *function == place.function);
        place.file.is_none() || (s.is_log() && is_here)
    };
    if let Some(said) = event.map(|e| &e.oops.said).filter(|said| said.file.is_some()).filter(own) {
        place.file.clone_from(&said.file);
        place.line = said.line;
    }
    place
}

/// Where the registers of the instruction are from.
fn registers(s: &Session, c: &FaultFrame, event: Option<&Event>, victim: &Victim<'_>) -> Statement {
    let place = named(s, c, event);
    let said = match c.how {
        How::Log => Evidence::Logged(place),
        _ => Evidence::Saved { place, at: c.saved_at.map(|at| at.0), entry: c.entry.clone() },
    };
    let pid = victim.task.map_or_else(|| "-a".to_owned(), |t| t.pid.to_string());
    Statement::new(c.how, said, &[format!("bt {pid}")])
}

/// What the bug table says.
fn of_table(b: &Entry) -> Option<Statement> {
    let (file, line) = b.file.clone().zip(b.line)?;
    let said = Evidence::BugTable { warning: b.warning, at: b.at.0, file, line };
    Some(Statement::new(How::Table, said, &b.commands))
}

/// What names the values of the function at the instruction.
fn namer_at<'a>(
    s: &'a Session,
    c: &FaultFrame,
    event: Option<&Event>,
    victim: &'a Victim<'_>,
    code: &Rc<Code>,
) -> Namer<'a> {
    let cfa = c.frame.and_then(|n| victim.bt.as_ref()?.unwound.frames.get(n)?.cfa).map(|at| at.0);
    let callers = c.frame.and_then(|n| victim.frames().get(n + 1..)).unwrap_or_default();
    let cpu = event.and_then(|e| e.oops.cpu).or_else(|| victim.task.filter(|t| t.active).and_then(|t| t.cpu));
    let regs = crate::naming::percpu::with_base(s, c.regs, cpu);
    Namer::new(s, code, &regs, cfa).with_callers(callers)
}

/// The condition of a trap, or the access that failed.
fn cause(
    namer: Namer<'_>,
    c: &FaultFrame,
    event: Option<&Event>,
    class: Class,
    bug: Option<&Entry>,
) -> Found {
    let line = event.and_then(|e| e.message.as_deref());
    let printed = line.and_then(|line| Printed::of(namer.s, &namer.code, c.pc.0, line));
    let told = printed.as_ref().and_then(|p| p.statement(&namer));
    let namer = namer.with_printed(printed.map(|p| p.values).unwrap_or_default());
    let stops = namer.code.function.text(c.pc.0).is_some_and(|text| text.starts_with("ud"));
    let is_trap = bug.is_some()
        || matches!(class, Class::Bug | Class::Warning | Class::ListCorruption | Class::Refcount);
    let mut found = match (class, is_trap) {
        // the check's own branches say less than its message
        (Class::Overflow, _) if stops => Found::default(),
        (_, true) => {
            let counter =
                event.filter(|_| class == Class::Refcount).and_then(|e| counter::of(&namer, &e.line));
            Found { counter, ..asserted(&namer, c, is_warning(class, event, bug)) }
        }
        (_, false) => accessed(&namer, c, event, class),
    };
    found.evidence.splice(..0, told);
    found
}

/// True for a trap that warns. The log has the last word: what the bug table says rests on the form of its entries.
fn is_warning(class: Class, event: Option<&Event>, bug: Option<&Entry>) -> bool {
    match class {
        Class::Bug => false,
        Class::Warning => true,
        _ if event.is_some_and(Event::is_fatal_warning) => true,
        _ => bug.is_some_and(|b| b.warning),
    }
}

/// The condition that led to the trap.
fn asserted(namer: &Namer<'_>, c: &FaultFrame, warning: bool) -> Found {
    match condition::of_trap(namer, c.pc.0, warning) {
        Ok(condition) => {
            let code = Statement::new(
                How::Decoded,
                Says::Code(condition.code.clone()),
                &[format!("dis -x {}", namer.code.symbol)],
            );
            Found {
                related: condition.objects.iter().flat_map(|object| about(namer.s, object)).collect(),
                evidence: vec![code],
                condition: Some(condition),
                ..Found::default()
            }
        }
        Err(why) => Found { lacks: vec![Lack::Condition(why)], ..Found::default() },
    }
}

/// What is worth knowing of an object of the condition, below a line that names it.
fn about(s: &Session, object: &Object) -> Vec<Statement> {
    let about = related::of(s, object);
    if about.is_empty() {
        return about;
    }
    let (ty, at) = (s.types().name(object.ty), object.at);
    let command = format!("{ty} {at:x}");
    let head = Statement::new(How::Memory, Related::Object { ty, at }, &[command]);
    [head].into_iter().chain(about).collect()
}

/// The access that failed.
fn accessed(namer: &Namer<'_>, c: &FaultFrame, event: Option<&Event>, class: Class) -> Found {
    let address = event.and_then(|e| e.oops.address);
    let error_code = event
        .and_then(|e| e.oops.error_code)
        .or_else(|| c.entry.as_ref().and_then(|_| fault_frame::error_code(&c.regs)));
    match access::of_fault(namer, c.pc.0, class, address, error_code) {
        Ok(found) => Found { access: Some(found), ..Found::default() },
        Err(lack) => Found { lacks: vec![lack], ..Found::default() },
    }
}

/// The condition of a warning that was a call and no trap, as before 4.11.
pub(crate) fn warned(s: &Session, frame: &Frame, callers: &[Frame]) -> Option<Condition> {
    if !frame.is_call || frame.how.is_guess() {
        return None;
    }
    let code = Code::around(s, frame.lookup())?;
    let (call, callee) = code.callee(s, frame.pc.0)?;
    if !callee.starts_with("warn_slowpath") {
        return None;
    }
    let mut namer = Namer::new(s, &code, &frame.regs, frame.cfa.map(|at| at.0)).with_callers(callers);
    namer.at = call;
    condition::of_trap(&namer, call, true).ok()
}

/// The access that faulted on a page that a sanitizer had protected.
pub(crate) fn protected(
    s: &Session,
    c: &FaultFrame,
    event: Option<&Event>,
    victim: &Victim<'_>,
) -> Option<Access> {
    c.entry.as_deref().filter(|entry| entry.contains("page_fault"))?;
    let code = Code::around(s, c.pc)?;
    let namer = namer_at(s, c, event, victim, &code);
    access::of_fault(&namer, c.pc.0, Class::PageFault, None, fault_frame::error_code(&c.regs)).ok()
}

/// Who jumped to where no code is: the call before the return address on top of the stack.
pub(crate) fn wild_jump(s: &Session, c: &FaultFrame) -> Found {
    let target = Evidence::Counter(pointer::describe(s, c.pc.0));
    let evidence = vec![Statement::new(c.how, target, &["bt".into()])];
    let call = c
        .regs
        .sp()
        .and_then(|sp| s.mem().ptr(VirtAddr(sp)).ok())
        .filter(|ret| s.is_text(*ret))
        .and_then(|ret| Some((ret, Code::around(s, ret.sub(1))?)));
    let Some((ret, code)) = call else {
        return match crate::explain::returned::wild_return(s, c) {
            Some(access) => {
                let lacks = vec![Lack::Returner];
                Found { access: Some(access), evidence, lacks, ..Found::default() }
            }
            None => {
                let lacks = vec![Lack::Jumper(c.pc.0)];
                Found { evidence, lacks, ..Found::default() }
            }
        };
    };
    let Some((ip, operand)) = code.function.call_before(ret.0) else {
        let lacks = vec![Lack::NoCall(c.pc.0, ret.0)];
        return Found { evidence, lacks, ..Found::default() };
    };
    let access = wild_call(s, c, &code, ip, operand);
    let place = Some(fault_frame::place(s, VirtAddr(ip)));
    Found { place, access: Some(access), evidence, ..Found::default() }
}

/// The call that led to where no code is.
fn wild_call(s: &Session, c: &FaultFrame, code: &Rc<Code>, ip: u64, operand: Option<Operand>) -> Access {
    // nothing ran in the callee: all registers are as at the call
    let mut namer = Namer::new(s, code, &c.regs, None);
    namer.at = ip;
    let operand = operand.or_else(|| crate::code::registers::thunk(s, code, ip));
    let found = operand.and_then(|o| access::call_target(&namer, ip, &o));
    let to = pointer::describe(s, c.pc.0);
    let (target, how, operands) = match found {
        Some((target, how, rows)) => (Some(target), how, rows),
        None => (None, How::Decoded, Vec::new()),
    };
    Access { what: Accessed::Call { target, to }, how, operands, code: vec![code.line(ip)], at: None }
}
