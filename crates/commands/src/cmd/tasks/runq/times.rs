//! `runq -t`, `-T` and `-m`: the clocks of the run queues, and for how long tasks have been running.

use super::named;
use crate::show::tasks::{self, or_why, unknown};
use crate::show::when::ago;
use crate::{CommandError, Cx};
use kernel::sched::times::{last_run, rq_clock};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

/// Why a CPU's task is not known.
fn nobody(cpu: u32) -> Cell {
    Cell::absent("?", format!("what CPU {cpu} ran is not known")).lost_if(true)
}

/// A CPU's clock; an error where that of none is known.
fn clock(s: &Session, cpu: u32) -> Result<Result<u64, KernelError>, CommandError> {
    match rq_clock(s, cpu) {
        Err(e) if e.is_of_all() => Err(CommandError::failed(e)),
        clock => Ok(clock),
    }
}

/// ` CPU 0: 2680990637359`, and below it when its task was put there.
pub(super) fn clocks(
    cx: &Cx<'_>,
    s: &Session,
    cpus: &[u32],
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for &cpu in cpus {
        let label = format!("CPU {cpu}: ");
        let line = Line::of(if cpu < 10 { " CPU " } else { "CPU " }).field("cpu", cpu).text(": ");
        if tasks::is_hidden(cx, s, cpu) {
            rows.push(Record::of(line.text("[OFFLINE]")));
            continue;
        }
        let clock = clock(s, cpu)?;
        let width = clock.as_ref().map_or(0, |clock| clock.to_string().len());
        let clock = or_why(clock);
        let mut row = Record::of(line.field("clock", clock));
        let indent = label.len() + usize::from(cpu < 10);
        let line = Line::of(" ".repeat(indent));
        row.line(match s.tasks().on_cpu(cpu) {
            Some(task) => {
                let last = or_why(last_run(s, task));
                named(line.field("last_run", last).zeros(width).text("  "), task)
            }
            None => line.field("task", nobody(cpu)),
        });
        rows.push(row);
    }
    report.list("cpus", rows);
    Ok(())
}

/// How far each clock is behind the most recent one, that one first; those that are not known come last.
pub(super) fn lag(s: &Session, cpus: &[u32], report: &mut Report) -> Result<(), CommandError> {
    let mut all = Vec::new();
    for &cpu in cpus {
        all.push((cpu, clock(s, cpu)?));
    }
    let latest = all.iter().filter_map(|(_, clock)| clock.as_ref().ok()).max().copied().unwrap_or(0);
    let behind = |clock: &Result<u64, KernelError>| clock.as_ref().map_or(u64::MAX, |clock| latest - clock);
    all.sort_by_key(|(cpu, clock)| (clock.is_err(), behind(clock), *cpu));
    // the most recent one can be one that is lost
    let lost = all.iter().find_map(|(_, clock)| clock.as_ref().err()).map(ToString::to_string);
    let digits = |n: u32| n.max(1).ilog10() as usize;
    let most = digits(u32::try_from(s.cpus().possible.len()).unwrap_or(u32::MAX));
    let rows = all.into_iter().map(|(cpu, clock)| {
        let indent = (2 + most).saturating_sub(digits(cpu));
        let line = Line::of(" ".repeat(indent)).text("CPU ").field("cpu", cpu).text(": ");
        let lag = clock.map(|clock| {
            let lag = latest.saturating_sub(clock);
            let text = format!("{:.2} secs", lag as f64 / 1e9);
            match &lost {
                Some(why) => Cell::shown(Cell::at_least(lag, why.clone()), format!("at least {text}")),
                None => Cell::shown(lag, text),
            }
        });
        Record::of(line.field("lag_nsec", lag.unwrap_or_else(|e| unknown("?", &e))))
    });
    report.list("cpus", rows.collect());
    Ok(())
}

/// For how long the task on each CPU has been running.
pub(super) fn running(
    cx: &Cx<'_>,
    s: &Session,
    cpus: &[u32],
    report: &mut Report,
) -> Result<(), CommandError> {
    let digits = |n: usize| n.max(1).ilog10() as usize + 1;
    let most = digits(s.cpus().possible.len().saturating_sub(1));
    let mut rows = Vec::new();
    // days are as wide as those of the first clock
    let mut days = None;
    for &cpu in cpus {
        let indent = (1 + most).saturating_sub(digits(cpu as usize));
        let line = Line::of(" ".repeat(indent)).text("CPU ").field("cpu", cpu).text(": ");
        let clock = clock(s, cpu)?;
        let width = |nsec: &u64| ago(*nsec).find(' ').unwrap_or(1);
        if let Ok(clock) = &clock {
            days.get_or_insert_with(|| width(clock));
        }
        if tasks::is_hidden(cx, s, cpu) {
            rows.push(Record::of(line.text("[OFFLINE]")));
            continue;
        }
        let line = line.text("[");
        rows.push(Record::of(match s.tasks().on_cpu(cpu) {
            None => line.field("task", nobody(cpu)).text("]"),
            Some(task) => {
                let ran = clock.and_then(|clock| Ok((clock, last_run(s, task)?)));
                let cell = match ran {
                    // nobody notes when an idle task comes on its CPU
                    Ok((_, 0)) if task.pid == 0 => {
                        Cell::absent("?", "the kernel does not note when an idle task was put on its CPU")
                    }
                    Ok((clock, last)) => {
                        let ran = clock.saturating_sub(last);
                        let pad = days.unwrap_or(1).saturating_sub(width(&ran));
                        Cell::shown(ran, format!("{}{}", " ".repeat(pad), ago(ran)))
                    }
                    Err(e) => unknown("?", &e),
                };
                named(line.field("ran_nsec", cell).text("]  "), task)
            }
        }));
    }
    report.list("cpus", rows);
    Ok(())
}
