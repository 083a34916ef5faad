//! Code of x86-64 for the data flow: which instructions there are, and what each does. Facts: Intel SDM volume 2,
//! System V ABI for x86-64 (argument registers, registers that calls keep).

#[cfg(test)]
mod carried_tests;
mod condition;
mod exchange;
mod steps;
#[cfg(test)]
mod tests;
mod uses;

use super::{X86_64, regs};
use crate::capability::Lift;
use crate::dataflow::{
    Convention, Exchange, Flow, Function, Kind, Known, Lifted, MAX_BYTES, Mem, Op, Operand, State, Sym, Test,
};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register,
};
use uses::Uses;
pub(crate) use uses::is_write;

/// System V ABI for x86-64.
static CONVENTION: Convention = Convention {
    regs: &regs::SET,
    // rax to r15
    followed: regs::RIP,
    clobbered: &[
        regs::RAX,
        regs::RCX,
        regs::RDX,
        regs::RSI,
        regs::RDI,
        regs::R8,
        regs::R9,
        regs::R10,
        regs::R11,
    ],
    accumulator: regs::RAX,
};

/// Bytes of `endbr64`, behind which a function calls `__fentry__`; else it begins with that. A call that comes later is
/// the function's own, also where the tracer has put a `nop` in the place of its.
const ENDBR: u64 = 4;

/// How many instructions lie between the load from a jump table and the jump, at most.
const TABLE_REACH: usize = 4;

impl Lift for X86_64 {
    fn lift(&self, parts: &[(u64, &[u8])], known: &Known<'_>) -> Function {
        function(parts, known)
    }
}

/// Decoded instructions.
struct Code {
    insns: Vec<Instruction>,
    uses: Vec<Uses>,
}

/// Decodes the parts of a function, each with its address; the first begins with the entry.
pub(crate) fn function(parts: &[(u64, &[u8])], known: &Known<'_>) -> Function {
    let mut insns = Vec::new();
    for (start, bytes) in parts {
        let bytes = bytes.get(..bytes.len().min(MAX_BYTES)).unwrap_or_default();
        let decoder = Decoder::with_ip(64, bytes, *start, DecoderOptions::NONE);
        insns.extend(decoder.into_iter().filter(|i| !i.is_invalid()));
    }
    let mut factory = InstructionInfoFactory::new();
    let uses = insns.iter().map(|insn| Uses::of(insn, &mut factory)).collect();
    Function::of(parts.first().map_or(0, |p| p.0), Box::new(Code { insns, uses }), known)
}

