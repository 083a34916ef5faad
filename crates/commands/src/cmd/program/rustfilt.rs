//! `rustfilt`: names of Rust's as they are written in the source.

use crate::{CommandError, Cx, Example, Layer, Run};
use kernel::Fetch;
use report::{Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Rustfilt;

/// The arguments of `rustfilt`.
#[derive(clap::Args)]
pub(crate) struct RustfiltArgs {
    /// A name as it stands in the symbol table
    #[arg(value_name = "SYMBOL", num_args = 1.., required = true)]
    symbol: Vec<String>,
}

impl Run for Rustfilt {
    type Args = RustfiltArgs;
    fn name(&self) -> &'static str {
        "rustfilt"
    }
    fn about(&self) -> &'static str {
        "demangle a mangled Rust symbol to human readable symbol"
    }
    fn details(&self) -> &'static str {
        "Names of both kinds are known (_R... and _ZN...17h...E). A name that is none of Rust's stays as it is."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example {
                    line: "rustfilt _RNvNtCshc5sK6KjdJJ_6kernel5print11call_printk",
                    about: "what a symbol is called in the source",
                    output: "kernel::print::call_printk",
                },
                Example {
                    line: "rustfilt _ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
                    about: "the older kind",
                    output: "core::fmt::Write::write_fmt",
                },
            ]
        }
    }
    fn needs(&self, _args: &RustfiltArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &RustfiltArgs) -> Result<Report, CommandError> {
        let mut report = Report::new("rustfilt");
        let rows = args.symbol.iter().map(|symbol| {
            let mut record = Record::of(Line::new().field("name", demangled(symbol)));
            record.hidden("symbol", symbol.clone());
            record
        });
        report.list("symbols", rows.collect());
        Ok(report)
    }
}

/// The name without the hash of the crate; the symbol itself where it is none of Rust's.
fn demangled(symbol: &str) -> String {
    match rustc_demangle::try_demangle(symbol) {
        Ok(name) => format!("{name:#}"),
        Err(_) => symbol.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_kinds_and_others() {
        for (symbol, name) in [
            ("_RNvNtCshc5sK6KjdJJ_6kernel5print11call_printk", "kernel::print::call_printk"),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("_RNvXCs1_4mainNtB2_3FooNtB2_3Bar3baz", "<main::Foo as main::Bar>::baz"),
            ("schedule", "schedule"),
            ("_ZN3foo3barEv", "_ZN3foo3barEv"),
            ("_R", "_R"),
        ] {
            assert_eq!(demangled(symbol), name, "{symbol}");
        }
    }
}
