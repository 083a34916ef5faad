//! The names that assemblers prefer for forms of instructions: `mov` for `orr` with the zero register.
//!
//! Source: the "alias conditions" of the Arm Architecture Reference Manual (DDI 0487), C6.2 and C7.2.

use super::{Words, field};

/// The register whose number means zero, or the stack pointer.
const ZERO: u32 = 31;

/// Conditions by number, with the other names that binutils tells (SVE's, and those of comparisons without a sign).
const CONDITIONS: [(&str, &str); 16] = [
    ("eq", "none"),
    ("ne", "any"),
    ("cs", "hs, nlast"),
    ("cc", "lo, ul, last"),
    ("mi", "first"),
    ("pl", "nfrst"),
    ("vs", ""),
    ("vc", ""),
    ("hi", "pmore"),
    ("ls", "plast"),
    ("ge", "tcont"),
    ("lt", "tstop"),
    ("gt", ""),
    ("le", ""),
    ("al", ""),
    ("nv", ""),
];

/// Gives the words the preferred name.
pub(crate) fn prefer(word: u32, w: &mut Words) {
    match word >> 24 & 0x1f {
        0x11 if word & 1 << 23 == 0 => add_immediate(word, w),
        0x0b => add_register(word, w),
        0x0a => logical_register(word, w),
        0x12 if word & 1 << 23 == 0 => logical_immediate(word, w),
        0x12 => move_wide(word, w),
        0x13 if word & 1 << 23 == 0 => bit_field(word, w),
        0x13 => extract(w),
        0x1a => conditional(word, w),
        0x1b => multiply(word, w),
        0x18 | 0x19 => atomic(word, w),
        0x14 if word >> 24 == 0x54 => branch(word, w),
        0x14..=0x17 => system(word, w),
        _ => {}
    }
    if w.mnemonic == "udf" {
        w.set(0, format!("#{}", word & 0xffff));
    }
}

/// Numbers of the registers that most instructions name in the same bits.
const fn rd(word: u32) -> u32 {
    field(word, 0, 5)
}
const fn rn(word: u32) -> u32 {
    field(word, 5, 5)
}
const fn rm(word: u32) -> u32 {
    field(word, 16, 5)
}
/// Bits of the registers.
const fn width(word: u32) -> u32 {
    32 << (word >> 31)
}

/// `cmp` and `cmn`, which have no result.
fn comparison(word: u32, w: &mut Words) -> bool {
    let other = match w.mnemonic.as_str() {
        "subs" => "cmp",
        "adds" => "cmn",
        "ands" => "tst",
        _ => return false,
    };
    let is = rd(word) == ZERO;
    if is {
        w.name(other);
        w.drop(0);
    }
    is
}

fn add_immediate(word: u32, w: &mut Words) {
    let nothing = field(word, 10, 13) == 0;
    if w.mnemonic == "add" && nothing && (rd(word) == ZERO || rn(word) == ZERO) {
        w.name("mov");
        w.operands.truncate(2);
    }
    comparison(word, w);
}

fn add_register(word: u32, w: &mut Words) {
    let extended = word & 1 << 21 != 0;
    if comparison(word, w) || extended || rn(word) != ZERO {
        return;
    }
    match w.mnemonic.as_str() {
        "sub" => w.name("neg"),
        "subs" => w.name("negs"),
        _ => return,
    }
    w.drop(1);
}

fn logical_register(word: u32, w: &mut Words) {
    let shifted = field(word, 10, 6) != 0 || field(word, 22, 2) != 0;
    match w.mnemonic.as_str() {
        "orr" if rn(word) == ZERO && !shifted => w.name("mov"),
        "orn" if rn(word) == ZERO => w.name("mvn"),
        _ => {
            comparison(word, w);
            return;
        }
    }
    w.drop(1);
}

