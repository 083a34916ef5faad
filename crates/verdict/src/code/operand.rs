//! Operands of instructions with the values of a frame: where they lie, what they hold, how they are called.

use arch::Regs;
use arch::dataflow::Mem;
use base::{VirtAddr, VirtRead};
use kernel::Session;

/// The address of a memory operand with these registers.
pub(crate) fn operand_address(m: &Mem, regs: &Regs) -> Option<u64> {
    let mut at = m.disp.cast_unsigned();
    if let Some(b) = m.base {
        at = at.wrapping_add(regs.get(b)?);
    }
    if let Some((i, scale)) = m.index {
        at = at.wrapping_add(regs.get(i)?.wrapping_mul(u64::from(scale)));
    }
    if m.per_cpu {
        at = at.wrapping_add(regs.per_cpu()?);
    }
    Some(at)
}

pub(crate) fn read(mem: &dyn VirtRead, at: u64, size: u64) -> Option<u64> {
    let at = VirtAddr(at);
    match size {
        1 => mem.u8(at).ok().map(u64::from),
        2 => mem.u16(at).ok().map(u64::from),
        4 => mem.u32(at).ok().map(u64::from),
        8 => mem.u64(at).ok(),
        _ => None,
    }
}

/// `r12d` of register 12 and 4 bytes.
pub(crate) fn register_name(s: &Session, number: usize, size: u64) -> String {
    s.arch().regs.part_name(number, size)
}
