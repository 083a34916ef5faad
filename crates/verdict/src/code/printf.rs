//! The kernel's formats read backwards: which values of the arguments a printed line tells.
//!
//! Sources: lib/vsprintf.c, Documentation/core-api/printk-formats.rst.
//!
//! **Invariant:** a line that the whole format does not fit gives nothing, and of one that it fits in several ways only
//! what all of them say.

/// Steps after which a line is not matched any further, and readings of a line that are compared.
const MAX_STEPS: usize = 100_000;
const MAX_READINGS: usize = 32;
/// The widest field that anything is padded to.
const MAX_WIDTH: usize = 256;

/// How a field is filled up to its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Pad {
    /// The width, where the format itself has it.
    width: usize,
    /// An argument has it.
    unknown: bool,
    /// Blanks stand behind, not before.
    behind: bool,
}

impl Pad {
    const NONE: Self = Self { width: 0, unknown: false, behind: false };
}

/// A part of a format. Arguments are counted from the first behind the format.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Literal(String),
    /// Digits of an integer.
    Number {
        argument: usize,
        bits: u32,
        signed: bool,
        radix: u32,
        pad: Pad,
        sign: bool,
        prefix: bool,
    },
    /// A string, as a whole.
    Text {
        argument: usize,
        pad: Pad,
    },
    /// One character.
    Char(usize),
    /// Sixteen digits of an address: the pointer itself (`%px`), or what stands for it (`%p`).
    Pointer {
        argument: usize,
        raw: bool,
    },
    /// A function's name and offset.
    Symbol(usize),
    /// The name of an error number.
    Error(usize),
    /// A pointer in one of its many other forms, or a part of a string.
    Other,
}

/// What was printed of an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// The lowest `bits` of it.
    Number { value: u64, bits: u32, shown: String },
    /// A string.
    Text(String),
    /// So many bytes from a symbol's begin.
    Symbol { name: String, offset: u64, shown: String },
}

/// The arguments that a line has the values of, by their place after the format.
pub(crate) type Reading = Vec<(usize, Value)>;

/// Reads a line back by its format; `None` where it does not fit, or where a conversion is not known.
pub(crate) fn read(format: &str, line: &str) -> Option<Reading> {
    let tokens = tokens(format)?;
    let mut search = Search { found: Vec::new(), steps: 0 };
    search.run(&tokens, line.trim(), &mut Vec::new());
    if search.steps >= MAX_STEPS || search.found.len() >= MAX_READINGS {
        return None;
    }
    let (first, others) = search.found.split_first()?;
    Some(first.iter().filter(|one| others.iter().all(|o| o.contains(one))).cloned().collect())
}

/// A conversion's flags, width, precision and length.
#[derive(Default)]
struct Spec {
    pad: Pad,
    sign: bool,
    prefix: bool,
    precision: bool,
    length: String,
}

/// The parts of a format's first line.
fn tokens(format: &str) -> Option<Vec<Token>> {
    // KERN_SOH and a level
    let format = match format.strip_prefix('\u{1}') {
        Some(rest) => rest.get(1..)?,
        None => format,
    };
    let line = format.split('\n').next()?.trim();
    let mut out = Vec::new();
    let mut literal = String::new();
    let mut argument = 0;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            literal.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            literal.push('%');
            continue;
        }
        let (spec, kind) = spec(&mut chars, &mut argument)?;
        if !literal.is_empty() {
            out.push(Token::Literal(std::mem::take(&mut literal)));
        }
        let letters = if kind == 'p' { pointer_letters(&mut chars) } else { String::new() };
        out.push(conversion(&spec, kind, &letters, argument)?);
        argument += 1;
    }
    if !literal.is_empty() {
        out.push(Token::Literal(literal));
    }
    Some(out)
}

type Chars<'f> = std::iter::Peekable<std::str::Chars<'f>>;

