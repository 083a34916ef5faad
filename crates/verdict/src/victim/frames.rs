//! Whom the verdict is of: the task, its frames, and the frame to blame.

use crate::code::roles;
use arch::Arch;
use kernel::Session;
use kernel::log::event::{Class, Event, Subject};
use kernel::sched::task::Task;
use kernel::stack::backtrace::Backtrace;
use unwind::Frame;

/// The task that the verdict is of, and its frames.
pub(crate) struct Victim<'s> {
    pub(crate) task: Option<&'s Task>,
    pub(crate) bt: Option<Backtrace>,
}

impl<'s> Victim<'s> {
    /// The victim of an event; without one, the task that panicked.
    pub(crate) fn of(s: &'s Session, event: Option<&Event>) -> Self {
        let stalled = event.and_then(|e| stalled(s, e));
        let task = match event {
            // who tells of a task that hangs is not the one
            Some(e) if e.class == Class::HungTask => stalled,
            // never one that merely ran: what is said of it would be said of the wrong task
            _ => stalled.or_else(|| named(s, event?)).or_else(|| {
                let panicked = kernel::sched::panic::known_panic_task(s)?;
                event.is_none_or(|e| may_be(e, panicked)).then_some(panicked)
            }),
        };
        let mut victim = Self::of_task(s, task);
        if s.is_log() {
            victim.bt = event.and_then(|e| s.logged_backtrace(e));
        }
        // what a watchdog found running did not sleep: where the dump no longer has it run, its frames are of before
        let ran = event.is_some_and(|e| matches!(e.class, Class::SoftLockup | Class::HardLockup));
        if ran && task.is_some_and(|t| !t.active) {
            victim.bt = None;
        }
        victim
    }

    /// A task with its frames.
    pub(crate) fn of_task(s: &'s Session, task: Option<&'s Task>) -> Self {
        Self { task, bt: task.map(|t| s.backtrace(t)) }
    }

    /// The frames, innermost first.
    pub(crate) fn frames(&self) -> &[Frame] {
        self.bt.as_ref().map(|bt| bt.unwound.frames.as_slice()).unwrap_or_default()
    }

    /// The frames from `from` outwards that are none of a guess, with their places among [`Self::frames`].
    pub(crate) fn certain(&self, from: usize) -> impl Iterator<Item = (usize, &Frame)> {
        self.frames().iter().enumerate().skip(from).filter(|(_, frame)| !frame.how.is_guess())
    }

    /// The frames from `from` outwards with their functions, as far as it is known who called whom: up to the first that is a
    /// guess, has no name, or from where on frames of modules can be left out.
    pub(crate) fn named<'v>(
        &'v self,
        s: &'v Session,
        from: usize,
    ) -> impl Iterator<Item = (&'v Frame, &'v str)> + use<'v, 's> {
        let known = self.gap(s).unwrap_or(usize::MAX);
        let frames = self.frames().iter().enumerate().take_while(move |(n, _)| *n < known).skip(from);
        frames.map_while(|(_, frame)| {
            let symbol = (!frame.how.is_guess()).then(|| s.locate(frame.lookup()))??.symbol;
            Some((frame, symbol.name))
        })
    }

    /// The function of each frame; empty where no symbol covers it, and from where frames of modules can be left out: who
    /// called whom is not known there.
    pub(crate) fn names(&self, s: &Session) -> Vec<String> {
        let name = |f: &Frame| s.locate(f.lookup()).map(|l| l.symbol.name.to_owned()).unwrap_or_default();
        let known = self.gap(s).unwrap_or(usize::MAX);
        let named = |(n, f): (usize, &Frame)| if n < known { name(f) } else { String::new() };
        self.frames().iter().enumerate().map(named).collect()
    }

    /// The first frame from which on others can be left out, as their module is not known.
    pub(crate) fn gap(&self, s: &Session) -> Option<usize> {
        s.frames_lack_modules(&self.bt.as_ref()?.unwound).map(|(n, _)| n)
    }
}

