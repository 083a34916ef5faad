//! What a warning printed: the values of its call's arguments, read back from the log's line by the call's format.
//!
//! Sources: kernel/panic.c (`__warn_printk(fmt, …)`, since 4.19 where a trap follows; `warn_slowpath_fmt(file, line,
//! [taint,] fmt, …)`), lib/vsprintf.c, Documentation/core-api/printk-formats.rst.
//!
//! **Invariant:** a line that the whole format does not fit gives nothing, and of one that it fits in several ways only
//! what all of them say.

use crate::code::Code;
use crate::model::{How, Statement};
use crate::names::Namer;
use arch::slice::{ARGUMENTS, Expr, Sym};
use base::VirtAddr;
use kernel::Session;

/// More bytes than a format has.
const MAX_FORMAT: usize = 1024;
/// Steps after which a line is not matched any further, and readings of a line that are compared.
const MAX_STEPS: usize = 100_000;
const MAX_READINGS: usize = 32;

/// A part of a format.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Literal(String),
    /// Digits of an integer.
    Number {
        /// The argument's place among those after the format.
        argument: usize,
        bits: u32,
        signed: bool,
        radix: u32,
        /// Blanks may stand before it.
        padded: bool,
    },
    /// Text of any kind: a string, or a pointer in one of its many forms.
    Text(Option<usize>),
}

/// What was printed of an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    Number { value: u64, bits: u32, shown: String },
    Text(String),
}

/// The arguments that a line has the values of, by their place after the format.
type Reading = Vec<(usize, Value)>;

/// What the warning before the instruction at `pc` printed.
pub(crate) struct Printed {
    /// The values of the data flow that are known by it.
    pub(crate) values: Vec<(Sym, u64)>,
    call: u64,
    arguments: Vec<(Sym, String)>,
}

impl Printed {
    /// Matches the line with the format of the call that returned to `pc`.
    pub(crate) fn of(s: &Session, code: &Code, pc: u64, line: &str) -> Option<Self> {
        let (call, _) = code.function.call_before(pc)?;
        let target = code.function.target(call)?;
        let callee = s.locate(VirtAddr(target)).filter(|l| l.offset == 0)?.symbol.name;
        let places: &[usize] = match callee {
            "__warn_printk" => &[0],
            "warn_slowpath_fmt" => &[2, 3],
            _ => return None,
        };
        let flow = &code.flow;
        let argument = |n: usize| flow.register(call, *ARGUMENTS.get(n)?);
        let (place, format) = places.iter().find_map(|&n| {
            let Expr::Const(at) = flow.expr(argument(n)?) else { return None };
            let raw = s.mem().cstr(VirtAddr(at.cast_unsigned()), MAX_FORMAT).ok()?;
            Some((n, String::from_utf8(raw).ok()?)).filter(|(_, text)| !text.is_empty())
        })?;
        let reading = read(&tokens(&format)?, line)?;
        let mut out = Self { values: Vec::new(), call, arguments: Vec::new() };
        for (n, value) in reading {
            let Some(sym) = argument(place + 1 + n) else { continue };
            match value {
                Value::Number { value, bits, shown } => {
                    out.values.extend(whole(width(&flow.expr(sym)), value, bits).map(|v| (sym, v)));
                    out.arguments.push((sym, shown));
                }
                Value::Text(text) => out.arguments.push((sym, format!("\"{text}\""))),
            }
        }
        Some(out)
    }

    /// `printed: channel->id = 99, wanted = "zoo0"`; nothing of arguments that have no name.
    pub(crate) fn told(&self, namer: &Namer<'_>) -> Option<Statement> {
        let one = |(sym, shown): &(Sym, String)| {
            let named = namer.sym(self.call, *sym, 0).filter(|n| !n.text.contains('%'))?;
            Some(format!("{} = {shown}", named.text))
        };
        let all: Vec<String> = self.arguments.iter().filter_map(one).collect();
        let commands = ["log".to_owned(), format!("dis -x {}", namer.code.symbol)];
        (!all.is_empty()).then(|| Statement::new(How::Log, format!("printed: {}", all.join(", ")), &commands))
    }
}

/// The bytes that a value has, and whether those above them are copies of its sign.
const fn width(expr: &Expr) -> (u64, bool) {
    match expr {
        Expr::Cut { size, signed, .. } => (*size, *signed),
        Expr::Load { size, .. } | Expr::PerCpu { size, .. } | Expr::Bin { size, .. } => (*size, false),
        _ => (8, false),
    }
}

/// The whole of a value of which `bits` were printed: of a wider one the rest is not known.
const fn whole((size, signed): (u64, bool), value: u64, bits: u32) -> Option<u64> {
    if size == 0 || size > 8 || size * 8 > bits as u64 {
        return None;
    }
    let unused = 64 - size * 8;
    let top = value << unused;
    Some(if signed { (top.cast_signed() >> unused).cast_unsigned() } else { top >> unused })
}

