//! The stacks that a CPU has besides its task's.

use super::Arm64;
use crate::capability::Stacks;
use base::VirtAddr;
use std::ops::Range;

impl Stacks for Arm64 {
    /// The pointer is at the low end, and the stack as large as a task's (arch/arm64/kernel/irq.c).
    fn irq(&self, pointer: VirtAddr, task_stack: u64) -> Option<Range<VirtAddr>> {
        Some(pointer..pointer.add(task_stack))
    }
}