/// What stands between `%` and the conversion's letter; that letter.
fn spec(chars: &mut Chars<'_>, argument: &mut usize) -> Option<(Spec, char)> {
    let mut out = Spec::default();
    loop {
        let c = chars.next()?;
        match c {
            '*' => {
                *argument += 1;
                if !out.precision {
                    out.pad.unknown = true;
                }
            }
            '-' => out.pad.behind = true,
            '+' | ' ' => out.sign = true,
            '#' => out.prefix = true,
            '.' => out.precision = true,
            '0'..='9' if out.precision => {}
            '0'..='9' => {
                out.pad.width = out.pad.width * 10 + c.to_digit(10)? as usize;
                if out.pad.width > MAX_WIDTH {
                    return None;
                }
            }
            'h' | 'l' | 'L' | 'q' | 'z' | 'Z' | 't' => out.length.push(c),
            _ => return Some((out, c)),
        }
    }
}

/// The letters behind `%p` that say what is printed of the pointer's target.
fn pointer_letters(chars: &mut Chars<'_>) -> String {
    let mut out = String::new();
    while let Some(c) = chars.next_if(char::is_ascii_alphanumeric) {
        out.push(c);
    }
    out
}

fn conversion(spec: &Spec, kind: char, letters: &str, argument: usize) -> Option<Token> {
    let bits = match spec.length.as_str() {
        "" => 32,
        "h" => 16,
        "hh" => 8,
        _ => 64,
    };
    let number = |signed, radix| Token::Number {
        argument,
        bits,
        signed,
        radix,
        pad: spec.pad,
        sign: spec.sign,
        prefix: spec.prefix,
    };
    let plain = spec.pad == Pad::NONE;
    Some(match (kind, letters) {
        ('d' | 'i', _) => number(true, 10),
        ('u', _) => number(false, 10),
        ('x' | 'X', _) => number(false, 16),
        ('o', _) => number(false, 8),
        // a part of a string is not the string
        ('s', _) if spec.precision => Token::Other,
        ('s', _) => Token::Text { argument, pad: spec.pad },
        ('c', _) if plain => Token::Char(argument),
        ('c', _) => Token::Other,
        ('p', "" | "K") if plain => Token::Pointer { argument, raw: false },
        ('p', "x") if plain => Token::Pointer { argument, raw: true },
        ('p', "S" | "F") if plain => Token::Symbol(argument),
        ('p', "e") if plain => Token::Error(argument),
        ('p', _) => Token::Other,
        _ => return None,
    })
}

/// All ways in which a line fits a format.
struct Search {
    found: Vec<Reading>,
    steps: usize,
}

impl Search {
    fn run(&mut self, tokens: &[Token], line: &str, so_far: &mut Reading) {
        self.steps += 1;
        if self.steps >= MAX_STEPS || self.found.len() >= MAX_READINGS {
            return;
        }
        let Some((token, rest)) = tokens.split_first() else {
            if line.is_empty() {
                self.found.push(so_far.clone());
            }
            return;
        };
        match token {
            Token::Literal(text) => {
                // what ends a line was cut off, blanks included
                let cut = line.is_empty() && text.trim().is_empty();
                if let Some(line) = line.strip_prefix(text.as_str()).or(cut.then_some("")) {
                    self.run(rest, line, so_far);
                }
            }
            Token::Number { .. } => self.number(token, rest, line, so_far),
            Token::Text { argument, pad } => {
                for (text, after) in cuts(line) {
                    self.with(whole(text, *pad).map(|text| (*argument, text)), rest, after, so_far);
                }
            }
            Token::Other => {
                for (_, after) in cuts(line) {
                    self.with(None, rest, after, so_far);
                }
            }
            Token::Char(argument) => {
                let Some(c) = line.chars().next() else { return };
                let value = c.is_ascii().then(|| Value::Number {
                    value: u64::from(u32::from(c)),
                    bits: 8,
                    shown: format!("'{c}'"),
                });
                self.with(value.map(|v| (*argument, v)), rest, &line[c.len_utf8()..], so_far);
            }
            Token::Pointer { argument, raw } => {
                if let Some((text, value)) = address(line) {
                    let after = line.get(16..).unwrap_or_default();
                    // what stands for a pointer has 32 bits
                    let known = *raw || base::VirtAddr(value).in_upper_half();
                    let value = known.then(|| Value::Number { value, bits: 64, shown: text.into() });
                    self.with(value.map(|v| (*argument, v)), rest, after, so_far);
                } else {
                    // (null), (____ptrval____), (efault)
                    let end = line.strip_prefix('(').and_then(|l| l.find(')')).map(|n| n + 2);
                    if let Some(after) = end.and_then(|n| line.get(n..)) {
                        self.with(None, rest, after, so_far);
                    }
                }
            }
            Token::Symbol(argument) => {
                for (text, after) in cuts(line) {
                    if let Some(value) = symbol(text) {
                        self.with(Some((*argument, value)), rest, after, so_far);
                    }
                }
            }
            Token::Error(argument) => {
                for (text, after) in cuts(line) {
                    let value = crate::code::errors::error_number(text).map(|number| Value::Number {
                        value: u64::from(number).wrapping_neg(),
                        bits: 64,
                        shown: format!("ERR_PTR({text})"),
                    });
                    // what is no error number is printed as %p
                    if value.is_some() || address(text).is_some_and(|_| text.len() == 16) {
                        self.with(value.map(|v| (*argument, v)), rest, after, so_far);
                    }
                }
            }
        }
    }

