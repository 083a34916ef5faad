//! The instruction to blame: its place, the condition that led to its trap, the access that it failed in, or who
//! jumped to where no instruction is.

use crate::code::function::Code;
use crate::code::printed::Printed;
use crate::explain::access;
use crate::explain::condition;
use crate::explain::pointer;
use crate::explain::related;
use crate::model::{How, Statement, Verdict};
use crate::naming::names::Namer;
use crate::victim::fault_frame::{self, FaultFrame};
use crate::victim::frames::Victim;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::{Class, Event};
use unwind::Frame;

/// The instruction `int3`.
const INT3: u8 = 0xcc;

/// Place, condition or access.
pub(crate) fn told(s: &Session, c: &FaultFrame, event: Option<&Event>, v: &mut Verdict, victim: &Victim<'_>) {
    // a breakpoint's exception comes behind it
    let is_int3 = v.class == Class::Exception
        && (c.entry.as_deref().is_some_and(|e| e.ends_with("int3"))
            || event.is_some_and(|e| e.line.starts_with("int3")));
    let mut place = fault_frame::place(s, c.pc);
    // what covers the address is not in the dump: the log's RIP line names it
    let logged = event.filter(|e| e.class != Class::HungTask).and_then(|e| e.oops.rip.clone());
    if place.function.is_empty()
        && let Some((function, offset, module)) = logged
    {
        (place.function, place.offset, place.module) = (function, offset, module);
    }
    if is_int3 {
        let own = fault_frame::place(s, c.pc.sub(1));
        (place.file, place.line, place.inlined) = (own.file, own.line, own.inlined);
        // the kernel changes code under one, which is gone when that is done
        let text = match s.mem().u8(c.pc.sub(1)) {
            Ok(INT3) => "a breakpoint (int3) that nothing in the kernel took for its own",
            _ => "a breakpoint (int3) that the code no longer has, as where the kernel changes its own code",
        };
        v.access = Some(crate::model::Access {
            text: text.into(),
            how: c.how,
            operands: Vec::new(),
            code: Vec::new(),
            at: None,
        });
        v.place = Some(place);
        return;
    }
    let whence = match (c.how, c.saved_at) {
        (How::Log, _) => "as the oops in the log has them".to_owned(),
        (_, Some(at)) => format!("saved at {at:016x} by {}", c.entry.as_deref().unwrap_or("entry code")),
        _ => String::new(),
    };
    let pid = victim.task.map_or_else(|| "-a".to_owned(), |t| t.pid.to_string());
    v.evidence.push(Statement::new(c.how, format!("registers at {place}: {whence}"), &[format!("bt {pid}")]));
    let entry = kernel::module::bug::entry_at(s, c.pc);
    if let Some(b) = &entry {
        // the bug table is the authority: debug information may name a header's inline function
        if let (Some(file), Some(line)) = (&b.file, b.line) {
            place.file = Some(file.clone());
            place.line = Some(line);
            let what = if b.warning { "WARN" } else { "BUG" };
            v.evidence.push(Statement::new(
                How::Table,
                format!("bug table: {what} at {:016x} is {file}:{line}", b.at),
                &b.commands,
            ));
        }
    }
    if place.file.is_none()
        && let Some(said) = event.map(|e| &e.oops.said).filter(|said| said.file.is_some())
    {
        place.file.clone_from(&said.file);
        place.line = said.line;
    }
    if v.class == Class::StackOverflow
        && let Some(caller) = c.frame.and_then(|n| victim.frames().get(n + 1))
        && s.locate(caller.lookup()).is_some_and(|l| l.symbol.name == place.function)
    {
        // the line by which it called itself says more than where the last call ran out of stack
        let again = fault_frame::place_of_call(s, caller.lookup());
        (place.file, place.line) = (again.file, again.line);
    }
    v.place = Some(place);
    let Some(code) = Code::around(s, c.pc) else {
        // where no code is decoded at all, that is said once
        if s.arch().isa().is_ok() {
            v.undetermined
                .push(format!("the code at {:016x}: it is not in the dump, or no symbol covers it", c.pc));
        }
        return;
    };
    let cfa = c.frame.and_then(|n| victim.bt.as_ref()?.unwound.frames.get(n)?.cfa).map(|at| at.0);
    let callers = c.frame.and_then(|n| victim.frames().get(n + 1..)).unwrap_or_default();
    let cpu = event.and_then(|e| e.oops.cpu).or_else(|| victim.task.filter(|t| t.active).and_then(|t| t.cpu));
    let regs = crate::naming::percpu::with_base(s, c.regs, cpu);
    let mut namer = Namer::new(s, &code, &regs, cfa).with_callers(callers);
    let line = event.and_then(|e| e.message.as_deref());
    if let Some(printed) = line.and_then(|line| Printed::of(s, &code, c.pc.0, line)) {
        v.evidence.extend(printed.told(&namer));
        namer.printed = printed.values;
    }
    let ud2 = code.function.text(c.pc.0).is_some_and(|text| text.starts_with("ud"));
    let is_trap = entry.is_some()
        || matches!(v.class, Class::Bug | Class::Warning | Class::ListCorruption | Class::Refcount);
    if v.class == Class::Overflow && ud2 {
        return; // the check's own branches say less than its message
    }
    if is_trap {
        let warning = entry.as_ref().map_or(v.class == Class::Warning, |b| b.warning);
        let word = if warning { "WARN_ON" } else { "BUG_ON" };
        match condition::of_trap(&namer, c.pc.0, word) {
            Ok(found) => {
                for object in &found.objects {
                    let about = related::of(s, object);
                    if about.is_empty() {
                        continue;
                    }
                    let tag = s.types().name(object.ty);
                    let at = object.at;
                    v.related.push(Statement::new(
                        How::Memory,
                        format!("{tag} at {at:016x}:"),
                        &[format!("{tag} {at:x}")],
                    ));
                    v.related.extend(about);
                }
                v.evidence.push(Statement::new(
                    How::Decoded,
                    found.code.join("; "),
                    &[format!("dis -x {}", code.symbol)],
                ));
                v.condition = Some(found);
            }
            Err(why) => v.undetermined.push(format!("the condition: {why}")),
        }
        return;
    }
    let address = event.and_then(|e| e.oops.address);
    let error_code = event
        .and_then(|e| e.oops.error_code)
        .or_else(|| c.entry.as_ref().and_then(|_| fault_frame::error_code(&c.regs)));
    match access::of_fault(&namer, c.pc.0, v.class, address, error_code) {
        Ok(found) => v.access = Some(found),
        Err(why) => v.undetermined.push(format!("the access: {why}")),
    }
}

