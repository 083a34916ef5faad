//! How the CPU came to where it died: through an interrupt, a timer, a softirq, work, a thread of the kernel, with
//! the function that was called for it.
//!
//! **Invariant:** told from the frames' functions alone, innermost first. The function that a dispatcher called is
//! the one of the frame before the dispatcher's.

use crate::model::{Handler, Layer, LayerKind as Kind};
use arch::{Arch, EntryKind};

/// Functions that call handlers, and what they call them for. Several of one kind stand for several releases.
const DISPATCHERS: &[(&str, Kind)] = &[
    ("call_timer_fn", Kind::Timer),
    ("expire_timers", Kind::Timer),
    ("__run_timers", Kind::Timer),
    ("run_timer_softirq", Kind::Timer),
    ("__hrtimer_run_queues", Kind::Hrtimer),
    ("__run_hrtimer", Kind::Hrtimer),
    ("hrtimer_run_queues", Kind::Hrtimer),
    ("tasklet_action_common", Kind::Tasklet),
    ("tasklet_action", Kind::Tasklet),
    ("tasklet_hi_action", Kind::Tasklet),
    ("workqueue_softirq_action", Kind::SoftirqWork),
    ("bh_worker", Kind::SoftirqWork),
    ("process_one_work", Kind::Work),
    ("__handle_irq_event_percpu", Kind::InterruptHandler),
    ("handle_irq_event_percpu", Kind::InterruptHandler),
    ("irq_thread_fn", Kind::InterruptThread),
    ("irq_forced_thread_fn", Kind::InterruptThread),
    ("__flush_smp_call_function_queue", Kind::CpuCall),
    ("flush_smp_call_function_queue", Kind::CpuCall),
    ("generic_smp_call_function_single_interrupt", Kind::CpuCall),
    ("rcu_do_batch", Kind::RcuCallback),
    ("notifier_call_chain", Kind::Notifier),
    ("do_one_initcall", Kind::Init),
    ("async_run_entry_fn", Kind::Asynchronous),
    ("smpboot_thread_fn", Kind::CpuThread),
    ("task_work_run", Kind::TaskWork),
    ("__do_softirq", Kind::Softirq),
    ("handle_softirqs", Kind::Softirq),
    ("kthread", Kind::Thread),
];

/// Kinds that swallow a later one of the same descent: what `rcu_do_batch` calls is called from a softirq's own
/// function, which says nothing more.
const GENERAL: &[Kind] = &[Kind::Softirq, Kind::CpuThread, Kind::Thread];

/// Functions of the kernel's own that dispatch to others, so that their names add nothing.
const PLUMBING: &[&str] = &[
    "run_timer_softirq",
    "hrtimer_run_softirq",
    "rcu_core",
    "rcu_core_si",
    "rcu_process_callbacks",
    "tasklet_action",
    "tasklet_hi_action",
    "tasklet_action_common",
    "run_ksoftirqd",
    "worker_thread",
    "rescuer_thread",
    "irq_thread",
    "cpu_stopper_thread",
    "smpboot_thread_fn",
    "workqueue_softirq_action",
    "bh_worker",
];

/// The layers of context, innermost first: a timer with its function, a softirq, an interrupt.
///
/// `handler` tells what the call that the frame `n` is in has called, where that is known: the frame before may be
/// of a function that the handler jumped on to.
pub(crate) fn layers(arch: &Arch, names: &[String], handler: &dyn Fn(usize) -> Option<String>) -> Vec<Layer> {
    let mut out: Vec<Layer> = Vec::new();
    let mut last = None;
    let mut called = "";
    // what is done at the end of an interrupt is no longer done in it
    let mut ended = false;
    for (n, name) in names.iter().enumerate().map(|(n, name)| (n, debuginfo::symtab::base_name(name))) {
        if let Some(kind) = hardware(arch, name) {
            out.push(Layer { kind, handler: Handler::None, ended });
            (last, ended) = (None, false);
        } else if EXITS.contains(&name) {
            ended = true;
        } else if let Some((_, kind)) = DISPATCHERS.iter().find(|(f, _)| *f == name) {
            ended |= *kind == Kind::Softirq;
            // what waits for the next thing to do has been called for none
            let plumbing =
                called.is_empty() || PLUMBING.contains(&called) || crate::code::roles::is_waiting(called);
            let general = GENERAL.contains(kind);
            let named = match handler(n).filter(|_| !plumbing) {
                _ if general && last.is_some() => Handler::None,
                Some(name) => Handler::Function(name),
                None if plumbing => Handler::None,
                None => Handler::Through(called.to_owned()),
            };
            let again = last == Some(*kind) || (general && *kind != Kind::Softirq && last.is_some());
            if !again {
                out.push(Layer { kind: *kind, handler: named, ended: false });
            }
            last = Some(*kind);
        }
        called = name;
    }
    out
}

/// Functions that end an interrupt, and handle softirqs then.
const EXITS: &[&str] = &["irq_exit", "irq_exit_rcu", "__irq_exit_rcu"];

