//! The lines of `rd`: an address, values, and the text that they spell.

use super::source::{Hole, Source};
use super::{Form, Shape, Slab};
use crate::{CommandError, Cx, Reason};
use base::{GRANULE, VirtAddr};
use kernel::Session;
use kernel::mm::slab;
use report::{Cell, Line, Record, Report};

/// Bytes of a line.
const LINE: u64 = 16;
/// Characters of a line of text.
const TEXT: u64 = 60;
/// Longest string that is shown without a count.
const MAX_TEXT: u64 = 1 << 20;
/// Lines that are handed out at once.
const BATCH: usize = 1024;

/// `ffffffff972079c0:  `
fn lead(at: u64) -> Line {
    Line::new().field("address", Cell::Addr(at)).right(16).text(":  ")
}

fn read_error(why: &Reason) -> CommandError {
    CommandError::failed(format_args!("read error: {why}")).lost_if(why.is_loss())
}

/// What is behind the last address.
fn past_the_space(at: u64, asked: u64) -> Hole {
    let why = "no address follows the last one";
    Hole::new(at, 1, Cell::absent("past the end", why), format!("address {asked:#x}: {why}"))
}

/// Bytes of memory a page at a time, and the hole that was met last.
struct Pages<'a> {
    source: &'a Source<'a>,
    start: u64,
    bytes: Vec<u8>,
    hole: Option<Hole>,
}

impl<'a> Pages<'a> {
    fn new(source: &'a Source<'a>) -> Self {
        Self { source, start: 0, bytes: Vec::new(), hole: None }
    }

    /// A value's bytes, or the hole that has the first that is missing. Nothing is read across a page in one go.
    fn get(&mut self, at: u64, len: u64) -> Result<Vec<u8>, Hole> {
        let end = (at | (GRANULE - 1)).wrapping_add(1);
        if len > end.wrapping_sub(at) && end != 0 {
            let first = self.get(at, end.wrapping_sub(at))?;
            let rest = self.get(end, len.wrapping_sub(end.wrapping_sub(at)))?;
            return Ok([first, rest].concat());
        }
        if let Some(value) = self.kept(at, len) {
            return value;
        }
        (self.bytes, self.hole) = self.source.read(at, end.wrapping_sub(at) as usize);
        self.start = at;
        let behind = self.start.wrapping_add(self.bytes.len() as u64);
        self.kept(at, len).unwrap_or_else(|| Err(past_the_space(behind, at)))
    }

    /// The value number `n` from `at` on: none lies behind the last address.
    fn nth(&mut self, at: u64, n: u64, size: u64) -> Result<Vec<u8>, Hole> {
        match n.checked_mul(size).and_then(|distance| at.checked_add(distance)) {
            Some(at) => self.get(at, size),
            None => Err(past_the_space(0, u64::MAX)),
        }
    }

    /// What is known of a value without another read.
    fn kept(&self, at: u64, len: u64) -> Option<Result<Vec<u8>, Hole>> {
        let from = usize::try_from(at.wrapping_sub(self.start)).ok()?;
        let to = from.checked_add(usize::try_from(len).ok()?)?;
        if let Some(bytes) = self.bytes.get(from..to) {
            return Some(Ok(bytes.to_vec()));
        }
        // the hole follows what was read: the first byte of the value that is missing is in it
        let first =
            if from < self.bytes.len() { self.start.wrapping_add(self.bytes.len() as u64) } else { at };
        self.hole.as_ref().filter(|hole| hole.has(first)).map(|hole| Err(hole.clone()))
    }
}

pub(super) fn values(
    cx: &mut Cx<'_>,
    source: &Source<'_>,
    at: u64,
    count: u64,
    shape: Shape,
) -> Result<Report, CommandError> {
    let per_line = match shape.form {
        Form::Symbols(_) => 2,
        _ => LINE / shape.size,
    };
    let s = match shape.form {
        Form::Symbols(_) => Some(cx.session()?),
        _ => None,
    };
    let mut pages = Pages::new(source);
    let mut rows = Vec::new();
    let (mut at, mut left) = (at, count);
    let mut first_error = None;
    let mut any = false;
    while left > 0 {
        cx.cancel.check()?;
        let n = left.min(per_line);
        let found: Vec<_> = (0..n).map(|i| pages.nth(at, i, shape.size)).collect();
        any |= found.iter().any(Result::is_ok);
        if let (None, Some(Err(hole))) = (&first_error, found.iter().find(|f| f.is_err())) {
            first_error = Some(hole.why.clone());
        }
        let hole = one_hole(&found);
        let step = hole.map_or(n, |hole| in_hole(hole, at, n, left, shape.size));
        rows.push(match hole {
            Some(hole) if step > 1 => missing(at, hole, step.wrapping_mul(shape.size)),
            _ => row(s, at, &found, per_line, shape),
        });
        if rows.len() >= BATCH && left > step {
            let mut part = Report::new("rd");
            part.list("memory", std::mem::take(&mut rows));
            cx.emit(&part)?;
        }
        let Some(next) = step.checked_mul(shape.size).and_then(|bytes| at.checked_add(bytes)) else { break };
        at = next;
        left -= step;
    }
    if !any && let Some(why) = first_error {
        return Err(read_error(&why));
    }
    let mut report = Report::new("rd");
    report.list("memory", rows);
    Ok(report)
}

