//! Which registers an instruction reads and writes, and where it stores.

use super::number;
use iced_x86::{Instruction, InstructionInfoFactory, OpAccess, Register, UsedMemory};

/// What an instruction reads and writes.
pub(super) struct Uses {
    /// A bit for each register that is read.
    reads: u32,
    /// A bit for each register that is written.
    writes: u32,
    /// The memory that is written.
    pub(super) stores: Vec<UsedMemory>,
}

impl Uses {
    /// What `insn` does.
    pub(super) fn of(insn: &Instruction, factory: &mut InstructionInfoFactory) -> Self {
        let info = factory.info(insn);
        let (mut reads, mut writes) = (0, 0);
        for used in info.used_registers() {
            let Some(bit) = number(used.register()).map(|n| 1 << n) else { continue };
            reads |= if is_read(used.access()) { bit } else { 0 };
            writes |= if is_write(used.access()) { bit } else { 0 };
        }
        let stores = info.used_memory().iter().filter(|m| is_write(m.access())).copied().collect();
        Self { reads, writes, stores }
    }

    /// True where the register is read.
    pub(super) fn reads(&self, register: usize) -> bool {
        register < 32 && self.reads & (1 << register) != 0
    }

    /// True where the register is written.
    pub(super) fn writes(&self, register: usize) -> bool {
        register < 32 && self.writes & (1 << register) != 0
    }

    /// True where it stores to another place than the stack.
    pub(super) fn stores_elsewhere(&self) -> bool {
        self.stores.iter().any(|m| m.base() != Register::RSP)
    }
}

fn is_read(access: OpAccess) -> bool {
    use OpAccess::{CondRead, Read, ReadCondWrite, ReadWrite};
    matches!(access, Read | CondRead | ReadWrite | ReadCondWrite)
}

/// True for an access that writes, or may.
pub(crate) fn is_write(access: OpAccess) -> bool {
    use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
    matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite)
}
