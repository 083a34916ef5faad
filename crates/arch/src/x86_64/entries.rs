//! The kernel's entry code by the names of its functions (arch/x86/entry/entry_64.S; `asm_` since 5.8).

use super::X86_64;
use crate::capability::EntryCode;
use crate::{EntryKind, GateTable};
use base::VirtAddr;

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
    fn gates(&self) -> Option<&'static GateTable> {
        Some(&IDT)
    }
}

/// The interrupt descriptor table (Intel SDM volume 3, 6.14.1): gates of 16 bytes.
static IDT: GateTable = GateTable { symbol: "idt_table", entry_size: 16, count: 256, target: gate_target };

/// `target = entry[0..2] | entry[6..8] << 16 | entry[8..12] << 32`; bit 47 of the first eight bytes says that the gate is there
fn gate_target(entry: &[u8]) -> Option<VirtAddr> {
    let word = |at: usize| Some(u64::from_le_bytes(*entry.get(at..)?.first_chunk()?));
    let (low, high) = (word(0)?, word(8)?);
    let at = low & 0xffff | low >> 32 & 0xffff_0000 | high << 32;
    (low >> 47 & 1 == 1).then_some(VirtAddr(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_says_where_it_leads() {
        // `ffffffff81a00b90`, selector 0x10, present
        let mut gate = [0x90, 0x0b, 0x10, 0, 0, 0x8e, 0xa0, 0x81, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(gate_target(&gate), Some(VirtAddr(0xffff_ffff_81a0_0b90)));
        gate[5] = 0x0e;
        assert_eq!((gate_target(&gate), gate_target(&gate[..12])), (None, None));
    }

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
