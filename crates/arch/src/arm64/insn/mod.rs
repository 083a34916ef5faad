//! Instructions as text, as GNU binutils writes them, which is what gdb and crash show.
//!
//! Decoding is disarm64's; it writes base forms and hexadecimal offsets, which are respelled here and in `aliases.rs`.
//! **Invariant**: a word that is no instruction is `.inst`, so that a listing goes on.

mod aliases;
mod simd;
mod system;
mod vectors;

use crate::{Disassemble, Insn, InsnKind};
use base::VirtAddr;
use disarm64::{InsnDisplay, InsnOpcode, decoder};
use vectors::No;

/// Bytes of every instruction.
const LEN: usize = 4;

/// `nop`.
const NOP: u32 = 0xd503_201f;

/// Decodes instructions one after the other.
#[derive(Debug)]
pub(crate) struct Disassembler;

/// An instruction in words: `ldr`, `x0`, `[x1, #8]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Words {
    pub(crate) mnemonic: String,
    pub(crate) operands: Vec<String>,
    pub(crate) comment: Option<String>,
}

impl Words {
    /// Gives the mnemonic, and what is told of it.
    pub(crate) fn name(&mut self, mnemonic: &str) {
        mnemonic.clone_into(&mut self.mnemonic);
    }

    /// Takes an operand out that the other name does not have.
    pub(crate) fn drop(&mut self, n: usize) {
        if n < self.operands.len() {
            self.operands.remove(n);
        }
    }

    /// Another text for an operand.
    pub(crate) fn set(&mut self, n: usize, text: String) {
        if let Some(operand) = self.operands.get_mut(n) {
            *operand = text;
        }
    }

    fn text(&self) -> String {
        match self.operands.as_slice() {
            [] => self.mnemonic.clone(),
            operands => format!("{:<6} {}", self.mnemonic, operands.join(", ")),
        }
    }
}

impl Disassemble for Disassembler {
    fn max_len(&self) -> usize {
        LEN
    }

    fn align(&self) -> u64 {
        LEN as u64
    }

    fn one(&mut self, at: VirtAddr, bytes: &[u8]) -> Option<Insn> {
        bytes.first()?;
        let Some(word) = bytes.first_chunk::<LEN>().map(|bytes| u32::from_le_bytes(*bytes)) else {
            let bytes: Vec<String> = bytes.iter().map(|b| format!("{b:#04x}")).collect();
            let text = format!(".byte  {}", bytes.join(", "));
            return Some(Insn {
                at,
                len: bytes.len(),
                text,
                comment: None,
                target: None,
                is_data: false,
                kind: InsnKind::Bad,
            });
        };
        let (words, known) = match words(at, word) {
            Ok(words) => (words, true),
            Err(comment) => (unknown(word, &comment), false),
        };
        Some(Insn {
            at,
            len: LEN,
            text: words.text(),
            comment: words.comment,
            target: known.then(|| target(at, word)).flatten(),
            is_data: false,
            kind: if known { kind(word) } else { InsnKind::Bad },
        })
    }
}

/// `.inst`
fn unknown(word: u32, comment: &str) -> Words {
    Words {
        mnemonic: ".inst".to_owned(),
        operands: vec![format!("{word:#010x}")],
        comment: Some(format!("; {comment}")),
    }
}

/// The instruction in words; why it has none.
fn words(at: VirtAddr, word: u32) -> Result<Words, String> {
    if is_reserved(word) {
        return Err("undefined".to_owned());
    }
    if let Some(words) = simd::words(word) {
        return words;
    }
    let decoded = decoder::decode(word).ok_or("undefined")?;
    let text = decoded.display_at(at.0).to_string();
    let not_decoded = || format!("{} with operands that are not decoded", decoded.definition().mnemonic);
    if text.contains([':', '<']) {
        // the library knows the instruction and not how its operands are written
        return Err(not_decoded());
    }
    let (mnemonic, operands) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
    let mut words = Words {
        mnemonic: mnemonic.to_owned(),
        operands: split(operands).into_iter().map(|operand| decimal(&operand)).collect(),
        comment: None,
    };
    vectors::mend(word, &mut words).map_err(|no| match no {
        No::Undefined => "undefined".to_owned(),
        No::Operands => not_decoded(),
    })?;
    aliases::prefer(word, &mut words);
    Ok(words)
}

/// Shifts of a vector register's lowest part by a number that has no size (immh is 0): the library panics at them.
const fn is_reserved(word: u32) -> bool {
    word & 0xdf80_0400 == 0x5f00_0400 && field(word, 19, 4) == 0
}

