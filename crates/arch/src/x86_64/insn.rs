//! Instructions as text: AT&T syntax as GNU binutils writes it, which is what gdb and crash show.
//!
//! Decoding is iced-x86's; what its GAS output spells otherwise than binutils is respelled here.
//! **Invariant**: bytes that are no instruction give `(bad)` of one byte, so that a listing goes on.

use crate::{Disassemble, Insn, InsnKind};
use base::VirtAddr;
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, Mnemonic, OpKind,
};

/// The longest instruction in bytes.
const MAX_LEN: usize = 15;

/// Decodes instructions one after the other.
pub(crate) struct Disassembler {
    formatter: GasFormatter,
    text: String,
}

impl std::fmt::Debug for Disassembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disassembler").finish_non_exhaustive()
    }
}

impl Default for Disassembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Disassembler {
    /// A disassembler for 64-bit code.
    pub(crate) fn new() -> Self {
        let mut formatter = GasFormatter::new();
        let o = formatter.options_mut();
        o.set_uppercase_hex(false);
        o.set_small_hex_numbers_in_decimal(false);
        o.set_branch_leading_zeros(false);
        o.set_show_zero_displacements(true);
        o.set_always_show_scale(true);
        o.set_rip_relative_addresses(true);
        o.set_first_operand_char_index(7);
        o.set_show_branch_size(false);
        Self { formatter, text: String::new() }
    }
}

impl Disassemble for Disassembler {
    fn max_len(&self) -> usize {
        MAX_LEN
    }

    fn one(&mut self, at: VirtAddr, bytes: &[u8]) -> Option<Insn> {
        let first = *bytes.first()?;
        let mut decoder = Decoder::with_ip(64, bytes, at.0, DecoderOptions::NONE);
        let insn = decoder.decode();
        let len = insn.len();
        let code = bytes.get(..len).unwrap_or(bytes);
        if insn.is_invalid() || len == 0 {
            let _ = first;
            return Some(plain(at, 1, "(bad)".to_owned(), InsnKind::Bad));
        }
        self.text.clear();
        self.formatter.format(&insn, &mut self.text);
        let text = respell(&insn, code, &self.text);
        let branch = branch_target(&insn);
        let data = (insn.is_ip_rel_memory_operand()).then(|| insn.ip_rel_memory_address());
        Some(Insn {
            target: branch.or(data).map(VirtAddr),
            is_data: branch.is_none() && data.is_some(),
            ..plain(at, len, text, kind(&insn))
        })
    }
}

/// An instruction that branches nowhere and reads nothing.
fn plain(at: VirtAddr, len: usize, text: String, kind: InsnKind) -> Insn {
    Insn { at, len, text, comment: None, target: None, is_data: false, kind }
}

fn kind(insn: &Instruction) -> InsnKind {
    match (insn.mnemonic(), insn.flow_control()) {
        (Mnemonic::Nop, _) => InsnKind::Nop,
        (Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2, _) => InsnKind::Trap,
        (_, FlowControl::Call | FlowControl::IndirectCall)
            if insn.is_call_near() || insn.is_call_near_indirect() =>
        {
            InsnKind::Call
        }
        (
            _,
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::IndirectBranch,
        ) => InsnKind::Jump,
        _ => InsnKind::Other,
    }
}

fn branch_target(insn: &Instruction) -> Option<u64> {
    let near = (0..insn.op_count()).any(|n| {
        matches!(insn.op_kind(n), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
    });
    near.then(|| insn.near_branch_target())
}

/// iced's text as binutils spells it.
fn respell(insn: &Instruction, code: &[u8], text: &str) -> String {
    // iced leaves the place of an index that is not there
    let mut text = text.replace(",)", ")");
    let opcode = code.iter().copied().find(|b| !is_prefix(*b));
    if matches!(opcode, Some(0xd0 | 0xd1)) {
        text = text.replace("$0x1,", "$1,"); // the 1 is part of the opcode
    }
    // sal is the other name of shl
    for (from, to) in [
        ("pushq  ", "push   "),
        ("popq   ", "pop    "),
        ("sal", "shl"),
        ("repe ", "repz "),
        ("repne ", "repnz "),
    ] {
        if let Some(rest) = text.strip_prefix(from) {
            text = format!("{to}{rest}");
        }
    }
    if code.windows(2).any(|b| matches!(b, [0x0f, 0x21 | 0x23])) {
        text = text.replace("%dr", "%db"); // the debug registers' other name
    }
    if insn.is_string_instruction() {
        text = string_segments(&text);
    }
    let is_port = |m| {
        use Mnemonic::{In, Insb, Insd, Insw, Out, Outsb, Outsd, Outsw};
        matches!(m, In | Out | Insb | Insw | Insd | Outsb | Outsw | Outsd)
    };
    if is_port(insn.mnemonic()) {
        text = text.replace("%dx", "(%dx)"); // no operand like others
    }
    if insn.mnemonic() == Mnemonic::Imul
        && insn.op_count() == 3
        && insn.op0_register() == insn.op1_register()
        && text.matches('%').count() == 1
        && let Some((_, register)) = text.rsplit_once(',')
    {
        text = format!("{text},{register}");
    }
    let lead = unused_prefixes(insn, code, &text);
    if lead.is_empty() {
        return text;
    }
    // the padding is to the width of prefixes and mnemonic together
    let (mnemonic, operands) = text.split_once(' ').unwrap_or((&text, ""));
    let whole = format!("{lead}{mnemonic}");
    match operands.trim_start() {
        "" => whole,
        operands => format!("{whole:<6} {operands}"),
    }
}

const fn is_prefix(b: u8) -> bool {
    matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3 | 0x40..=0x4f)
}