/// False where the event's report names another task: that one is gone, and the one that panicked is not its victim.
fn may_be(event: &Event, task: &Task) -> bool {
    let oops = &event.oops;
    oops.pid.is_none_or(|pid| pid == task.pid) && oops.comm.as_ref().is_none_or(|comm| *comm == task.comm)
}

/// The task that the oops names. It may be gone, and its pid taken by another.
fn named<'s>(s: &'s Session, event: &Event) -> Option<&'s Task> {
    let pid = event.oops.pid?;
    let cpu = event.oops.cpu;
    s.tasks()
        .with_pid(pid)
        .find(|t| pid != 0 || t.cpu.is_some() && t.cpu == cpu)
        .filter(|t| event.oops.comm.as_deref().is_none_or(|c| c == t.comm))
}

/// The task that stands still: of several that hang, the first that still does.
fn stalled<'s>(s: &'s Session, event: &Event) -> Option<&'s Task> {
    if !event.class.is_stall() {
        return None;
    }
    event.others.iter().chain(&event.subject).find_map(|subject| match event.class {
        Class::HungTask => of_subject(s, subject).filter(|t| !t.active && s.task_states().is_stuck(t)),
        // of CPUs the one that the panic was for
        _ if Some(subject) == event.subject.as_ref() => of_subject(s, subject),
        _ => None,
    })
}

/// The task that a message of a watchdog is of.
pub(crate) fn of_subject<'s>(s: &'s Session, subject: &Subject) -> Option<&'s Task> {
    match (subject.pid, subject.cpu) {
        (Some(pid), cpu) => s
            .tasks()
            .with_pid(pid)
            .find(|t| pid != 0 || t.cpu.is_some() && t.cpu == cpu)
            .filter(|t| subject.comm.as_deref().is_none_or(|c| c == t.comm)),
        (None, Some(cpu)) => s.tasks().on_cpu(cpu),
        (None, None) => None,
    }
}

/// The frame that a CPU ran when the last interrupt came (the watchdog's, or the one that stopped it): the first
/// behind registers that entry code saved. The innermost where nothing interrupted it: what a process called or caused
/// itself is no interruption. `None` where it was in user mode.
pub(crate) fn interrupted(arch: &Arch, names: &[String], frames: &[Frame]) -> Option<usize> {
    match frames.iter().position(|f| f.saved.is_some()) {
        Some(n) => match frames.get(n)?.saved.as_ref()?.user {
            false => (n + 1 < frames.len()).then_some(n + 1),
            // only registers say where it is: a call found on the stack may have returned
            true => names
                .get(n)
                .filter(|name| n > 0 && !name.is_empty() && !arch.entries().saves_for_interrupt(name))
                .and_then(|_| frames.first().filter(|first| !first.is_call).map(|_| 0)),
        },
        None => (!frames.is_empty()).then_some(0),
    }
}

/// The frame that a CPU stands in: the innermost where an interrupt's handler itself spins, else the one that the last
/// interrupt came upon.
pub(crate) fn current_frame(arch: &Arch, names: &[String], frames: &[Frame]) -> Option<usize> {
    let inner =
        frames.iter().position(|f| f.saved.is_some()).and_then(|n| names.get(..n)).unwrap_or_default();
    let stops = |name: &String| roles::is_dying(name) || roles::is_finding(name);
    match inner.first() {
        Some(first) if roles::is_spinning(first) && !inner.iter().any(stops) => Some(0),
        _ => interrupted(arch, names, frames),
    }
}

/// The innermost frame from which registers can be followed out to frame `n`: the one that the last saved registers
/// before it are of.
pub(crate) fn last_saved(frames: &[Frame], n: usize) -> usize {
    frames.get(..n).and_then(|before| before.iter().rposition(|f| f.saved.is_some())).map_or(0, |at| at + 1)
}