/// The hole that all values of a line lie in.
fn one_hole(found: &[Result<Vec<u8>, Hole>]) -> Option<&Hole> {
    let first = found.first()?.as_ref().err()?;
    found.iter().all(|value| value.as_ref().is_err_and(|hole| hole.at == first.at)).then_some(first)
}

/// How many of `left` values from `at` on take one line for a hole that has the first `n`: whole lines, to the end of the
/// hole or of the page.
fn in_hole(hole: &Hole, at: u64, n: u64, left: u64, size: u64) -> u64 {
    let page = (at | (GRANULE - 1)).wrapping_sub(at).saturating_add(1);
    let bytes = hole.at.wrapping_add(hole.len).wrapping_sub(at).min(page);
    (bytes.div_ceil(size) / n.max(1)).saturating_mul(n).clamp(n, left)
}

/// `ffff888000002000:  <page excluded> 4096 bytes`
fn missing(at: u64, hole: &Hole, bytes: u64) -> Record {
    Record::of(lead(at).field("values", hole.cell.clone()).text(" ").field("bytes", bytes).text(" bytes"))
}

fn row(s: Option<&Session>, at: u64, found: &[Result<Vec<u8>, Hole>], per_line: u64, shape: Shape) -> Record {
    let mut line = lead(at);
    let width = match (shape.form, shape.size) {
        (Form::Hex, size) => size as usize * 2,
        (Form::Symbols(_), _) => 16,
        (Form::Signed, 8) => 15,
        (_, 8) => 20,
        (_, 4) => 12,
        (_, 2) => 5,
        _ => 3,
    };
    let mut cells = Vec::new();
    let mut text = String::new();
    for one in found {
        let cell = match one {
            Ok(bytes) => {
                text.extend(bytes.iter().map(|&b| printable(b)));
                value(s, number(bytes, shape), shape)
            }
            Err(hole) => {
                text.push_str(&"?".repeat(shape.size as usize));
                hole.cell.clone()
            }
        };
        let align_left = matches!(shape.form, Form::Symbols(_));
        line = line.cell(cell.clone());
        line = if align_left { line.left(width) } else { line.right(width) };
        line = line.text(" ");
        cells.push(cell);
    }
    if shape.ascii {
        let gap = per_line.saturating_sub(found.len() as u64) as usize * (width + 1);
        line = line.text(" ".repeat(gap + 2)).field("text", text);
    }
    let mut out = Record::of(line);
    out.hidden("values", Cell::Many(cells, " "));
    out
}

fn printable(b: u8) -> char {
    if (b' '..=b'~').contains(&b) { char::from(b) } else { '.' }
}

