//! The variables that code refers to: by the instruction pointer, by a number of 32 bits, with or without an index.

use super::X86_64;
use super::layout;
use crate::capability::References;
use base::VirtAddr;
use iced_x86::{Decoder, DecoderOptions, OpKind, Register};

/// The addresses that code at `start` has in its instructions, in their order.
pub(crate) fn referenced(start: VirtAddr, code: &[u8]) -> Vec<VirtAddr> {
    let mut decoder = Decoder::with_ip(64, code, start.0, DecoderOptions::NONE);
    let mut out = Vec::new();
    for insn in &mut decoder {
        for operand in 0..insn.op_count() {
            let at = match insn.op_kind(operand) {
                // an index or a base register beside it chooses an element of the variable
                OpKind::Memory if insn.memory_base() != Register::RSP => insn.memory_displacement64(),
                OpKind::Immediate32to64 => insn.immediate32to64().cast_unsigned(),
                OpKind::Immediate64 => insn.immediate64(),
                _ => continue,
            };
            if (layout::START_KERNEL_MAP..layout::KERNEL_MAP_END).contains(&at) {
                out.push(VirtAddr(at));
            }
        }
    }
    out
}

impl References for X86_64 {
    fn referenced(&self, start: VirtAddr, code: &[u8]) -> Vec<VirtAddr> {
        referenced(start, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_every_way_that_code_names_them() {
        let code = [
            &[0x48, 0x8b, 0x05, 0x10, 0, 0, 0][..],            // mov 0x10(%rip),%rax
            &[0x48, 0x03, 0x04, 0xfd, 0x40, 0x12, 0x80, 0x81], // add -0x7e7fedc0(,%rdi,8),%rax
            &[0x48, 0xc7, 0xc7, 0, 0x50, 0x80, 0x81],          // mov $0xffffffff81805000,%rdi
            &[0x48, 0x8b, 0x47, 0x08],                         // mov 8(%rdi),%rax
            &[0x48, 0x83, 0xe8, 0x01],                         // sub $1,%rax
        ]
        .concat();
        let found = referenced(VirtAddr(0xffff_ffff_8100_0000), &code);
        let want = [0xffff_ffff_8100_0017, 0xffff_ffff_8180_1240, 0xffff_ffff_8180_5000];
        assert_eq!(found, want.map(VirtAddr));
    }
}
