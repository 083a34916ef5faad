//! The stacks that a CPU has besides its task's (arch/x86/include/asm/cpu_entry_area.h, processor.h).

use super::X86_64;
use crate::capability::Stacks;
use crate::{NamedStack, StackSource};
use base::VirtAddr;

use std::ops::Range;

/// `struct cea_exception_stacks`, since 5.2.
const AREA: StackSource = StackSource::Members {
    pointer: "cea_exception_stacks",
    of: "cea_exception_stacks",
    stacks: &[
        ("DOUBLEFAULT", "DF_stack"),
        ("NMI", "NMI_stack"),
        ("DEBUG", "DB_stack"),
        ("MCE", "MCE_stack"),
        ("VC", "VC_stack"),
        ("VC2", "VC2_stack"),
    ],
};

/// `struct orig_ist`, until 5.1: a table of tops and nothing else.
const TOPS: StackSource = StackSource::Tops { table: "orig_ist", count: 5, stacks: ist_stacks };

/// Bytes of the stack of interrupts, since 2.6.
const IRQ_STACK_SIZE: u64 = 16 << 10;

/// The stack of interrupts below what its pointer points to, which stands 0 to 64 bytes below its end.
const fn irq_stack(top: VirtAddr) -> Range<VirtAddr> {
    let end = VirtAddr(top.0.wrapping_add(0xfff) & !0xfff);
    end.sub(IRQ_STACK_SIZE)..end
}

impl Stacks for X86_64 {
    fn irq(&self, pointer: VirtAddr, _task_stack: u64) -> Option<Range<VirtAddr>> {
        Some(irq_stack(pointer))
    }
    fn irq_from(&self, start: VirtAddr) -> Option<Range<VirtAddr>> {
        Some(start..start.add(IRQ_STACK_SIZE))
    }
    fn exceptions(&self) -> &'static [StackSource] {
        &[AREA, TOPS]
    }
}

/// The stacks whose tops the interrupt stack table had before 5.2. They lie one behind the other, each of a page
/// (EXCEPTION_STKSZ) but the debug stack's two; a stack for stack faults came first until 3.18 (6f442be2fb22, in
/// older kernels of distributions as well), and where the debug stack stands tells whether it does.
fn ist_stacks(tops: &[VirtAddr]) -> Vec<NamedStack> {
    let wide = |(n, pair): (usize, &[VirtAddr])| match pair {
        [a, b] => (b.0.wrapping_sub(a.0) == 8192).then_some(n + 1),
        _ => None,
    };
    let debug = tops.windows(2).enumerate().find_map(wide);
    let names: &[&str] = match debug {
        Some(3) => &["STACKFAULT", "DOUBLEFAULT", "NMI", "DEBUG", "MCE"],
        _ => &["DOUBLEFAULT", "NMI", "DEBUG", "MCE"],
    };
    let named = names.iter().zip(tops).filter(|(_, top)| !top.is_null());
    named.map(|(name, top)| (*name, top.sub(if *name == "DEBUG" { 8192 } else { 4096 })..*top)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_stacks_by_where_the_debug_stack_stands() {
        let at = |n: u64| VirtAddr(0xffff_8880_0001_0000 + n * 0x1000);
        let names = |tops: &[VirtAddr]| {
            ist_stacks(tops).iter().map(|(name, r)| (*name, (r.end.0 - r.start.0) >> 12)).collect::<Vec<_>>()
        };
        let new = [("DOUBLEFAULT", 1), ("NMI", 1), ("DEBUG", 2), ("MCE", 1)];
        assert_eq!(names(&[at(1), at(2), at(4), at(5), VirtAddr(0)]), new);
        let old = [("STACKFAULT", 1), ("DOUBLEFAULT", 1), ("NMI", 1), ("DEBUG", 2), ("MCE", 1)];
        assert_eq!(names(&[at(1), at(2), at(3), at(5), at(6)]), old);
        assert_eq!(ist_stacks(&[at(1), at(2), at(4), at(5)])[2].1, at(2)..at(4));
        assert_eq!(names(&[VirtAddr(0), VirtAddr(0)]), []);
    }
}
