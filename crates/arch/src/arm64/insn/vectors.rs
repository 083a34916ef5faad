//! Instructions of vectors and floating point as the library decodes them, held against what the manual reserves and how it places
//! sizes and registers. What cannot be relied on is not decoded.
//!
//! Source: Arm Architecture Reference Manual (DDI 0487), C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD"; binutils
//! for the spelling. `crates/arch/examples/words.rs` shows words to hold against `objdump`.

use super::{Words, field};

/// Why a word has no text.
pub(super) enum No {
    /// The manual reserves it.
    Undefined,
    /// The library's operands are not to be relied on.
    Operands,
}

/// Extensions of 2022 and later: nothing that was decoded could be held against another decoder.
const UNPROVEN: [&str; 14] = [
    "fdot", "fmlall", "fmlalb", "fmlalt", "famax", "famin", "fscale", "fmmla", "luti", "f1cvt", "f2cvt",
    "bf1cvt", "bf2cvt", "ldap1",
];
/// The same of atomic operations on floating point, and `stl1`.
const UNPROVEN_MEMORY: [&str; 5] = ["ldbf", "stbf", "ldf", "stf", "stl1"];

/// Mends the words, or says why there are none.
pub(super) fn mend(word: u32, w: &mut Words) -> Result<(), No> {
    let is_memory = word & 0x0a00_0000 == 0x0800_0000 && word & 1 << 26 != 0;
    let is_data = word & 0x0e00_0000 == 0x0e00_0000;
    if !(is_memory || is_data) {
        return Ok(());
    }
    let begins = |names: &[&str]| names.iter().any(|name| w.mnemonic.starts_with(name));
    let is_unproven = begins(&UNPROVEN) || begins(&UNPROVEN_MEMORY) && is_memory;
    if is_unproven || w.mnemonic.starts_with("fcvtn") && w.operands.len() == 3 && word & 0x0020_0000 == 0 {
        return Err(No::Operands);
    }
    if is_data {
        let no = match word {
            _ if word & 0x9f00_0400 == 0x0f00_0000 => by_element(word, w, word >> 30 & 1 == 1),
            _ if word & 0xdf00_0400 == 0x5f00_0000 => by_element(word, w, true),
            _ if word & 0xdf80_0400 == 0x5f00_0400 => scalar_shift(word, w),
            _ if word & 0xdf3e_0c00 == 0x5e20_0800 => scalar_misc(word, w),
            _ if word & 0xdf3e_0c00 == 0x5e30_0800 => scalar_pair(word, w),
            _ if word & 0x9f3e_0c00 == 0x0e30_0800 => across(word, w),
            _ if word & 0x9f3e_0c00 == 0x0e20_0800 => misc(word, w),
            _ if word & 0x9f20_0400 == 0x0e20_0400 => three_same(word, w),
            _ if word & 0x9f20_8400 == 0x0e00_8400 => three_more(word, w),
            _ if word & 0x7f20_fc00 == 0x1e20_0000 => to_integer(word, w),
            _ if word & 0xff3e_7c00 == 0x1e22_4000 => between_floats(word, w),
            _ => None,
        };
        if let Some(no) = no {
            return Err(no);
        }
    }
    spell(word, w);
    Ok(())
}

/// As binutils spells it: lists, shifts, and the names that it prefers.
fn spell(word: u32, w: &mut Words) {
    for operand in &mut w.operands {
        if let Some(inside) = operand.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            *operand = list(inside);
        } else if operand.starts_with("LSL") || operand.starts_with("MSL") {
            *operand = operand.to_lowercase();
        }
    }
    let is_long = word & 0x9f80_fc00 == 0x0f00_a400;
    if is_long && w.operands.last().is_some_and(|last| matches!(last.as_str(), "#0" | "#0x0")) {
        w.mnemonic = w.mnemonic.replacen("sshll", "sxtl", 1).replacen("ushll", "uxtl", 1);
        w.operands.truncate(2);
    }
    if w.mnemonic == "not" {
        w.name("mvn");
    }
    if w.mnemonic == "xar" {
        w.set(3, format!("#{}", field(word, 10, 6)));
    }
    let number = w.operands.get(1).and_then(|operand| operand.strip_prefix('#')?.parse::<f64>().ok());
    if let Some(number) = number.filter(|_| w.mnemonic == "fmov") {
        w.set(1, format!("#{}", scientific(number)));
    }
}

