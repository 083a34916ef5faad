//! `irq`: interrupt lines, what handles them, and how the kernel is entered ([`kernel::irq`]).

use crate::show::symbol;
use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use kernel::irq::desc::{self, Action, Line as IrqLine, Lines};
use kernel::irq::{gates, softirq};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Irq;

/// The arguments of `irq`.
#[derive(clap::Args)]
pub(crate) struct IrqArgs {
    /// Only lines that something handles
    #[arg(short = 'u')]
    used: bool,
    /// Show the interrupt descriptor table
    #[arg(short = 'd')]
    gates: bool,
    /// Show what does the work that interrupts put off
    #[arg(short = 'b')]
    deferred: bool,
    /// Show which CPUs each line that something handles may interrupt
    #[arg(short = 'a')]
    affinity: bool,
    /// Show how often each line that something handles interrupted each CPU
    #[arg(short = 's')]
    counts: bool,
    /// With -s: only of these CPUs
    #[arg(short = 'c', value_name = "CPU,...")]
    cpus: Option<String>,
    /// Only lines of these numbers
    #[arg(value_name = "INDEX", num_args = 0..)]
    which: Vec<String>,
}

impl Run for Irq {
    type Args = IrqArgs;
    fn name(&self) -> &'static str {
        "irq"
    }
    fn about(&self) -> &'static str {
        "IRQ data"
    }
    fn details(&self) -> &'static str {
        "Shows each interrupt line: its irq_desc, and the irqaction and name of each of its handlers. Numbers that no \
         device uses are unused. -d shows what the CPU begins to run at each exception and interrupt (x86-64), -b the \
         functions that do the work which interrupts put off, as softirq_vec has them."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("irq -u", "lines that something handles"),
                Example::new("irq 1", "one line"),
                Example::new("irq -a", "which CPUs they may interrupt"),
                Example::new("irq -s -c 0", "how often they interrupted a CPU"),
                Example::new("irq -b", "work that interrupts put off"),
                Example::new("irq -d", "the interrupt descriptor table"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &IrqArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        if args.cpus.is_some() && !args.counts {
            return Err(CommandError::argument("-c chooses CPUs for -s, which was not given"));
        }
        if args.gates {
            return table_of_gates(s);
        }
        if args.deferred {
            return deferred(s);
        }
        let lines = desc::lines(s).map_err(CommandError::failed)?;
        let mut report = Report::new("irq");
        if args.affinity {
            affinity(s, lines, &mut report);
        } else if args.counts {
            counts(cx, s, lines, args.cpus.as_deref(), &mut report)?;
        } else {
            list(lines, args, &mut report)?;
        }
        problems(lines, &mut report);
        Ok(report)
    }
}

/// Says that there may be other lines, or other handlers of a line.
fn problems(lines: &Lines, report: &mut Report) {
    if let Some(e) = lines.problems.first() {
        report.lacking(e.is_loss(), format!("irq: the interrupt lines are not all known: {e}"));
    }
    for line in &lines.all {
        if let Some(e) = &line.problem {
            let what = format!("irq: the handlers of line {} are not all known: {e}", line.number);
            report.lacking(e.is_loss(), what);
        }
    }
}

/// How many numbers of lines there are, where that is known.
fn count(lines: &Lines) -> Result<u64, KernelError> {
    lines.count.clone().unwrap_or(Err(KernelError::NoSymbol("nr_irqs".to_owned())))
}

