//! Instructions of vectors that the library writes with another name, width or index: loads and stores of structures, and copies of
//! elements.
//!
//! Source: Arm Architecture Reference Manual (DDI 0487), C4.1 "Advanced SIMD load/store multiple structures", "… single structure",
//! "Advanced SIMD copy", "… scalar copy"; binutils for the spelling.

use super::{Words, field};

/// Elements of a vector by their size: bytes, and in how many bits of an index and of `size` they are told.
const ELEMENTS: [&str; 4] = ["b", "h", "s", "d"];

/// The words for one of these; `None` for all others. An error says that the bits are reserved.
pub(super) fn words(word: u32) -> Option<Result<Words, String>> {
    let parts = match word {
        w if w & 0xbfbf_0000 == 0x0c00_0000 || w & 0xbfa0_0000 == 0x0c80_0000 => multiple(w),
        w if w & 0xbf9f_0000 == 0x0d00_0000 || w & 0xbf80_0000 == 0x0d80_0000 => single(w),
        w if w & 0x9fe0_8400 == 0x0e00_0400 => copy(w),
        w if w & 0xdfe0_8400 == 0x5e00_0400 => scalar_copy(w),
        w if w & 0xbfe0_fc00 == 0x0ea0_1c00 && field(w, 5, 5) == field(w, 16, 5) => move_vector(w),
        _ => return None,
    };
    Some(parts.ok_or_else(|| "undefined".to_owned()).map(|(mnemonic, operands)| Words {
        mnemonic,
        operands,
        comment: None,
    }))
}

/// A mnemonic, and operands.
type Parts = Option<(String, Vec<String>)>;

/// `16b`: how many elements of a size a register of 64 or 128 bits has.
fn arrangement(size: u32, whole: u32) -> String {
    format!("{}{}", (8 << whole) >> size, ELEMENTS.get(size as usize).copied().unwrap_or("?"))
}

/// Registers that follow each other: the last of them is followed by the first.
fn list(first: u32, count: u32, kind: &str) -> String {
    let name = |n: u32| format!("v{}.{kind}", first.wrapping_add(n) % 32);
    let last = count.saturating_sub(1);
    if count > 2 && first.wrapping_add(last) < 32 {
        return format!("{{{}-{}}}", name(0), name(last));
    }
    let all: Vec<String> = (0..count).map(name).collect();
    format!("{{{}}}", all.join(", "))
}

/// `[x0], #16`: where the structures are, and by how much the register is moved behind.
fn place(word: u32, bytes: u32) -> Vec<String> {
    let base = match field(word, 5, 5) {
        31 => "[sp]".to_owned(),
        n => format!("[x{n}]"),
    };
    let moved = match (word >> 23 & 1, field(word, 16, 5)) {
        (0, _) => None,
        (_, 31) => Some(format!("#{bytes}")),
        (_, n) => Some(format!("x{n}")),
    };
    std::iter::once(base).chain(moved).collect()
}

fn name(word: u32, structure: u32, end: &str) -> String {
    format!("{}{structure}{end}", if word >> 22 & 1 == 1 { "ld" } else { "st" })
}

/// `ld1` to `ld4` and `st1` to `st4` of whole registers.
fn multiple(word: u32) -> Parts {
    let (whole, size) = (field(word, 30, 1), field(word, 10, 2));
    let (structure, count) = match field(word, 12, 4) {
        0b0000 => (4, 4),
        0b0010 => (1, 4),
        0b0100 => (3, 3),
        0b0110 => (1, 3),
        0b0111 => (1, 1),
        0b1000 => (2, 2),
        0b1010 => (1, 2),
        _ => return None,
    };
    if structure > 1 && size == 3 && whole == 0 {
        return None;
    }
    let registers = list(field(word, 0, 5), count, &arrangement(size, whole));
    let operands = std::iter::once(registers).chain(place(word, count * (8 << whole))).collect();
    Some((name(word, structure, ""), operands))
}

/// The same of one element of each register, or of one for all of each (`ld1r`).
fn single(word: u32) -> Parts {
    let (whole, size, opcode, s) =
        (field(word, 30, 1), field(word, 10, 2), field(word, 13, 3), field(word, 12, 1));
    let count = 1 + 2 * (opcode & 1) + field(word, 21, 1);
    let first = field(word, 0, 5);
    let is_load = word >> 22 & 1 == 1;
    let (element, index) = match opcode >> 1 {
        0 => (0, whole << 3 | s << 2 | size),
        1 if size & 1 == 0 => (1, whole << 2 | s << 1 | size >> 1),
        2 if size == 0 => (2, whole << 1 | s),
        2 if size == 1 && s == 0 => (3, whole),
        3 if is_load && s == 0 => {
            let registers = list(first, count, &arrangement(size, whole));
            let operands = std::iter::once(registers).chain(place(word, count << size)).collect();
            return Some((name(word, count, "r"), operands));
        }
        _ => return None,
    };
    let kind = ELEMENTS.get(element as usize)?;
    let registers = format!("{}[{index}]", list(first, count, kind));
    let operands = std::iter::once(registers).chain(place(word, count << element)).collect();
    Some((name(word, count, ""), operands))
}