/// The operands, at the commas that are in no bracket.
fn split(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut depth = 0_u32;
    let mut operand = String::new();
    for c in text.chars() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            out.push(std::mem::take(&mut operand));
        } else {
            operand.push(c);
        }
    }
    out.push(operand);
    out.iter().map(|operand| operand.trim().to_owned()).filter(|operand| !operand.is_empty()).collect()
}

/// Offsets and shifts in decimal.
fn decimal(operand: &str) -> String {
    let is_shift = ["lsl #", "lsr #", "asr #", "ror #"].iter().any(|shift| operand.starts_with(shift));
    if !is_shift && !operand.starts_with('[') {
        return operand.to_owned();
    }
    let mut out = String::new();
    let mut rest = operand;
    while let Some((before, hex)) = rest.split_once("#0x") {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let (digits, behind) = hex.split_at_checked(end).unwrap_or((hex, ""));
        out.push_str(before);
        match u64::from_str_radix(digits, 16) {
            Ok(number) => out.push_str(&format!("#{number}")),
            Err(_) => out.push_str(&format!("#0x{digits}")),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The low `bits` of a field as a number with a sign, times `unit`.
fn distance(field: u32, bits: u32, unit: i64) -> i64 {
    let up = 64_u32.saturating_sub(bits);
    (i64::from(field) << up >> up).wrapping_mul(unit)
}

/// Bits `low..low + count` of the word.
pub(crate) const fn field(word: u32, low: u32, count: u32) -> u32 {
    (word >> low) & ((1 << count) - 1)
}

/// The address that the instruction branches to, or forms or loads from relative to itself.
fn target(at: VirtAddr, word: u32) -> Option<VirtAddr> {
    let relative = |by: i64| Some(VirtAddr(at.0.wrapping_add_signed(by)));
    if word & 0x7c00_0000 == 0x1400_0000 {
        return relative(distance(field(word, 0, 26), 26, 4)); // b, bl
    }
    if word & 0xff00_0000 == 0x5400_0000
        || word & 0x7e00_0000 == 0x3400_0000
        || word & 0x3b00_0000 == 0x1800_0000
    {
        return relative(distance(field(word, 5, 19), 19, 4)); // b.cond, cbz, cbnz; ldr of a literal
    }
    if word & 0x7e00_0000 == 0x3600_0000 {
        return relative(distance(field(word, 5, 14), 14, 4)); // tbz, tbnz
    }
    if word & 0x1f00_0000 == 0x1000_0000 {
        let by = distance(field(word, 5, 19) << 2 | field(word, 29, 2), 21, 1);
        return match word >> 31 {
            0 => relative(by),                                                                 // adr
            _ => Some(VirtAddr((at.0 & !0xfff).wrapping_add_signed(by.wrapping_mul(0x1000)))), // adrp
        };
    }
    None
}

fn kind(word: u32) -> InsnKind {
    let branch_by_register = word & 0xfe00_0000 == 0xd600_0000;
    if word == NOP {
        InsnKind::Nop
    } else if word & 0xffe0_001f == 0xd420_0000 {
        InsnKind::Trap // brk
    } else if word & 0xfc00_0000 == 0x9400_0000 || branch_by_register && matches!(field(word, 21, 4), 1 | 9) {
        InsnKind::Call // bl; blr, blraa
    } else if word & 0xfc00_0000 == 0x1400_0000
        || word & 0xff00_0000 == 0x5400_0000
        || word & 0x7c00_0000 == 0x3400_0000
        || branch_by_register && matches!(field(word, 21, 4), 0 | 8)
    {
        InsnKind::Jump // b; b.cond; cbz to tbnz; br, braa
    } else {
        InsnKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: VirtAddr = VirtAddr(0xffff_8000_0801_0000);

    fn insn(word: u32) -> Insn {
        Disassembler.one(AT, &word.to_le_bytes()).unwrap()
    }

    #[test]
    fn code_as_binutils_writes_it() {
        let table: &[(u32, &str, &str)] = &[
            (0xd503_201f, "nop", ""),
            (0xd503_233f, "paciasp", ""),
            (0xd503_245f, "bti    c", ""),
            (0xa9bd_7bfd, "stp    x29, x30, [sp, #-48]!", ""),
            (0x9100_03fd, "mov    x29, sp", ""),
            (0xf940_0674, "ldr    x20, [x19, #8]", ""),
            (0x2a13_03f4, "mov    w20, w19", ""),
            (0x5283_ffe0, "mov    w0, #0x1fff", "// #8191"),
            (0x1280_0015, "mov    w21, #0xffffffff", "// #-1"),
            (0xf2bf_b7fe, "movk   x30, #0xfdbf, lsl #16", ""),
            (0x710f_ec3f, "cmp    w1, #0x3fb", ""),
            (0xb140_041f, "cmn    x0, #0x1, lsl #12", ""),
            (0x721c_141f, "tst    w0, #0x3f0", ""),
            (0x9340_7c62, "sxtw   x2, w3", ""),
            (0x5306_7c41, "lsr    w1, w2, #6", ""),
            (0x5310_3c63, "lsl    w3, w3, #16", ""),
            (0xd344_3c00, "ubfx   x0, x0, #4, #12", ""),
            (0x3310_3e78, "bfi    w24, w19, #16, #16", ""),
            (0x1393_1673, "ror    w19, w19, #5", ""),
            (0x1a9f_17e0, "cset   w0, eq", "// eq = none"),
            (0x1a84_2022, "csel   w2, w1, w4, cs", "// cs = hs, nlast"),
            (0x1b02_7e82, "mul    w2, w20, w2", ""),
            (0x2a22_03e2, "mvn    w2, w2", ""),
            (0x4b00_03e0, "neg    w0, w0", ""),
            (0xda1f_03e1, "ngc    x1, xzr", ""),
            (0xb821_001f, "stadd  w1, [x0]", ""),
            (0xd65f_03c0, "ret", ""),
            (0xd538_d082, "mrs    x2, tpidr_el1", ""),
            (0xd518_cb33, "msr    icc_dir_el1, x19", ""),
            (0x8b20_40e2, "add    x2, x7, w0, uxtw", ""),
            (0xd508_87bf, "tlbi   vale1, xzr", ""),
            (0xd508_871f, "tlbi   vmalle1", ""),
            (0xd50b_7e23, "dc     civac, x3", ""),
            (0xd421_0000, "brk    #0x800", ""),
            (0x0000_0000, "udf    #0", ""),
            (0xff4b_2508, ".inst  0xff4b2508", "; undefined"),
            (0x5f01_5717, ".inst  0x5f015717", "; undefined"),
            (0x7f00_5433, ".inst  0x7f005433", "; undefined"),
            // of SVE no operand is written
            (0x2518_e400, ".inst  0x2518e400", "; pfalse with operands that are not decoded"),
        ];
        for (word, text, comment) in table {
            let insn = insn(*word);
            assert_eq!((insn.text.as_str(), insn.comment.as_deref().unwrap_or_default()), (*text, *comment));
            assert_eq!((insn.at, insn.len, insn.target), (AT, 4, None), "{text}");
            assert_eq!(insn.kind == InsnKind::Bad, text.starts_with(".inst"), "{text}");
        }
    }

    #[test]
    fn where_they_lead() {
        use InsnKind::{Call, Jump, Other};
        let table: &[(u32, InsnKind, &str, u64)] = &[
            (0x9404_46a8, Call, "bl     0xffff800008121aa0", 0xffff_8000_0812_1aa0),
            (0x1400_000b, Jump, "b      0xffff80000801002c", 0xffff_8000_0801_002c),
            (0x54ff_fbc0, Jump, "b.eq   0xffff80000800ff78", 0xffff_8000_0800_ff78),
            (0xb5ff_ff60, Jump, "cbnz   x0, 0xffff80000800ffec", 0xffff_8000_0800_ffec),
            (0xb638_00c0, Jump, "tbz    x0, #39, 0xffff800008010018", 0xffff_8000_0801_0018),
            (0xb000_c093, Other, "adrp   x19, 0xffff800009821000", 0xffff_8000_0982_1000),
            (0x1000_0040, Other, "adr    x0, 0xffff800008010008", 0xffff_8000_0801_0008),
            (0x5800_0040, Other, "ldr    x0, 0xffff800008010008", 0xffff_8000_0801_0008),
        ];
        for (word, kind, text, target) in table {
            let insn = insn(*word);
            assert_eq!((insn.kind, insn.text.as_str(), insn.target), (*kind, *text, Some(VirtAddr(*target))));
            assert!(!insn.is_data, "the text has it");
        }
        assert_eq!(insn(0x54ff_fbc0).comment.as_deref(), Some("// b.none"));
        // blr x0, blraa x0, x1; br x0; ret, eret; brk
        let kinds = [0xd63f_0000, 0xd73f_0801, 0xd61f_0000, 0xd65f_03c0, 0xd69f_03e0, 0xd421_0000];
        assert_eq!(kinds.map(|word| insn(word).kind), [Call, Call, Jump, Other, Other, InsnKind::Trap],);
    }

    #[test]
    fn bytes_that_are_no_whole_word() {
        let insn = Disassembler.one(AT, &[0x1f, 0x20]).unwrap();
        assert_eq!((insn.text.as_str(), insn.len, insn.kind), (".byte  0x1f, 0x20", 2, InsnKind::Bad));
        assert!(Disassembler.one(AT, &[]).is_none());
    }
}
