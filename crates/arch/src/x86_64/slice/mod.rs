//! A function's machine code, sliced: which values its registers hold at an instruction, and which
//! condition leads to a trap. Facts: Intel SDM volume 2 (flags and conditions), System V ABI for x86-64
//! (argument registers, registers that calls keep).
//!
//! **Invariant:** what is not certain is [`Expr::Opaque`]; a value is never guessed.

mod condition;
mod decide;
mod exchange;
mod expr;
mod flow;
mod making;
mod steps;
/// The low `size` bytes of a register by name, as instructions have it: `r12d` of register 12 and 4 bytes.
#[must_use]
pub fn register_name(number: usize, size: u64) -> String {
    crate::Arch::part_name(&super::X86_64, number, size)
}

#[cfg(test)]
mod tests;
mod walk;

pub use condition::{Branch, Part, Relation, Test};
pub use decide::Way;
pub use exchange::Exchange;
pub use expr::{BinOp, Expr, Sym, cut};
pub use flow::Flow;
pub use walk::{Hop, Walk};

use super::regs;
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, OpKind, Register,
};
use rustc_hash::FxHashMap;

/// More bytes than any function of the kernel has.
pub const MAX_BYTES: usize = 1 << 18;

/// The argument registers in order.
pub const ARGUMENTS: [usize; 6] = [regs::RDI, regs::RSI, regs::RDX, regs::RCX, regs::R8, regs::R9];

/// The register that `cmpxchg` compares, and that gets what was in memory.
pub const ACCUMULATOR: usize = regs::RAX;

/// Registers that a call may change.
pub(crate) const CALL_CLOBBERED: [usize; 9] =
    [regs::RAX, regs::RCX, regs::RDX, regs::RSI, regs::RDI, regs::R8, regs::R9, regs::R10, regs::R11];

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mem {
    /// Base register.
    pub base: Option<usize>,
    /// Index register with its scale.
    pub index: Option<(usize, u8)>,
    /// Displacement, or the whole address where there is no base (also of `rip`-relative operands).
    pub disp: i64,
    /// Bytes read or written.
    pub size: u64,
    /// Relative to the CPU's own area (`%gs:`).
    pub per_cpu: bool,
}

/// An operand of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// The low `size` bytes of a register.
    Reg {
        /// Its number.
        number: usize,
        /// Bytes.
        size: u64,
    },
    /// A constant, sign-extended.
    Imm(i64),
    /// Memory.
    Mem(Mem),
}

/// A function's instructions, of its main part and of those that the compiler moved away (`.cold`).
pub struct Function {
    insns: Vec<Instruction>,
    at: FxHashMap<u64, usize>,
    entry: u64,
    /// For each instruction, those that may run right before it.
    before: Vec<Vec<usize>>,
    /// For each instruction, those that may run right after it.
    after: Vec<Vec<usize>>,
    /// Jumps through a table, with the table's targets in order.
    switches: FxHashMap<usize, Vec<u64>>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({:#x}, {} instructions)", self.entry, self.insns.len())
    }
}

/// What a function's code does not say of itself.
pub struct Known<'a> {
    /// Of a trap (`ud2`): whether the kernel goes on after it, as after a warning.
    pub resumes: &'a dyn Fn(u64) -> bool,
    /// Of the target of a direct call: whether it returns.
    pub returns: &'a dyn Fn(u64) -> bool,
    /// Of the memory that a jump takes its target from: the jump table there.
    pub table: &'a dyn Fn(&Mem) -> Vec<u64>,
}

impl Default for Known<'_> {
    /// No trap resumes, all calls return, no table is known.
    fn default() -> Self {
        Self { resumes: &|_| false, returns: &|_| true, table: &|_| Vec::new() }
    }
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// How many instructions lie between the load from a jump table and the jump, at most.
const TABLE_REACH: usize = 4;

