//! A set of registers of which some are known.

use std::fmt;

/// Room for the registers of every architecture: the DWARF numbers in use, then the extras.
pub const MAX_REGS: usize = 40;

/// The names of an architecture's registers and the roles of three of them.
#[derive(Debug)]
pub struct RegSet {
    /// Names by number.
    pub names: &'static [&'static str],
    /// The program counter's number.
    pub pc: usize,
    /// The stack pointer's number.
    pub sp: usize,
    /// The frame pointer's number.
    pub fp: usize,
    /// Others with a part to play.
    pub roles: Roles,
    /// Other names of some, as people and debuggers have them.
    pub aliases: &'static [(&'static str, &'static str)],
    /// How saved registers are laid out, line by line.
    pub shown: &'static [&'static [ShownReg]],
}

/// A register as it stands in a line: the label, the register's name, hexadecimal digits.
pub type ShownReg = (&'static str, &'static str, u8);

/// Registers by the part that they play (the ABI of C code and of system calls).
#[derive(Debug)]
pub struct Roles {
    /// A function's arguments, in order.
    pub arguments: &'static [usize],
    /// A function's result.
    pub result: usize,
    /// Those that a function gives back as it found them, the frame pointer included, apart from the stack pointer.
    pub preserved: &'static [usize],
    /// A system call's arguments, in order.
    pub syscall: &'static [usize],
    /// The number of the system call, or an exception's error code, as an entry saved it.
    pub entry_code: usize,
    /// The base of the CPU's own variables.
    pub per_cpu: usize,
    /// Where a call leaves its return address; `None` where that is the stack.
    pub link: Option<usize>,
}

impl RegSet {
    /// The name of a register.
    #[must_use]
    pub fn name(&self, number: usize) -> Option<&'static str> {
        self.names.get(number).copied()
    }
    /// The number of a register, by its name, by another name of it, or by its part: `pc`, `sp`, `fp`.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        let own = |name: &str| self.names.iter().position(|n| *n == name);
        let by_part = || match name {
            "pc" => Some(self.pc),
            "sp" => Some(self.sp),
            "fp" => Some(self.fp),
            _ => None,
        };
        let alias = || self.aliases.iter().find(|(alias, _)| *alias == name).and_then(|(_, name)| own(name));
        own(name).or_else(by_part).or_else(alias)
    }
}

/// Registers with, for each, whether its value is known. Numbers below the extras are DWARF's.
#[derive(Clone, Copy)]
pub struct Regs {
    values: [u64; MAX_REGS],
    known: u64,
    set: &'static RegSet,
}

impl Regs {
    /// No register known.
    #[must_use]
    pub const fn new(set: &'static RegSet) -> Self {
        Self { values: [0; MAX_REGS], known: 0, set }
    }
    /// The architecture's names.
    #[must_use]
    pub const fn reg_set(&self) -> &'static RegSet {
        self.set
    }
    /// The value, where known.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<u64> {
        if number < MAX_REGS && self.known & (1 << number) != 0 {
            self.values.get(number).copied()
        } else {
            None
        }
    }
    /// The value by the register's name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<u64> {
        self.get(self.set.number(name)?)
    }
    /// Makes a register known; a number that no register has is ignored.
    pub fn set(&mut self, number: usize, value: u64) {
        if let Some(slot) = self.values.get_mut(number) {
            *slot = value;
            self.known |= 1 << number;
        }
    }
    /// Sets or clears.
    pub fn put(&mut self, number: usize, value: Option<u64>) {
        match value {
            Some(value) => self.set(number, value),
            None => self.clear(number),
        }
    }
    /// Makes a register unknown.
    pub fn clear(&mut self, number: usize) {
        if number < MAX_REGS {
            self.known &= !(1 << number);
        }
    }
    /// The same registers with one set.
    #[must_use]
    pub fn with(mut self, number: usize, value: u64) -> Self {
        self.set(number, value);
        self
    }
    /// The program counter.
    #[must_use]
    pub fn pc(&self) -> Option<u64> {
        self.get(self.set.pc)
    }
    /// The stack pointer.
    #[must_use]
    pub fn sp(&self) -> Option<u64> {
        self.get(self.set.sp)
    }
    /// The frame pointer.
    #[must_use]
    pub fn fp(&self) -> Option<u64> {
        self.get(self.set.fp)
    }
    /// The number of the system call, or an exception's error code, as an entry saved it.
    #[must_use]
    pub fn entry_code(&self) -> Option<u64> {
        self.get(self.set.roles.entry_code)
    }
    /// The base of the CPU's own variables.
    #[must_use]
    pub fn per_cpu(&self) -> Option<u64> {
        self.get(self.set.roles.per_cpu)
    }
    /// True when none is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.known == 0
    }
    /// The known registers: number, name, value.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'static str, u64)> {
        let me = *self;
        (0..MAX_REGS).filter_map(move |n| Some((n, me.set.name(n)?, me.get(n)?)))
    }
}