    fn number(&mut self, token: &Token, rest: &[Token], line: &str, so_far: &mut Reading) {
        let Token::Number { argument, bits, signed, radix, pad, sign, prefix } = token else { return };
        let is_hex = *prefix && *radix == 16;
        let unpadded = line.trim_start_matches(' ');
        let blanks = line.len() - unpadded.len();
        // a width that is an argument may be negative, and then blanks stand behind
        let line = if pad.behind && !*sign { line } else { unpadded };
        let blanks = if pad.behind && !*sign { 0 } else { blanks };
        let minus = usize::from(*signed && (line.starts_with('-') || (*sign && line.starts_with('+'))));
        let start = if is_hex && line.starts_with("0x") { 2 } else { minus };
        if is_hex && start != 2 {
            return;
        }
        let digits = line.bytes().skip(start).take_while(|b| char::from(*b).is_digit(*radix)).count();
        for end in (1..=digits).map(|n| start + n) {
            let Some((text, after)) = line.split_at_checked(end) else { continue };
            let fits = pad.unknown || blanks == 0 || *sign || blanks + end <= pad.width;
            let Some(value) = number(text, *bits, *radix).filter(|_| fits) else { continue };
            let value = Value::Number { value, bits: *bits, shown: text.to_owned() };
            for after in behind(after, end, *pad) {
                self.with(Some((*argument, value.clone())), rest, after, so_far);
            }
        }
    }

    fn with(&mut self, one: Option<(usize, Value)>, rest: &[Token], line: &str, so_far: &mut Reading) {
        let len = so_far.len();
        so_far.extend(one);
        self.run(rest, line, so_far);
        so_far.truncate(len);
    }
}

/// A text's beginnings, each with what follows.
fn cuts(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.filter_map(|at| line.split_at_checked(at))
}

/// What may follow a field of `len` characters that is filled up behind: at the end of a line the blanks were cut off.
fn behind(after: &str, len: usize, pad: Pad) -> Vec<&str> {
    let blanks = after.len() - after.trim_start_matches(' ').len();
    let rest = |n: usize| after.get(n..).unwrap_or_default();
    if pad.unknown {
        return (0..=blanks).map(rest).collect();
    }
    let want = if pad.behind { pad.width.saturating_sub(len) } else { 0 };
    if blanks >= want || blanks == after.len() { vec![rest(want.min(blanks))] } else { Vec::new() }
}

/// A string as its field has it; `None` where its own blanks cannot be told from those that fill the field, and where
/// the kernel put words for a pointer that is none.
fn whole(text: &str, pad: Pad) -> Option<Value> {
    let filled = pad != Pad::NONE && (text.starts_with(' ') || text.ends_with(' '));
    (!filled && !matches!(text, "(null)" | "(efault)" | "(einval)")).then(|| Value::Text(text.into()))
}

