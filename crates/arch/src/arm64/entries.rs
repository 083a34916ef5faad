//! The kernel's entry code by the names of its functions (arch/arm64/kernel/entry.S, entry-common.c).
//!
//! Since 5.14 (a5b43a87a7f2) a vector is named by the level that was left, its stack pointer (`t`, `h`), its width and what
//! came: `el1h_64_irq`; before by the level and what came, with `_compat` behind for 32 bits: `el0_irq_compat`. What they call
//! in C begins like them: `el1h_64_irq_handler`, `el1_interrupt`, `el0_svc`.

use super::Arm64;
use crate::EntryKind;
use crate::capability::EntryCode;

/// What enters the kernel at this function.
pub(crate) fn entry(function: &str) -> Option<EntryKind> {
    let vector = function.strip_prefix("el0").or_else(|| function.strip_prefix("el1"))?;
    let came = ["t_64_", "t_32_", "h_64_", "_"].iter().find_map(|mode| vector.strip_prefix(mode))?;
    Some(match came.strip_suffix("_compat").unwrap_or(came) {
        "irq" | "fiq" => EntryKind::Interrupt,
        _ => EntryKind::Other,
    })
}

impl EntryCode for Arm64 {
    fn entry(&self, function: &str) -> Option<EntryKind> {
        entry(function)
    }
    /// arch/arm64/kernel/smp.c and machine_kexec.c; `ipi_cpu_stop` until 5.1.
    fn stop_calls(&self) -> &'static [&'static str] {
        &[
            "machine_kexec",
            "crash_save_cpu",
            "ipi_cpu_crash_stop",
            "local_cpu_stop",
            "ipi_cpu_stop",
            "machine_crash_shutdown",
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_old_and_new_kernels() {
        let interrupts = [
            "el1h_64_irq",
            "el1t_64_irq",
            "el0t_64_irq",
            "el0t_32_irq",
            "el1h_64_fiq",
            "el0t_64_fiq",
            "el0t_32_fiq",
            "el1_irq",
            "el0_irq",
            "el1_fiq",
            "el0_fiq",
            "el0_irq_compat",
            "el0_fiq_compat",
        ];
        for function in interrupts {
            assert_eq!(entry(function), Some(EntryKind::Interrupt), "{function}");
        }
        for function in [
            "el1h_64_sync",
            "el1h_64_irq_handler",
            "el1_interrupt",
            "el0_svc",
            "el0_sync_compat",
            "el1_abort",
        ] {
            assert_eq!(entry(function), Some(EntryKind::Other), "{function}");
        }
        for function in ["asm_common_interrupt", "elevator_init", "el2_sync", "el1", "gic_handle_irq"] {
            assert_eq!(entry(function), None, "{function}");
        }
    }
}