impl fmt::Debug for Regs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(_, name, v)| (name, format_args!("{v:#x}").to_string())))
            .finish()
    }
}

impl PartialEq for Regs {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known && (0..MAX_REGS).all(|n| self.get(n) == other.get(n))
    }
}

/// Control registers and table bases; only a hypervisor's notes have them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Control {
    /// CR0 to CR4; CR1 does not exist and is 0.
    pub cr: [u64; 5],
    /// Linear address of the interrupt descriptor table.
    pub idt_base: u64,
    /// Linear address of the global descriptor table.
    pub gdt_base: u64,
    /// Linear address of the task state segment.
    pub tr_base: u64,
    /// `MSR_KERNEL_GS_BASE`: the GS base that `swapgs` would bring in.
    pub kernel_gs_base: Option<u64>,
}

impl Control {
    /// CR3: the page table root with its low flag and PCID bits.
    #[must_use]
    pub const fn cr3(&self) -> u64 {
        self.cr[3]
    }
    /// CR4.LA57 (bit 12): five levels of page tables.
    #[must_use]
    pub const fn la57(&self) -> bool {
        self.cr[4] & (1 << 12) != 0
    }
}

/// One CPU as a note has it.
#[derive(Clone, PartialEq, Debug)]
pub struct CpuState {
    /// Its registers.
    pub regs: Regs,
    /// Its control registers, where the note has them.
    pub control: Option<Control>,
    /// The task that the kernel said was running (`pr_pid`); a hypervisor does not know.
    pub pid: Option<i32>,
    /// The note's kind: `NT_PRSTATUS` or `QEMU`.
    pub source: &'static str,
}

impl CpuState {
    /// True for a note that holds nothing: no page tables, or where notes have none of those, zeros in all registers.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self.control {
            Some(control) => control.cr3() == 0,
            None => self.regs.iter().all(|(_, _, value)| value == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SP: usize = 1;
    const PC: usize = 2;
    static SET: RegSet = RegSet {
        names: &["a", "sp", "pc"],
        pc: PC,
        sp: SP,
        fp: 0,
        roles: Roles {
            arguments: &[],
            result: 0,
            preserved: &[],
            syscall: &[],
            entry_code: 0,
            per_cpu: 0,
            link: None,
        },
        aliases: &[],
        shown: &[],
    };

    #[test]
    fn known_and_unknown() {
        let mut r = Regs::new(&SET);
        assert!(r.is_empty());
        r.set(PC, 5);
        r.set(MAX_REGS + 3, 1);
        assert_eq!((r.pc(), r.sp(), r.get(MAX_REGS + 3)), (Some(5), None, None));
        assert_eq!(r.by_name("pc"), Some(5));
        r.put(SP, Some(1));
        r.clear(PC);
        assert_eq!(r.iter().collect::<Vec<_>>(), vec![(SP, "sp", 1)]);
    }
}