impl Lifted for Code {
    fn convention(&self) -> &'static Convention {
        &CONVENTION
    }

    fn ops(&self) -> Vec<Op> {
        self.insns.iter().map(op).collect()
    }

    /// AT&T syntax.
    fn text(&self, n: usize) -> Option<String> {
        let insn = self.insns.get(n)?;
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

    fn operand(&self, n: usize, which: u32) -> Option<Operand> {
        operand(self.insns.get(n)?, which)
    }

    fn accesses(&self, n: usize) -> Vec<(Mem, bool)> {
        let Some(insn) = self.insns.get(n) else { return Vec::new() };
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(insn);
        info.used_memory()
            .iter()
            .filter(|m| !matches!(m.access(), OpAccess::None | OpAccess::NoMemAccess))
            .map(|m| {
                let mem = Mem {
                    base: number(m.base()),
                    index: number(m.index()).map(|n| (n, m.scale() as u8)),
                    disp: m.displacement().cast_signed(),
                    size: m.memory_size().size() as u64,
                    per_cpu: m.segment() == Register::GS,
                };
                (mem, uses::is_write(m.access()))
            })
            .collect()
    }

    fn reads(&self, n: usize, register: usize) -> bool {
        self.uses.get(n).is_some_and(|uses| uses.reads(register))
    }

    fn is_nop(&self, n: usize) -> bool {
        let nop = |i: &Instruction| matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Endbr64);
        self.insns.get(n).is_some_and(nop)
    }

    /// `int3` behind `ret` and `jmp`, also what fills room before the next function.
    fn is_barrier(&self, n: usize) -> bool {
        self.insns.get(n).is_some_and(|i| i.mnemonic() == Mnemonic::Int3)
    }

    /// `rep movsb`
    fn is_string(&self, n: usize) -> bool {
        self.insns.get(n).is_some_and(Instruction::is_string_instruction)
    }

    fn divides(&self, n: usize) -> bool {
        self.insns.get(n).is_some_and(|i| matches!(i.mnemonic(), Mnemonic::Div | Mnemonic::Idiv))
    }

    fn stores(&self, n: usize) -> bool {
        self.uses.get(n).is_some_and(Uses::stores_elsewhere)
    }

    fn exchange(&self, n: usize) -> Option<(Exchange, bool)> {
        exchange::exchange(self.insns.get(n)?)
    }

    fn table(&self, jump: usize) -> Option<Mem> {
        let scaled = |m: Mem| (m.base.is_none() && m.index.is_some_and(|(_, scale)| scale == 8)).then_some(m);
        match operand(self.insns.get(jump)?, 0)? {
            Operand::Mem(m) => scaled(m),
            Operand::Reg { number: target, .. } => {
                let load =
                    self.insns.get(jump.saturating_sub(TABLE_REACH)..jump)?.iter().rev().find(|i| {
                        i.op_count() > 0
                            && i.op0_kind() == OpKind::Register
                            && number(i.op0_register()) == Some(target)
                    })?;
                match (load.mnemonic(), operand(load, 1)?) {
                    (Mnemonic::Mov, Operand::Mem(m)) => scaled(m),
                    _ => None,
                }
            }
            Operand::Imm(_) => None,
        }
    }

    fn case(&self, jump: usize) -> Option<(usize, usize)> {
        let indexed = |i: &Instruction| matches!(operand(i, 1), Some(Operand::Mem(m)) if m.index.is_some());
        let load = match operand(self.insns.get(jump)?, 0)? {
            Operand::Mem(_) => jump,
            _ => (jump.saturating_sub(TABLE_REACH)..jump)
                .rev()
                .find(|n| self.insns.get(*n).is_some_and(indexed))?,
        };
        let insn = self.insns.get(load)?;
        let (register, _) = (0..2).find_map(|which| match operand(insn, which) {
            Some(Operand::Mem(m)) => m.index,
            _ => None,
        })?;
        Some((load, register))
    }

    fn step(&self, n: usize, from_entry: u64, flow: &mut Flow, state: &mut State) {
        if let (Some(insn), Some(uses)) = (self.insns.get(n), self.uses.get(n)) {
            let before = n.checked_sub(1).and_then(|n| self.insns.get(n));
            let is_fentry = match from_entry {
                0 => true,
                ENDBR => before.is_some_and(|insn| insn.mnemonic() == Mnemonic::Endbr64),
                _ => false,
            };
            steps::step(insn, uses, is_fentry, flow, state);
        }
    }

    fn difference(&self, n: usize, flow: &mut Flow, state: &State) -> Option<Sym> {
        steps::difference(flow, self.insns.get(n)?, state)
    }

    fn flags_read(&self, n: usize) -> u32 {
        self.insns.get(n).map_or(0, Instruction::rflags_read)
    }

    fn flags_changed(&self, n: usize) -> u32 {
        self.insns.get(n).map_or(0, Instruction::rflags_modified)
    }

    fn test(&self, compare: usize, user: usize, holds: bool, flow: &Flow) -> Option<Test> {
        let condition = self.insns.get(user)?.condition_code();
        condition::test_of(self.insns.get(compare)?, condition, holds, flow)
    }
}

fn op(insn: &Instruction) -> Op {
    let kind = match insn.flow_control() {
        FlowControl::Next | FlowControl::Interrupt => Kind::Next,
        FlowControl::Call => Kind::Call,
        FlowControl::IndirectCall => Kind::IndirectCall,
        FlowControl::ConditionalBranch => Kind::Conditional,
        FlowControl::UnconditionalBranch => Kind::Jump,
        FlowControl::IndirectBranch => Kind::IndirectJump,
        FlowControl::Exception => Kind::Trap,
        _ => Kind::End,
    };
    Op { ip: insn.ip(), next: insn.next_ip(), kind, target: insn.near_branch_target() }
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