fn logical_immediate(word: u32, w: &mut Words) {
    if w.mnemonic == "orr" && rn(word) == ZERO {
        let value =
            w.operands.get(2).and_then(|text| u64::from_str_radix(text.strip_prefix("#0x")?, 16).ok());
        if let Some(value) = value.filter(|value| !is_one_move(*value, width(word))) {
            w.name("mov");
            w.drop(1);
            w.comment = Some(signed(value, width(word)));
        }
    }
    comparison(word, w);
}

/// True for a value that `movz` or `movn` makes.
fn is_one_move(value: u64, width: u32) -> bool {
    let mask = u64::MAX >> 64_u32.saturating_sub(width);
    let one = |value: u64| (0..4).any(|n| value & !(0xffff << (16 * n)) == 0);
    one(value & mask) || one(!value & mask)
}

/// `// #-1`: a value as a number with a sign.
fn signed(value: u64, width: u32) -> String {
    let up = 64_u32.saturating_sub(width);
    format!("// #{}", value.cast_signed() << up >> up)
}

fn move_wide(word: u32, w: &mut Words) {
    let (part, shift) = (u64::from(field(word, 5, 16)), 16 * field(word, 21, 2));
    if shift == 0 {
        w.operands.truncate(2);
    }
    let all = u64::MAX >> 64_u32.saturating_sub(width(word));
    // a zero that is shifted, and what movz writes as well
    if part == 0 && shift != 0 || w.mnemonic == "movn" && width(word) == 32 && part == 0xffff {
        return;
    }
    let value = match w.mnemonic.as_str() {
        "movz" => part << shift,
        "movn" => !(part << shift) & all,
        _ => return,
    };
    w.name("mov");
    w.operands.truncate(1);
    w.operands.push(format!("#{value:#x}"));
    w.comment = Some(signed(value, width(word)));
}

fn bit_field(word: u32, w: &mut Words) {
    let (immr, imms, width) = (field(word, 16, 6), field(word, 10, 6), width(word));
    let last = width - 1;
    let signed = match w.mnemonic.as_str() {
        "sbfm" => true,
        "ubfm" => false,
        "bfm" => return bit_field_insert(word, w),
        _ => return,
    };
    let at = |n: u32| format!("#{n}");
    let narrow = |w: &mut Words, name: &str| {
        w.name(name);
        w.operands.truncate(2);
        if signed
            && width == 64
            && let Some(source) = w.operands.get_mut(1)
        {
            *source = source.replacen('x', "w", 1);
        }
    };
    let shift = |w: &mut Words, name: &str, by: u32| {
        w.name(name);
        w.operands.truncate(2);
        w.operands.push(at(by));
    };
    match (signed, immr, imms) {
        (true, _, n) if n == last => shift(w, "asr", immr),
        (false, _, n) if n == last => shift(w, "lsr", immr),
        (false, r, n) if n + 1 == r => shift(w, "lsl", last - n),
        (true, 0, 7) => narrow(w, "sxtb"),
        (true, 0, 15) => narrow(w, "sxth"),
        (true, 0, 31) => narrow(w, "sxtw"),
        (false, 0, 7) if width == 32 => narrow(w, "uxtb"),
        (false, 0, 15) if width == 32 => narrow(w, "uxth"),
        _ => {
            let (name, low, count) = range(immr, imms, width);
            w.name(match (signed, name) {
                (true, true) => "sbfiz",
                (false, true) => "ubfiz",
                (true, false) => "sbfx",
                (false, false) => "ubfx",
            });
            w.operands.truncate(2);
            w.operands.extend([at(low), at(count)]);
        }
    }
}

/// Whether bits are put in and not taken out, the lowest one, how many.
fn range(immr: u32, imms: u32, width: u32) -> (bool, u32, u32) {
    if imms < immr { (true, width.saturating_sub(immr), imms + 1) } else { (false, immr, imms - immr + 1) }
}

fn bit_field_insert(word: u32, w: &mut Words) {
    let (puts, low, count) = range(field(word, 16, 6), field(word, 10, 6), width(word));
    w.name(match (puts, rn(word)) {
        (true, ZERO) => "bfc",
        (true, _) => "bfi",
        (false, _) => "bfxil",
    });
    w.operands.truncate(if puts && rn(word) == ZERO { 1 } else { 2 });
    w.operands.extend([format!("#{low}"), format!("#{count}")]);
}

