//! Instructions.

use super::{Arm64, insn};
use crate::Disassemble;
use crate::capability::Isa;

impl Isa for Arm64 {
    fn disassembler(&self) -> Box<dyn Disassemble> {
        Box::new(insn::Disassembler)
    }
}