impl Function {
    /// Decodes the parts of a function, each with its address; the first begins with the entry.
    #[must_use]
    pub fn decode(parts: &[(u64, &[u8])], known: &Known<'_>) -> Self {
        let mut insns = Vec::new();
        for (start, bytes) in parts {
            let bytes = bytes.get(..bytes.len().min(MAX_BYTES)).unwrap_or_default();
            let decoder = Decoder::with_ip(64, bytes, *start, DecoderOptions::NONE);
            insns.extend(decoder.into_iter().filter(|i| !i.is_invalid()));
        }
        let at: FxHashMap<u64, usize> = insns.iter().enumerate().map(|(n, i)| (i.ip(), n)).collect();
        let mut before = vec![Vec::new(); insns.len()];
        let mut after = vec![Vec::new(); insns.len()];
        let mut switches = FxHashMap::default();
        for (n, insn) in insns.iter().enumerate() {
            let mut targets: Vec<u64> = Vec::new();
            let falls = match insn.flow_control() {
                FlowControl::Call => (known.returns)(insn.near_branch_target()),
                FlowControl::Next | FlowControl::IndirectCall | FlowControl::Interrupt => true,
                FlowControl::ConditionalBranch => {
                    targets.push(insn.near_branch_target());
                    true
                }
                FlowControl::UnconditionalBranch => {
                    targets.push(insn.near_branch_target());
                    false
                }
                FlowControl::IndirectBranch => {
                    targets = table_of(&insns, n).map(|m| (known.table)(&m)).unwrap_or_default();
                    if !targets.is_empty() {
                        switches.insert(n, targets.clone());
                    }
                    false
                }
                FlowControl::Exception => (known.resumes)(insn.ip()),
                _ => false,
            };
            if falls {
                targets.push(insn.next_ip());
            }
            for to in targets.iter().filter_map(|t| at.get(t)) {
                if let (Some(b), Some(a)) = (before.get_mut(*to), after.get_mut(n))
                    && !b.contains(&n)
                {
                    b.push(n);
                    a.push(*to);
                }
            }
        }
        let entry = parts.first().map_or(0, |p| p.0);
        Self { insns, at, entry, before, after, switches }
    }

    /// True where an instruction begins at this address.
    #[must_use]
    pub fn has(&self, ip: u64) -> bool {
        self.at.contains_key(&ip)
    }

    /// How many instructions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.insns.len()
    }
    /// True where nothing could be decoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    pub(crate) fn insn(&self, ip: u64) -> Option<&Instruction> {
        self.insns.get(*self.at.get(&ip)?)
    }

    /// The instruction in AT&T syntax, branch targets left out.
    #[must_use]
    pub fn text(&self, ip: u64) -> Option<String> {
        let insn = self.insn(ip)?;
        let mut out = String::new();
        let mut f = GasFormatter::new();
        let o = f.options_mut();
        o.set_space_after_operand_separator(false);
        o.set_small_hex_numbers_in_decimal(false);
        if insn.op0_kind() == OpKind::NearBranch64 {
            f.format_mnemonic(insn, &mut out);
        } else {
            f.format(insn, &mut out);
        }
        Some(out.trim_end().to_owned())
    }

    /// The address that a direct jump or call leads to.
    #[must_use]
    pub fn target(&self, ip: u64) -> Option<u64> {
        let insn = self.insn(ip)?;
        (insn.op0_kind() == OpKind::NearBranch64).then(|| insn.near_branch_target())
    }

    /// The memory that the instruction at `ip` reads or writes, and whether it writes. For string
    /// operations and others with two accesses, all of them.
    #[must_use]
    pub fn accesses(&self, ip: u64) -> Vec<(Mem, bool)> {
        let Some(insn) = self.insn(ip) else { return Vec::new() };
        let mut factory = iced_x86::InstructionInfoFactory::new();
        let info = factory.info(insn);
        info.used_memory()
            .iter()
            .filter(|m| {
                use iced_x86::OpAccess as A;
                !matches!(m.access(), A::None | A::NoMemAccess)
            })
            .map(|m| {
                use iced_x86::OpAccess as A;
                let writes = matches!(m.access(), A::Write | A::CondWrite | A::ReadWrite | A::ReadCondWrite);
                (
                    Mem {
                        base: number(m.base()),
                        index: number(m.index()).map(|n| (n, m.scale() as u8)),
                        disp: m.displacement().cast_signed(),
                        size: m.memory_size().size() as u64,
                        per_cpu: m.segment() == Register::GS,
                    },
                    writes,
                )
            })
            .collect()
    }

    /// The register that an indirect call or jump at `ip` takes its target from.
    #[must_use]
    pub fn indirect(&self, ip: u64) -> Option<Operand> {
        let insn = self.insn(ip)?;
        match insn.flow_control() {
            FlowControl::IndirectCall | FlowControl::IndirectBranch => operand(insn, 0),
            _ => None,
        }
    }

    /// The call that returns to `ip`, and where it takes its target from; for a call of a thunk
    /// (`__x86_indirect_thunk_rax`) that is the caller's business to know.
    #[must_use]
    pub fn call_before(&self, ip: u64) -> Option<(u64, Option<Operand>)> {
        let insn = (2..=10).find_map(|len| {
            let insn = self.insn(ip.wrapping_sub(len))?;
            let call = matches!(insn.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
            (call && insn.next_ip() == ip).then_some(insn)
        })?;
        Some((insn.ip(), self.indirect(insn.ip())))
    }

    /// The direct calls: each with its target.
    pub fn calls(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let direct = |i: &&Instruction| i.flow_control() == FlowControl::Call;
        self.insns.iter().filter(direct).map(|i| (i.ip(), i.near_branch_target()))
    }

    /// True where the function looks at what a register held on entry.
    #[must_use]
    pub fn reads(&self, register: usize, flow: &Flow) -> bool {
        use iced_x86::OpAccess as A;
        let mut factory = iced_x86::InstructionInfoFactory::new();
        self.insns.iter().any(|insn| {
            let held = flow.register(insn.ip(), register).map(|sym| flow.expr(sym));
            held == Some(Expr::Entry(register))
                && factory.info(insn).used_registers().iter().any(|used| {
                    number(used.register()) == Some(register)
                        && matches!(used.access(), A::Read | A::CondRead | A::ReadWrite | A::ReadCondWrite)
                })
        })
    }

    /// Operand `n` of the instruction at `ip`.
    #[must_use]
    pub fn operand(&self, ip: u64, n: u32) -> Option<Operand> {
        operand(self.insn(ip)?, n)
    }

    /// True for string instructions: `rep movsb`.
    #[must_use]
    pub fn is_string(&self, ip: u64) -> bool {
        self.insn(ip).is_some_and(Instruction::is_string_instruction)
    }

    /// True where the instruction divides.
    #[must_use]
    pub fn divides(&self, ip: u64) -> bool {
        self.insn(ip)
            .is_some_and(|i| matches!(i.mnemonic(), iced_x86::Mnemonic::Div | iced_x86::Mnemonic::Idiv))
    }
}

