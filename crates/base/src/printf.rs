//! `printf`: C's formats, with the kernel's pointers (lib/vsprintf.c), over values that are known.
//!
//! **Invariant:** what a format asks for and the values do not have is an error that names it.

/// A value that is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, or an address.
    Number(i128),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// The number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self) -> Result<i128, String> {
        match self {
            Self::Number(n) => Ok(*n),
            Self::Text(_) | Self::Bytes(_) => Err("a text in place of a number".to_owned()),
        }
    }
}

/// What is where an address points to.
pub trait Pointers {
    /// The string at an address.
    fn string(&self, at: u64) -> Option<String>;
    /// The symbol that an address is in, with its offset (`%pS`, `%pB`) or without (`%ps`).
    fn symbol(&self, at: u64, with_offset: bool) -> Option<String>;
}

/// A number as a type of so many bytes has it.
#[must_use]
pub fn wrapped(value: i128, bytes: u32, is_signed: bool) -> i128 {
    let bits = bytes.saturating_mul(8).clamp(8, 64);
    let low = value & ((1_i128 << bits) - 1);
    if is_signed && low >> (bits - 1) & 1 == 1 { low - (1_i128 << bits) } else { low }
}

/// The longest width and precision.
const MAX_WIDTH: usize = 4096;

/// A conversion.
#[derive(Clone, Copy, Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    bytes: u32,
}

/// Writes a format with its arguments.
///
/// # Errors
/// What of the format is not known, or which value it lacks.
pub fn print(format: &str, arguments: &[Value], names: &dyn Pointers) -> Result<String, String> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut next = || arguments.next().ok_or_else(|| "too few arguments".to_owned());
        let mut spec = Spec { bytes: 4, ..Spec::default() };
        while let Some(flag) = rest.next_if(|c| "-+ #0".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '#' => spec.alternate = true,
                _ => spec.zeros = true,
            }
        }
        let mut number =
            |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<i128>, String> {
                if rest.next_if_eq(&'*').is_some() {
                    return next().and_then(Value::number).map(Some);
                }
                let mut digits = String::new();
                while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                Ok(digits.parse().ok())
            };
        let width = number(&mut rest)?.unwrap_or(0);
        spec.left |= width < 0;
        spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(MAX_WIDTH).min(MAX_WIDTH);
        if rest.next_if_eq(&'.').is_some() {
            let precision = number(&mut rest)?.unwrap_or(0);
            spec.precision = usize::try_from(precision).ok().map(|n| n.min(MAX_WIDTH));
        }
        let mut short = 0;
        while let Some(length) = rest.next_if(|c| "hlLqzjt".contains(*c)) {
            match length {
                'h' => short += 1,
                _ => spec.bytes = 8,
            }
        }
        if short > 0 {
            spec.bytes = if short > 1 { 1 } else { 2 };
        }
        let mut next = || arguments.next().ok_or_else(|| "too few arguments".to_owned());
        let text = match rest.next() {
            Some('%') => "%".to_owned(),
            Some('d' | 'i') => signed(spec, next()?.number()?),
            Some(base @ ('u' | 'x' | 'X' | 'o')) => unsigned(spec, base, next()?.number()?),
            Some('c') => {
                let code = next()?.number()? & 0xff;
                padded(spec, u8::try_from(code).map(char::from).unwrap_or('?').to_string())
            }
            Some('s') => text(spec, next()?, names)?,
            Some('p') => {
                let mut kind = String::new();
                while let Some(c) = rest.next_if(char::is_ascii_alphanumeric) {
                    kind.push(c);
                }
                pointer(spec, &kind, next()?, names)?
            }
            other => return Err(format!("%{}", other.unwrap_or(' '))),
        };
        out.push_str(&text);
    }
    Ok(out)
}

fn padded(spec: Spec, text: String) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    let blanks = " ".repeat(missing);
    if spec.left { text + &blanks } else { blanks + &text }
}

/// Digits with their sign, filled up.
fn filled(spec: Spec, sign: &str, digits: String) -> String {
    let digits = match spec.precision {
        Some(least) => format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len()))),
        None => digits,
    };
    let missing = spec.width.saturating_sub(sign.len() + digits.len());
    match spec.zeros && !spec.left && spec.precision.is_none() {
        true => format!("{sign}{}{digits}", "0".repeat(missing)),
        false => padded(spec, format!("{sign}{digits}")),
    }
}

fn signed(spec: Spec, value: i128) -> String {
    let value = wrapped(value, spec.bytes, true);
    let sign = match value {
        n if n < 0 => "-",
        _ if spec.plus => "+",
        _ if spec.space => " ",
        _ => "",
    };
    filled(spec, sign, value.unsigned_abs().to_string())
}