/// The parts of a format's first line; `None` where it has a conversion that is not known.
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
        let mut padded = false;
        let mut length = String::new();
        let kind = loop {
            match chars.next()? {
                '*' => {
                    argument += 1;
                    padded = true;
                }
                // blanks behind it would be told from those of the format by the width alone
                '-' => return None,
                ' ' | '0'..='9' | '+' | '#' | '.' => padded = true,
                c @ ('h' | 'l' | 'L' | 'q' | 'z' | 'Z' | 't') => length.push(c),
                c => break c,
            }
        };
        if !literal.is_empty() {
            out.push(Token::Literal(std::mem::take(&mut literal)));
        }
        let bits = match length.as_str() {
            "" => 32,
            "h" => 16,
            "hh" => 8,
            _ => 64,
        };
        let number = |signed, radix| Token::Number { argument, bits, signed, radix, padded };
        out.push(match kind {
            'd' | 'i' => number(true, 10),
            'u' => number(false, 10),
            'x' | 'X' => number(false, 16),
            'o' => number(false, 8),
            's' => Token::Text(Some(argument)),
            'c' => Token::Text(None),
            'p' => {
                while chars.next_if(char::is_ascii_alphanumeric).is_some() {}
                Token::Text(None)
            }
            _ => return None,
        });
        argument += 1;
    }
    if !literal.is_empty() {
        out.push(Token::Literal(literal));
    }
    Some(out)
}

/// The values that a line has by a format, where it fits.
fn read(tokens: &[Token], line: &str) -> Option<Reading> {
    let mut search = Search { found: Vec::new(), steps: 0 };
    search.run(tokens, line.trim(), &mut Vec::new());
    if search.steps >= MAX_STEPS || search.found.len() >= MAX_READINGS {
        return None;
    }
    let (first, others) = search.found.split_first()?;
    Some(first.iter().filter(|one| others.iter().all(|o| o.contains(one))).cloned().collect())
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
                if let Some(line) = line.strip_prefix(text.as_str()) {
                    self.run(rest, line, so_far);
                }
            }
            Token::Text(argument) => {
                let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
                for (text, after) in ends.filter_map(|at| line.split_at_checked(at)) {
                    self.with(argument.map(|n| (n, Value::Text(text.into()))), rest, after, so_far);
                }
            }
            Token::Number { argument, bits, signed, radix, padded } => {
                let line = if *padded { line.trim_start_matches(' ') } else { line };
                let start = usize::from(*signed && line.starts_with('-'));
                let prefix = if *padded && *radix == 16 && line.starts_with("0x") { 2 } else { start };
                let digits =
                    line.bytes().skip(prefix).take_while(|b| char::from(*b).is_digit(*radix)).count();
                for end in (1..=digits).map(|n| prefix + n) {
                    let Some((text, after)) = line.split_at_checked(end) else { continue };
                    let Some(value) = number(text, *bits, *radix) else { continue };
                    let value = Value::Number { value, bits: *bits, shown: text.to_owned() };
                    self.with(Some((*argument, value)), rest, after, so_far);
                }
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
        };
        Some(read(&tokens(format)?, line)?.into_iter().map(|(n, v)| (n, shown(v))).collect())
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
        // a width that is an argument, and a pointer, of which nothing is said
        assert_eq!(values("%*d %pS %x", "   7 f+0x1/0x2 a"), of(&[(1, "7/32"), (3, "a/32")]));
        assert_eq!(values("first %u\nsecond %u\n", "first 1"), of(&[(0, "1/32")]));
        assert_eq!(values("nothing", "nothing"), of(&[]));
    }

    #[test]
    fn what_does_not_fit_gives_nothing() {
        assert_eq!(values("channel %u", "channel x"), None);
        assert_eq!(values("channel %u", "channel 1 of 2"), None);
        assert_eq!(values("channel %u", "channel 4294967296"), None, "wider than it is");
        assert_eq!(values("channel %u", "channel -1"), None);
        assert_eq!(values("%y", "1"), None, "no conversion");
        assert_eq!(values("%", "1"), None);
        assert_eq!(values("%-4u|", "1   |"), None, "padded behind");
        assert_eq!(values("%s%s%s%s%s%s%s%s", &"a".repeat(400)), None, "too many ways");
    }

    #[test]
    fn of_several_readings_what_all_say() {
        assert_eq!(values("%s: %s: %u", "a: b: c: 7"), of(&[(2, "7/32")]));
        assert_eq!(values("%u%u", "123"), of(&[]));
    }

    #[test]
    fn a_part_of_a_wide_value_is_not_the_value() {
        let unsigned = |size| (size, false);
        assert_eq!(whole(unsigned(4), 99, 32), Some(99));
        assert_eq!(whole(unsigned(8), 99, 32), None);
        assert_eq!(whole(unsigned(8), 99, 64), Some(99));
        assert_eq!(whole(unsigned(4), 99, 8), None);
        assert_eq!(whole(unsigned(4), u64::MAX - 4, 32), Some(0xffff_fffb));
        assert_eq!(whole((1, true), 0xffff_fffb, 32), Some(u64::MAX - 4));
        assert_eq!(width(&Expr::Entry(0)), (8, false));
    }
}
