//! The instruction to blame, with the registers it had: from the exception's frame on the stack, else
//! from the oops in the log.

use crate::model::{How, Place};
use crate::victim::frames::Victim;
use arch::Regs;
use base::VirtAddr;
use kernel::Session;
use kernel::log::event::{Class, Event, fault_class};

/// The instruction to blame.
pub(crate) struct FaultFrame {
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

/// Entry code of exceptions, by kind. The names without `asm_` are those before 5.8.
fn entry_class(name: &str, regs: &Regs, address: Option<u64>) -> Option<Class> {
    let name = name.trim_start_matches("asm_").trim_start_matches("xen_");
    let code = error_code(regs);
    Some(match name {
        "exc_invalid_op" | "invalid_op" => Class::InvalidOpcode,
        "exc_page_fault" | "page_fault" | "async_page_fault" => fault_class(address, code, Class::PageFault),
        "exc_general_protection" | "general_protection" | "exc_stack_segment" | "stack_segment" => {
            Class::GeneralProtection
        }
        "exc_divide_error" | "divide_error" => Class::Divide,
        "exc_double_fault" | "double_fault" => Class::DoubleFault,
        "exc_machine_check" | "machine_check" => Class::MachineCheck,
        "exc_int3"
        | "int3"
        | "exc_alignment_check"
        | "alignment_check"
        | "exc_overflow"
        | "overflow"
        | "exc_bounds"
        | "bounds"
        | "exc_segment_not_present"
        | "segment_not_present"
        | "exc_invalid_tss"
        | "invalid_TSS" => Class::Exception,
        "exc_control_protection" => Class::Cfi,
        _ => return None,
    })
}

/// True where the exception of an event, by its class, is another one than that of a frame, by the class of its entry code.
fn is_other(event: Class, frame: Class) -> bool {
    /// Exceptions that tell of the same death: an address that is wild may be canonical or not, a stack that overran leads to
    /// a page fault or a double fault, and whose trap an invalid opcode is only the log says.
    const GROUPS: &[&[Class]] = &[
        &[
            Class::NullPointer,
            Class::UserAddress,
            Class::WildJump,
            Class::ReadOnlyWrite,
            Class::PageFault,
            Class::GeneralProtection,
            Class::StackOverflow,
            Class::DoubleFault,
        ],
        &[Class::Bug, Class::InvalidOpcode, Class::Cfi],
        &[Class::Divide],
    ];
    let group = |of: Class| GROUPS.iter().position(|group| group.contains(&of));
    group(event).zip(group(frame)).is_some_and(|(event, frame)| event != frame)
}

/// The error code of an exception's frame. Entry code that passes it on puts -1 there: that is none.
pub(crate) fn error_code(regs: &Regs) -> Option<u64> {
    regs.entry_code().filter(|code| *code <= u64::from(u32::MAX))
}

/// Finds the instruction to blame.
pub(crate) fn find(s: &Session, event: Option<&Event>, victim: &Victim<'_>) -> Option<FaultFrame> {
    let logged = event.and_then(|e| e.oops.placed(s));
    let frames = victim.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default();
    let mut candidates = frames.iter().enumerate().filter_map(|(n, f)| {
        let saved = f.saved.as_ref().filter(|r| !r.user && r.full)?;
        let entry = s.locate(f.lookup()).map(|l| l.symbol.name.to_owned());
        let is_exception = entry.as_deref().is_some_and(|e| entry_class(e, &saved.regs, None).is_some());
        // older entry code ends in the middle of shared labels: an interrupt is told by its name
        let unknown_entry =
            entry.as_deref().is_none_or(|e| e.starts_with("error_") || e == "do_one_initcall");
        let pc = VirtAddr(saved.regs.pc()?);
        let agrees = logged == Some(pc);
        let of_another = || {
            let class = entry.as_deref().and_then(|e| entry_class(e, &saved.regs, None));
            event.zip(class).is_some_and(|(event, class)| is_other(event.class, class))
        };
        (agrees || ((is_exception || unknown_entry) && !of_another()))
            .then_some((n, pc, saved, entry, agrees))
    });
    let all: Vec<_> = candidates.by_ref().collect();
    let chosen = all.iter().find(|c| c.4).or_else(|| if logged.is_none() { all.first() } else { None });
    if let Some((n, pc, saved, entry, _)) = chosen {
        return Some(FaultFrame {
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
        if let Some(number) = set.number(name) {
            regs.set(number, *value);
        }
    }
    // of a log the report's own frame
    let frame = frames.iter().position(|f| s.is_log() && f.pc == pc && !f.is_call);
    Some(FaultFrame { pc, regs, how: How::Log, entry: None, frame, saved_at: None })
}

/// The class that the exception's own frame tells, for a dump without a log.
pub(crate) fn class_by_frame(s: &Session, fault: &FaultFrame, address: Option<u64>) -> Option<Class> {
    let class = entry_class(fault.entry.as_deref()?, &fault.regs, address)?;
    match class {
        Class::InvalidOpcode => match kernel::module::bug::is_bug(s, fault.pc) {
            Some(true) => Some(Class::Bug),
            Some(false) => Some(class),
            // an assertion that failed looks the same
            None => None,
        },
        _ => Some(class),
    }
}

/// Functions that call `panic()` for one reason alone, and the class of that.
const PANICKERS: &[(&str, Class)] = &[
    ("watchdog_timer_fn", Class::SoftLockup),
    ("watchdog_overflow_callback", Class::HardLockup),
    ("watchdog_hardlockup_check", Class::HardLockup),
    ("check_hung_uninterruptible_tasks", Class::HungTask),
    ("check_hung_task", Class::HungTask),
    ("check_panic_on_oom", Class::OutOfMemory),
    ("out_of_memory", Class::OutOfMemory),
    ("__stack_chk_fail", Class::StackProtector),
    ("__warn", Class::Warning),
    ("warn_slowpath_common", Class::Warning),
    ("sysrq_handle_crash", Class::Sysrq),
    ("mce_panic", Class::MachineCheck),
    ("panic_on_rcu_stall", Class::RcuStall),
    ("print_cpu_stall", Class::RcuStall),
    ("print_other_cpu_stall", Class::RcuStall),
    ("rcu_sched_clock_irq", Class::RcuStall),
    ("__schedule_bug", Class::Atomic),
    ("mount_root_generic", Class::NoRoot),
    ("mount_block_root", Class::NoRoot),
    ("prepare_namespace", Class::NoRoot),
    ("kernel_init", Class::NoRoot),
    ("unknown_nmi_error", Class::Nmi),
    ("io_check_error", Class::Nmi),
    ("pci_serr_error", Class::Nmi),
    ("end_report", Class::Sanitizer),
    ("kasan_end_report", Class::Sanitizer),
    ("handle_stack_overflow", Class::StackOverflow),
];

/// The class that the caller of `panic()` tells, for a dump without a log.
pub(crate) fn class_by_panic(names: &[String]) -> Option<Class> {
    let panic = names.iter().rposition(|n| crate::code::roles::is_panic(n))?;
    let mut callers = names.iter().skip(panic + 1).map(|n| debuginfo::symtab::base_name(n));
    let first = callers.by_ref().find(|n| *n != "check_panic_on_warn")?;
    let found = PANICKERS.iter().find(|(f, _)| *f == first).map(|(_, class)| *class);
    found.or(match first {
        // the first process ended
        "do_exit" => Some(Class::InitKilled),
        "oops_end" => None,
        _ => Some(Class::Panic),
    })
}

/// The place of a frame that called another: with the line of its function's own code, where the call was made by a
/// function of a header that was inlined there (`spin_lock()`, `kmalloc()`).
pub(crate) fn place_of_call(s: &Session, at: VirtAddr) -> Place {
    let mut out = place(s, at);
    let own = |file: &str| !file.starts_with("include/") && !file.contains("/include/");
    if out.file.as_deref().is_some_and(|f| !own(f))
        && let Some(frame) =
            s.inline_frames(at).iter().find(|f| f.line.as_ref().is_some_and(|l| own(&l.file)))
        && let Some(line) = &frame.line
    {
        out.file = Some(line.file.to_string());
        out.line = Some(line.line);
        out.inlined = frame.inlined.then(|| frame.function.to_string());
    }
    out
}

/// The place of a caller, which is named by its return address, as backtraces have it.
pub(crate) fn place_of_return(s: &Session, frame: &unwind::Frame) -> Place {
    let place = place_of_call(s, frame.lookup());
    let offset = place.offset.saturating_add(frame.pc.0.wrapping_sub(place.address));
    Place { offset, address: frame.pc.0, ..place }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_that_was_passed_on_is_none() {
        let set = arch::by_name("x86_64").unwrap().reg_set();
        let with = |code: u64| Regs::new(set).with(set.roles.entry_code, code);
        assert_eq!(error_code(&with(u64::MAX)), None);
        assert_eq!(error_code(&with(2)), Some(2));
        let class = |code, address| entry_class("asm_exc_page_fault", &with(code), address);
        assert_eq!(class(u64::MAX, None), Some(Class::PageFault), "and no jump");
        assert_eq!(class(0x10, None), Some(Class::WildJump));
        assert_eq!(class(u64::MAX, Some(8)), Some(Class::NullPointer));
    }

    #[test]
    fn an_exception_of_another_kind_is_of_another_death() {
        for (event, frame, want) in [
            (Class::NullPointer, Class::InvalidOpcode, true),
            (Class::Bug, Class::PageFault, true),
            (Class::Divide, Class::PageFault, true),
            (Class::NullPointer, Class::PageFault, false),
            (Class::WildJump, Class::GeneralProtection, false),
            (Class::StackOverflow, Class::DoubleFault, false),
            (Class::Bug, Class::InvalidOpcode, false),
            // what the log calls otherwise
            (Class::Panic, Class::PageFault, false),
            (Class::ListCorruption, Class::InvalidOpcode, false),
            (Class::Sanitizer, Class::PageFault, false),
        ] {
            assert_eq!(is_other(event, frame), want, "{event:?} {frame:?}");
        }
    }

    #[test]
    fn without_a_log_who_called_panic_tells() {
        for (frames, want) in [
            ("__crash_kexec vpanic panic watchdog_timer_fn", Some(Class::SoftLockup)),
            ("panic nmi_panic watchdog_overflow_callback", Some(Class::HardLockup)),
            ("panic check_panic_on_warn __warn report_bug", Some(Class::Warning)),
            ("panic out_of_memory.cold __alloc_pages", Some(Class::OutOfMemory)),
            ("panic do_exit do_group_exit", Some(Class::InitKilled)),
            ("panic oops_end die", None),
            ("panic my_driver_probe", Some(Class::Panic)),
            ("vfs_read", None),
        ] {
            let names: Vec<String> = frames.split(' ').map(str::to_owned).collect();
            assert_eq!(class_by_panic(&names), want, "{frames}");
        }
    }
}
