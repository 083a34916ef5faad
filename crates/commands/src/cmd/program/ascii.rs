//! `ascii`: hex values as text, or the chart.

use crate::{CommandError, Cx, Example, Layer, Run};
use kernel::Fetch;
use report::{Cell, Line, Record, Report};

/// `ascii`.
#[derive(Debug)]
pub(crate) struct Ascii;

const CONTROL: [&str; 33] = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI",
    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS",
    "US", "SP",
];

/// The arguments of `ascii`.
#[derive(clap::Args)]
pub(crate) struct AsciiArgs {
    /// In hex
    #[arg(value_name = "VALUE", num_args = 0..)]
    value: Vec<String>,
}

impl Run for Ascii {
    type Args = AsciiArgs;
    fn name(&self) -> &'static str {
        "ascii"
    }
    fn about(&self) -> &'static str {
        "translate a hexadecimal string to ASCII"
    }
    fn details(&self) -> &'static str {
        "Shows the bytes of 32-bit or 64-bit hexadecimal values as text, lowest byte first, as they stand in \
         memory; bytes that are no text by their names or as <hex>. Without values, shows the ASCII chart."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example {
                    line: "ascii 62696c2f7273752f",
                    about: "what a register or a word of memory spells",
                    output: "62696c2f7273752f: /usr/lib",
                },
                Example::new("ascii", "the chart"),
            ]
        }
    }
    fn needs(&self, _args: &AsciiArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &AsciiArgs) -> Result<Report, CommandError> {
        let mut report = Report::new("ascii");
        if args.value.is_empty() {
            chart(&mut report);
            return Ok(report);
        }
        let mut rows = Vec::new();
        for text in &args.value {
            let value = crate::engine::number::hex(text)
                .ok_or_else(|| CommandError::argument(format_args!("invalid input: \"{text}\"")))?;
            rows.push(Record::of(
                Line::new()
                    .field("value", Cell::hex_digits(value, 16))
                    .text(": ")
                    .field("text", letters(value)),
            ));
        }
        report.list("values", rows);
        Ok(report)
    }
}

/// The eight bytes of a value as text, lowest first.
fn letters(value: u64) -> String {
    let mut out = String::new();
    for byte in value.to_le_bytes() {
        match (byte, CONTROL.get(usize::from(byte))) {
            (b' '..=b'~', _) => out.push(byte.into()),
            (_, Some(name)) => out.push_str(&format!("<{name}>")),
            _ => out.push_str(&format!("<{byte:02x}>")),
        }
    }
    out
}

fn chart(report: &mut Report) {
    report.blank();
    report.text("      0    1   2   3   4   5   6   7");
    report.text("    +-------------------------------");
    for low in 0..16_u8 {
        let mut line = format!("  {low:X} |");
        for high in 0..8_u8 {
            let code = high * 16 + low;
            let shown = match code {
                127 => "DEL".to_owned(),
                code => CONTROL
                    .get(usize::from(code))
                    .map_or_else(|| char::from(code).to_string(), |name| (*name).to_owned()),
            };
            // names stand to the right, letters in the middle of their column
            line.push_str(&if shown.len() == 1 { format!("  {shown} ") } else { format!(" {shown:>3}") });
        }
        report.text(line.trim_end().to_owned());
    }
    report.blank();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_lowest_first() {
        // as crash 9.0.2 shows them
        assert_eq!(letters(0x0a41_ff00), "<NUL><ff>A<LF><NUL><NUL><NUL><NUL>");
        assert_eq!(letters(0x4142_4344), "DCBA<NUL><NUL><NUL><NUL>");
    }

    #[test]
    fn the_chart_has_every_letter() {
        let mut report = Report::new("ascii");
        chart(&mut report);
        let lines: Vec<String> = report
            .body
            .items
            .iter()
            .filter_map(|i| match i {
                report::Item::Line(l) => Some(l.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(lines[2], "  0 | NUL DLE  SP  0   @   P   `   p");
        assert_eq!(lines[17], "  F |  SI  US  /   ?   O   _   o  DEL");
    }
}