fn list(lines: &Lines, args: &IrqArgs, report: &mut Report) -> Result<(), CommandError> {
    report.line(Line::heading(" IRQ   IRQ_DESC/_DATA      IRQACTION      NAME"));
    let at = |number: u64| lines.all.binary_search_by_key(&number, |line| line.number).ok();
    let row =
        |number: u64| record(number, at(number).and_then(|n| lines.all.get(n)).ok_or(lines.problems.first()));
    let mut rows = Vec::new();
    if !args.which.is_empty() {
        for word in &args.which {
            let number: u64 = word.parse().map_err(|_| {
                CommandError::argument(format_args!("not a number of an interrupt line: {word}"))
            })?;
            if let Ok(count) = count(lines)
                && number >= count
            {
                let why = format_args!("invalid IRQ value: {number}  ({} max)", count.saturating_sub(1));
                return Err(CommandError::failed(why));
            }
            rows.push(row(number));
        }
    } else if args.used {
        rows.extend(handled(lines).map(|line| record(line.number, Ok(line))));
    } else {
        match count(lines) {
            Ok(count) => rows.extend((0..count).map(row)),
            Err(e) => {
                rows.extend(lines.all.iter().map(|line| record(line.number, Ok(line))));
                report.lacking(
                    e.is_loss(),
                    format!("irq: how many interrupt lines there are is not known: {e}"),
                );
            }
        }
    }
    report.list("irqs", rows);
    Ok(())
}

/// A line and its handlers, one below the other. Of a number without a descriptor: why it may have one all the same.
fn record(number: u64, line: Result<&IrqLine, Option<&KernelError>>) -> Record {
    const NONE: &str = "(unused)";
    // in the middle of four columns, further right where there is no middle
    let digits = number.to_string().len();
    let before = 4_usize.saturating_sub(digits).div_ceil(2);
    let head = Line::of(" ".repeat(before)).field("irq", number).left(4 - before).text("  ");
    let line = match line {
        Ok(line) => line,
        Err(None) => return Record::of(head.cell(NONE).center(16).text("  ").cell(NONE).center(16)),
        Err(Some(e)) => {
            let head = head.field("irq_desc", unknown("?", e)).center(16).text("  ");
            return Record::of(head.field("actions", unknown("?", e)).center(16));
        }
    };
    let head = head.field("irq_desc", line.at).zeros(16).text("  ");
    let mut record = Record::new();
    let Some((first, others)) = line.actions.split_first() else {
        match &line.problem {
            Some(e) => record.line(head.field("actions", unknown("?", e)).center(16)),
            None => {
                record.line(head.cell(NONE).center(16));
                record.list("actions", Vec::new());
            }
        }
        return record;
    };
    record.line(head.cell(Cell::Addr(first.at.0)).zeros(16).text("  ").cell(name(first)));
    for action in others {
        let line = Line::of(" ".repeat(24)).cell(Cell::Addr(action.at.0)).zeros(16).text("  ");
        record.line(line.cell(name(action)));
    }
    if let Some(e) = &line.problem {
        record.line(Line::of(" ".repeat(24)).cell(unknown("?", e)).center(16));
    }
    let actions = line.actions.iter().map(|action| {
        let mut data = Record::new();
        data.hidden("irqaction", action.at);
        data.hidden("name", name_cell(action));
        data.hidden("handler", or_why(action.handler.clone()));
        data
    });
    record.list("actions", actions.collect());
    record
}

/// A handler's name in quotes; nothing for one without a name.
fn name(action: &Action) -> Cell {
    match &action.name {
        Ok(Some(name)) => Cell::from(format!("\"{name}\"")),
        Ok(None) => Cell::from(""),
        Err(e) => unknown("?", e),
    }
}

fn name_cell(action: &Action) -> Cell {
    or_why(action.name.clone())
}

/// The names of all handlers of a line, between commas.
fn names(line: &IrqLine) -> Cell {
    let known = line.actions.iter().filter(|action| !matches!(action.name, Ok(None)));
    let others = line.problem.iter().map(|e| unknown("?", e));
    Cell::Many(known.map(name_cell).chain(others).collect(), ",")
}

/// Lines that something handles, or may handle.
fn handled(lines: &Lines) -> impl Iterator<Item = &IrqLine> {
    lines.all.iter().filter(|line| !line.actions.is_empty() || line.problem.is_some())
}

fn affinity(s: &Session, lines: &Lines, report: &mut Report) {
    report.line(Line::heading("IRQ NAME                 AFFINITY"));
    let rows = handled(lines).map(|line| {
        let cpus = desc::affinity(s, line).map(|cpus| {
            let all = cpus.iter().map(|cpu| Cell::from(*cpu)).collect();
            Cell::shown(Cell::Many(all, ","), ranges(&cpus))
        });
        let head = Line::new().field("irq", line.number).right(3).text(" ");
        Record::of(head.field("names", names(line)).left(20).text(" ").field("affinity", or_why(cpus)))
    });
    report.list("irqs", rows.collect());
}

