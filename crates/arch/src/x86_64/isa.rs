//! Instructions.

use super::{X86_64, insn, leaves};
use crate::Disassemble;
use crate::capability::Isa;
use base::VirtAddr;

impl Isa for X86_64 {
    fn disassembler(&self) -> Box<dyn Disassemble> {
        Box::new(insn::Disassembler::new())
    }
    fn leaves(&self, start: VirtAddr, code: &[u8]) -> Option<Vec<VirtAddr>> {
        leaves::leaves(start, code)
    }
}