/// The frame to blame for a death that no instruction tells of: the first whose function is not there to die, to watch or
/// to wait. `None` where no frame is to blame: the hardware, or a request.
pub(crate) fn blamed(arch: &Arch, class: Class, names: &[String], frames: &[Frame]) -> Option<usize> {
    let waits = |n: &str| roles::is_waiting(n) || roles::is_delaying(n);
    let after_panic = names.iter().rposition(|n| roles::is_panic(n)).map_or(0, |n| n + 1);
    // of code without a name nobody knows what it does: who called it is not to blame
    let first = |from: usize, pass: &dyn Fn(&str) -> bool| {
        let mut certain =
            names.iter().zip(frames).enumerate().skip(from).filter(|(_, (_, f))| !f.how.is_guess());
        certain
            .find(|(_, (name, _))| name.is_empty() || !pass(name))
            .filter(|(_, (name, _))| !name.is_empty())
            .map(|(n, _)| n)
    };
    let found = match class {
        // a CPU that stands in what dies did not stand still there: the frames that did are lost
        Class::SoftLockup | Class::HardLockup | Class::RcuStall | Class::Deadlock => {
            first(current_frame(arch, names, frames)?, &waits)
        }
        // an assertion that failed may end in a sleep without end
        Class::HungTask => first(0, &|n| waits(n) || roles::is_asserting(n)),
        // what it came upon
        Class::Nmi | Class::Watchdog => first(interrupted(arch, names, frames).filter(|n| *n > 0)?, &waits),
        Class::Atomic => first(after_panic, &|n| waits(n) || roles::is_finding(n) || roles::is_dying(n)),
        // the panic that an oops ends in is of what the exception came upon
        Class::Panic if names.get(after_panic).is_some_and(|n| roles::is_end_of_oops(n)) => {
            let entry =
                (after_panic..frames.len()).find(|n| frames.get(*n).is_some_and(|f| f.saved.is_some()))?;
            let is_kernel = frames.get(entry)?.saved.as_ref().is_some_and(|saved| !saved.user);
            first(entry + 1, &|_| false).filter(|n| is_kernel && *n == entry + 1)
        }
        // another function than the caller itself is none to blame
        Class::Panic if after_panic > 0 => {
            let asserts = |n: &usize| names.get(*n).is_some_and(|name| roles::is_asserting(name));
            let from = (after_panic..frames.len()).find(|n| !asserts(n))?;
            let finds = |n: &usize| names.get(*n).is_some_and(|name| roles::is_finding(name));
            first(from, &|_| false).filter(|n| *n == from && !finds(n))
        }
        Class::StackProtector if after_panic > 0 => first(after_panic, &roles::is_dying),
        Class::Sanitizer
        | Class::Ubsan
        | Class::SlabCorruption
        | Class::PageCorruption
        | Class::LockMisuse => first(after_panic, &|n| {
            roles::is_finding(n) || roles::is_dying(n) || roles::is_copying(n) || roles::is_allocating(n)
        }),
        Class::Warning | Class::Refcount | Class::ListCorruption | Class::Overflow if after_panic > 0 => {
            first(after_panic, &|n| roles::is_finding(n) || roles::is_dying(n))
        }
        _ => None,
    };
    // where the panic's own frames are lost, what it called is left
    let is_own =
        |n: &usize| names.get(*n).is_some_and(|name| roles::is_dying(name) || roles::is_delaying(name));
    found.filter(|n| !is_own(n))
}

