//! `timer`: timers that are still to come ([`kernel::time`]).

use crate::show::symbol;
use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::machine::system;
use kernel::time::hrtimer::{self, Clock, ClockName};
use kernel::time::timer::{self, Base};
use kernel::{Fetch, KernelError, Session};
use report::{Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Timer;

/// The arguments of `timer`.
#[derive(clap::Args)]
pub(crate) struct TimerArgs {
    /// Show timers that count nanoseconds (hrtimers)
    #[arg(short = 'r')]
    nanoseconds: bool,
    /// Only of these CPUs
    #[arg(short = 'C', value_name = "CPU,...")]
    cpus: Option<String>,
}

impl Run for Timer {
    type Args = TimerArgs;
    fn name(&self) -> &'static str {
        "timer"
    }
    fn about(&self) -> &'static str {
        "timer queue data"
    }
    fn details(&self) -> &'static str {
        "Shows the timers of each CPU, the one that is due first leading: when it expires (in ticks; with -r in nanoseconds of \
         its clock, the earliest and the latest time), how long that is from the last tick before the dump (TTE; negative \
         where it is overdue), its timer_list or hrtimer, and the function that is called. BASE_DEF and the like say what \
         kinds of timers a wheel has: those that wait until their CPU wakes for something else are in BASE_DEF."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("timer", "timers that count ticks"),
                Example::new("timer -C 0", "one CPU's"),
                Example::new("timer -r", "timers that count nanoseconds"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &TimerArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let cpus = tasks::cpus_or_all(s, args.cpus.as_deref())?;
        let mut report = Report::new("timer");
        if args.nanoseconds {
            clocks(cx, s, &cpus, &mut report)?;
        } else {
            wheels(cx, s, &cpus, &mut report)?;
        }
        Ok(report)
    }
}

/// `  <process_timeout>`, behind its address.
fn function(s: &Session, line: Line, function: &Result<VirtAddr, KernelError>) -> Line {
    match function {
        Ok(at) => {
            let line = line.field("function", *at).zeros(16).text("  <");
            let line = line.field("symbol", symbol::of(s, *at)).text(">");
            match symbol::module(s, *at) {
                Some(module) => line.text("  [").field("module", module).text("]"),
                None => line,
            }
        }
        Err(e) => line.field("function", unknown("?", e)),
    }
}

