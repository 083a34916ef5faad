//! The text of scalars and strings, as gdb prints them.

use super::read::Node;
use super::{Formatter, Letter, Radix, ValueTree};
use crate::value::{float_of, int_of};
use base::VirtAddr;
use debuginfo::types::{Encoding, Type, TypeRef, Types};
use std::sync::Arc;

/// What leads a pointer or function that stands alone: `(struct page *) `, `{int (void)} `.
pub(super) fn lead(types: &Types, ty: TypeRef) -> Option<String> {
    match &*types.resolve(ty).ok()?.1 {
        Type::Pointer { to } => {
            let plain = matches!(types.get(ty).as_deref(), Ok(Type::Pointer { .. }));
            let char = is_named_char(types, *to);
            (!(plain && char)).then(|| format!("({}) ", types.name(ty)))
        }
        Type::Func { .. } => {
            let name = types.name(ty);
            // a function without debug information: its type is only a name
            Some(format!("{{{name}}} "))
        }
        _ => None,
    }
}

/// True for `char` itself, qualified or not, but not for a typedef of it.
fn is_named_char(types: &Types, mut at: TypeRef) -> bool {
    for _ in 0..8 {
        match types.get(at).as_deref() {
            Ok(Type::Qualified { to, .. }) => at = *to,
            Ok(Type::Int { name, .. }) => return &**name == "char",
            _ => return false,
        }
    }
    false
}

/// True where gdb takes bytes of the type for characters.
fn is_textual(types: &Types, ty: TypeRef) -> bool {
    match types.resolve(ty).map(|(_, t)| t).as_deref() {
        Ok(Type::Int { size: 1, encoding, .. }) => *encoding != Encoding::Bool,
        _ => false,
    }
}

