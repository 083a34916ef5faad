//! `btop` and `ptob`: addresses to page frame numbers and back.

use crate::{Command, CommandError, Cx, Example};
use base::{Pfn, PhysAddr};
use clap::{Arg, ArgAction, ArgMatches};
use report::{Cell, Line, Record, Report};

/// `btop`.
#[derive(Debug)]
pub(crate) struct Btop;
/// `ptob`.
#[derive(Debug)]
pub(crate) struct Ptob;

fn operands(clap: clap::Command, name: &'static str) -> clap::Command {
    clap.arg(
        Arg::new("value")
            .value_name(name)
            .action(ArgAction::Append)
            .num_args(1..)
            .required(true)
            .help("In hex"),
    )
}

fn each(
    command: &'static str,
    args: &ArgMatches,
    keys: (&'static str, &'static str),
    f: impl Fn(u64) -> (Cell, Cell),
) -> Result<Report, CommandError> {
    let mut rows = Vec::new();
    for text in args.get_many::<String>("value").into_iter().flatten() {
        let value = crate::eval::hex(text)
            .ok_or_else(|| CommandError::failed(command, format_args!("invalid {}: \"{text}\"", keys.0)))?;
        let (from, to) = f(value);
        rows.push(Record::of(Line::new().field(keys.0, from).text(": ").field(keys.1, to)));
    }
    let mut report = Report::new(command);
    report.list("pages", rows);
    Ok(report)
}

impl Command for Btop {
    fn name(&self) -> &'static str {
        "btop"
    }
    fn about(&self) -> &'static str {
        "bytes to page"
    }
    fn details(&self) -> &'static str {
        "Translates hexadecimal addresses to page frame numbers."
    }
    fn args(&self, clap: clap::Command) -> clap::Command {
        operands(clap, "ADDRESS")
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example { line: "btop 512a000", about: "the frame of an address", output: "512a000: 512a" }] }
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &ArgMatches) -> Result<Report, CommandError> {
        each("btop", args, ("address", "pfn"), |n| (Cell::Phys(n), Cell::hex_digits(PhysAddr(n).pfn().0, 0)))
    }
}

impl Command for Ptob {
    fn name(&self) -> &'static str {
        "ptob"
    }
    fn about(&self) -> &'static str {
        "page to bytes"
    }
    fn details(&self) -> &'static str {
        "Translates hexadecimal page frame numbers to addresses."
    }
    fn args(&self, clap: clap::Command) -> clap::Command {
        operands(clap, "PAGE_NUMBER")
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example { line: "ptob 512a", about: "the address of a frame", output: "512a: 512a000" }] }
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &ArgMatches) -> Result<Report, CommandError> {
        each("ptob", args, ("pfn", "address"), |n| (Cell::hex_digits(n, 0), Cell::Phys(Pfn(n).addr().0)))
    }
}