fn extract(w: &mut Words) {
    if w.mnemonic == "extr" && w.operands.get(1) == w.operands.get(2) {
        w.name("ror");
        w.drop(1);
    }
}

/// `csel` and its kin, `ccmp`, `sbc`, shifts by a register.
fn conditional(word: u32, w: &mut Words) {
    let other = match w.mnemonic.as_str() {
        "lslv" => "lsl",
        "lsrv" => "lsr",
        "asrv" => "asr",
        "rorv" => "ror",
        "sbc" if rn(word) == ZERO => "ngc",
        "sbcs" if rn(word) == ZERO => "ngcs",
        _ => "",
    };
    if !other.is_empty() {
        w.name(other);
        if other.starts_with("ngc") {
            w.drop(1);
        }
        return;
    }
    let (same, zero) = (rn(word) == rm(word), rm(word) == ZERO);
    let code = field(word, 12, 4);
    // of al and nv there is no opposite
    let other = match w.mnemonic.as_str() {
        "csinc" if same && code < 14 => ["cinc", "cset"],
        "csinv" if same && code < 14 => ["cinv", "csetm"],
        "csneg" if same && code < 14 => ["cneg", "cneg"],
        "csel" | "csinc" | "csinv" | "csneg" | "ccmp" | "ccmn" => {
            told(w, code);
            return;
        }
        _ => return,
    };
    let opposite = code ^ 1;
    w.name(if zero { other[1] } else { other[0] });
    w.operands.truncate(if w.mnemonic.starts_with("cset") { 1 } else { 2 });
    if let Some((name, _)) = CONDITIONS.get(opposite as usize) {
        w.operands.push((*name).to_owned());
    }
    told(w, opposite);
}

/// The other names of a condition that is an operand.
fn told(w: &mut Words, code: u32) {
    if let Some((name, others)) = CONDITIONS.get(code as usize).filter(|(_, others)| !others.is_empty()) {
        w.comment = Some(format!("// {name} = {others}"));
    }
}

/// `b.eq`: the other names of the condition.
fn branch(word: u32, w: &mut Words) {
    if let Some((_, others)) =
        CONDITIONS.get(field(word, 0, 4) as usize).filter(|(_, others)| !others.is_empty())
    {
        let names: Vec<String> = others.split(", ").map(|name| format!("b.{name}")).collect();
        w.comment = Some(format!("// {}", names.join(", ")));
    }
}

fn multiply(word: u32, w: &mut Words) {
    if field(word, 10, 5) != ZERO {
        return;
    }
    let other = match w.mnemonic.as_str() {
        "madd" => "mul",
        "msub" => "mneg",
        "smaddl" => "smull",
        "smsubl" => "smnegl",
        "umaddl" => "umull",
        "umsubl" => "umnegl",
        _ => return,
    };
    w.name(other);
    w.drop(3);
}

/// `stadd`: `ldadd` whose old value nobody wants.
fn atomic(word: u32, w: &mut Words) {
    let acquires = word & 1 << 23 != 0;
    let is = word & 0x3f20_8c00 == 0x3820_0000 && rd(word) == ZERO && !acquires;
    if is && let Some(rest) = w.mnemonic.strip_prefix("ld") {
        w.mnemonic = format!("st{rest}");
        w.drop(1);
    }
}

fn system(word: u32, w: &mut Words) {
    match w.mnemonic.as_str() {
        "ret" if rn(word) == 30 => w.operands.clear(),
        "clrbhb" => w.name("clearbhb"),
        "sys" => {
            if let Some((name, operand, register)) = super::system::named(word) {
                let last = w.operands.pop();
                w.name(name);
                w.operands = std::iter::once(operand).chain(last.filter(|_| register)).collect();
            }
        }
        _ => {}
    }
}
