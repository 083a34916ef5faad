//! The kernel's entry code by the names of its functions (arch/x86/entry/entry_64.S; `asm_` since 5.8).

use super::X86_64;
use crate::EntryKind;
use crate::capability::EntryCode;

/// What enters the kernel at this function.
pub(crate) fn entry(function: &str) -> Option<EntryKind> {
    Some(match function {
        "asm_exc_nmi" | "nmi" | "end_repeat_nmi" => EntryKind::NonMaskable,
        "asm_exc_machine_check" | "machine_check" => EntryKind::MachineCheck,
        "asm_common_interrupt"
        | "common_interrupt"
        | "ret_from_intr"
        | "apic_timer_interrupt"
        | "call_function_single_interrupt"
        | "call_function_interrupt"
        | "reschedule_interrupt"
        | "irq_work_interrupt" => EntryKind::Interrupt,
        "asm_sysvec_reboot" | "reboot_interrupt" => EntryKind::Stop,
        _ if function.starts_with("asm_sysvec_") => EntryKind::Interrupt,
        _ if ["asm_", "entry_SYSCALL", "system_call"].iter().any(|start| function.starts_with(start)) => {
            EntryKind::Other
        }
        _ => return None,
    })
}

/// True for a function in whose frame registers are saved because of an interrupt, of every device and kind: before 5.8
/// many had an entry of their own, and hypervisors have theirs.
pub(crate) fn saves_for_interrupt(function: &str) -> bool {
    entry(function).is_some_and(EntryKind::is_interrupt)
        || function.ends_with("_interrupt")
        || ["irq_entries", "nmi", "callback_vector", "hypervisor_callback", "posted_intr"]
            .iter()
            .any(|part| function.contains(part))
}

impl EntryCode for X86_64 {
    fn entry(&self, function: &str) -> Option<EntryKind> {
        entry(function)
    }
    fn saves_for_interrupt(&self, function: &str) -> bool {
        saves_for_interrupt(function)
    }
    fn stop_calls(&self) -> &'static [&'static str] {
        &[
            "machine_kexec",
            "native_machine_crash_shutdown",
            "machine_crash_shutdown",
            "crash_nmi_callback",
            "stop_this_cpu",
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_old_and_new_kernels() {
        for (function, kind) in [
            ("asm_sysvec_apic_timer_interrupt", Some(EntryKind::Interrupt)),
            ("apic_timer_interrupt", Some(EntryKind::Interrupt)),
            ("ret_from_intr", Some(EntryKind::Interrupt)),
            ("asm_sysvec_reboot", Some(EntryKind::Stop)),
            ("asm_exc_nmi", Some(EntryKind::NonMaskable)),
            ("end_repeat_nmi", Some(EntryKind::NonMaskable)),
            ("machine_check", Some(EntryKind::MachineCheck)),
            ("asm_exc_page_fault", Some(EntryKind::Other)),
            ("entry_SYSCALL_64_after_hwframe", Some(EntryKind::Other)),
            ("hrtimer_interrupt", None),
            ("el1h_64_irq", None),
        ] {
            assert_eq!(entry(function), kind, "{function}");
        }
        assert!(saves_for_interrupt("xen_hvm_callback_vector") && saves_for_interrupt("irq_entries_start"));
        assert!(saves_for_interrupt("asm_sysvec_reboot") && !saves_for_interrupt("asm_exc_page_fault"));
    }
}