/// Sixteen hexadecimal digits.
fn address(line: &str) -> Option<(&str, u64)> {
    let text = line.get(..16).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((text, u64::from_str_radix(text, 16).ok()?))
}

/// `f+0x1/0x20 [m]`, or the bare address of what is no function.
fn symbol(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        let value = u64::from_str_radix(digits, 16)
            .ok()
            .filter(|v| base::VirtAddr(*v).in_upper_half() && digits.len() == 16)?;
        return Some(Value::Number { value, bits: 64, shown: text.into() });
    }
    let (place, module) = match text.split_once(' ') {
        Some((place, module)) => (place, Some(module.strip_prefix('[')?.strip_suffix(']')?)),
        None => (text, None),
    };
    let (name, offset) = place.split_once("+0x")?;
    let (offset, size) = offset.split_once("/0x")?;
    let hex = |t: &str| u64::from_str_radix(t, 16).ok().filter(|_| t.bytes().all(|b| b.is_ascii_hexdigit()));
    let (offset, size) = (hex(offset)?, hex(size)?);
    let is_name = |n: &str| n.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.$".contains(&b));
    let good = !name.is_empty() && is_name(name) && offset <= size;
    // since 5.14 a build id may stand behind the module's name
    let module = module.map(|m| m.split(' ').next().unwrap_or(m));
    let qualified = module.map_or_else(|| name.to_owned(), |m| format!("{m}:{name}"));
    good.then(|| Value::Symbol { name: qualified, offset, shown: text.into() })
}

