//! `btop` and `ptob`: addresses to page frame numbers and back.

use crate::{CommandError, Cx, Example, Layer, Run};
use kernel::Fetch;
use report::{Cell, Line, Record, Report};

/// `btop`.
#[derive(Debug)]
pub(crate) struct Btop;
/// `ptob`.
#[derive(Debug)]
pub(crate) struct Ptob;

fn each(
    command: &'static str,
    values: &[String],
    keys: (&'static str, &'static str),
    read: impl Fn(&str) -> Option<u64>,
    f: impl Fn(u64) -> Option<(Cell, Cell)>,
) -> Result<Report, CommandError> {
    let mut rows = Vec::new();
    for text in values {
        let value = read(text)
            .ok_or_else(|| CommandError::argument(format_args!("invalid {}: \"{text}\"", keys.0)))?;
        let (from, to) = f(value).ok_or_else(|| {
            CommandError::argument(format_args!("{} \"{text}\": its {} is over 64 bits", keys.0, keys.1))
        })?;
        rows.push(Record::of(Line::new().field(keys.0, from).text(": ").field(keys.1, to)));
    }
    let mut report = Report::new(command);
    report.list("pages", rows);
    Ok(report)
}

/// A number as crash reads it: decimal, unless it begins with 0x or has a hexadecimal digit.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        crate::engine::number::hex(text)
    }
}

/// The arguments of `btop`.
#[derive(clap::Args)]
pub(crate) struct BtopArgs {
    /// In hex
    #[arg(value_name = "ADDRESS", num_args = 1.., required = true)]
    value: Vec<String>,
}

impl Run for Btop {
    type Args = BtopArgs;
    fn name(&self) -> &'static str {
        "btop"
    }
    fn about(&self) -> &'static str {
        "bytes to page"
    }
    fn details(&self) -> &'static str {
        "Translates hexadecimal addresses to page frame numbers."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example { line: "btop 512a000", about: "the frame of an address", output: "512a000: 512a" }] }
    }
    fn needs(&self, _args: &BtopArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &BtopArgs) -> Result<Report, CommandError> {
        let shift = cx.page_shift()?;
        each("btop", &args.value, ("address", "pfn"), crate::engine::number::hex, |n| {
            Some((Cell::Phys(n), Cell::hex_digits(n >> shift, 0)))
        })
    }
}

/// The arguments of `ptob`.
#[derive(clap::Args)]
pub(crate) struct PtobArgs {
    /// In decimal; in hex with 0x, or where it has letters
    #[arg(value_name = "PAGE_NUMBER", num_args = 1.., required = true)]
    value: Vec<String>,
}

impl Run for Ptob {
    type Args = PtobArgs;
    fn name(&self) -> &'static str {
        "ptob"
    }
    fn about(&self) -> &'static str {
        "page to bytes"
    }
    fn details(&self) -> &'static str {
        "Translates page frame numbers to addresses. A number of digits alone is decimal, as in crash; one with letters \
         or 0x is hexadecimal."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example { line: "ptob 512a", about: "the address of a frame", output: "512a: 512a000" }] }
    }
    fn needs(&self, _args: &PtobArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PtobArgs) -> Result<Report, CommandError> {
        let shift = cx.page_shift()?;
        each("ptob", &args.value, ("pfn", "address"), number, |n| {
            Some((Cell::hex_digits(n, 0), Cell::Phys(n.checked_mul(1 << shift)?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_numbers_of_digits_alone_are_decimal() {
        for (text, value) in [("1000", 1000), ("0x1000", 0x1000), ("512a", 0x512a), ("fff", 0xfff)] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert_eq!((number("xyz"), number("")), (None, None));
    }
}
