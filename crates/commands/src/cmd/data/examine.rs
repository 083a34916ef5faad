//! `x`: gdb's way to look at memory, by a count, a format and a size: `x/8xg ADDRESS`. It keeps where it ended in `$_`, and what
//! is there in `$__`.

use crate::engine::dispatch;
use crate::engine::gdb::How;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use cexpr::{Scope as _, Value};
use inspect::holds;
use kernel::{Fetch, Session};
use report::{Cell, Line, Record, Report};

/// `x`.
#[derive(Debug)]
pub(crate) struct Examine;

/// The arguments of `x`.
#[derive(clap::Args)]
pub(crate) struct ExamineArgs {
    /// How many, in which format (x d u o t a c f s i z), of which size (b 1, h 2, w 4, g 8); also written x/8xg; -2 shows two before the address
    #[arg(long, value_name = "COUNT FORMAT SIZE")]
    format: Option<String>,
    /// Where; behind the last one without it
    #[arg(value_name = "EXPRESSION", num_args = 0..)]
    place: Vec<String>,
}

/// The longest string that is shown.
const MAX_STRING: usize = 4096;

impl Run for Examine {
    type Args = ExamineArgs;
    fn name(&self) -> &'static str {
        "x"
    }
    fn about(&self) -> &'static str {
        "examine memory by gdb's formats"
    }
    fn details(&self) -> &'static str {
        "x/8xg ADDRESS shows eight numbers of eight bytes in hexadecimal. The letters: x hexadecimal, z the same, d and u decimal, \
         o octal, t binary, a addresses with their symbols, c characters, f numbers with a fraction, s strings, i instructions. \
         x/-4xg ADDRESS shows the four that end before it. Without an address it goes on \
         behind the last one, and without letters it shows as the last time. $_ is where it ended, $__ what is there."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("x/4xg &init_task", "four numbers of eight bytes"),
                Example::new("x/s linux_banner", "a string"),
                Example::new("x/3i schedule", "instructions"),
                Example::new("x/2a $rsp", "addresses with their symbols"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &ExamineArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let how = How::parse(args.format.as_deref().unwrap_or(""), cx.settings.examined)?;
        let is_lone = args.format.is_none() && cx.settings.examined.back;
        let how = if is_lone { How { back: false, ..how } } else { how };
        let text = args.place.join(" ");
        let at = match text.trim() {
            "" => cx.settings.examine_next.ok_or_else(|| CommandError::argument("where? x/8xg ADDRESS"))?,
            text => place(cx, s, text)?,
        };
        cx.settings.examined = how;
        let types = s.types();
        if how.letter == 'i' && how.back {
            let why =
                "instructions before an address are shown by dis -r ADDRESS, from where its function begins";
            return Err(CommandError::argument(why));
        }
        let at = if how.back { before(s, at, how)? } else { at };
        if how.letter == 'i' {
            let words = ["dis".to_owned(), format!("{:#x}", at.0), how.count.to_string()];
            keep(cx, Value::pointer(types, debuginfo::types::TypeRef::VOID, at), None);
            // where it goes on depends on their lengths
            cx.settings.examine_next = None;
            return dispatch::run(cx, &words).map_err(|e| e.called(self.name()));
        }
        let mut report = Report::new("x");
        let (mut rows, mut next, mut last, mut left) = (Vec::new(), at, at, how.count);
        while left > 0 {
            cx.cancel.check()?;
            let count = left.min(how.per_line());
            let (row, end, lost) = match how.letter {
                's' => string(s, next),
                _ => numbers(s, next, how, count),
            };
            last = match how.letter {
                's' => next,
                _ => end.sub(how.size.min(end.0.saturating_sub(next.0))),
            };
            rows.push(row);
            if let Some(why) = lost {
                report.list("lines", rows);
                report.lacking_or_error(why.is_loss(), format!("x: Cannot access memory: {why}"));
                return Ok(report);
            }
            (next, left) = (end, left - count);
        }
        let ty = values::integer(s, how.size);
        keep(cx, Value::pointer(types, ty, last), Some(Value::memory(ty, last)));
        // what was shown before an address is gone on with before it
        cx.settings.examine_next = Some(if how.back { at } else { next });
        report.list("lines", rows);
        Ok(report)
    }
}

/// Keeps `$_` and `$__`.
fn keep(cx: &mut Cx<'_>, at: Value, there: Option<Value>) {
    cx.settings.convenience.insert("_".to_owned(), at);
    match there {
        Some(there) => _ = cx.settings.convenience.insert("__".to_owned(), there),
        None => _ = cx.settings.convenience.remove("__"),
    }
}

/// The address that an expression is: its value, or where it is, if it is an object.
fn place(cx: &Cx<'_>, s: &Session, text: &str) -> Result<VirtAddr, CommandError> {
    let frame = values::frame(cx, s, text);
    let scope = values::scope(cx, s, frame.as_ref());
    let value = inspect::eval(&scope, text).map_err(|e| values::wrong_in(s, text, &e))?;
    // gdb: an array, a function and a struct are where they lie; a number and a pointer are what they hold
    let is_object = value.caveat.is_some() || values::is_object(s, value.ty);
    match value.address().filter(|_| is_object) {
        Some(at) => Ok(at),
        None => {
            let n = value.to_int(s.types(), scope.memory());
            let n = n.map_err(|e| CommandError::failed(format_args!("{text}: {e}")))?;
            Ok(VirtAddr(n as u64))
        }
    }
}

