//! `ptov`: a physical address in the kernel's direct map, or a per-CPU offset on each CPU.

use crate::show::address;
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Layer, Run};
use base::{PhysAddr, VirtAddr};
use kernel::Fetch;
use kernel::mm::direct_map;
use kernel::mm::page;
use kernel::sched::cpu;
use kernel::{Machine, Session};
use report::{Cell, Line, Record, Report};

/// Bits of the physical addresses of all processors that the kernel knows.
const PHYS_BITS: u32 = 52;

/// `ptov`.
#[derive(Debug)]
pub(crate) struct Ptov;

/// The arguments of `ptov`.
#[derive(clap::Args)]
pub(crate) struct PtovArgs {
    /// In hex
    #[arg(value_name = "ADDRESS | OFFSET:CPUS", num_args = 1.., required = true)]
    address: Vec<String>,
}

impl Run for Ptov {
    type Args = PtovArgs;
    fn name(&self) -> &'static str {
        "ptov"
    }
    fn about(&self) -> &'static str {
        "physical to virtual"
    }
    fn details(&self) -> &'static str {
        "Translates a physical address to the kernel's address for it, in the direct map of all memory. OFFSET:CPUS \
         translates a per-CPU offset or the name of a per-CPU variable to its address on these CPUs: ':' the CPU of \
         the context, ':a' all, ':0,2-3' some."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("ptov 56e000", "a physical address"),
                Example::new("ptov 30c0:a", "a per-CPU offset on all CPUs"),
                Example::new("ptov runqueues:0", "a per-CPU variable on one"),
            ]
        }
    }
    fn needs(&self, _args: &PtovArgs) -> Layer {
        Layer::Machine
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PtovArgs) -> Result<Report, CommandError> {
        let s = cx.session_if_open();
        let m = cx.machine()?;
        let mut report = Report::new("ptov");
        let mut out = Vec::new();
        for (n, word) in args.address.iter().enumerate() {
            let mut row = Record::new();
            if n > 0 {
                row.blank();
            }
            match word.split_once(':') {
                Some((offset, spec)) => per_cpu(cx, cx.session()?, offset, spec, &mut row)?,
                None => physical(m, s, word, &mut row)?,
            }
            out.push(row);
        }
        report.list("addresses", out);
        Ok(report)
    }
}

fn physical(m: &Machine, s: Option<&Session>, word: &str, row: &mut Record) -> Result<(), CommandError> {
    let invalid = || CommandError::argument(format_args!("invalid input: \"{word}\""));
    let phys = PhysAddr(crate::engine::number::hex(word).ok_or_else(invalid)?);
    if phys.0 >> PHYS_BITS != 0 {
        let why = format_args!("{phys:#x}: physical addresses have at most {PHYS_BITS} bits");
        return Err(CommandError::argument(why));
    }
    let leads_there = |at: &VirtAddr| m.mem.translate(*at).is_ok_and(|(found, _)| found == phys);
    // what the kernel's variables say counts where its page tables say the same, or nothing
    let said = s.and_then(|s| page::direct_map(s, phys).ok());
    let at = said
        .filter(leads_there)
        .or_else(|| direct_map::base(m).and_then(|base| base.0.checked_add(phys.0).map(VirtAddr)))
        .or(said);
    let at = at.ok_or_else(|| {
        CommandError::failed("the page tables in this dump do not show where the kernel maps all memory")
    })?;
    row.line(Line::heading(format!("{:16}  {:16}", "VIRTUAL", "PHYSICAL")));
    let line = Line::new().field("virtual", Cell::Addr(at.0)).left(16).text("  ");
    row.line(line.field("physical", Cell::Phys(phys.0)).left(16));
    if !leads_there(&at) {
        row.info("ptov: the kernel does not map this address");
    }
    Ok(())
}

fn per_cpu(cx: &Cx<'_>, s: &Session, offset: &str, spec: &str, row: &mut Record) -> Result<(), CommandError> {
    let value = address::parse(cx, offset)?;
    let cpus = match spec {
        "" => vec![tasks::context_cpu(cx)?],
        spec => tasks::cpus(s, spec)?,
    };
    row.line(Line::new().text("PER-CPU OFFSET: ").field("offset", Cell::hex_digits(value, 0)));
    row.line(Line::heading(format!("  CPU    {:16}", "VIRTUAL")));
    let mut rows = Vec::new();
    for cpu in cpus {
        let base = cpu::per_cpu_offset(s, cpu).map_err(CommandError::failed)?;
        let line = Line::new().text("  [").field("cpu", cpu).text("]");
        let pad = 6_usize.saturating_sub(line.to_string().len() - 1);
        let line = line.text(" ".repeat(pad.max(1)));
        rows.push(Record::of(line.field("virtual", Cell::Addr(value.wrapping_add(base))).zeros(16)));
    }
    row.list("cpus", rows);
    Ok(())
}