/// A printed number, where it fits its width.
fn number(text: &str, bits: u32, radix: u32) -> Option<u64> {
    let digits = text.strip_prefix("0x").filter(|_| radix == 16).unwrap_or(text);
    let value = i128::from_str_radix(digits, radix).ok()?;
    let fits = (-(1_i128 << (bits - 1))..1_i128 << bits).contains(&value);
    fits.then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(format: &str, line: &str) -> Option<Vec<(usize, String)>> {
        let shown = |v: Value| match v {
            Value::Number { value, bits, .. } => format!("{value:x}/{bits}"),
            Value::Text(text) => text,
            Value::Symbol { name, offset, .. } => format!("{name}+{offset:x}"),
        };
        Some(read(format, line)?.into_iter().map(|(n, v)| (n, shown(v))).collect())
    }

    fn of(all: &[(usize, &str)]) -> Option<Vec<(usize, String)>> {
        Some(all.iter().map(|(n, text)| (*n, (*text).to_owned())).collect())
    }

    #[test]
    fn arguments_are_read_back() {
        assert_eq!(
            values("zoo: channel %u of %s does not exist\n", "zoo: channel 99 of zoo0 does not exist"),
            of(&[(0, "63/32"), (1, "zoo0")])
        );
        assert_eq!(values("%d left", "-5 left"), of(&[(0, "fffffffffffffffb/32")]));
        assert_eq!(values("\u{1}4at %#lx: 100%%\n", "at 0x1f: 100%"), of(&[(0, "1f/64")]));
        assert_eq!(values("%llu/%zu|%hhx", "7/8|ff"), of(&[(0, "7/64"), (1, "8/64"), (2, "ff/8")]));
        assert_eq!(values("first %u\nsecond %u\n", "first 1"), of(&[(0, "1/32")]));
        assert_eq!(values("nothing", "nothing"), of(&[]));
        assert_eq!(values("state %c, %c", "state D, x"), of(&[(0, "44/8"), (1, "78/8")]));
    }

    #[test]
    fn fields_are_filled_up_to_their_width() {
        assert_eq!(values("<%4u>", "<   7>"), of(&[(0, "7/32")]));
        assert_eq!(values("<%04x>", "<00ff>"), of(&[(0, "ff/32")]));
        assert_eq!(values("<%4u>", "<     7>"), None, "more blanks than the width");
        assert_eq!(values("<%-4u>", "<7   >"), of(&[(0, "7/32")]));
        assert_eq!(values("<%-4u>", "<7  >"), None, "fewer blanks than the width");
        assert_eq!(values("<%-4u %u>", "<7    8>"), of(&[(0, "7/32"), (1, "8/32")]));
        assert_eq!(values("at %-8u", "at 7"), of(&[(0, "7/32")]), "cut off at the line's end");
        assert_eq!(values("%-4d|%+d", "-3  |+5"), of(&[(0, "fffffffffffffffd/32"), (1, "5/32")]));
        // a width that is an argument
        assert_eq!(values("%*d %x", "   7 a"), of(&[(1, "7/32"), (2, "a/32")]));
        assert_eq!(values("%#6x|", "  0x1f|"), of(&[(0, "1f/32")]));
        assert_eq!(values("%#x|", "1f|"), None, "without its prefix");
        assert_eq!(values("%x|", "0x1f|"), None, "a prefix that was not asked for");
    }

    #[test]
    fn strings_as_far_as_they_are_known() {
        assert_eq!(values("<%8s>", "<    zoo0>"), of(&[]), "blanks may be the string's");
        assert_eq!(values("<%-8s>", "<zoo00000>"), of(&[(0, "zoo00000")]));
        assert_eq!(values("<%.3s> %u", "<zoo> 1"), of(&[(1, "1/32")]), "a part of the string");
        assert_eq!(values("<%.*s> %u", "<zoo> 1"), of(&[(2, "1/32")]));
        assert_eq!(values("<%s>", "<(null)>"), of(&[]), "no string");
    }

    #[test]
    fn pointers_that_are_themselves() {
        assert_eq!(values("at %px!", "at ffff888012345678!"), of(&[(0, "ffff888012345678/64")]));
        assert_eq!(values("at %p!", "at ffff888012345678!"), of(&[(0, "ffff888012345678/64")]));
        assert_eq!(values("at %p!", "at 0000000012345678!"), of(&[]), "what stands for it");
        assert_eq!(values("at %p %u", "at (____ptrval____) 7"), of(&[(1, "7/32")]));
        assert_eq!(values("%pM %x", "52:54:00:12:34:56 f"), of(&[(1, "f/32")]));
        assert_eq!(values("by %pS.", "by f+0x1/0x20 [m]."), of(&[(0, "m:f+1")]));
        assert_eq!(values("by %pS %u", "by f.cold+0x1/0x20 7"), of(&[(0, "f.cold+1"), (1, "7/32")]));
        assert_eq!(values("by %pS.", "by 0xffffffffc0001234."), of(&[(0, "ffffffffc0001234/64")]));
        assert_eq!(values("by %pS.", "by f+0x30/0x20."), None, "behind the function's end");
        assert_eq!(values("by %ps.", "by f."), of(&[]), "without its offset");
        assert_eq!(values("failed: %pe", "failed: -ENODEV"), of(&[(0, "ffffffffffffffed/64")]));
        assert_eq!(values("failed: %pe", "failed: 0000000012345678"), of(&[]));
    }

    #[test]
    fn what_does_not_fit_gives_nothing() {
        assert_eq!(values("channel %u", "channel x"), None);
        assert_eq!(values("channel %u", "channel 1 of 2"), None);
        assert_eq!(values("channel %u", "channel 4294967296"), None, "wider than it is");
        assert_eq!(values("channel %u", "channel -1"), None);
        assert_eq!(values("%y", "1"), None, "no conversion");
        assert_eq!(values("%", "1"), None);
        assert_eq!(values("%99999u", "1"), None, "no width");
        assert_eq!(values("%s%s%s%s%s%s%s%s", &"a".repeat(400)), None, "too many ways");
    }

    #[test]
    fn of_several_readings_what_all_say() {
        assert_eq!(values("%s: %s: %u", "a: b: c: 7"), of(&[(2, "7/32")]));
        assert_eq!(values("%u%u", "123"), of(&[]));
    }
}
