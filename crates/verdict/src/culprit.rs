//! The instruction to blame, with the registers it had: from the exception's frame on the stack, else
//! from the oops in the log.

use crate::event::{Class, Event, fault_class};
use crate::model::{How, Place};
use arch::Regs;
use base::VirtAddr;
use kernel::Session;
use kernel::backtrace::Backtrace;
use kernel::task::Task;

/// The instruction to blame.
pub(crate) struct Culprit {
    /// Its address.
    pub(crate) pc: VirtAddr,
    /// The registers before it ran.
    pub(crate) regs: Regs,
    /// Where the registers are from.
    pub(crate) how: How,
    /// The entry code that the exception came through.
    pub(crate) entry: Option<String>,
    /// Index of the frame in the backtrace.
    pub(crate) frame: Option<usize>,
    /// Where `struct pt_regs` is.
    pub(crate) saved_at: Option<VirtAddr>,
}

/// The task that the verdict is of, and its frames.
pub(crate) struct Scene<'s> {
    pub(crate) task: Option<&'s Task>,
    pub(crate) bt: Option<Backtrace>,
}

impl<'s> Scene<'s> {
    pub(crate) fn of(s: &'s Session, event: Option<&Event>) -> Self {
        let named = event.and_then(|e| {
            let pid = e.oops.pid?;
            let cpu = e.oops.cpu;
            s.tasks().with_pid(pid).find(|t| pid != 0 || Some(t.cpu) == cpu)
        });
        // the task that the oops names may be gone, and its pid taken by another
        let named = named.filter(|t| event.and_then(|e| e.oops.comm.as_deref()).is_none_or(|c| c == t.comm));
        // never one that merely ran: what is said of it would be said of the wrong task
        let task = named.or_else(|| kernel::panic::known_panic_task(s));
        let bt = task.map(|t| s.backtrace(t));
        Self { task, bt }
    }
}

/// Entry code of exceptions, by kind. The names without `asm_` are those before 5.8.
fn entry_class(name: &str, regs: &Regs, address: Option<u64>) -> Option<Class> {
    let name = name.trim_start_matches("asm_").trim_start_matches("xen_");
    let code = regs.entry_code();
    Some(match name {
        "exc_invalid_op" | "invalid_op" => Class::InvalidOpcode,
        "exc_page_fault" | "page_fault" | "async_page_fault" => fault_class(address, code, Class::PageFault),
        "exc_general_protection" | "general_protection" | "exc_stack_segment" | "stack_segment" => {
            Class::GeneralProtection
        }
        "exc_divide_error" | "divide_error" => Class::Divide,
        "exc_double_fault" | "double_fault" => Class::DoubleFault,
        "exc_machine_check" | "machine_check" => Class::MachineCheck,
        _ => return None,
    })
}

/// Finds the instruction to blame.
pub(crate) fn find(s: &Session, event: Option<&Event>, scene: &Scene<'_>) -> Option<Culprit> {
    let logged = event.and_then(|e| logged_pc(s, e));
    let frames = scene.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default();
    let mut candidates = frames.iter().enumerate().filter_map(|(n, f)| {
        let saved = f.saved.as_ref().filter(|r| !r.user && r.full)?;
        let entry = s.locate(f.lookup()).map(|l| l.symbol.name.to_owned());
        let is_exception = entry.as_deref().is_some_and(|e| entry_class(e, &saved.regs, None).is_some());
        // older entry code ends in the middle of shared labels: an interrupt is told by its name
        let unknown_entry =
            entry.as_deref().is_none_or(|e| e.starts_with("error_") || e == "do_one_initcall");
        let pc = VirtAddr(saved.regs.pc()?);
        let agrees = logged == Some(pc);
        (is_exception || unknown_entry || agrees).then_some((n, pc, saved, entry, agrees))
    });
    let all: Vec<_> = candidates.by_ref().collect();
    let chosen = all.iter().find(|c| c.4).or_else(|| if logged.is_none() { all.first() } else { None });
    if let Some((n, pc, saved, entry, _)) = chosen {
        return Some(Culprit {
            pc: *pc,
            regs: saved.regs,
            how: How::Memory,
            entry: entry.clone(),
            frame: Some(*n + 1).filter(|n| frames.get(*n).is_some_and(|f| f.pc == *pc)),
            saved_at: Some(saved.at),
        });
    }
    let event = event?;
    let pc = logged?;
    let set = s.arch().reg_set();
    let mut regs = Regs::new(set).with(set.pc, pc.0);
    for (name, value) in &event.oops.registers {
        let name = match name.as_str() {
            "r08" => "r8",
            "r09" => "r9",
            other => other,
        };
        if let Some(number) = set.number(name) {
            regs.set(number, *value);
        }
    }
    Some(Culprit { pc, regs, how: How::Log, entry: None, frame: None, saved_at: None })
}

/// The program counter that the log's oops names.
fn logged_pc(s: &Session, event: &Event) -> Option<VirtAddr> {
    if let Some(wild) = event.oops.wild {
        return Some(VirtAddr(wild));
    }
    let (function, offset, module) = event.oops.rip.as_ref()?;
    let qualified = module.as_ref().map_or_else(|| function.clone(), |m| format!("{m}:{function}"));
    let all = s.named(&qualified);
    let mut of = all.iter().filter(|sym| sym.is_text());
    let first = of.next()?;
    // several functions of one name: the log does not tell which
    of.next().is_none().then(|| first.addr.add(*offset))
}

/// The class that the exception's own frame tells, for a dump without a log.
pub(crate) fn class_by_frame(s: &Session, culprit: &Culprit, address: Option<u64>) -> Option<Class> {
    let class = entry_class(culprit.entry.as_deref()?, &culprit.regs, address)?;
    if class == Class::InvalidOpcode && crate::bug::entry_at(s, culprit.pc).is_some() {
        return Some(Class::Bug);
    }
    Some(class)
}

/// The place of an address, with file and line where debug information is there.
pub(crate) fn place(s: &Session, at: VirtAddr) -> Place {
    let mut out = Place { address: at.0, ..Place::default() };
    if let Some(l) = s.locate(at) {
        out.function = l.symbol.name.to_owned();
        out.offset = l.offset;
        out.module = l.symbol.module.map(str::to_owned);
    }
    let inlined = s.inline_frames(at);
    if let Some(inner) = inlined.first() {
        if let Some(line) = &inner.line {
            out.file = Some(line.file.to_string());
            out.line = Some(line.line);
        }
        out.inlined = inner.inlined.then(|| inner.function.to_string());
    }
    out
}