/// Says that a list of timers is not whole.
fn told(problems: &[KernelError], what: &str, row: &mut Record) {
    let Some(e) = problems.first() else { return };
    let more = match problems.len() {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    let is_loss = problems.iter().any(KernelError::is_loss);
    row.lacking(is_loss, format!("timer: {what} are not all known: {e}{more}"));
}

/// Columns that a number takes.
fn width(n: impl ToString) -> usize {
    n.to_string().len()
}

fn wheels(cx: &Cx<'_>, s: &Session, cpus: &[u32], report: &mut Report) -> Result<(), CommandError> {
    let now = timer::jiffies(s).map_err(CommandError::failed)?;
    let columns = width(now).max("JIFFIES".len());
    report.line(Line::heading("JIFFIES"));
    report.line(Line::new().field("jiffies", now).right(columns));
    report.blank();
    let offline = |cpu: u32, row: &mut Record| {
        row.hidden("cpu", cpu);
        row.text(format!("TIMER_BASES[{cpu}]: [OFFLINE]"));
    };
    let rows = tasks::cpu_rows(cx, s, cpus, &offline, &mut |cpu, row| {
        row.hidden("cpu", cpu);
        match timer::bases(s, cpu, now) {
            Ok(bases) => {
                let all = bases.iter().map(|base| wheel(s, cpu, base, now, columns)).collect();
                row.list("bases", all);
            }
            Err(e) if e.is_of_all() => return Err(CommandError::failed(e)),
            Err(e) => row.lacking(e.is_loss(), format!("timer: the timers of CPU {cpu} are not known: {e}")),
        }
        Ok(())
    })?;
    report.list("cpus", rows);
    Ok(())
}

fn wheel(s: &Session, cpu: u32, base: &Base, now: u64, columns: usize) -> Record {
    let head = match base.name {
        Some(name) => Line::of(format!("TIMER_BASES[{cpu}][")).field("name", name).text("]: "),
        None => Line::of(format!("TVEC_BASES[{cpu}]: ")),
    };
    let mut row = Record::of(head.field("base", base.at));
    let left = |expires: u64| expires.wrapping_sub(now).cast_signed();
    let widest = base.timers.iter().map(|timer| left(timer.expires).unsigned_abs()).max().unwrap_or(0);
    // a minus has a column of its own
    let ttes = (width(widest) + 1).max("TTE".len());
    let heading = format!("  {:<columns$}     {:<ttes$}     TIMER_LIST     FUNCTION", "EXPIRES", "TTE");
    row.line(Line::heading(heading));
    let rows: Vec<Record> = base
        .timers
        .iter()
        .map(|timer| {
            let line = Line::of("  ").field("expires", timer.expires).right(columns).text("  ");
            let line = line.field("tte", left(timer.expires)).right(ttes).text("  ");
            let line = line.field("timer_list", timer.at).zeros(16).text("  ");
            Record::of(function(s, line, &timer.function))
        })
        .collect();
    if rows.is_empty() && base.problems.is_empty() {
        row.text("  (none)");
    }
    row.list("timers", rows);
    told(&base.problems, &format!("the timers of CPU {cpu}"), &mut row);
    row
}

fn clocks(cx: &Cx<'_>, s: &Session, cpus: &[u32], report: &mut Report) -> Result<(), CommandError> {
    let now = system::monotonic_nsec(s);
    report.hidden("monotonic_nsec", or_why(now.clone()));
    let name = |cpu: u32| Line::of("CPU: ").field("cpu", cpu).text("  ");
    let offline = |cpu, row: &mut Record| row.line(name(cpu).text("[OFFLINE]"));
    let rows = tasks::cpu_rows(cx, s, cpus, &offline, &mut |cpu, row| {
        let line = name(cpu);
        match hrtimer::clocks(s, cpu) {
            Ok(found) => {
                row.line(line.text("HRTIMER_CPU_BASE: ").field("hrtimer_cpu_base", found.at));
                let all = (0_usize..).zip(&found.all).map(|(n, one)| clock(s, n, one, now.as_ref()));
                row.list("clocks", all.collect());
            }
            Err(e) if e.is_of_all() => return Err(CommandError::failed(e)),
            Err(e) => {
                row.line(line);
                row.lacking(e.is_loss(), format!("timer: the timers of CPU {cpu} are not known: {e}"));
            }
        }
        Ok(())
    })?;
    report.list("cpus", rows);
    Ok(())
}

fn clock(s: &Session, number: usize, clock: &Clock, now: Result<&i64, &KernelError>) -> Record {
    let mut row = Record::new();
    if number > 0 {
        row.blank();
    }
    let line = Line::of("  CLOCK: ").field("clock", number).text("  HRTIMER_CLOCK_BASE: ");
    let line = line.field("hrtimer_clock_base", clock.at);
    row.line(match &clock.name {
        None => line,
        Some(ClockName::Kind(kind)) => line.text("  [").field("name", kind.clone()).text("]"),
        Some(ClockName::Function(at)) => line.text("  [").field("name", symbol::of(s, *at)).text("]"),
    });
    if clock.timers.is_empty() && clock.problems.is_empty() {
        row.text("  (empty)");
    }
    if !clock.timers.is_empty() {
        timers(s, clock, now, &mut row);
    }
    told(&clock.problems, "the timers of this clock", &mut row);
    row
}

fn timers(s: &Session, clock: &Clock, now: Result<&i64, &KernelError>, row: &mut Record) {
    // the time of this clock
    let now = now.map_err(Clone::clone).and_then(|now| Ok(now.saturating_add(clock.offset.clone()?)));
    let left = |expires: i64| now.clone().map(|now| expires.wrapping_sub(now));
    let most = |of: &dyn Fn(&hrtimer::Timer) -> usize| clock.timers.iter().map(of).max().unwrap_or(0);
    let soft = most(&|timer| width(timer.soft)).max("SOFTEXPIRES".len());
    let expires = most(&|timer| width(timer.expires)).max("EXPIRES".len());
    let ttes = most(&|timer| left(timer.expires).map_or(3, width)).max("TTE".len());
    row.line(Line::heading(format!("  {:>soft$}", "CURRENT")));
    let current = or_why(now.clone());
    row.line(Line::of("  ").field("current", current).right(soft));
    row.line(Line::heading(format!(
        "  {:>soft$}  {:>expires$}  {:>ttes$}  HRTIMER           FUNCTION",
        "SOFTEXPIRES", "EXPIRES", "TTE"
    )));
    let rows = clock.timers.iter().map(|timer| {
        let tte = or_why(left(timer.expires));
        let line = Line::of("  ").field("softexpires", timer.soft).right(soft).text("  ");
        let line = line.field("expires", timer.expires).right(expires).text("  ");
        let line = line.field("tte", tte).right(ttes).text("  ");
        let line = line.field("hrtimer", timer.at).zeros(16).text("  ");
        Record::of(function(s, line, &timer.function))
    });
    row.list("timers", rows.collect());
}