/// Where so many numbers or strings begin that end before an address.
fn before(s: &Session, at: VirtAddr, how: How) -> Result<VirtAddr, CommandError> {
    let outside = || CommandError::argument("so much does not lie before this address");
    if how.letter != 's' {
        let bytes = how.count.checked_mul(how.size).filter(|bytes| *bytes <= at.0).ok_or_else(outside)?;
        return Ok(at.sub(bytes));
    }
    let byte = |at: VirtAddr| {
        let failed = |e: base::Fault| {
            CommandError::failed(format_args!("Cannot access memory: {e}")).lost_if(e.is_loss())
        };
        s.mem().u8(at).map_err(failed)
    };
    let mut start = at;
    for _ in 0..how.count {
        // the zero that ends the string, then all that is none
        let mut from = start.0.checked_sub(1).map(VirtAddr).ok_or_else(outside)?;
        if byte(from)? != 0 {
            return Err(CommandError::failed(format_args!("no string ends before {:#x}", start.0)));
        }
        for _ in 0..MAX_STRING {
            let next = from.0.checked_sub(1).map(VirtAddr).ok_or_else(outside)?;
            if byte(next)? == 0 {
                break;
            }
            from = next;
        }
        start = from;
    }
    Ok(start)
}

/// `0xffffffff81000000 <name+16>:`
fn head(s: &Session, at: VirtAddr) -> Line {
    let line = Line::new().field("address", Cell::shown(Cell::Addr(at.0), format!("{:#x}", at.0)));
    match symbol(s, at) {
        Some(name) => line.text(format!(" <{name}>:")),
        None => line.text(":"),
    }
}

fn symbol(s: &Session, at: VirtAddr) -> Option<String> {
    let found = s.locate(at).filter(|found| holds(s, found, at))?;
    let name = found.symbol.name;
    Some(if found.offset == 0 { name.to_owned() } else { format!("{name}+{}", found.offset) })
}

type Shown = (Record, VirtAddr, Option<base::Fault>);

fn numbers(s: &Session, at: VirtAddr, how: How, count: u64) -> Shown {
    let mut line = head(s, at);
    let mut next = at;
    for n in 0..count {
        let mut raw = [0; 8];
        let size = usize::try_from(how.size).unwrap_or(8).min(8);
        let part = raw.get_mut(..size).unwrap_or_default();
        if let Err(why) = s.mem().read(next, part) {
            return (Record::of(line), next, Some(why));
        }
        let value = u64::from_le_bytes(raw);
        let cell = Cell::shown(value, text(s, value, how));
        line = line.text("\t").field(format!("value{n}"), cell);
        next = next.add(how.size);
    }
    (Record::of(line), next, None)
}

/// A number as gdb writes it in this format.
fn text(s: &Session, value: u64, how: How) -> String {
    let bits = u32::try_from(how.size.saturating_mul(8)).unwrap_or(64).clamp(8, 64);
    let signed = (value << (64 - bits)).cast_signed() >> (64 - bits);
    let digits = usize::try_from(how.size.saturating_mul(2)).unwrap_or(16);
    match how.letter {
        'd' => signed.to_string(),
        'u' => value.to_string(),
        'o' => format!("0{value:0width$o}", width = bits.div_ceil(3) as usize),
        't' => format!("{value:0width$b}", width = bits as usize),
        'a' => symbol(s, VirtAddr(value))
            .map_or_else(|| format!("{value:#x}"), |name| format!("{value:#x} <{name}>")),
        'f' if how.size == 4 => cexpr::float_text(f64::from(f32::from_bits(value as u32)), 9),
        'f' if how.size == 8 => cexpr::float_text(f64::from_bits(value), 17),
        // gdb: what is too short for a number with a fraction is a whole one
        'f' => signed.to_string(),
        'c' => {
            let code = value.to_le_bytes().first().copied().unwrap_or(0);
            format!("{} '{}'", code.cast_signed(), cexpr::escaped(code, '\''))
        }
        _ => format!("0x{value:0digits$x}"),
    }
}

fn string(s: &Session, at: VirtAddr) -> Shown {
    let line = head(s, at);
    match s.mem().cstr(at, MAX_STRING) {
        Ok(raw) => {
            let mut out = String::from('"');
            raw.iter().for_each(|code| out.push_str(&cexpr::escaped(*code, '"')));
            out.push('"');
            // one that is cut has no zero behind it here
            let is_cut = raw.len() >= MAX_STRING;
            if is_cut {
                out.push_str("...");
            }
            let end = at.add(raw.len() as u64).add(u64::from(!is_cut));
            let cell = Cell::shown(String::from_utf8_lossy(&raw).into_owned(), out);
            (Record::of(line.text("\t").field("value0", cell)), end, None)
        }
        Err(why) => (Record::of(line), at, Some(why)),
    }
}
