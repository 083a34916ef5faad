//! A function's frame read from its machine code, where no table tells: how far the stack pointer is from the
//! canonical frame address (CFA, the address above the return address) at an instruction, and where the
//! registers that the caller wants back were put.
//!
//! Facts: System V ABI for x86-64 (which registers a function keeps), Intel SDM volume 2 (what instructions do to
//! rsp and rbp).
//!
//! The function is walked once from its entry in the order of addresses; a jump carries its state to its target.
//! Where that leaves the instruction unreached (it is reached from behind alone), it is walked again.
//!
//! **Invariant**: what paths disagree on is not known, and is not told.

use super::lift::{is_write, number};
use super::regs::{PRESERVED, RBP, RSP};
use crate::{FrameShape, Kept};
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
    Register,
};
use rustc_hash::FxHashMap;

/// How often a function is walked: code that is reached from behind alone needs another round.
const ROUNDS: usize = 3;
/// More instructions than any function is walked for.
const MAX_INSNS: usize = 20_000;

/// A frame while the function is walked.
#[derive(Clone, Copy)]
struct Shape {
    from_sp: Option<i64>,
    from_fp: Option<i64>,
    /// The registers of [`PRESERVED`], in that order.
    kept: [Kept; PRESERVED.len()],
}

impl Shape {
    /// A function's first instruction: the return address is on top of the stack.
    const ENTRY: Self = Self { from_sp: Some(8), from_fp: None, kept: [Kept::Same; PRESERVED.len()] };

    fn kept(&self, register: usize) -> Kept {
        let n = PRESERVED.iter().position(|r| *r == register);
        n.and_then(|n| self.kept.get(n)).copied().unwrap_or(Kept::Lost)
    }

    fn set(&mut self, register: usize, to: Kept) {
        if let Some(slot) = PRESERVED.iter().position(|r| *r == register).and_then(|n| self.kept.get_mut(n)) {
            *slot = to;
        }
    }

    /// What two ways to one place agree on.
    fn meet(&mut self, other: &Self) {
        if self.from_sp != other.from_sp {
            self.from_sp = None;
        }
        if self.from_fp != other.from_fp {
            self.from_fp = None;
        }
        for (mine, theirs) in self.kept.iter_mut().zip(other.kept) {
            if *mine != theirs {
                *mine = Kept::Lost;
            }
        }
    }
}

/// The frame at the instruction that contains `at`. `parts` are the function's pieces with their addresses: the
/// first begins with its entry, a second one (`.cold`) is jumped into from the first.
pub(crate) fn frame_shape(parts: &[(u64, &[u8])], at: u64) -> Option<FrameShape> {
    let mut walk =
        Walk { states: FxHashMap::default(), switch: None, factory: InstructionInfoFactory::new() };
    let (entry, _) = parts.first()?;
    walk.states.insert(*entry, Shape::ENTRY);
    for round in 0..ROUNDS {
        for (start, code) in parts {
            if let Some(found) = walk.part(*start, code, at, round + 1 == ROUNDS) {
                let kept = PRESERVED.into_iter().zip(found.kept).collect();
                return Some(FrameShape { from_sp: found.from_sp, from_fp: found.from_fp, kept });
            }
        }
    }
    None
}

struct Walk {
    /// What jumps carried to their targets.
    states: FxHashMap<u64, Shape>,
    /// The frame at a jump through a table: its targets have it too.
    switch: Option<Shape>,
    factory: InstructionInfoFactory,
}