/// `rep stos %rax,(%rdi)` has its segments written out.
fn string_segments(text: &str) -> String {
    let mut text = text.to_owned();
    for (at, segment) in [("(%rdi)", "%es:"), ("(%edi)", "%es:"), ("(%rsi)", "%ds:"), ("(%esi)", "%ds:")] {
        if let Some(n) = text.find(at)
            && text.get(..n).is_some_and(|before| !before.ends_with(':'))
        {
            text.insert_str(n, segment);
        }
    }
    text
}

/// Prefixes that change nothing, as binutils names them before the mnemonic.
fn unused_prefixes(insn: &Instruction, code: &[u8], text: &str) -> String {
    let prefixes = || code.iter().copied().take_while(|b| is_prefix(*b));
    let mut out = String::new();
    let wide = prefixes().filter(|b| *b == 0x66).count();
    // one is the operand size, or a part of the opcode
    for _ in 1..wide {
        out.push_str("data16 ");
    }
    let has_memory = (0..insn.op_count()).any(|n| insn.op_kind(n) == OpKind::Memory);
    let branch = branch_target(insn).is_some();
    for prefix in prefixes() {
        let word = match prefix {
            0x2e if !text.contains("%cs:") => "cs ",
            0x3e if !text.contains("%ds:") && !text.starts_with("notrack") => "ds ",
            0x26 if !text.contains("%es:") => "es ",
            0x36 if !text.contains("%ss:") => "ss ",
            _ => continue,
        };
        if (has_memory
            || branch
            || matches!(insn.mnemonic(), Mnemonic::Jmp | Mnemonic::Call | Mnemonic::Nop | Mnemonic::Ret))
            && !out.ends_with(word)
            && !text.contains(",p")
        {
            out.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        Disassembler::new().one(VirtAddr(0xffff_ffff_8100_0000), bytes).unwrap().text
    }

    #[test]
    fn code_as_binutils_writes_it() {
        let table: &[(&[u8], &str)] = &[
            (&[0x41, 0x57], "push   %r15"),
            (&[0x48, 0x89, 0x75, 0xb8], "mov    %rsi,-0x48(%rbp)"),
            (&[0x48, 0x83, 0xec, 0x40], "sub    $0x40,%rsp"),
            (&[0x80, 0x7f, 0x59, 0x00], "cmpb   $0x0,0x59(%rdi)"),
            (&[0x0f, 0x1f, 0x44, 0x00, 0x00], "nopl   0x0(%rax,%rax,1)"),
            (&[0x0f, 0x0b], "ud2"),
            (&[0xc3], "ret"),
            (&[0x0f, 0x23, 0xd6], "mov    %rsi,%db2"),
            (&[0x48, 0x6b, 0xd2, 0x18], "imul   $0x18,%rdx,%rdx"),
            (&[0xd1, 0xea], "shr    $1,%edx"),
            (&[0xf3, 0x48, 0xab], "rep stos %rax,%es:(%rdi)"),
            (&[0xf3, 0xa6], "repz cmpsb %es:(%rdi),%ds:(%rsi)"),
            (&[0xf2, 0xae], "repnz scas %es:(%rdi),%al"),
            (&[0xff, 0xb3, 0xb0, 0x75, 0, 0], "push   0x75b0(%rbx)"),
            (&[0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], "data16 cs nopw 0x0(%rax,%rax,1)"),
            (&[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], "cs nopw 0x0(%rax,%rax,1)"),
            (&[0x66, 0xed], "in     (%dx),%ax"),
            (&[0xee], "out    %al,(%dx)"),
            (&[0xe4, 0x60], "in     $0x60,%al"),
            (&[0xf3, 0x66, 0x6d], "rep insw (%dx),%es:(%rdi)"),
            (&[0xc0, 0x74, 0x2c, 0x8b, 0x43], "shlb   $0x43,-0x75(%rsp,%rbp,1)"),
            (&[0x06], "(bad)"),
        ];
        for (bytes, want) in table {
            assert_eq!(text(bytes), *want, "{bytes:x?}");
        }
        assert!(Disassembler::new().one(VirtAddr(0), &[]).is_none());
    }
}
