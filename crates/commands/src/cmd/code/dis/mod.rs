//! `dis`: code as it is in the dump's memory.

mod source;

use crate::engine::command::has_letter;
use crate::show::place::{self, Place};
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Run, after_options};
use arch::{Disassemble, Insn, InsnKind};
use base::{VirtAddr, VirtRead};
use kernel::Fetch;
use kernel::Session;
use report::{Cell, Line, Record, Report, Role, SymbolRef};
use std::collections::VecDeque;

/// Bytes of one function that are read at most: the largest of a kernel have 100 KB.
const MAX_FUNCTION: u64 = 4 << 20;
/// Most instructions that one command shows.
const MAX_COUNT: u64 = 1 << 20;
/// No kernel has more bytes behind a `ud2`: a line and a pointer.
const MAX_BEHIND: u64 = 64;
/// No code lies in the first page: what is smaller is a number of bytes.
const FIRST_CODE: u64 = 4096;

/// `dis`.
#[derive(Debug)]
pub(crate) struct Dis;

/// How code is shown.
struct Shape {
    lines: bool,
    hex: bool,
    user: bool,
}

/// Which instructions are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// So many from the address on, whatever function they are in.
    Count(u64),
    /// From the address to the end of the function, at most so many.
    Forward(Option<u64>),
    /// From the start of the function to the address, the last so many.
    Reverse(Option<u64>),
}

/// The arguments of `dis`.
#[derive(clap::Args)]
pub(crate) struct DisArgs {
    /// From the start of the function up to the address
    #[arg(short = 'r')]
    reverse: bool,
    /// From the address to the end of the function
    #[arg(short = 'f')]
    forward: bool,
    /// With source files and lines
    #[arg(short = 'l')]
    lines: bool,
    /// The address is of the context's user memory
    #[arg(short = 'u')]
    user: bool,
    /// Offsets in hexadecimal
    #[arg(short = 'x')]
    hex: bool,
    /// Offsets in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// The source text of the place, where it is at hand
    #[arg(short = 's')]
    source: bool,
    /// Bytes to skip behind a ud2, from now on where a NUMBER follows: kernels before 2.6.20 have some there
    #[arg(short = 'b')]
    bug: bool,
    /// What to disassemble, and how many instructions
    #[arg(value_name = "ADDRESS | SYMBOL | (EXPRESSION) [COUNT]", num_args = 0..)]
    what: Vec<String>,
}

impl Run for Dis {
    type Args = DisArgs;
    fn name(&self) -> &'static str {
        "dis"
    }
    fn about(&self) -> &'static str {
        "disassemble"
    }
    fn details(&self) -> &'static str {
        "Shows the machine code at an address as it is in the dump's memory: alternatives, static branches and ftrace \
         calls are as they were when the kernel died. A function is shown whole where its name, or its first \
         address, is given without a count; elsewhere the count is one. The place is a hexadecimal address, a symbol \
         with or without an offset, MODULE:SYMBOL, or an expression in parentheses."
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        if has_letter(words, &['l', 's']) { Fetch::Always } else { Fetch::Lacking }
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        after_options(number_last(words), "rfluxdsb", "")
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("dis vfs_read", "a function"),
                Example::new("dis vfs_read+20 3", "some instructions from a place on"),
                Example::new("dis -r vfs_read+40", "what ran before a place"),
                Example::new("dis -f vfs_read+40", "the rest of the function"),
                Example::new("dis -l vfs_read", "with files and lines"),
                Example::new("dis -s vfs_read", "its source"),
                Example::new("dis virtio_ring:virtqueue_add_sgs", "a function of a module"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &DisArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let words: Vec<&str> = args.what.iter().map(String::as_str).collect();
        let mut report = Report::new("dis");
        let words = match args.bug {
            true => bytes_behind(cx, &words, &mut report)?,
            false => words.as_slice(),
        };
        if args.bug && words.is_empty() {
            return Ok(report);
        }
        let (word, count) = operands(words)?;
        let shape =
            Shape { lines: args.lines, hex: cx.settings.is_hex(args.hex, args.decimal), user: args.user };
        if shape.user {
            return user(cx, s, word, count.unwrap_or(1), &shape);
        }
        let place = place::resolve(cx, s, word)?;
        if args.source {
            return source::dis_source(s, &place, count);
        }
        if place.name.is_none() {
            report.warning(format!("WARNING: {:x}: no associated kernel symbol found", place.at.0));
        }
        let part = match (args.reverse, args.forward, count) {
            (true, _, count) => Part::Reverse(count),
            (_, true, count) => Part::Forward(count),
            (_, _, Some(count)) => Part::Count(count),
            _ if place.is_function_start() => Part::Forward(None),
            _ => Part::Count(1),
        };
        if let (Part::Forward(None), Some(name), Some(module)) = (part, &place.name, &place.next_is_lost) {
            report.info(format!(
                "dis: what pads {name} up to the next symbol may not be shown: symbols of {module} are lost"
            ));
        }
        show(cx, s, s.mem(), &place, part, &shape, &mut report)?;
        Ok(report)
    }
}