/// The condition of a warning that was a call and no trap, as before 4.11.
pub(crate) fn warned(s: &Session, frame: &Frame, callers: &[Frame]) -> Option<crate::model::Condition> {
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
    condition::of_trap(&namer, call, "WARN_ON").ok()
}

/// The access that faulted on a page that a sanitizer had protected.
pub(crate) fn protected(
    s: &Session,
    c: &FaultFrame,
    callers: &[Frame],
    cfa: Option<VirtAddr>,
) -> Option<crate::model::Access> {
    c.entry.as_deref().filter(|entry| entry.contains("page_fault"))?;
    let code = Code::around(s, c.pc)?;
    let namer = Namer::new(s, &code, &c.regs, cfa.map(|at| at.0)).with_callers(callers);
    access::of_fault(&namer, c.pc.0, Class::PageFault, None, fault_frame::error_code(&c.regs)).ok()
}

/// Who jumped to where no code is: the call before the return address on top of the stack.
pub(crate) fn wild_jump(s: &Session, c: &FaultFrame, v: &mut Verdict) {
    let to = format!("{:016x}", c.pc);
    let target = format!("the program counter is {}", pointer::judge(s, c.pc.0));
    v.evidence.push(Statement::new(c.how, target, &["bt".into()]));
    let call = c
        .regs
        .sp()
        .and_then(|sp| s.mem().ptr(VirtAddr(sp)).ok())
        .filter(|ret| s.is_text(*ret))
        .and_then(|ret| Some((ret, Code::around(s, ret.sub(1))?)));
    let Some((ret, code)) = call else {
        if let Some(found) = crate::explain::returned::wild_return(s, c, v) {
            v.access = Some(found);
            return;
        }
        v.undetermined.push(format!("who jumped to {to}: no return address on top of the stack"));
        return;
    };
    let Some((ip, operand)) = code.function.call_before(ret.0) else {
        v.undetermined.push(format!("who jumped to {to}: no call before the return address {ret:x}"));
        return;
    };
    v.place = Some(fault_frame::place(s, VirtAddr(ip)));
    let callee_saved = {
        let set = c.regs.reg_set();
        let mut kept = arch::Regs::new(set);
        for &n in set.roles.preserved {
            kept.put(n, c.regs.get(n));
        }
        // nothing ran in the callee: all registers are as at the call
        for (n, _, value) in c.regs.iter() {
            kept.set(n, value);
        }
        kept
    };
    let mut namer = Namer::new(s, &code, &callee_saved, None);
    namer.at = ip;
    let line = format!("{} {}", code.offset(ip), code.function.text(ip).unwrap_or_default());
    let operand = operand.or_else(|| crate::code::registers::thunk(s, &code, ip));
    let found = operand.and_then(|o| access::call_target(&namer, ip, &o));
    let (text, how, operands) = match found {
        Some((name, how, rows)) => {
            (format!("call of {name}, which is {}", pointer::judge(s, c.pc.0)), how, rows)
        }
        None => (format!("call of {to}"), How::Decoded, Vec::new()),
    };
    v.access = Some(crate::model::Access { text, how, operands, code: vec![line], at: None });
}