/// The first frame that can tell what the process did, where none is to blame: what dying called, and what interrupted it
/// then, is of no account. Of a death by an instruction whose frames have nothing of dying, none: they are not those of
/// the death.
pub(crate) fn behind_death(class: Class, names: &[String]) -> usize {
    match names.iter().rposition(|name| roles::is_dying(name)) {
        Some(last) => last + 1,
        None if class.has_instruction() => names.len(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn who_calls_code_without_a_name_is_not_to_blame_for_a_hung_task() {
        let blamed_of = |text: &str| {
            let (names, frames) = frames(text);
            blamed(x86(), Class::HungTask, &names, &frames)
        };
        assert_eq!(blamed_of("__schedule schedule my_wait vfs_write"), Some(2));
        assert_eq!(blamed_of("__schedule schedule  vfs_write"), None);
        assert_eq!(blamed_of("__schedule schedule my_wait  vfs_write"), Some(2));
        assert_eq!(blamed_of("__schedule schedule ? vfs_write"), Some(3));
    }

    fn x86() -> &'static arch::Arch {
        arch::by_name("x86_64").unwrap()
    }

    /// What a timer came upon while the kernel waited in `panic` is the death itself.
    #[test]
    fn what_interrupted_dying_is_no_context() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let tick = names("tick_sched_timer el1h_64_irq __delay panic die el1h_64_sync  vfs_write ksys_write");
        assert_eq!(behind_death(Class::PageFault, &tick), 5);
        assert_eq!(behind_death(Class::PageFault, &names("tick_sched_timer el1h_64_irq")), 2);
        assert_eq!(behind_death(Class::Sysrq, &names("tick_sched_timer el1h_64_irq")), 0);
    }

    use super::*;
    use arch::Regs;
    use base::VirtAddr;
    use unwind::{How, Saved};

    /// Frames by name; `name!` is entry code that saved the kernel's registers, `name?` a guess.
    fn frames(text: &str) -> (Vec<String>, Vec<Frame>) {
        let frame = |name: &str| Frame {
            pc: VirtAddr(0xffff_ffff_8100_0000),
            is_call: true,
            slot: None,
            sp: VirtAddr(0),
            cfa: None,
            how: if name.ends_with('?') { How::Scan } else { How::Orc },
            regs: Regs::new(x86().reg_set()),
            saved: name.ends_with(['!', '*']).then(|| Saved {
                at: VirtAddr(0),
                regs: Regs::new(x86().reg_set()),
                full: true,
                user: name.ends_with('*'),
            }),
            stack: None,
        };
        let names = text.split(' ').map(|n| n.trim_end_matches(['!', '?', '*']).to_owned()).collect();
        (names, text.split(' ').map(frame).collect())
    }

    #[test]
    fn a_handler_that_spins_is_where_the_cpu_stands() {
        for (text, want) in [
            (
                "native_queued_spin_lock_slowpath _raw_spin_lock clock asm_sysvec_apic_timer_interrupt! delay slow",
                0,
            ),
            ("tick_sched_handle asm_sysvec_apic_timer_interrupt! delay slow", 2),
            (
                "native_queued_spin_lock_slowpath _raw_spin_lock vprintk panic watchdog_timer_fn asm_sysvec_apic_timer_interrupt! delay slow",
                6,
            ),
            ("native_queued_spin_lock_slowpath _raw_spin_lock slow", 0),
        ] {
            let (names, frames) = frames(text);
            assert_eq!(current_frame(x86(), &names, &frames), Some(want), "{text}");
        }
    }

    #[test]
    fn a_cpu_that_nothing_interrupted_is_in_its_innermost_frame() {
        for text in [
            "chain_sum loop_of zoo_write system_call_fastpath*",
            "chain_sum loop_of zoo_write do_syscall_64 entry_SYSCALL_64_after_hwframe*",
            "handle_mm_fault do_user_addr_fault asm_exc_page_fault*",
        ] {
            let (names, mut frames) = frames(text);
            assert_eq!(interrupted(x86(), &names, &frames), None, "{text}: calls found on the stack");
            frames[0].is_call = false;
            assert_eq!(interrupted(x86(), &names, &frames), Some(0), "{text}: registers");
        }
        for text in
            ["stop_this_cpu asm_sysvec_reboot*", "tick apic_timer_interrupt*", "nmi_handle asm_exc_nmi*"]
        {
            let (names, mut frames) = frames(text);
            frames[0].is_call = false;
            assert_eq!(interrupted(x86(), &names, &frames), None, "{text}: user mode");
        }
    }

    #[test]
    fn the_frame_to_blame() {
        for (class, text, want) in [
            (
                Class::SoftLockup,
                "vpanic panic watchdog_timer_fn __hrtimer_run_queues asm_sysvec_apic_timer_interrupt! native_queued_spin_lock_slowpath _raw_spin_lock take_both work",
                Some("take_both"),
            ),
            (
                Class::SoftLockup,
                "panic watchdog_timer_fn apic_timer_interrupt! delay_tsc __const_udelay spin_for spin_write",
                Some("spin_for"),
            ),
            (Class::SoftLockup, "panic watchdog_timer_fn apic_timer_interrupt*", None),
            (Class::HardLockup, "crash_nmi_callback nmi! irq_off_loop hard_write", Some("irq_off_loop")),
            // frames that are lost, and a name that is
            (Class::SoftLockup, "vpanic panic", None),
            (
                Class::SoftLockup,
                "panic watchdog_timer_fn nmi! native_queued_spin_lock_slowpath  spin_write",
                None,
            ),
            (Class::StackProtector, "panic __stack_chk_fail  write", None),
            (Class::Warning, "panic __warn warn_slowpath_fmt  write", None),
            (Class::Deadlock, "native_queued_spin_lock_slowpath _raw_spin_lock take_both", Some("take_both")),
            (
                Class::HungTask,
                "__schedule schedule schedule_preempt_disabled __mutex_lock.constprop.0 audit vfs_write",
                Some("audit"),
            ),
            (
                Class::HungTask,
                "__schedule schedule_timeout wait_for_completion stale? waiter",
                Some("waiter"),
            ),
            (
                Class::Atomic,
                "vpanic panic check_panic_on_warn __schedule_bug __schedule schedule schedule_timeout msleep sleeper",
                Some("sleeper"),
            ),
            (Class::Panic, "__crash_kexec vpanic panic give_up work", Some("give_up")),
            // what only carries an assertion out
            (Class::Panic, "vpanic panic lbug_with_loc ldlm_lock_decref work", Some("ldlm_lock_decref")),
            (Class::HungTask, "__schedule schedule spl_panic arc_release write", Some("arc_release")),
            // a caller whose name is lost, or that is a guess
            (Class::Panic, "panic  give_up work", None),
            (Class::Panic, "panic give_up? work", None),
            // an oops that ends in a panic
            (
                Class::Panic,
                "delay_tsc panic oops_end.cold do_trap do_error_trap exc_invalid_op asm_exc_invalid_op! at_fault work",
                Some("at_fault"),
            ),
            (
                Class::Panic,
                "panic die bug_handler brk_handler el1_dbg el1h_64_sync! at_fault work",
                Some("at_fault"),
            ),
            (Class::Panic, "panic oops_end.cold do_trap exc_invalid_op asm_exc_invalid_op!  work", None),
            (Class::Panic, "panic oops_end.cold do_trap work", None),
            (Class::Panic, "panic oops_end do_syscall_64 entry_SYSCALL_64*", None),
            (Class::StackProtector, "panic __stack_chk_fail smash write", Some("smash")),
            (
                Class::Sanitizer,
                "panic check_panic_on_warn end_report kasan_report __asan_load8 memcpy copy_it write",
                Some("copy_it"),
            ),
            (
                Class::SlabCorruption,
                "panic add_taint.cold check_bytes_and_report.cold check_object free_to_partial_list close_it write",
                Some("close_it"),
            ),
            (
                Class::PageCorruption,
                "panic add_taint.cold bad_page.cold __free_pages_ok give_back",
                Some("give_back"),
            ),
            (Class::Warning, "panic __warn warn_slowpath_fmt complain write", Some("complain")),
            (
                Class::Nmi,
                "panic nmi_panic unknown_nmi_error default_do_nmi asm_exc_nmi! busy write",
                Some("busy"),
            ),
            (Class::OutOfMemory, "panic out_of_memory alloc", None),
            (Class::MachineCheck, "panic mce_panic do_machine_check", None),
        ] {
            let (names, frames) = frames(text);
            let found = blamed(x86(), class, &names, &frames).map(|n| names[n].as_str());
            assert_eq!(found, want, "{class:?}: {text}");
        }
    }
}

#[cfg(test)]
#[path = "gap_tests.rs"]
mod gap_tests;