/// `-b NUMBER` may stand before other options: the number goes behind them.
/// It may stand in one word with the letter (`-b0`).
fn number_last(words: Vec<String>) -> Vec<String> {
    let mut words: Vec<String> = words
        .into_iter()
        .flat_map(|word| match word.strip_prefix("-b") {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                vec!["-b".to_owned(), digits.to_owned()]
            }
            _ => vec![word],
        })
        .collect();
    let is_option = |word: &String| word.starts_with('-') && word != "--" && word.len() > 1;
    let at = words.iter().position(|word| is_option(word) && word.ends_with('b'));
    let Some(number) = at.map(|n| n + 1) else { return words };
    if words.get(number).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        let options = words.iter().skip(number + 1).take_while(|word| is_option(word)).count();
        if let Some(part) = words.get_mut(number..=number + options) {
            part.rotate_left(1);
        }
    }
    words
}

/// `-b [NUMBER]`: shows, and perhaps sets, the bytes skipped behind a `ud2`; the words behind.
fn bytes_behind<'w>(
    cx: &mut Cx<'_>,
    words: &'w [&'w str],
    report: &mut Report,
) -> Result<&'w [&'w str], CommandError> {
    let digit = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    // a number that begins with a digit is that: nobody looks at code below the first page
    let read = |word: &&str| crate::engine::number::value(word, &|_| None).ok().filter(|n| *n < FIRST_CODE);
    let number = words.first().filter(|word| digit(word)).and_then(read);
    if let Some(number) = number {
        if number > MAX_BEHIND {
            let why = format!("-b: {number} is more than {MAX_BEHIND} bytes");
            return Err(CommandError::argument(why));
        }
        cx.settings.behind_ud2 = number;
    }
    let line = Line::new().text("encoded bytes being skipped after ud2a: ");
    report.line(line.field("skipped", cx.settings.behind_ud2));
    Ok(words.get(usize::from(number.is_some())..).unwrap_or_default())
}

/// The place and the count.
fn operands<'w>(words: &[&'w str]) -> Result<(&'w str, Option<u64>), CommandError> {
    let number = |text: &str| {
        let value = crate::engine::number::value(text, &|_| None);
        let value = value.map_err(|_| CommandError::argument(format_args!("not a valid number: {text}")))?;
        if (1..=MAX_COUNT).contains(&value) {
            return Ok(value);
        }
        Err(CommandError::argument(format_args!("invalid count argument: {text} (1 to {MAX_COUNT})")))
    };
    match words {
        [] => Err(CommandError::usage(
            "an address or symbol is missing",
            "dis [-rfludxs] [-b [NUM]] ADDRESS | SYMBOL | (EXPRESSION) [COUNT]",
        )),
        [place] => Ok((place, None)),
        [place, count] => Ok((place, Some(number(count)?))),
        [_, _, more, ..] => Err(CommandError::argument(format_args!("unexpected argument: {more}"))),
    }
}

/// Code of the context's process.
fn user(cx: &mut Cx<'_>, s: &Session, word: &str, count: u64, shape: &Shape) -> Result<Report, CommandError> {
    // a process has no symbols here: a word that is no address is the kernel's
    let Some(at) = crate::engine::number::hex(word) else {
        let place = place::resolve(cx, s, word)?;
        let mut report = Report::new("dis");
        show(cx, s, s.mem(), &place, Part::Count(count), shape, &mut report)?;
        return Ok(report);
    };
    let task = tasks::context(cx)?;
    let mem = kernel::mm::address_space::user_memory(s, task).map_err(CommandError::failed)?;
    let place =
        Place { at: VirtAddr(at), name: None, offset: 0, end: None, is_text: false, next_is_lost: None };
    let mut report = Report::new("dis");
    show(cx, s, &mem, &place, Part::Count(count), shape, &mut report)?;
    Ok(report)
}

/// Instructions of memory, one after the other.
struct Walk<'a> {
    mem: &'a dyn VirtRead,
    at: VirtAddr,
    end: Option<VirtAddr>,
    behind_ud2: u64,
    decoder: Box<dyn Disassemble>,
}

