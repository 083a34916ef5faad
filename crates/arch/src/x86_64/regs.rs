//! Registers, by their DWARF numbers.

use super::X86_64;
use crate::capability::Registers;
use crate::dataflow::Mem;
use crate::{RegSet, Roles};

/// DWARF number (System V ABI for x86-64, figure 3.36).
pub(crate) const RAX: usize = 0;
/// DWARF number.
pub(crate) const RDX: usize = 1;
/// DWARF number.
pub(crate) const RCX: usize = 2;
/// DWARF number.
pub(crate) const RBX: usize = 3;
/// DWARF number.
pub(crate) const RSI: usize = 4;
/// DWARF number.
pub(crate) const RDI: usize = 5;
/// DWARF number.
pub(crate) const RBP: usize = 6;
/// DWARF number.
pub(crate) const RSP: usize = 7;
/// DWARF number; r9 to r15 follow.
pub(crate) const R8: usize = 8;
/// DWARF number.
pub(crate) const R9: usize = 9;
/// DWARF number.
pub(crate) const R10: usize = 10;
/// DWARF number.
pub(crate) const R11: usize = 11;
/// DWARF number.
pub(crate) const R12: usize = 12;
/// DWARF number.
pub(crate) const R13: usize = 13;
/// DWARF number.
pub(crate) const R14: usize = 14;
/// DWARF number.
pub(crate) const R15: usize = 15;
/// DWARF number of the return address column, which is the program counter.
pub(crate) const RIP: usize = 16;
/// Own number, as all that follow.
pub(crate) const RFLAGS: usize = 17;
/// Code segment selector; its low two bits are the privilege level.
pub(crate) const CS: usize = 18;
/// Stack segment selector.
pub(crate) const SS: usize = 19;
/// Data segment selector.
pub(crate) const DS: usize = 20;
/// Selector.
pub(crate) const ES: usize = 21;
/// Selector.
pub(crate) const FS: usize = 22;
/// Selector.
pub(crate) const GS: usize = 23;
/// The system call's number or an exception's error code, as saved on entry.
pub(crate) const ORIG_RAX: usize = 24;
/// FS base.
pub(crate) const FS_BASE: usize = 25;
/// GS base: in kernel mode the CPU's per-cpu area.
pub(crate) const GS_BASE: usize = 26;

/// The names, by the numbers above.
pub(crate) static SET: RegSet = RegSet {
    names: &[
        "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15", "rip", "eflags", "cs", "ss", "ds", "es", "fs", "gs", "orig_rax", "fs_base", "gs_base",
    ],
    pc: RIP,
    sp: RSP,
    fp: RBP,
    roles: Roles {
        arguments: &[RDI, RSI, RDX, RCX, R8, R9],
        result: RAX,
        preserved: &PRESERVED,
        syscall: &[RDI, RSI, RDX, R10, R8, R9],
        entry_code: ORIG_RAX,
        per_cpu: GS_BASE,
        link: None,
    },
    aliases: &[("rflags", "eflags")],
    // as crash has them
    shown: &[
        &[("RIP", "rip", 16), ("RSP", "rsp", 16), ("RFLAGS", "eflags", 8)],
        &[("RAX", "rax", 16), ("RBX", "rbx", 16), ("RCX", "rcx", 16)],
        &[("RDX", "rdx", 16), ("RSI", "rsi", 16), ("RDI", "rdi", 16)],
        &[("RBP", "rbp", 16), ("R8", "r8", 16), ("R9", "r9", 16)],
        &[("R10", "r10", 16), ("R11", "r11", 16), ("R12", "r12", 16)],
        &[("R13", "r13", 16), ("R14", "r14", 16), ("R15", "r15", 16)],
        &[("ORIG_RAX", "orig_rax", 16), ("CS", "cs", 4), ("SS", "ss", 4)],
    ],
};

/// The registers that a function gives back as it found them (System V ABI), apart from rsp.
pub(crate) const PRESERVED: [usize; 6] = [RBX, RBP, R12, R13, R14, R15];

/// The order of `struct user_regs_struct`; its first 21 are `struct pt_regs`.
pub(crate) const USER_REGS: [usize; 27] = [
    R15, R14, R13, R12, RBP, RBX, R11, R10, R9, R8, RAX, RCX, RDX, RSI, RDI, ORIG_RAX, RIP, CS, RFLAGS, RSP,
    SS, FS_BASE, GS_BASE, DS, ES, FS, GS,
];

impl Registers for X86_64 {
    fn set(&self) -> &'static RegSet {
        &SET
    }
    fn part_name(&self, number: usize, size: u64) -> String {
        let name = SET.name(number).unwrap_or("?");
        if number >= R8 {
            let suffix = match size {
                4 => "d",
                2 => "w",
                1 => "b",
                _ => "",
            };
            return format!("{name}{suffix}");
        }
        let short = name.strip_prefix('r').unwrap_or(name);
        match (size, short) {
            (4, short) => format!("e{short}"),
            (2, short) => short.to_owned(),
            (1, "ax" | "bx" | "cx" | "dx") => format!("{}l", short.trim_end_matches('x')),
            (1, short) => format!("{short}l"),
            _ => name.to_owned(),
        }
    }
    fn memory_text(&self, operand: &Mem) -> String {
        let segment = if operand.per_cpu { "%gs:" } else { "" };
        let name = |number| format!("%{}", self.part_name(number, 8));
        let place = match (operand.base, operand.index) {
            (None, None) => return format!("{segment}{:#x}", operand.disp),
            (base, None) => base.map(name).unwrap_or_default(),
            (base, Some((index, scale))) => {
                format!("{},{},{scale}", base.map(name).unwrap_or_default(), name(index))
            }
        };
        let distance = match operand.disp {
            0 if operand.base.is_some() => String::new(),
            d if d < 0 && operand.base.is_some() => format!("-{:#x}", d.unsigned_abs()),
            d => format!("{d:#x}"),
        };
        format!("{segment}{distance}({place})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_by_width() {
        for (n, size, want) in
            [(R12, 4, "r12d"), (RAX, 1, "al"), (RSI, 1, "sil"), (RDX, 4, "edx"), (RBP, 8, "rbp")]
        {
            assert_eq!(X86_64.part_name(n, size), want);
        }
    }

    #[test]
    fn memory_operands_as_the_assembler_writes_them() {
        let m = |base, index, disp, per_cpu| Mem { base, index, disp, size: 8, per_cpu };
        for (operand, want) in [
            (m(Some(RBP), None, 0x60, false), "0x60(%rbp)"),
            (m(Some(RBP), None, 0, false), "(%rbp)"),
            (m(Some(RAX), Some((R12, 8)), -8, false), "-0x8(%rax,%r12,8)"),
            (m(None, Some((RDX, 8)), 0x10, false), "0x10(,%rdx,8)"),
            (m(None, None, 0x28, true), "%gs:0x28"),
        ] {
            assert_eq!(X86_64.memory_text(&operand), want);
        }
    }
}
