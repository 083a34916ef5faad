//! Registers, by their DWARF numbers.

use super::Arm64;
use crate::capability::Registers;
use crate::dataflow::Mem;
use crate::{RegSet, Roles};

/// DWARF number (DWARF for the Arm 64-bit Architecture, table 2).
pub(crate) const FP: usize = 29;
/// DWARF number: the link register.
pub(crate) const LR: usize = 30;
/// DWARF number.
pub(crate) const SP: usize = 31;
/// DWARF number.
pub(crate) const PC: usize = 32;
/// An extra, as DWARF gives it no number.
pub(crate) const PSTATE: usize = 35;
/// `pt_regs.syscallno`: the number of the system call that the entry was for.
pub(crate) const SYSCALLNO: usize = 36;
/// `TPIDR_EL1`, the base of the CPU's own variables: no note has it.
const TPIDR_EL1: usize = 37;

/// Names by number.
const NAMES: [&str; 38] = [
    "x0",
    "x1",
    "x2",
    "x3",
    "x4",
    "x5",
    "x6",
    "x7",
    "x8",
    "x9",
    "x10",
    "x11",
    "x12",
    "x13",
    "x14",
    "x15",
    "x16",
    "x17",
    "x18",
    "x19",
    "x20",
    "x21",
    "x22",
    "x23",
    "x24",
    "x25",
    "x26",
    "x27",
    "x28",
    "x29",
    "x30",
    "sp",
    "pc",
    "elr",
    "ra_sign_state",
    "pstate",
    "syscallno",
    "tpidr_el1",
];

/// The registers.
pub(crate) static SET: RegSet = RegSet {
    names: &NAMES,
    pc: PC,
    sp: SP,
    fp: FP,
    roles: Roles {
        arguments: &[0, 1, 2, 3, 4, 5, 6, 7],
        result: 0,
        preserved: &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
        syscall: &[0, 1, 2, 3, 4, 5],
        entry_code: SYSCALLNO,
        per_cpu: TPIDR_EL1,
        link: Some(LR),
    },
    aliases: &[("lr", "x30"), ("fp", "x29"), ("cpsr", "pstate")],
    // as crash has them
    shown: &[
        &[("PC", "pc", 16)],
        &[("LR", "x30", 16)],
        &[("SP", "sp", 16), ("PSTATE", "pstate", 8)],
        &[("X29", "x29", 16), ("X28", "x28", 16), ("X27", "x27", 16)],
        &[("X26", "x26", 16), ("X25", "x25", 16), ("X24", "x24", 16)],
        &[("X23", "x23", 16), ("X22", "x22", 16), ("X21", "x21", 16)],
        &[("X20", "x20", 16), ("X19", "x19", 16), ("X18", "x18", 16)],
        &[("X17", "x17", 16), ("X16", "x16", 16), ("X15", "x15", 16)],
        &[("X14", "x14", 16), ("X13", "x13", 16), ("X12", "x12", 16)],
        &[("X11", "x11", 16), ("X10", "x10", 16), ("X9", "x9", 16)],
        &[("X8", "x8", 16), ("X7", "x7", 16), ("X6", "x6", 16)],
        &[("X5", "x5", 16), ("X4", "x4", 16), ("X3", "x3", 16)],
        &[("X2", "x2", 16), ("X1", "x1", 16), ("X0", "x0", 16)],
    ],
};

impl Registers for Arm64 {
    fn set(&self) -> &'static RegSet {
        &SET
    }
    fn part_name(&self, number: usize, size: u64) -> String {
        let name = SET.name(number).unwrap_or("?");
        match (name.strip_prefix('x'), size) {
            (Some(digits), 1..=4) => format!("w{digits}"),
            _ => name.to_owned(),
        }
    }
    fn memory_text(&self, operand: &Mem) -> String {
        let name = |number| self.part_name(number, 8);
        let base = operand.base.map(name);
        let index = operand.index.map(|(number, scale)| match scale {
            1 => name(number),
            scale => format!("{}, lsl #{}", name(number), scale.ilog2()),
        });
        let distance = match operand.disp {
            0 => None,
            d if d < 0 => Some(format!("#-{:#x}", d.unsigned_abs())),
            d => Some(format!("#{d:#x}")),
        };
        let parts: Vec<String> = [base, index, distance].into_iter().flatten().collect();
        format!("[{}]", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_has_its_sign() {
        for (disp, want) in [
            (0, "[x3]"),
            (16, "[x3, #0x10]"),
            (-16, "[x3, #-0x10]"),
            (i64::MIN, "[x3, #-0x8000000000000000]"),
        ] {
            let operand = Mem { base: Some(3), index: None, disp, size: 8, per_cpu: false };
            assert_eq!(Arm64.memory_text(&operand), want);
        }
    }
}