impl Walk<'_> {
    /// The next instruction; an error where its bytes are not in the dump.
    fn next(&mut self) -> Option<Result<Insn, base::Fault>> {
        if self.end.is_some_and(|end| self.at >= end) {
            return None;
        }
        let longest = self.decoder.max_len();
        let bytes = match self.mem.bytes(self.at, longest) {
            Ok(bytes) => bytes,
            Err(_) => {
                // the page behind may be missing and the instruction be whole
                let here = (base::GRANULE - self.at.0 % base::GRANULE).min(longest as u64);
                match self.mem.bytes(self.at, usize::try_from(here).unwrap_or(1)) {
                    Ok(bytes) => bytes,
                    Err(fault) => return Some(Err(fault)),
                }
            }
        };
        let insn = self.decoder.one(self.at, &bytes)?;
        let behind = if insn.kind == InsnKind::Trap { self.behind_ud2 } else { 0 };
        self.at = self.at.add((insn.len as u64).saturating_add(behind));
        Some(Ok(insn))
    }
}

/// Shows a part of the code around a place.
fn show(
    cx: &Cx<'_>,
    s: &Session,
    mem: &dyn VirtRead,
    place: &Place,
    part: Part,
    shape: &Shape,
    report: &mut Report,
) -> Result<(), CommandError> {
    let bounded = place.end.filter(|end| end.0.wrapping_sub(place.start().0) <= MAX_FUNCTION);
    let (from, end, limit) = match part {
        Part::Count(count) => (place.at, None, count),
        // from the start of the function, so that an address within an instruction does not spoil the rest
        Part::Forward(None) if bounded.is_some() => (place.start(), bounded, MAX_COUNT),
        Part::Forward(count) if bounded.is_some() => (place.at, bounded, count.unwrap_or(MAX_COUNT)),
        Part::Forward(count) => (place.at, None, count.unwrap_or(1)),
        Part::Reverse(_) => (place.start(), bounded, MAX_COUNT),
    };
    let isa = s.arch().isa().map_err(CommandError::failed)?;
    let decoder = isa.disassembler();
    if !place.at.0.is_multiple_of(decoder.align()) {
        let (at, align) = (place.at.0, decoder.align());
        let why = format_args!(
            "{at:#x} is in the middle of an instruction: they lie at multiples of {align} bytes"
        );
        return Err(CommandError::argument(why));
    }
    let behind_ud2 = cx.settings.behind_ud2;
    if from == place.at && place.offset > 0 && place.is_text && bounded.is_some() {
        let walk = Walk { mem, at: place.start(), end, behind_ud2, decoder: isa.disassembler() };
        if let Some(inside) = cut_by(cx, walk, from)? {
            report.warning(format!(
                "dis: {:#x} is in the middle of the instruction at {inside:#x}: what is shown may be none of the machine's",
                from.0
            ));
        }
    }
    let mut walk = Walk { mem, at: from, end, behind_ud2, decoder };
    let mut last_line = None;
    let mut rows: VecDeque<Record> = VecDeque::new();
    let mut shown = 0;
    while shown < limit {
        cx.cancel.check()?;
        let insn = match walk.next() {
            None => break,
            Some(Ok(insn)) => insn,
            Some(Err(fault)) => {
                rows.push_back(gap(s, walk.at, shape, &fault));
                break;
            }
        };
        if matches!(part, Part::Forward(None)) && insn.at < place.at {
            continue;
        }
        let mut record = Record::new();
        if shape.lines {
            line(s, insn.at, &mut last_line, &mut record);
        }
        fill(s, &insn, shape, &mut record);
        rows.push_back(record);
        shown += 1;
        if let Part::Reverse(keep) = part {
            if let Some(keep) = keep
                && rows.len() as u64 > keep
            {
                rows.pop_front();
            }
            if insn.at >= place.at {
                break;
            }
        }
    }
    report.list("instructions", rows.into_iter().collect());
    Ok(())
}

/// The instruction that goes on over an address, as the function's code has them from its start on; `None` where one begins
/// there, or the code before it is not all there.
fn cut_by(cx: &Cx<'_>, mut walk: Walk<'_>, at: VirtAddr) -> Result<Option<u64>, CommandError> {
    let mut last = walk.at;
    while walk.at < at {
        cx.cancel.check()?;
        last = walk.at;
        match walk.next() {
            Some(Ok(insn)) if insn.kind != InsnKind::Bad => {}
            _ => return Ok(None),
        }
    }
    Ok((walk.at > at).then_some(last.0))
}