impl Walk {
    fn part(&mut self, start: u64, code: &[u8], at: u64, last: bool) -> Option<Shape> {
        let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
        let mut state: Option<Shape> = None;
        let mut after_call = false;
        let mut insn = Instruction::default();
        for _ in 0..MAX_INSNS {
            if !decoder.can_decode() {
                return None;
            }
            decoder.decode_out(&mut insn);
            let ip = insn.ip();
            if let Some(carried) = self.states.get(&ip) {
                state = Some(match state {
                    // a call of what never returns is followed by other code, not by this path
                    Some(mut here) if !after_call => {
                        here.meet(carried);
                        here
                    }
                    _ => *carried,
                });
            }
            if state.is_none() && last {
                state = self.switch;
            }
            if ip <= at && at < insn.next_ip() && state.is_some() {
                return state;
            }
            if insn.is_invalid() {
                return None;
            }
            after_call = matches!(insn.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
            let Some(shape) = &mut state else { continue };
            match insn.flow_control() {
                FlowControl::ConditionalBranch => self.carry(insn.near_branch_target(), *shape),
                FlowControl::UnconditionalBranch => {
                    self.carry(insn.near_branch_target(), *shape);
                    state = None;
                }
                FlowControl::IndirectBranch => {
                    self.switch.get_or_insert(*shape);
                    state = None;
                }
                FlowControl::Return => state = None,
                // BUG() ends a path, WARN() does not: what follows has the same frame
                FlowControl::Call | FlowControl::IndirectCall | FlowControl::Exception => {}
                _ => self.step(&insn, shape),
            }
        }
        None
    }

    fn carry(&mut self, to: u64, shape: Shape) {
        self.states.entry(to).and_modify(|known| known.meet(&shape)).or_insert(shape);
    }

    /// What one instruction does to the frame.
    fn step(&mut self, insn: &Instruction, shape: &mut Shape) {
        match insn.mnemonic() {
            Mnemonic::Push => push(insn, shape),
            Mnemonic::Pop => pop(insn, shape),
            Mnemonic::Pushfq => grow(shape, 8),
            Mnemonic::Popfq => grow(shape, -8),
            Mnemonic::Leave => {
                // rsp = rbp; pop rbp
                shape.from_sp = shape.from_fp;
                load(RBP, shape.from_sp.map(|cfa| -cfa), shape);
                grow(shape, -8);
            }
            Mnemonic::Mov if insn.op0_kind() == OpKind::Memory => store(insn, shape),
            _ if insn.op0_kind() == OpKind::Register && number(insn.op0_register()) == Some(RSP) => {
                move_sp(insn, shape);
            }
            Mnemonic::Mov
                if insn.op0_kind() == OpKind::Register
                    && insn.op0_register() == Register::RBP
                    && insn.op1_kind() == OpKind::Register
                    && insn.op1_register() == Register::RSP =>
            {
                if shape.kept(RBP) == Kept::Same {
                    shape.set(RBP, Kept::Lost);
                }
                shape.from_fp = shape.from_sp;
            }
            Mnemonic::Mov if insn.op0_kind() == OpKind::Register && insn.op1_kind() == OpKind::Memory => {
                if let Some(register) = whole(insn.op0_register()) {
                    load(register, place(insn, shape), shape);
                }
            }
            _ => self.other(insn, shape),
        }
    }

    /// Registers that an instruction of no part in frames writes.
    fn other(&mut self, insn: &Instruction, shape: &mut Shape) {
        if insn.stack_pointer_increment() != 0 {
            shape.from_sp = None;
        }
        for used in self.factory.info(insn).used_registers() {
            if !is_write(used.access()) {
                continue;
            }
            match number(used.register()) {
                Some(RSP) => shape.from_sp = None,
                Some(register) => overwritten(register, shape),
                None => {}
            }
        }
    }
}

/// The function has its own value in the register from here on.
fn overwritten(register: usize, shape: &mut Shape) {
    if register == RBP {
        shape.from_fp = None;
    }
    if shape.kept(register) == Kept::Same {
        shape.set(register, Kept::Lost);
    }
}

fn grow(shape: &mut Shape, by: i64) {
    shape.from_sp = shape.from_sp.and_then(|cfa| cfa.checked_add(by));
}

/// The number of a register that is named in full width.
fn whole(r: Register) -> Option<usize> {
    number(r).filter(|_| r.size() == 8)
}

fn push(insn: &Instruction, shape: &mut Shape) {
    if insn.stack_pointer_increment() != -8 {
        shape.from_sp = None;
        return;
    }
    grow(shape, 8);
    if insn.op0_kind() == OpKind::Register
        && let Some(register) = whole(insn.op0_register())
        && shape.kept(register) == Kept::Same
        && let Some(cfa) = shape.from_sp
    {
        shape.set(register, Kept::AtCfa(-cfa));
    }
}

fn pop(insn: &Instruction, shape: &mut Shape) {
    let from = shape.from_sp.map(|cfa| -cfa);
    grow(shape, 8 - 2 * 8);
    if insn.op0_kind() == OpKind::Register {
        match whole(insn.op0_register()) {
            Some(RSP) | None => shape.from_sp = None,
            Some(register) => load(register, from, shape),
        }
    }
}

/// A register takes the word at a distance from the CFA: its own again, where it was put there.
fn load(register: usize, from: Option<i64>, shape: &mut Shape) {
    overwritten(register, shape);
    if let (Some(from), Kept::AtCfa(own)) = (from, shape.kept(register))
        && from == own
    {
        shape.set(register, Kept::Same);
    }
}

/// `mov %rbx,-0x18(%rbp)`: old compilers save registers so.
fn store(insn: &Instruction, shape: &mut Shape) {
    if insn.op1_kind() != OpKind::Register || insn.code() != Code::Mov_rm64_r64 {
        return;
    }
    if let (Some(register), Some(to)) = (whole(insn.op1_register()), place(insn, shape))
        && shape.kept(register) == Kept::Same
    {
        shape.set(register, Kept::AtCfa(to));
    }
}

/// The distance of a memory operand from the CFA.
fn place(insn: &Instruction, shape: &Shape) -> Option<i64> {
    if insn.memory_index() != Register::None || insn.memory_segment() == Register::GS {
        return None;
    }
    let cfa = match insn.memory_base() {
        Register::RSP => shape.from_sp?,
        Register::RBP => shape.from_fp?,
        _ => return None,
    };
    insn.memory_displacement64().cast_signed().checked_sub(cfa)
}

/// An instruction that writes rsp.
fn move_sp(insn: &Instruction, shape: &mut Shape) {
    let immediate = || match insn.op1_kind() {
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => Some(insn.immediate(1).cast_signed()),
        _ => None,
    };
    shape.from_sp = match insn.mnemonic() {
        Mnemonic::Cmp | Mnemonic::Test => shape.from_sp,
        // cfa - (rsp - n)
        Mnemonic::Sub => shape.from_sp.zip(immediate()).and_then(|(cfa, n)| cfa.checked_add(n)),
        Mnemonic::Add => shape.from_sp.zip(immediate()).and_then(|(cfa, n)| cfa.checked_sub(n)),
        // rsp = base + disp, which lies `place` from the CFA
        Mnemonic::Lea => place(insn, shape).and_then(i64::checked_neg),
        Mnemonic::Mov if insn.op1_kind() == OpKind::Register && insn.op1_register() == Register::RBP => {
            shape.from_fp
        }
        _ => None,
    };
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