/// Ascending numbers with runs as `0-5`, between commas.
fn ranges(cpus: &[u32]) -> String {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match out.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(cpu) => *last = cpu,
            _ => out.push((cpu, cpu)),
        }
    }
    let parts = out.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn counts(
    cx: &Cx<'_>,
    s: &Session,
    lines: &Lines,
    chosen: Option<&str>,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut cpus = tasks::cpus_or_all(s, chosen)?;
    for cpu in cpus.iter().filter(|cpu| tasks::is_hidden(cx, s, **cpu)) {
        report.info(format!("CPU{cpu} is OFFLINE."));
    }
    cpus.retain(|cpu| !tasks::is_hidden(cx, s, *cpu));
    let heads: Vec<String> = cpus.iter().map(|cpu| format!("{:>10} ", format!("CPU{cpu}"))).collect();
    report.line(Line::heading(format!("     {}", heads.concat())));
    let mut rows = Vec::new();
    for line in handled(lines) {
        cx.cancel.check()?;
        let mut text = Line::new().field("irq", line.number).right(3).text(": ");
        let mut data = Record::new();
        for cpu in &cpus {
            let count = or_why(desc::count_on(s, line, *cpu));
            text = text.cell(count.clone()).right(10).text(" ");
            data.hidden(format!("cpu{cpu}"), count);
        }
        let named = desc::names(s, line);
        let text = text.field("chip", or_why(named.chip)).right(8);
        let text = match named.flow {
            Ok(None) => text,
            flow => text.text("-").field("flow", or_why(flow)).left(8),
        };
        let mut record = Record::of(text.text(" ").field("names", names(line)));
        record.record("counts", data);
        rows.push(record);
    }
    report.list("irqs", rows);
    Ok(())
}

fn deferred(s: &Session) -> Result<Report, CommandError> {
    let mut report = Report::new("irq");
    report.line(Line::heading("SOFTIRQ_VEC      ACTION"));
    let all = softirq::softirqs(s).map_err(CommandError::failed)?;
    let rows = all.into_iter().filter_map(|one| {
        let line = Line::of("    [").field("number", one.number).text("]");
        let line = line.text(if one.number < 10 { "     " } else { "    " });
        let mut record = Record::of(match one.action {
            // nobody does this kind
            Ok(at) if at.is_null() => return None,
            Ok(at) => {
                let line = line
                    .field("action", at)
                    .right(16)
                    .text("  <")
                    .field("function", symbol::of(s, at))
                    .text(">");
                match symbol::module(s, at) {
                    Some(module) => line.text("  [").field("module", module).text("]"),
                    None => line,
                }
            }
            Err(e) => line.field("action", unknown("?", &e)).right(16),
        });
        record.hidden("name", or_why(one.name));
        Some(record)
    });
    report.list("softirqs", rows.collect());
    Ok(report)
}

fn table_of_gates(s: &Session) -> Result<Report, CommandError> {
    let mut report = Report::new("irq");
    let all = gates::gates(s).map_err(CommandError::failed)?;
    let mut rows = Vec::new();
    for (number, gate) in (0_u64..).zip(all) {
        let pad = " ".repeat(3_usize.saturating_sub(number.to_string().len()));
        let line = Line::of(pad).text("[").field("vector", number).text("] ");
        let function = match &gate {
            Ok(Some(at)) => symbol::of(s, *at),
            Ok(None) => Cell::absent("not set", "the gate is not present"),
            Err(fault) => Cell::from(*fault),
        };
        let mut record = Record::of(line.field("function", function));
        let address = match gate {
            Ok(at) => at.map_or(Cell::Null, |at| Cell::Addr(at.0)),
            Err(fault) => Cell::from(fault),
        };
        record.hidden("address", address);
        rows.push(record);
    }
    report.list("gates", rows);
    Ok(report)
}