/// The source line, where it is another than the last.
fn line(s: &Session, at: VirtAddr, last: &mut Option<(String, u32)>, record: &mut Record) {
    let Some(found) = s.source_line(at).filter(|l| l.line != 0) else { return };
    let here = (found.file.to_string(), found.line);
    if last.as_ref() != Some(&here) {
        record.line(
            Line::new().field("file", here.0.clone()).role(Role::Path).text(": ").field("line", here.1),
        );
        *last = Some(here);
    }
}

/// `0xffffffffc0239ef4 <virtqueue_add+20>:`
fn head(s: &Session, at: VirtAddr, shape: &Shape) -> (Line, u64) {
    let located = if shape.user { None } else { s.locate(at) };
    match located {
        Some(l) => {
            let symbol = SymbolRef {
                name: l.symbol.name.to_owned(),
                offset: l.offset,
                hex: shape.hex,
                ..SymbolRef::default()
            };
            let line = Line::new()
                .field("address", Cell::hex(at.0))
                .role(Role::Addr)
                .text(" <")
                .field("symbol", Cell::from(symbol))
                .text(">:\t");
            (line, l.offset)
        }
        None => {
            (Line::new().text("   ").field("address", Cell::hex(at.0)).role(Role::Addr).text(":\t"), u64::MAX)
        }
    }
}

fn fill(s: &Session, insn: &Insn, shape: &Shape, record: &mut Record) {
    let (mut line, offset) = head(s, insn.at, shape);
    let mut text = insn.text.clone();
    if let Some(target) = insn.target {
        let name = if shape.user { None } else { target_name(s, target, shape.hex) };
        if insn.is_data {
            text.push_str(&format!("        # {:#x}", target.0));
        }
        if let Some(name) = name {
            text.push_str(&format!(" <{name}>"));
        }
        record.hidden("target", Cell::Addr(target.0));
    }
    // what ftrace left of its call at the entry, where crash says it too: not of the older 66 66 66 66 90
    if insn.kind == InsnKind::Nop
        && insn.text.starts_with("nopl")
        && insn.len == 5
        && (offset == 0 || offset == 4)
        && !shape.user
    {
        text.push_str(" [FTRACE NOP]");
    }
    if let Some(comment) = &insn.comment {
        text.push_str(&format!("  {comment}"));
    }
    line = line.field("instruction", text);
    record.line(line);
    record.hidden("length", insn.len);
}

fn target_name(s: &Session, at: VirtAddr, hex: bool) -> Option<String> {
    let l = s.locate(at)?;
    if !l.symbol.is_text() && !inspect::holds(s, &l, at) {
        return None;
    }
    let name = l.symbol.name;
    Some(match (l.offset, hex) {
        (0, _) => name.to_owned(),
        (n, true) => format!("{name}+{n:#x}"),
        (n, false) => format!("{name}+{n}"),
    })
}

fn gap(s: &Session, at: VirtAddr, shape: &Shape, fault: &base::Fault) -> Record {
    let (line, _) = head(s, at, shape);
    let mut record = Record::of(line.field("instruction", Cell::from(*fault)));
    record.lacking_or_error(fault.is_loss(), format!("dis: {fault}"));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_a_place_and_a_count() {
        assert_eq!(operands(&["vfs_read", "5"]).unwrap(), ("vfs_read", Some(5)));
        assert_eq!(operands(&["vfs_read"]).unwrap(), ("vfs_read", None));
        for (words, want) in [
            (&["a", "zz"][..], "not a valid number: zz"),
            (&["a", "0"], "invalid count argument: 0 (1 to 1048576)"),
            (&[], "missing"),
        ] {
            assert!(operands(words).unwrap_err().to_string().contains(want));
        }
    }

    #[test]
    fn the_number_of_b_may_stand_before_other_options() {
        let moved = |line: &str| number_last(crate::split_words(line)).join(" ");
        assert_eq!(moved("-b 2 -r vfs_read+5"), "-b -r 2 vfs_read+5");
        assert_eq!(moved("-lb 0x3 -x -f vfs_read 1"), "-lb -x -f 0x3 vfs_read 1");
        assert_eq!(moved("-b 2"), "-b 2");
        assert_eq!(moved("-b0 vfs_read"), "-b 0 vfs_read");
        assert_eq!(moved("-b vfs_read 1"), "-b vfs_read 1");
        assert_eq!(moved("-r vfs_read"), "-r vfs_read");
    }
}