/// The size of an element, and its index, by the lowest bit that is set in `imm5`.
fn element(imm5: u32) -> Option<(u32, u32)> {
    let size = imm5.trailing_zeros();
    (size < 4).then(|| (size, imm5 >> (size + 1)))
}

fn of_vector(register: u32, size: u32, index: u32) -> Option<String> {
    Some(format!("v{register}.{}[{index}]", ELEMENTS.get(size as usize)?))
}

/// A general register; 31 is zero.
fn general(register: u32, wide: bool) -> String {
    let letter = if wide { 'x' } else { 'w' };
    if register == 31 { format!("{letter}zr") } else { format!("{letter}{register}") }
}

/// `dup`, `mov` (`ins`, `umov`), `umov` and `smov`.
fn copy(word: u32) -> Parts {
    let (whole, imm4) = (field(word, 30, 1), field(word, 11, 4));
    let (rn, rd) = (field(word, 5, 5), field(word, 0, 5));
    let (size, index) = element(field(word, 16, 5))?;
    let vector = || format!("v{rd}.{}", arrangement(size, whole));
    let fits = size < 3 || whole == 1;
    if field(word, 29, 1) == 1 {
        let from = of_vector(rn, size, imm4 >> size)?;
        return (whole == 1).then_some(("mov".to_owned(), vec![of_vector(rd, size, index)?, from]));
    }
    let (mnemonic, operands) = match imm4 {
        0b0000 if fits => ("dup", vec![vector(), of_vector(rn, size, index)?]),
        0b0001 if fits => ("dup", vec![vector(), general(rn, size == 3)]),
        0b0011 if whole == 1 => ("mov", vec![of_vector(rd, size, index)?, general(rn, size == 3)]),
        0b0101 if size < 2 || size == 2 && whole == 1 => {
            ("smov", vec![general(rd, whole == 1), of_vector(rn, size, index)?])
        }
        0b0111 if (size == 3) == (whole == 1) => {
            let name = if size < 2 { "umov" } else { "mov" };
            (name, vec![general(rd, whole == 1), of_vector(rn, size, index)?])
        }
        _ => return None,
    };
    Some((mnemonic.to_owned(), operands))
}

/// `mov` of an element to a register of its size.
fn scalar_copy(word: u32) -> Parts {
    let (size, index) = element(field(word, 16, 5))?;
    let is_move = field(word, 29, 1) == 0 && field(word, 11, 4) == 0;
    let to = format!("{}{}", ELEMENTS.get(size as usize)?, field(word, 0, 5));
    is_move.then_some(("mov".to_owned(), vec![to, of_vector(field(word, 5, 5), size, index)?]))
}

/// `orr` of a register with itself.
fn move_vector(word: u32) -> Parts {
    let kind = arrangement(0, field(word, 30, 1));
    let name = |low: u32| format!("v{}.{kind}", field(word, low, 5));
    Some(("mov".to_owned(), vec![name(0), name(5)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: u32) -> String {
        match words(word) {
            Some(Ok(words)) => words.text(),
            Some(Err(why)) => why,
            None => "another".to_owned(),
        }
    }

    /// As `objdump` has them.
    #[test]
    fn structures_and_elements() {
        for (word, want) in [
            (0x4c00_6150, "st1    {v16.16b-v18.16b}, [x10]"),
            (0x4cc0_7674, "ld1    {v20.8h}, [x19], x0"),
            (0x0c9f_46bd, "st3    {v29.4h-v31.4h}, [x21], #24"),
            (0x4c40_8296, "ld2    {v22.16b, v23.16b}, [x20]"),
            (0x0c40_2b53, "ld1    {v19.2s-v22.2s}, [x26]"),
            (0x0d40_c5f4, "ld1r   {v20.4h}, [x15]"),
            (0x4dca_eafb, "ld3r   {v27.4s-v29.4s}, [x23], x10"),
            (0x4dbc_7a14, "st4    {v20.h-v23.h}[7], [x16], x28"),
            (0x4dc9_8666, "ld1    {v6.d}[1], [x19], x9"),
            (0x0d60_1343, "ld2    {v3.b, v4.b}[4], [x26]"),
            (0x6e17_54ef, "mov    v15.b[11], v7.b[10]"),
            (0x0e1c_3d67, "mov    w7, v11.s[3]"),
            (0x5e09_05a2, "mov    b2, v13.b[4]"),
            (0x0eb0_1e12, "mov    v18.8b, v16.8b"),
            (0x4d60_8e54, "undefined"),
            (0x0d40_9a58, "undefined"),
            (0x4e0f_3d49, "undefined"),
            (0x9100_03fd, "another"),
        ] {
            assert_eq!(text(word), want, "{word:#x}");
        }
    }

    /// Whatever the words are: sizes that are none, indexes, registers behind the last one.
    #[test]
    fn no_word_of_these_is_too_much() {
        let forms = [0x0c00_0000, 0x0c80_0000, 0x0d00_0000, 0x0d80_0000, 0x0e00_0400, 0x5e00_0400_u32];
        for form in forms {
            for bits in 0..1 << 16 {
                // registers, sizes and opcodes; then `imm5`, which registers share
                for word in [form | (bits & 0xffff), form | (bits & 0x1f) << 16 | (bits >> 5) << 5] {
                    let _ = (text(word), text(word | 1 << 30), text(word | 3 << 29 & 1 << 29));
                }
            }
        }
    }
}