impl Formatter<'_> {
    pub(super) fn scalar(&mut self, node: &Node<'_>, at: TypeRef, ty: &Type) -> ValueTree {
        let mem = self.scope.memory();
        let (size, signed) = match ty {
            Type::Void => return self.leaf(node, "void".into(), None),
            Type::Func { .. } => return self.function(node),
            Type::Float { size, .. } => return self.float(node, *size),
            Type::Int { size, encoding, .. } => (*size, encoding.is_signed()),
            Type::Enum { size, signed, .. } => (*size, *signed),
            _ => (8, false),
        };
        let (offset, width) = match node.bits {
            Some(b) => (b.offset, b.width),
            None => (0, u32::try_from(size.saturating_mul(8)).unwrap_or(u32::MAX)),
        };
        if width > 128 || offset > 7 {
            return self.leaf(node, format!("<integer of {size} bytes>"), None);
        }
        let raw = match node.bytes(mem, u64::from((offset + width).div_ceil(8))) {
            Ok(raw) => raw,
            Err(why) => return self.gap(node, why),
        };
        let value = int_of(&raw, offset, width, signed);
        // a bit-field counts as its type does: -2 of three bits is 0xfffffffe
        let full = u32::try_from(size.saturating_mul(8)).unwrap_or(width).clamp(width, 128);
        let bits = (value as u128) << (128 - full) >> (128 - full);
        let text = match self.options.letter {
            Some(letter) if letter != Letter::Str => self.lettered(letter, value, bits, full, signed),
            _ => self.natural(at, ty, value, bits),
        };
        self.leaf(node, text, Some(value))
    }

    fn natural(&self, at: TypeRef, ty: &Type, value: i128, bits: u128) -> String {
        let hex = self.options.radix == Radix::Hex;
        match ty {
            Type::Pointer { to } => self.pointer(*to, value as u64),
            Type::Enum { values, .. } => enumerator(values, value),
            Type::Int { .. } if hex => format!("{bits:#x}"),
            Type::Int { encoding: Encoding::Bool, .. } => match value {
                0 => "false".into(),
                1 => "true".into(),
                n => n.to_string(),
            },
            Type::Int { name, .. } if name.contains("unsigned") && value < 0 => bits.to_string(),
            Type::Int { size: 1, .. } if is_textual(self.scope.types(), at) => {
                format!("{value} '{}'", escaped(bits as u8, '\''))
            }
            _ => value.to_string(),
        }
    }

    fn lettered(&self, letter: Letter, value: i128, bits: u128, width: u32, signed: bool) -> String {
        match letter {
            Letter::Hex => format!("{bits:#x}"),
            Letter::ZeroHex => format!("0x{bits:0>digits$x}", digits = width.div_ceil(4) as usize),
            Letter::Octal if bits == 0 => "0".into(),
            Letter::Octal => format!("0{bits:o}"),
            Letter::Binary => format!("{bits:b}"),
            Letter::Unsigned => bits.to_string(),
            Letter::Signed => {
                let unused = 128 - width.clamp(1, 128);
                (((bits << unused) as i128) >> unused).to_string()
            }
            Letter::Char => {
                let low = bits as u8;
                let shown = if signed { i16::from(low.cast_signed()) } else { i16::from(low) };
                format!("{shown} '{}'", escaped(low, '\''))
            }
            Letter::Address => {
                let at = bits as u64;
                format!("{at:#x}{}", self.symbol(at))
            }
            Letter::Float if width == 32 => float_text(f64::from(f32::from_bits(bits as u32)), 9),
            Letter::Float if width == 64 => float_text(f64::from_bits(bits as u64), 17),
            Letter::Float | Letter::Str => value.to_string(),
        }
    }

    /// ` <symbol+offset>`, or nothing.
    fn symbol(&self, at: u64) -> String {
        if !self.options.symbols || at == 0 {
            return String::new();
        }
        match self.scope.symbol_at(VirtAddr(at)) {
            Some(s) if s.offset == 0 => format!(" <{}>", s.name),
            Some(s) => format!(" <{}+{}>", s.name, s.offset),
            None => String::new(),
        }
    }

    fn pointer(&self, to: TypeRef, at: u64) -> String {
        let mut text = format!("{at:#x}{}", self.symbol(at));
        if at != 0 && is_textual(self.scope.types(), to) {
            text.push(' ');
            text.push_str(&self.string_at(VirtAddr(at)));
        }
        text
    }

    fn function(&self, node: &Node<'_>) -> ValueTree {
        let at = node.at.map_or(0, |a| a.0);
        self.leaf(node, format!("{at:#x}{}", self.symbol(at)), Some(i128::from(at)))
    }

    /// The string that a pointer points to.
    fn string_at(&self, at: VirtAddr) -> String {
        let max = self.options.print_max;
        match self.scope.memory().cstr(at, max.saturating_add(1)) {
            Ok(bytes) => {
                let cut = bytes.len() > max;
                let shown = bytes.get(..max.min(bytes.len())).unwrap_or(&[]);
                self.quoted(shown, cut)
            }
            Err(fault) => {
                let why = crate::absent::Absent::Fault(fault).mark();
                // what came before the fault is worth showing
                let have = fault.at.0.wrapping_sub(at.0);
                if !(1..=max as u64).contains(&have) {
                    return why;
                }
                let head = self.scope.memory().bytes(at, have as usize).unwrap_or_default();
                match head.iter().position(|&b| b == 0) {
                    Some(end) => self.quoted(head.get(..end).unwrap_or(&[]), false),
                    None if head.is_empty() => why,
                    None => format!("{}{why}", self.quoted(&head, true)),
                }
            }
        }
    }

    /// An array of characters as a string; `None` where it is to be shown as an array.
    pub(super) fn char_array(&self, node: &Node<'_>, elem: TypeRef, count: u64) -> Option<ValueTree> {
        let letter = self.options.letter;
        if !is_textual(self.scope.types(), elem) || letter.is_some_and(|l| l != Letter::Str) {
            return None;
        }
        let max = self.options.print_max as u64;
        let bytes = match node.bytes(self.scope.memory(), count.min(max)) {
            Ok(bytes) => bytes,
            Err(why) => return Some(self.gap(node, why)),
        };
        let mut shown: &[u8] = &bytes;
        let mut cut = count > max;
        if self.options.null_stop {
            if let Some(end) = shown.iter().position(|&b| b == 0) {
                shown = shown.get(..end).unwrap_or(&[]);
                cut = false;
            }
        } else if let ([head @ .., 0], false) = (shown, cut) {
            shown = head; // gdb leaves the last NUL of a whole array out
        }
        let text = self.quoted(shown, cut);
        Some(self.leaf(node, text, None))
    }

    /// An array without a length stands for the address of its first element.
    pub(super) fn flexible(&self, node: &Node<'_>, elem: TypeRef) -> ValueTree {
        match (node.at, self.options.letter) {
            (None, _) => self.leaf(node, "{}".into(), None),
            (Some(at), None | Some(Letter::Str)) => {
                let text = self.pointer(elem, at.0);
                self.leaf(node, text, Some(i128::from(at.0)))
            }
            (Some(at), Some(_)) => {
                let text = format!("{at:#x}{}", self.symbol(at.0));
                self.leaf(node, text, Some(i128::from(at.0)))
            }
        }
    }

    fn float(&self, node: &Node<'_>, size: u64) -> ValueTree {
        let raw = match node.bytes(self.scope.memory(), size.min(16)) {
            Ok(raw) => raw,
            Err(why) => return self.gap(node, why),
        };
        let width = u32::try_from(raw.len() * 8).unwrap_or(0);
        let bits = int_of(&raw, 0, width, false);
        let text = match (self.options.letter, float_of(&raw)) {
            (None | Some(Letter::Float | Letter::Str), Some(v)) => {
                float_text(v, if size == 4 { 9 } else { 17 })
            }
            (Some(letter), _) => self.lettered(letter, bits, bits as u128, width, false),
            (None, None) => format!("{:#x}", bits as u128),
        };
        self.leaf(node, text, None)
    }

    /// Characters between quotes; runs longer than `repeats` are counted apart, as in gdb.
    fn quoted(&self, bytes: &[u8], cut: bool) -> String {
        let mut out = String::new();
        let mut open = false;
        let mut rest = bytes;
        while let [c, tail @ ..] = rest {
            let same = 1 + tail.iter().take_while(|b| *b == c).count();
            if self.options.repeats.is_some_and(|max| same > max) {
                if open {
                    out.push_str("\", ");
                    open = false;
                } else if !out.is_empty() {
                    out.push_str(", ");
                }
                out.push_str(&format!("'{}' <repeats {same} times>", escaped(*c, '\'')));
                rest = rest.get(same..).unwrap_or(&[]);
                continue;
            }
            if !open {
                out.push_str(if out.is_empty() { "\"" } else { ", \"" });
                open = true;
            }
            out.push_str(&escaped(*c, '"'));
            rest = tail;
        }
        match (open, out.is_empty()) {
            (true, _) => out.push('"'),
            (false, true) => out.push_str("\"\""),
            (false, false) => {}
        }
        if cut {
            out.push_str("...");
        }
        out
    }
}