/// The value of 1, 2, 4 or 8 bytes.
fn number(bytes: &[u8], shape: Shape) -> u64 {
    let fold = |all: u64, b: &u8| all << 8 | u64::from(*b);
    if shape.network { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
}

fn value(s: Option<&Session>, n: u64, shape: Shape) -> Cell {
    let digits = shape.size as u8 * 2;
    match shape.form {
        Form::Hex => Cell::hex_digits(n, digits),
        Form::Unsigned => Cell::from(n),
        Form::Signed => {
            let unused = 64 - shape.size as u32 * 8;
            Cell::from((n << unused).cast_signed() >> unused)
        }
        Form::Symbols(slab) => {
            let at = VirtAddr(n);
            if let Some(found) = s.and_then(|s| s.locate_word(n)) {
                return Cell::symbol(found.symbol.name, found.offset);
            }
            let cache = s.filter(|_| slab != Slab::No).and_then(|s| slab::cache_of(s, at));
            match cache {
                Some(cache) if slab == Slab::Both => {
                    Cell::Shown(Box::new(Cell::Addr(n)), format!("[{n:x}:{cache}]"))
                }
                Some(cache) => Cell::Shown(Box::new(Cell::Addr(n)), format!("[{cache}]")),
                None => Cell::hex_digits(n, 16),
            }
        }
    }
}

/// `-a`: text, 60 characters a line, up to the count or the first byte that is no text.
pub(super) fn text(
    cx: &Cx<'_>,
    source: &Source<'_>,
    at: u64,
    count: Option<u64>,
) -> Result<Report, CommandError> {
    let mut report = Report::new("rd");
    let mut pages = Pages::new(source);
    let mut rows = Vec::new();
    let mut line = String::new();
    let mut line_at = at;
    let limit = count.unwrap_or(MAX_TEXT);
    let mut stopped = None;
    for n in 0..limit {
        if n % GRANULE == 0 {
            cx.cancel.check()?;
        }
        let byte = match pages.nth(at, n, 1) {
            Ok(bytes) => bytes.first().copied().unwrap_or(0),
            Err(hole) if n == 0 => {
                return Err(read_error(&hole.why));
            }
            Err(hole) => {
                stopped = Some(hole.cell);
                break;
            }
        };
        if !(b' '..=b'~').contains(&byte) && count.is_none() {
            break;
        }
        if line.len() as u64 == TEXT {
            rows.push(Record::of(lead(line_at).field("text", std::mem::take(&mut line))));
            line_at = at.wrapping_add(n);
        }
        line.push(printable(byte));
    }
    if !line.is_empty() || stopped.is_some() {
        let mut last = lead(line_at).field("text", line);
        if let Some(gap) = stopped {
            last = last.field("stopped", gap);
        }
        rows.push(Record::of(last));
    }
    report.list("memory", rows);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::dump::ElfPieces;

    /// The values of a page in pieces: data to 0x400, a hole, data from 0xc04 on.
    #[test]
    fn a_hole_in_a_page_hides_its_own_values_only() {
        let file = ElfPieces::default()
            .load(0x1000, &[0x55; 0x400], 0xa00)
            .load(0x1c04, &[0xaa; 0x3fc], 0x3fc)
            .load(u64::MAX - 0xfff, &[7; 0x1000], 0x1000)
            .build();
        let dump = dump::Dump::from_bytes(vec![file]).unwrap();
        let source = Source::Physical(&dump);
        let mut pages = Pages::new(&source);
        let hole = |value: Result<Vec<u8>, Hole>| {
            value.map_err(|hole| {
                assert!(hole.why.is_loss(), "these bytes were asked for");
                (hole.at, hole.len, hole.why.to_string())
            })
        };
        assert_eq!(hole(pages.get(0x13f8, 8)), Ok(vec![0x55; 8]));
        let excluded = "physical address 0x1400: page excluded by the dump filter";
        assert_eq!(hole(pages.get(0x13fc, 8)), Err((0x1400, 0x600, excluded.into())));
        assert_eq!(hole(pages.get(0x1400, 8)), Err((0x1400, 0x600, excluded.into())));
        let absent = "physical address 0x1a00: not in the dump";
        assert_eq!(hole(pages.get(0x1a00, 8)), Err((0x1a00, 0x204, absent.into())));
        assert!(pages.get(0x1c00, 8).is_err());
        assert_eq!(hole(pages.get(0x1c04, 4)), Ok(vec![0xaa; 4]));
        assert_eq!(hole(pages.get(0x1c08, 8)), Ok(vec![0xaa; 8]));
        // the last byte of all is read, and none behind it
        assert_eq!(hole(pages.get(u64::MAX, 1)), Ok(vec![7]));
        assert!(pages.get(u64::MAX, 2).is_err());
        assert!(pages.nth(u64::MAX - 7, 0, 8).is_ok() && pages.nth(u64::MAX - 7, 1, 8).is_err());
        // lines: the hole takes one for each reason, whole lines only
        let of = |at| pages_of(&source, at);
        assert_eq!((of(0x1400), of(0x1a00), of(0x1bf0)), (0x600, 0x200, 16));
    }

    /// Bytes that the line of a hole at `at` stands for.
    fn pages_of(source: &Source<'_>, at: u64) -> u64 {
        let mut pages = Pages::new(source);
        let found: Vec<_> = (0..2).map(|i| pages.get(at + 8 * i, 8)).collect();
        in_hole(one_hole(&found).unwrap(), at, 2, 1 << 20, 8) * 8
    }

    #[test]
    fn values_by_their_width_and_order() {
        let shape = |size, form, network| Shape { size, form, ascii: false, network };
        let bytes = [0x4c, 0x69, 0x6e, 0xf5];
        assert_eq!(number(&bytes, shape(4, Form::Hex, false)), 0xf56e_694c);
        assert_eq!(number(&bytes, shape(4, Form::Hex, true)), 0x4c69_6ef5);
    }
}
