//! `eval`: an expression of 64-bit numbers ([`number`]), shown in four bases.

use crate::engine::number;
use crate::{CommandError, Cx, Example, Layer, Run, after_options};
use kernel::Fetch;
use report::{Cell, Line, Report};

/// `eval`.
#[derive(Debug)]
pub(crate) struct Eval;

/// The arguments of `eval`.
#[derive(clap::Args)]
pub(crate) struct EvalArgs {
    /// List the positions of the bits that are set
    #[arg(short = 'b')]
    bits: bool,
    /// 64 bits: always so here
    #[arg(short = 'l')]
    long: bool,
    /// What to evaluate
    #[arg(value_name = "EXPRESSION", num_args = 1.., required = true)]
    expression: Vec<String>,
}

impl Run for Eval {
    type Args = EvalArgs;
    fn name(&self) -> &'static str {
        "eval"
    }
    fn about(&self) -> &'static str {
        "evaluate"
    }
    fn details(&self) -> &'static str {
        "Evaluates an expression of numbers and symbols and shows it in hexadecimal, decimal, octal and binary; \
         beside the hexadecimal value its size in KB, MB or GB where it is a whole number of them. Operators: \
         + - * / % & | ^ << >> ~ and parentheses, with C's precedence, in 64 bits. Numbers are decimal, or \
         hexadecimal with 0x or where a digit says so; k, m and g after a number multiply by 1024 and its powers. \
         An expression with |, << or >> needs parentheses around it."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        after_options(words, "bl", "")
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example {
                    line: "eval 128m",
                    about: "a size",
                    output: "hexadecimal: 8000000  (128MB)\n    decimal: 134217728\n      octal: 1000000000\n     binary: \
                         0000000000000000000000000000000000001000000000000000000000000000",
                },
                Example {
                    line: "eval -b 1000",
                    about: "the bits of a mask",
                    output: "hexadecimal: 3e8\n    decimal: 1000\n      octal: 1750\n     binary: \
                         0000000000000000000000000000000000000000000000000000001111101000\n   bits set: 9 8 7 6 5 3",
                },
                Example {
                    line: "eval -5",
                    about: "a negative number",
                    output: "hexadecimal: fffffffffffffffb\n    decimal: 18446744073709551611  (-5)\n      octal: \
                         1777777777777777777773\n     binary: \
                         1111111111111111111111111111111111111111111111111111111111111011",
                },
                Example::new("eval (1 << 32) + 0x1000", "an expression"),
            ]
        }
    }
    fn needs(&self, _args: &EvalArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &EvalArgs) -> Result<Report, CommandError> {
        let words: Vec<&str> = args.expression.iter().map(String::as_str).collect();
        let text = words.join(" ");
        let value = number::value(&text, &|name| cx.symbol_value(name))?;
        Ok(shown(value, args.bits))
    }
}

fn shown(value: u64, bits: bool) -> Report {
    let mut report = Report::new("eval");
    report.line(
        Line::new()
            .text("hexadecimal: ")
            .field("hexadecimal", Cell::Hex { value, width: 0, prefix: false })
            .text(format!("  {}", multiple(value))),
    );
    let mut decimal = Line::new().text("    decimal: ").field("decimal", value).text("  ");
    if value.cast_signed().is_negative() {
        decimal = decimal.text("(").field("signed", value.cast_signed()).text(")");
    }
    report.line(decimal);
    report.line(Line::new().text("      octal: ").field("octal", format!("{value:o}")));
    report.line(Line::new().text("     binary: ").field("binary", format!("{value:064b}")));
    if bits {
        let set = (0..64_u32).rev().filter(|bit| value >> bit & 1 == 1);
        report.line(
            Line::new()
                .text("   bits set: ")
                .field("bits_set", Cell::Many(set.map(Cell::from).collect(), " "))
                .text(" "),
        );
    }
    report
}

/// `(128MB)`, where the value is a whole number of GB, MB or KB.
fn multiple(value: u64) -> String {
    let unit = [(30, "GB"), (20, "MB"), (10, "KB")]
        .into_iter()
        .find(|(shift, _)| value != 0 && value.trailing_zeros() >= *shift);
    unit.map_or_else(String::new, |(shift, name)| format!("({}{name})", value >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stand_beside_the_value() {
        for (value, want) in
            [(0, ""), (1000, ""), (1024, "(1KB)"), (128 << 20, "(128MB)"), (1 << 32, "(4GB)")]
        {
            assert_eq!(multiple(value), want);
        }
    }
}