fn unsigned(spec: Spec, base: char, value: i128) -> String {
    let value = wrapped(value, spec.bytes, false);
    let (sign, digits) = match base {
        'x' => ("0x", format!("{value:x}")),
        'X' => ("0X", format!("{value:X}")),
        'o' => ("0", format!("{value:o}")),
        _ => ("", value.to_string()),
    };
    filled(spec, if spec.alternate { sign } else { "" }, digits)
}

fn text(spec: Spec, value: &Value, names: &dyn Pointers) -> Result<String, String> {
    let mut text = match value {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(crate::cstr(bytes)).into_owned(),
        Value::Number(0) => "(null)".to_owned(),
        Value::Number(at) => {
            let at = u64::try_from(wrapped(*at, 8, false)).unwrap_or(0);
            names.string(at).ok_or_else(|| format!("the string at {at:#x}"))?
        }
    };
    if let Some(most) = spec.precision {
        text = text.chars().take(most).collect();
    }
    Ok(padded(spec, text))
}

fn pointer(spec: Spec, kind: &str, value: &Value, names: &dyn Pointers) -> Result<String, String> {
    let mut letters = kind.chars();
    match (letters.next(), value) {
        (Some('I' | 'i'), Value::Bytes(bytes)) if kind.get(1..) == Some("4") && bytes.len() >= 4 => {
            let parts: Vec<String> = bytes.iter().take(4).map(ToString::to_string).collect();
            return Ok(padded(spec, parts.join(".")));
        }
        (Some('M'), Value::Bytes(bytes)) if kind.len() == 1 && bytes.len() >= 6 => {
            let parts: Vec<String> = bytes.iter().take(6).map(|b| format!("{b:02x}")).collect();
            return Ok(padded(spec, parts.join(":")));
        }
        _ => {}
    }
    let at = u64::try_from(wrapped(value.number()?, 8, false)).unwrap_or(0);
    let with_offset = match kind {
        "" | "K" | "x" => return Ok(padded(spec, format!("{at:016x}"))),
        "s" | "f" => false,
        "S" | "F" | "B" => true,
        _ => return Err(format!("%p{kind}")),
    };
    Ok(padded(spec, names.symbol(at, with_offset).unwrap_or_else(|| format!("{at:#x}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;
    impl Pointers for Nothing {
        fn string(&self, at: u64) -> Option<String> {
            (at == 0x500).then(|| "rcu".to_owned())
        }
        fn symbol(&self, at: u64, with_offset: bool) -> Option<String> {
            (at == 0x1010).then(|| if with_offset { "f+0x10/0x20" } else { "f" }.to_owned())
        }
    }

    fn printed(format: &str, values: &[Value]) -> Result<String, String> {
        print(format, values, &Nothing)
    }

    #[test]
    fn numbers_and_texts() {
        let n = |n| Value::Number(n);
        for (format, values, wanted) in [
            (
                "%d|%5d|%-5d|%05d|%+d|% d",
                vec![n(7), n(7), n(7), n(-7), n(7), n(7)],
                "7|    7|7    |-0007|+7| 7",
            ),
            (
                "%x %lx %hhu %#x %#o %.3d",
                vec![n(-1), n(-1), n(0x1ff), n(16), n(8), n(5)],
                "ffffffff ffffffffffffffff 255 0x10 010 005",
            ),
            ("%lld %u%%", vec![n(-5), n(-1)], "-5 4294967295%"),
            (
                "%s|%4s|%.1s|%s",
                vec![Value::Text("ab".into()), Value::Text("ab".into()), n(0x500), n(0)],
                "ab|  ab|r|(null)",
            ),
            ("%c%c", vec![n(65), n(0x142)], "AB"),
            ("%ps %pS %p", vec![n(0x1010), n(0x1010), n(1)], "f f+0x10/0x20 0000000000000001"),
            (
                "%pI4 %pM",
                vec![Value::Bytes(vec![10, 0, 0, 1]), Value::Bytes(vec![1, 2, 3, 4, 5, 0xff])],
                "10.0.0.1 01:02:03:04:05:ff",
            ),
            ("%*d", vec![n(3), n(1)], "  1"),
        ] {
            assert_eq!(printed(format, &values).as_deref(), Ok(wanted), "{format}");
        }
        for (format, values, why) in [
            ("%d", vec![], "too few arguments"),
            ("%d", vec![Value::Text(String::new())], "a text in place of a number"),
            ("%pU", vec![n(1)], "%pU"),
            ("%y", vec![n(1)], "%y"),
            ("%", vec![], "% "),
            ("%s", vec![n(0x501)], "the string at 0x501"),
        ] {
            assert_eq!(printed(format, &values), Err(why.to_owned()), "{format}");
        }
    }
}