/// What entry code is. What stops a CPU is of its death, not of its life.
fn hardware(arch: &Arch, name: &str) -> Option<Kind> {
    match arch.entries().entry(name)? {
        EntryKind::Interrupt => Some(Kind::HardInterrupt),
        EntryKind::NonMaskable => Some(Kind::NonMaskable),
        EntryKind::MachineCheck => Some(Kind::MachineCheck),
        EntryKind::Stop | EntryKind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Base;

    fn told_by(arch: &str, names: &str, base: &str) -> String {
        let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
        let base = match base {
            "idle" => Base::Idle,
            _ => Base::Process,
        };
        let layers = layers(arch::by_name(arch).unwrap(), &names, &|_| None);
        crate::words::descent(&layers, Some(base))
    }

    fn told(names: &str, base: &str) -> String {
        told_by("x86_64", names, base)
    }

    #[test]
    fn an_architecture_says_what_is_an_interrupt() {
        let interrupt =
            "interrupt handler through my_handler(), in hard interrupt, on top of process context";
        for entry in
            ["el1h_64_irq_handler el1h_64_irq", "el1h_64_fiq_handler el1h_64_fiq", "el1_irq", "el0_fiq"]
        {
            let names =
                format!("my_handler __handle_irq_event_percpu gic_handle_irq el1_interrupt {entry} f");
            assert_eq!(told_by("aarch64", &names, "process context"), interrupt, "{entry}");
            let no_entry = told(&names, "process context");
            assert_eq!(no_entry, "interrupt handler through my_handler()", "{entry} is none of x86-64");
        }
        let own = "f my_timer call_timer_fn asm_common_interrupt g";
        assert_eq!(told_by("aarch64", own, "idle"), "timer through my_timer()");
    }

    #[test]
    fn handlers_by_their_dispatchers() {
        for (frames, want) in [
            ("f vfs_write ksys_write do_syscall_64 entry_SYSCALL_64_after_hwframe", "process context"),
            (
                "f my_timer call_timer_fn __run_timers run_timer_softirq handle_softirqs irq_exit_rcu sysvec_apic_timer_interrupt asm_sysvec_apic_timer_interrupt default_idle",
                "timer through my_timer(), in softirq, at the end of a hard interrupt, on top of process context",
            ),
            (
                "my_hrtimer __hrtimer_run_queues hrtimer_interrupt asm_sysvec_apic_timer_interrupt default_idle",
                "hrtimer through my_hrtimer(), in hard interrupt, on top of process context",
            ),
            (
                "my_tasklet tasklet_action_common tasklet_action handle_softirqs asm_common_interrupt",
                "tasklet through my_tasklet(), in softirq, at the end of a hard interrupt, on top of process context",
            ),
            ("g my_work process_one_work worker_thread kthread ret_from_fork", "work through my_work()"),
            ("g my_thread kthread ret_from_fork", "kernel thread through my_thread()"),
            (
                "f my_timer call_timer_fn handle_softirqs asm_common_interrupt schedule smpboot_thread_fn kthread",
                "timer through my_timer(), in softirq, at the end of a hard interrupt, on top of per-CPU thread",
            ),
            (
                "my_hrtimer __hrtimer_run_queues asm_sysvec_apic_timer_interrupt f my_poll net_rx_action __do_softirq irq_exit apic_timer_interrupt default_idle",
                "hrtimer through my_hrtimer(), in hard interrupt, in softirq through net_rx_action(), at the end of a hard interrupt, on top of process context",
            ),
            (
                "scheduler_ipi irq_exit reschedule_interrupt default_idle",
                "at the end of a hard interrupt, on top of process context",
            ),
            ("my_init do_one_initcall do_init_module load_module", "init function through my_init()"),
            (
                "my_handler __handle_irq_event_percpu handle_irq_event asm_common_interrupt f",
                "interrupt handler through my_handler(), in hard interrupt, on top of process context",
            ),
            (
                "my_cb rcu_do_batch rcu_core handle_softirqs run_ksoftirqd smpboot_thread_fn kthread",
                "RCU callback through my_cb(), in softirq",
            ),
            (
                "my_poll net_rx_action __do_softirq run_ksoftirqd smpboot_thread_fn kthread",
                "softirq through net_rx_action()",
            ),
            (
                "f asm_sysvec_call_function_single default_idle",
                "hard interrupt context, on top of process context",
            ),
            (
                "my_ipi __flush_smp_call_function_queue asm_sysvec_call_function_single f my_thread kthread",
                "call from another CPU through my_ipi(), in hard interrupt, on top of kernel thread through my_thread()",
            ),
            (
                "unknown_nmi_error asm_exc_nmi default_idle",
                "non-maskable interrupt context, on top of process context",
            ),
        ] {
            assert_eq!(told(frames, "process context"), want, "{frames}");
        }
        let names: Vec<String> =
            ["check", "call_timer_fn", "asm_sysvec_apic_timer_interrupt"].map(str::to_owned).into();
        let told =
            layers(arch::by_name("x86_64").unwrap(), &names, &|n| (n == 1).then(|| "my_timer".to_owned()));
        let told: Vec<String> = told.iter().map(Layer::to_string).collect();
        assert_eq!(told, ["timer my_timer()", "hard interrupt"], "the handler jumped on to check()");
    }
}