/// As C writes a number by `%.18e`.
fn scientific(number: f64) -> String {
    let text = format!("{number:.18e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `v19.16b, v20.16b, v21.16b` as binutils has it.
fn list(inside: &str) -> String {
    let all: Vec<&str> = inside.split(',').map(str::trim).collect();
    let number = |name: &str| name.trim_start_matches('v').split('.').next()?.parse::<u32>().ok();
    match all.as_slice() {
        [first, .., last] if all.len() > 2 && number(first) < number(last) => format!("{{{first}-{last}}}"),
        _ => format!("{{{}}}", all.join(", ")),
    }
}

/// A vector by an element of another: `size`, `L`, `M` and `H` tell the element.
fn by_element(word: u32, w: &mut Words, whole: bool) -> Option<No> {
    let (unsigned, size, opcode) = (field(word, 29, 1), field(word, 22, 2), field(word, 12, 4));
    let is_scalar = word >> 28 & 1 == 1;
    let low = field(word, 21, 1);
    let is_double_sound = low == 0 && whole;
    let is_float = matches!((unsigned, opcode), (0, 1 | 5 | 9) | (1, 9));
    let is_complex = unsigned == 1 && opcode & 0b1001 == 1;
    let is_dot = matches!(opcode, 0b1110 | 0b1111) && !w.mnemonic.starts_with("sqrd");
    let is_long_float = matches!((unsigned, opcode), (0, 0 | 4) | (1, 8 | 12));
    if is_dot && !is_scalar {
        // the whole register's number, where the library takes four bits of it
        let full = field(word, 16, 5);
        let last = w.operands.len().checked_sub(1)?;
        let text = w.operands.get(last)?;
        let element = text.split_once('.')?.1.to_owned();
        return match (w.mnemonic.as_str(), size) {
            ("sdot" | "udot", 2) | ("sudot", 0) | ("usdot", 2) | ("bfdot", 1) => {
                w.set(last, format!("v{full}.{element}"));
                None
            }
            ("bfmlalb" | "bfmlalt", 3) => None,
            _ => Some(No::Undefined),
        };
    }
    let is_reserved = if is_float {
        size == 1 || size == 3 && !(is_double_sound || is_scalar && low == 0)
    } else if is_complex && !is_scalar {
        !(size == 1 && (whole || field(word, 11, 1) == 0) || size == 2 && low == 0 && whole)
    } else if is_long_float && !is_scalar {
        size != 2
    } else {
        !matches!(size, 1 | 2)
    };
    is_reserved.then_some(No::Undefined)
}

/// The letter of a scalar by the highest bit that is set in `immh`.
fn scalar_letter(word: u32) -> Option<char> {
    ['b', 'h', 's', 'd'].get(field(word, 19, 4).checked_ilog2()? as usize).copied()
}

/// Scalars that are shifted by a number, or converted from and to fixed point.
fn scalar_shift(word: u32, w: &mut Words) -> Option<No> {
    let letter = scalar_letter(word)?;
    match field(word, 11, 5) {
        0b11100 | 0b11111 => {
            if letter == 'b' {
                return Some(No::Undefined);
            }
            for n in 0..2 {
                let number = w.operands.get(n)?.get(1..)?.to_owned();
                w.set(n, format!("{letter}{number}"));
            }
            None
        }
        // what saturates or narrows has other sizes
        0b01100 | 0b01110 | 0b10000..=0b10011 => None,
        _ => (letter != 'd').then_some(No::Undefined),
    }
}

/// Comparisons with zero, `abs` and `neg` of 64 bits only.
fn scalar_misc(word: u32, w: &Words) -> Option<No> {
    let size = field(word, 22, 2);
    let is_reserved = match w.mnemonic.as_str() {
        "cmgt" | "cmge" | "cmeq" | "cmle" | "cmlt" | "abs" | "neg" => size != 3,
        "fcvtxn" => size != 1,
        _ => false,
    };
    is_reserved.then_some(No::Undefined)
}

/// A vector's two elements put together.
fn scalar_pair(word: u32, w: &mut Words) -> Option<No> {
    let (unsigned, size) = (field(word, 29, 1), field(word, 22, 2));
    let letter = match (w.mnemonic.as_str(), unsigned, size & 1) {
        ("addp", ..) => return (size != 3).then_some(No::Undefined),
        (_, 0, 0) => 'h',
        (_, 0, _) => return Some(No::Undefined),
        (_, _, 0) => 's',
        _ => 'd',
    };
    w.set(0, format!("{letter}{}", field(word, 0, 5)));
    w.set(1, format!("v{}.2{letter}", field(word, 5, 5)));
    None
}

/// All elements of a vector put together.
fn across(word: u32, w: &mut Words) -> Option<No> {
    if !w.mnemonic.starts_with('f') {
        return None;
    }
    let (whole, unsigned, size) = (field(word, 30, 1), field(word, 29, 1), field(word, 22, 2));
    let (letter, kind) = match (unsigned, size & 1, whole) {
        (0, 0, 0) => ('h', "4h"),
        (0, 0, _) => ('h', "8h"),
        (1, 0, 1) => ('s', "4s"),
        _ => return Some(No::Undefined),
    };
    w.set(0, format!("{letter}{}", field(word, 0, 5)));
    w.set(1, format!("v{}.{kind}", field(word, 5, 5)));
    None
}

/// Estimates of numbers without a sign, of 32 bits only; bits of bytes, and bytes of halves.
fn misc(word: u32, w: &Words) -> Option<No> {
    let is_reserved = match w.mnemonic.as_str() {
        "urecpe" | "ursqrte" => field(word, 22, 1) == 1,
        "cnt" | "rev16" => field(word, 22, 2) != 0,
        _ => false,
    };
    is_reserved.then_some(No::Undefined)
}

/// Polynomials of bytes only.
fn three_same(word: u32, w: &Words) -> Option<No> {
    (w.mnemonic == "pmul" && field(word, 22, 2) != 0).then_some(No::Undefined)
}

/// Products of four bytes, added.
fn three_more(word: u32, w: &Words) -> Option<No> {
    let is_dot = matches!(w.mnemonic.as_str(), "sdot" | "udot" | "usdot");
    (is_dot && field(word, 22, 2) != 2).then_some(No::Undefined)
}

/// Conversions to a general register; those to a vector's are of a later extension.
fn to_integer(word: u32, w: &Words) -> Option<No> {
    // a move has as many bits on both sides
    let sizes = (word >> 31, field(word, 22, 2));
    if w.mnemonic == "fmov" && !matches!(sizes, (0, 0) | (1, 1 | 2) | (_, 3)) {
        return Some(No::Undefined);
    }
    let is_vector = |n: usize| {
        w.operands.get(n).is_some_and(|operand| operand.starts_with(['s', 'd', 'h']) && operand != "sp")
    };
    (is_vector(0) && is_vector(1)).then_some(No::Operands)
}

/// `fcvt`
fn between_floats(word: u32, w: &mut Words) -> Option<No> {
    let letter = |kind: u32| match kind {
        0 => Some('s'),
        1 => Some('d'),
        3 => Some('h'),
        _ => None,
    };
    let (from, to) = (field(word, 22, 2), field(word, 15, 2));
    let (Some(source), Some(target)) = (letter(from), letter(to)) else { return Some(No::Undefined) };
    if from == to {
        return Some(No::Undefined);
    }
    w.set(0, format!("{target}{}", field(word, 0, 5)));
    w.set(1, format!("{source}{}", field(word, 5, 5)));
    None
}

#[cfg(test)]
mod tests {
    use super::super::Disassembler;
    use crate::Disassemble;
    use base::VirtAddr;

    /// As `objdump` has them, but for what is not decoded.
    #[test]
    fn vectors_and_floating_point() {
        for (word, want) in [
            (0x4e08_6262, "tbl    v2.16b, {v19.16b-v22.16b}, v8.16b"),
            (0x4f00_47f9, "movi   v25.4s, #0x1f, lsl #16"),
            (0x0f98_e3e5, "sdot   v5.2s, v31.8b, v24.4b[0]"),
            (0x7f51_fff3, "fcvtzu d19, d31, #47"),
            (0x5f30_ffe1, "fcvtzs s1, s31, #16"),
            (0x6e30_c861, "fmaxnmv s1, v3.4s"),
            (0x7e70_d8c8, "faddp  d8, v6.2d"),
            (0x1e22_c25f, "fcvt   d31, s18"),
            (0x4f20_a7d3, "sxtl2  v19.2d, v30.4s"),
            (0x2e20_58d2, "mvn    v18.8b, v6.8b"),
            (0x0f04_f4cd, "fmov   v13.2s, #-2.750000000000000000e+00"),
            (0x6f01_e35c, ".inst  0x6f01e35c"),
            (0x2fa0_18ea, ".inst  0x2fa018ea"),
            (0xce99_fc3d, "xar    v29.2d, v1.2d, v25.2d, #63"),
            (0x0ee0_581d, ".inst  0x0ee0581d"),
            (0x1e67_0263, ".inst  0x1e670263"),
            (0x6f60_8a30, ".inst  0x6f608a30"),
        ] {
            let insn = Disassembler.one(VirtAddr(0), &u32::to_le_bytes(word)).unwrap();
            assert_eq!(insn.text, want, "{word:#x}");
        }
    }
}
