//! Instructions.

use super::{X86_64, insn, leaves, lift};
use crate::Disassemble;
use crate::capability::Isa;
use crate::dataflow::{Function, Known};
use base::VirtAddr;

impl Isa for X86_64 {
    fn disassembler(&self) -> Box<dyn Disassemble> {
        Box::new(insn::Disassembler::new())
    }
    fn lift(&self, parts: &[(u64, &[u8])], known: &Known<'_>) -> Option<Function> {
        Some(lift::function(parts, known))
    }
    fn leaves(&self, start: VirtAddr, code: &[u8]) -> Option<Vec<VirtAddr>> {
        leaves::leaves(start, code)
    }
}
