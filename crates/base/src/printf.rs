//! `printf`: C's formats, with the kernel's pointers (lib/vsprintf.c), over values that are known.
//!
//! **Invariant:** what a format asks for and the values do not have is an error that names it.

/// A value that is printed.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, or an address.
    Number(i128),
    /// A number with a fraction.
    Float(f64),
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
            // as C's conversion does: towards zero
            Self::Float(value) => Ok(*value as i128),
            Self::Text(_) | Self::Bytes(_) => Err("a text in place of a number".to_owned()),
        }
    }
}

impl Value {
    fn float(&self) -> Result<f64, String> {
        match self {
            Self::Float(value) => Ok(*value),
            other => other.number().map(|n| n as f64),
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

/// Writes a format with its arguments. Those that it does not ask for are passed over, as C does.
///
/// # Errors
/// What of the format is not known, or which value it lacks.
pub fn print(format: &str, arguments: &[Value], names: &dyn Pointers) -> Result<String, String> {
    written(format, arguments, names).map(|(text, _)| text)
}

/// Writes a format that asks for all of its arguments.
///
/// # Errors
/// What of the format is not known, or that it asks for more or fewer values.
pub fn print_all(format: &str, arguments: &[Value], names: &dyn Pointers) -> Result<String, String> {
    match written(format, arguments, names)? {
        (text, 0) => Ok(text),
        (_, _) => Err("too many arguments".to_owned()),
    }
}

/// The text, and how many arguments are left.
fn written(format: &str, arguments: &[Value], names: &dyn Pointers) -> Result<(String, usize), String> {
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
            Some(kind @ ('f' | 'F' | 'e' | 'E' | 'g' | 'G')) => floating(spec, kind, next()?.float()?),
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
    Ok((out, arguments.len()))
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

/// A number with a fraction: `f` as it is, `e` with an exponent, `g` as what of the two is shorter.
fn floating(spec: Spec, kind: char, value: f64) -> String {
    let sign = match value.is_sign_negative() {
        true => "-",
        false if spec.plus => "+",
        false if spec.space => " ",
        false => "",
    };
    let amount = value.abs();
    if !amount.is_finite() {
        let word = if amount.is_nan() { "nan" } else { "inf" };
        let word = if kind.is_ascii_uppercase() { word.to_uppercase() } else { word.to_owned() };
        return padded(spec, format!("{sign}{word}"));
    }
    let precision = spec.precision.unwrap_or(6);
    let digits = match kind.to_ascii_lowercase() {
        'f' => format!("{amount:.precision$}"),
        'e' => with_exponent(amount, precision),
        _ => shorter(amount, precision.max(1), spec.alternate),
    };
    let digits = if kind.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
    filled(Spec { precision: None, ..spec }, sign, digits)
}

/// `1.500000e+00`.
fn with_exponent(amount: f64, precision: usize) -> String {
    let text = format!("{amount:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let number: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if number < 0 { '-' } else { '+' }, number.unsigned_abs())
}

fn shorter(amount: f64, digits: usize, keeps_zeros: bool) -> String {
    let scientific = format!("{amount:.*e}", digits.saturating_sub(1));
    let exponent: i64 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let all = i64::try_from(digits).unwrap_or(i64::MAX);
    let cut = |text: &str| match text.contains('.') && !keeps_zeros {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= all {
        let text = with_exponent(amount, digits.saturating_sub(1));
        let (number, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{exponent}", cut(number));
    }
    let behind = usize::try_from(all.saturating_sub(1).saturating_sub(exponent)).unwrap_or(0);
    cut(&format!("{amount:.behind$}"))
}

fn text(spec: Spec, value: &Value, names: &dyn Pointers) -> Result<String, String> {
    let mut text = match value {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(crate::cstr(bytes)).into_owned(),
        Value::Number(0) => "(null)".to_owned(),
        Value::Number(_) | Value::Float(_) => {
            let at = u64::try_from(wrapped(value.number()?, 8, false)).unwrap_or(0);
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
        let (n, f) = (Value::Number, Value::Float);
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
            (
                "%f|%5.1f|%-8.2f|%+f|%010.3f|%.0f",
                vec![f(1.5), f(2.25), f(2.5), f(1.0), f(-1.5), n(3)],
                "1.500000|  2.2|2.50    |+1.000000|-00001.500|3",
            ),
            ("%e %E %.2e", vec![f(3.0), f(0.0001), f(-12345.0)], "3.000000e+00 1.000000E-04 -1.23e+04"),
            (
                "%g %g %g %G %g %#g",
                vec![f(100_000.0), f(1e6), f(0.000_012_34), f(1e100), f(0.0), f(1.5)],
                "100000 1e+06 1.234e-05 1E+100 0 1.50000",
            ),
            (
                "%f %F %5f %d",
                vec![f(f64::NAN), f(f64::NEG_INFINITY), f(f64::INFINITY), f(-2.9)],
                "nan -INF   inf -2",
            ),
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
        assert_eq!(print_all("%d", &[n(1), n(2)], &Nothing), Err("too many arguments".to_owned()));
        assert_eq!(print_all("%*d", &[n(1), n(2)], &Nothing).as_deref(), Ok("2"));
    }
}