/// A character as C would write it between these quotes.
#[must_use]
pub fn escaped(c: u8, quote: char) -> String {
    match c {
        7 => "\\a".into(),
        8 => "\\b".into(),
        9 => "\\t".into(),
        10 => "\\n".into(),
        11 => "\\v".into(),
        12 => "\\f".into(),
        13 => "\\r".into(),
        b'\\' => "\\\\".into(),
        c if char::from(c) == quote => format!("\\{quote}"),
        0x20..=0x7e => char::from(c).to_string(),
        c => format!("\\{c:03o}"),
    }
}

/// An enumerator by its name; of flags, the names of those set: `(A | B | unknown: 0x8)`.
fn enumerator(values: &Arc<[(Arc<str>, i128)]>, value: i128) -> String {
    if let Some((name, _)) = values.iter().find(|(_, v)| *v == value) {
        return name.to_string();
    }
    if !is_flags(values) {
        return value.to_string();
    }
    let mut left = value;
    let mut names: Vec<String> = Vec::new();
    for (name, v) in values.iter() {
        if left & v != 0 {
            left &= !v;
            names.push(name.to_string());
        }
    }
    if left != 0 {
        names.push(format!("unknown: {left:#x}"));
    }
    if names.is_empty() { "0".into() } else { format!("({})", names.join(" | ")) }
}

/// gdb's test for an enumeration of flags: no negative value, and none of several bits.
fn is_flags(values: &[(Arc<str>, i128)]) -> bool {
    values.iter().all(|(_, value)| *value >= 0 && value.count_ones() <= 1)
}

/// C's `%.*g`.
#[must_use]
pub fn float_text(v: f64, digits: usize) -> String {
    if v.is_nan() {
        let bits = v.to_bits();
        let sign = if v.is_sign_negative() { "-" } else { "" };
        return format!("{sign}nan({:#x})", bits & 0x000f_ffff_ffff_ffff);
    }
    if v.is_infinite() {
        return if v < 0.0 { "-inf".into() } else { "inf".into() };
    }
    if v == 0.0 {
        return if v.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{v:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| {
        if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.').to_owned() } else { s.to_owned() }
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    trim(&format!("{v:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(&str, i128)]) -> Arc<[(Arc<str>, i128)]> {
        list.iter().map(|(n, v)| (Arc::from(*n), *v)).collect()
    }

    #[test]
    fn enumerators_by_name_and_flags_joined() {
        let plain = values(&[("A", 0), ("B", 1), ("C", 5)]);
        assert_eq!(enumerator(&plain, 5), "C");
        assert_eq!(enumerator(&plain, 9), "9");
        let flags = values(&[("R", 1), ("W", 2), ("X", 4)]);
        assert_eq!(enumerator(&flags, 2), "W");
        assert_eq!(enumerator(&flags, 3), "(R | W)");
        assert_eq!(enumerator(&flags, 9), "(R | unknown: 0x8)");
        assert_eq!(enumerator(&flags, 8), "(unknown: 0x8)");
        assert_eq!(enumerator(&flags, 0), "0");
        let states = values(&[("LIVE", 0), ("COMING", 1), ("GOING", 2), ("UNFORMED", 3)]);
        assert_eq!(enumerator(&states, 0xbb33_9da0), "3140722080");
        assert_eq!(enumerator(&values(&[("A", 1), ("B", 6), ("C", 8)]), 7), "7");
    }

    #[test]
    fn floats_as_printf_has_them() {
        assert_eq!(float_text(1.0 / 3.0, 17), "0.33333333333333331");
        assert_eq!(float_text(3.5, 17), "3.5");
        assert_eq!(float_text(1e10, 17), "10000000000");
        assert_eq!(float_text(1e30, 17), "1e+30");
        assert_eq!(float_text(f64::from(f32::from_bits(5)), 9), "7.00649232e-45");
        assert_eq!(float_text(-0.0, 17), "-0");
    }
}