/// The memory of the table that the indirect jump with index `n` goes through.
fn table_of(insns: &[Instruction], n: usize) -> Option<Mem> {
    let jump = insns.get(n)?;
    let scaled = |m: Mem| (m.base.is_none() && m.index.is_some_and(|(_, scale)| scale == 8)).then_some(m);
    match operand(jump, 0)? {
        Operand::Mem(m) => scaled(m),
        Operand::Reg { number: target, .. } => {
            let load = insns.get(n.saturating_sub(TABLE_REACH)..n)?.iter().rev().find(|i| {
                i.op_count() > 0
                    && i.op0_kind() == OpKind::Register
                    && number(i.op0_register()) == Some(target)
            })?;
            match (load.mnemonic(), operand(load, 1)?) {
                (iced_x86::Mnemonic::Mov, Operand::Mem(m)) => scaled(m),
                _ => None,
            }
        }
        Operand::Imm(_) => None,
    }
}

/// Our number of an iced register, whatever its width.
pub(crate) fn number(r: Register) -> Option<usize> {
    Some(match r.full_register() {
        Register::RAX => regs::RAX,
        Register::RDX => regs::RDX,
        Register::RCX => regs::RCX,
        Register::RBX => regs::RBX,
        Register::RSI => regs::RSI,
        Register::RDI => regs::RDI,
        Register::RBP => regs::RBP,
        Register::RSP => regs::RSP,
        Register::R8 => regs::R8,
        Register::R9 => regs::R9,
        Register::R10 => regs::R10,
        Register::R11 => regs::R11,
        Register::R12 => regs::R12,
        Register::R13 => regs::R13,
        Register::R14 => regs::R14,
        Register::R15 => regs::R15,
        _ => return None,
    })
}

pub(crate) fn memory(insn: &Instruction) -> Mem {
    let rip = insn.is_ip_rel_memory_operand();
    Mem {
        base: if rip { None } else { number(insn.memory_base()) },
        index: number(insn.memory_index()).map(|n| (n, insn.memory_index_scale() as u8)),
        disp: if rip { insn.ip_rel_memory_address() } else { insn.memory_displacement64() }.cast_signed(),
        size: insn.memory_size().size() as u64,
        per_cpu: insn.memory_segment() == Register::GS,
    }
}

pub(crate) fn operand(insn: &Instruction, n: u32) -> Option<Operand> {
    if n >= insn.op_count() {
        return None;
    }
    match insn.op_kind(n) {
        OpKind::Register => {
            let r = insn.op_register(n);
            if matches!(r, Register::AH | Register::BH | Register::CH | Register::DH) {
                return None;
            }
            Some(Operand::Reg { number: number(r)?, size: r.size() as u64 })
        }
        OpKind::Memory => Some(Operand::Mem(memory(insn))),
        OpKind::Immediate8
        | OpKind::Immediate16
        | OpKind::Immediate32
        | OpKind::Immediate64
        | OpKind::Immediate8to16
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => Some(Operand::Imm(immediate(insn, n))),
        _ => None,
    }
}

/// An immediate as a number of its own width, sign-extended.
fn immediate(insn: &Instruction, n: u32) -> i64 {
    let raw = insn.immediate(n);
    match insn.op_kind(n) {
        OpKind::Immediate8 => i64::from(raw as u8 as i8),
        OpKind::Immediate16 => i64::from(raw as u16 as i16),
        OpKind::Immediate32 => i64::from(raw as u32 as i32),
        _ => raw.cast_signed(),
    }
}
