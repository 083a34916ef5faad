//! The lines of `rd`: an address, values, and the text that they spell.

use super::source::Source;
use super::{Form, Shape, Slab};
use crate::{CommandError, Cx};
use base::{PAGE_SIZE, VirtAddr};
use kernel::{Session, slab};
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

/// Bytes of memory a page at a time, each page with the reason where it is not there.
struct Pages<'a> {
    source: &'a Source<'a>,
    start: u64,
    bytes: Result<Vec<u8>, (Cell, String)>,
}

impl<'a> Pages<'a> {
    fn new(source: &'a Source<'a>) -> Self {
        Self { source, start: 0, bytes: Ok(Vec::new()) }
    }
    /// A value's bytes; never across a page in one read, so that a missing page hides only its own.
    fn get(&mut self, at: u64, len: u64) -> Result<Vec<u8>, (Cell, String)> {
        let end = (at | (PAGE_SIZE - 1)).wrapping_add(1);
        if len > end.wrapping_sub(at) && end != 0 {
            let first = self.get(at, end.wrapping_sub(at))?;
            let rest = self.get(end, len.wrapping_sub(end.wrapping_sub(at)))?;
            return Ok([first, rest].concat());
        }
        let fits = |start: u64, have: usize| {
            at.wrapping_sub(start).checked_add(len).is_some_and(|to| to <= have as u64)
        };
        let inside = match &self.bytes {
            Ok(bytes) => fits(self.start, bytes.len()),
            Err(_) => self.start & !(PAGE_SIZE - 1) == at & !(PAGE_SIZE - 1),
        };
        if !inside {
            self.start = at;
            self.bytes = self.source.read(at, end.wrapping_sub(at) as usize);
            if self.bytes.is_err() {
                // a file ends anywhere in a page
                self.bytes = self.source.read(at, len as usize);
            }
        }
        match &self.bytes {
            Ok(bytes) => {
                let from = at.wrapping_sub(self.start) as usize;
                Ok(bytes.get(from..from.saturating_add(len as usize)).unwrap_or_default().to_vec())
            }
            Err(gap) => Err(gap.clone()),
        }
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
        Form::Symbols(_) => Some(cx.session("rd")?),
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
        let found: Vec<_> =
            (0..n).map(|i| pages.get(at.wrapping_add(i.wrapping_mul(shape.size)), shape.size)).collect();
        any |= found.iter().any(Result::is_ok);
        if let (None, Some(Err((_, why)))) = (&first_error, found.iter().find(|f| f.is_err())) {
            first_error = Some(why.clone());
        }
        let mut step = n;
        // a page of which nothing is there takes one line
        if found.iter().all(Result::is_err) {
            let page_end = (at | (PAGE_SIZE - 1)).wrapping_add(1);
            step = (page_end.wrapping_sub(at).div_ceil(shape.size)).clamp(n, left);
        }
        rows.push(row(s, at, &found, per_line, shape, step));
        if rows.len() >= BATCH && left > step {
            let mut part = Report::new("rd");
            part.list("memory", std::mem::take(&mut rows));
            cx.emit(&part)?;
        }
        at = at.wrapping_add(step.wrapping_mul(shape.size));
        left -= step;
    }
    if !any && let Some(why) = first_error {
        return Err(CommandError::failed("rd", format_args!("read error: {why}")));
    }
    let mut report = Report::new("rd");
    report.list("memory", rows);
    Ok(report)
}

fn row(
    s: Option<&Session>,
    at: u64,
    found: &[Result<Vec<u8>, (Cell, String)>],
    per_line: u64,
    shape: Shape,
    step: u64,
) -> Record {
    let mut line = lead(at);
    if let Some(Err((gap, _))) = found.first()
        && found.iter().all(Result::is_err)
        && step > 1
    {
        let bytes = step.wrapping_mul(shape.size);
        return Record::of(line.field("values", gap.clone()).text(" ").field("bytes", bytes).text(" bytes"));
    }
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
            Err((gap, _)) => {
                text.push_str(&"?".repeat(shape.size as usize));
                gap.clone()
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
            if let Some(found) = s.and_then(|s| s.locate(at)) {
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
        if n % PAGE_SIZE == 0 {
            cx.cancel.check()?;
        }
        let byte = match pages.get(at.wrapping_add(n), 1) {
            Ok(bytes) => bytes.first().copied().unwrap_or(0),
            Err((_, why)) if n == 0 => {
                return Err(CommandError::failed("rd", format_args!("read error: {why}")));
            }
            Err((gap, _)) => {
                stopped = Some(gap);
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

    #[test]
    fn values_by_their_width_and_order() {
        let shape = |size, form, network| Shape { size, form, ascii: false, network };
        let bytes = [0x4c, 0x69, 0x6e, 0xf5];
        assert_eq!(number(&bytes, shape(4, Form::Hex, false)), 0xf56e_694c);
        assert_eq!(number(&bytes, shape(4, Form::Hex, true)), 0x4c69_6ef5);
    }
}
