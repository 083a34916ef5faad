//! The other answers of `ps`: relatives, times, arguments, limits, counts.

use crate::show::tasks::{self, banner};
use crate::show::when;
use crate::{CommandError, Cx};
use base::VirtAddr;
use kernel::machine::system;
use kernel::mm::address_space;
use kernel::sched::rlimit;
use kernel::sched::task::{Task, TaskStruct};
use kernel::sched::times as task_times;
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

/// More ancestors than any task has.
const MAX_DEPTH: usize = 4096;

/// How many tasks are in each state, in the order in which the states come up.
pub(super) fn summary(s: &Session, chosen: &[&Task], report: &mut Report) {
    let states = s.task_states();
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    let mut unknown = 0;
    for t in chosen {
        let Some(name) = states.letters(t) else {
            unknown += 1;
            continue;
        };
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    for (name, count) in counts {
        let lack = s
            .tasks()
            .lack()
            .or_else(|| (unknown > 0).then(|| format!("the state of {unknown} is not known")));
        let count = lack.map_or_else(|| Cell::from(count), |lack| Cell::at_least(count, lack));
        report.line(Line::new().text(format!("  {name}: ")).field(name, count));
    }
    if unknown > 0 {
        report.missing(format!("ps: the state of {unknown} tasks is not known"));
    }
}

fn parent<'s>(s: &'s Session, t: &Task) -> Option<&'s Task> {
    if t.pid == 0 {
        // an idle task counts as a child of the first
        return s.tasks().with_pid(0).next().filter(|first| first.at != t.at);
    }
    let b = s.bind::<TaskStruct>();
    let at = b.real_parent.ptr(s.mem(), t.at).or_else(|_| b.parent.ptr(s.mem(), t.at)).ok()?;
    s.tasks().at(at).filter(|p| p.at != t.at)
}

fn indented(depth: usize, t: &Task) -> Record {
    let mut line = Line::new().text(" ".repeat(depth));
    line.0.extend(banner(t).0);
    Record::of(line)
}

pub(super) fn parents(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut out = Vec::new();
    for t in chosen {
        cx.cancel.check()?;
        let mut line = vec![*t];
        while line.len() < MAX_DEPTH
            && let Some(up) = line.last().and_then(|t| parent(s, t))
            && !line.iter().any(|seen| seen.at == up.at)
        {
            line.push(up);
        }
        let mut row = Record::new();
        let ancestors = line.iter().rev().enumerate().map(|(depth, t)| indented(depth, t));
        row.list("ancestors", ancestors.collect());
        row.blank();
        out.push(row);
    }
    report.list("tasks", out);
    Ok(())
}

pub(super) fn children(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    report: &mut Report,
) -> Result<(), CommandError> {
    let up: Vec<_> = s.tasks().all.iter().map(|t| (parent(s, t).map(|p| p.at), t)).collect();
    // the first task has no parent; whose children others are that have none is not known
    let orphans = up.iter().filter(|(p, t)| p.is_none() && t.pid != 0).count();
    let lack = (orphans > 0).then(|| format!("the parents of {orphans} tasks are not known"));
    let unknown = lack.clone().or_else(|| s.tasks().lack());
    let mut out = Vec::new();
    for t in chosen {
        cx.cancel.check()?;
        let mut row = Record::of(banner(t));
        let found: Vec<Record> =
            up.iter().filter(|(p, _)| *p == Some(t.at)).map(|(_, child)| indented(2, child)).collect();
        match (found.is_empty(), &unknown) {
            (true, None) => row.text("  (no children)"),
            (true, Some(_)) => row.text("  (no children that are known)"),
            _ => {}
        }
        match &unknown {
            Some(why) if found.is_empty() => row.hidden("children", Cell::absent("not known", why.clone())),
            _ => row.list("children", found),
        }
        row.blank();
        out.push(row);
    }
    report.list("tasks", out);
    if let Some(lack) = lack {
        report.missing(format!("ps: {lack}"));
    }
    Ok(())
}

pub(super) fn threads(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut out = Vec::new();
    let mut shown = Vec::new();
    for t in chosen {
        cx.cancel.check()?;
        if shown.contains(&t.tgid) {
            continue;
        }
        shown.push(t.tgid);
        let all: Vec<&Task> = s.tasks().all.iter().filter(|o| o.tgid == t.tgid).collect();
        let Some(leader) = all.iter().find(|o| o.is_leader()).or(all.first()) else { continue };
        let mut row = Record::of(banner(leader));
        let others: Vec<Record> = all.iter().filter(|o| o.at != leader.at).map(|o| indented(2, o)).collect();
        if others.is_empty() {
            row.text("  (no threads)");
        }
        row.list("threads", others);
        row.blank();
        out.push(row);
    }
    report.list("tasks", out);
    Ok(())
}

/// A task whose data cannot be read: a note of its own, or the end where no task's can be.
fn failed(what: &str, t: &Task, e: &KernelError, row: &mut Record) -> Result<(), CommandError> {
    if e.is_untyped() {
        return Err(CommandError::failed(format_args!("{what} of tasks: {e}")));
    }
    row.lacking_or_error(e.is_loss(), format!("ps: {what} of task {}: {e}", t.pid));
    Ok(())
}

pub(super) fn times(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    report: &mut Report,
) -> Result<(), CommandError> {
    let uptime = system::clocks(s).map(|c| c.uptime_sec.unsigned_abs());
    let mut out = Vec::new();
    // by start: of tasks whose times cannot be read the order stays
    let mut sorted = chosen.to_vec();
    sorted.sort_by_key(|t| task_times::task_times(s, t).map_or(0, |found| found.start_time));
    for t in sorted {
        cx.cancel.check()?;
        let mut row = Record::of(banner(t));
        match task_times::task_times(s, t) {
            Ok(found) => {
                let run = match &uptime {
                    Ok(up) => {
                        let seconds = up.saturating_sub(found.start_sec);
                        Cell::Shown(Box::new(seconds.into()), when::duration(seconds))
                    }
                    Err(e) => tasks::unknown("?", e),
                };
                row.line(Line::new().text("    RUN TIME: ").field("run_seconds", run));
                row.line(Line::new().text("  START TIME: ").field("start_time", found.start_time));
                row.line(Line::new().text("       UTIME: ").field("utime", found.utime));
                row.line(Line::new().text("       STIME: ").field("stime", found.stime));
            }
            Err(e) => failed("times", t, &e, &mut row)?,
        }
        row.blank();
        out.push(row);
    }
    report.list("tasks", out);
    Ok(())
}

pub(super) fn last_run(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    ago: bool,
    cpus: Option<Vec<u32>>,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut timed: Vec<(kernel::Result<u64>, &Task)> = Vec::new();
    for &t in chosen {
        cx.cancel.check()?;
        let at = task_times::last_run(s, t);
        if let Some(e) = at.as_ref().err().filter(|e| e.is_untyped()) {
            return Err(CommandError::failed(format_args!("when tasks ran last: {e}")));
        }
        timed.push((at, t));
    }
    let unread: Vec<&KernelError> = timed.iter().filter_map(|(at, _)| at.as_ref().err()).collect();
    if let Some(e) = unread.iter().find(|e| e.is_loss()).or(unread.first()) {
        let (count, s) = (unread.len(), if unread.len() == 1 { "" } else { "s" });
        report.lacking(e.is_loss(), format!("ps: when {count} task{s} ran last is not known: {e}"));
    }
    // those of which it is not known come last
    let known = |at: &kernel::Result<u64>| at.as_ref().ok().copied();
    timed.sort_by_key(|(at, t)| (std::cmp::Reverse(known(at)), t.pid));
    // a CPU's clock may lag behind what it stamped: the latest stamp is not in the future
    let clock = |cpu: u32| {
        let latest =
            timed.iter().filter(|(_, t)| t.was_on(cpu)).filter_map(|(at, _)| known(at)).max().unwrap_or(0);
        task_times::rq_clock(s, cpu).map(|now| now.max(latest))
    };
    let clocks: Vec<(u32, kernel::Result<u64>)> =
        s.cpus().possible.iter().map(|&cpu| (cpu, clock(cpu))).collect();
    let newest = clocks.iter().filter_map(|(_, at)| at.as_ref().ok().copied()).max().unwrap_or(0);
    let width = if ago {
        let oldest = timed.iter().rev().find_map(|(at, _)| known(at));
        oldest.map_or(0, |at| when::ago(newest.saturating_sub(at)).len())
    } else {
        timed.iter().find_map(|(at, _)| known(at)).map_or(0, |at| at.to_string().len())
    };
    let row = |(at, t): &(kernel::Result<u64>, &Task)| {
        let own = || clocks.iter().find(|(cpu, _)| t.was_on(*cpu)).map(|(_, now)| now);
        let stamp = match at {
            Err(e) => tasks::unknown("?", e),
            Ok(at) if !ago => Cell::from(*at),
            Ok(at) => match own() {
                Some(Ok(now)) => {
                    let past = now.saturating_sub(*at);
                    Cell::Shown(Box::new(past.into()), when::ago(past))
                }
                Some(Err(e)) => tasks::unknown("?", e),
                None => tasks::known(None::<u64>, "on which CPU it ran is not known"),
            },
        };
        let key = if ago { "last_run_ago_ns" } else { "last_run_ns" };
        let mut line = Line::new().text("[").field(key, stamp).right(width).text("] [");
        line = line.field("state", tasks::state(s, t)).text("]  ");
        line.0.extend(banner(t).0);
        Record::of(line)
    };
    let Some(cpus) = cpus else {
        report.list("tasks", timed.iter().map(row).collect());
        return Ok(());
    };
    let homeless = timed.iter().filter(|(_, t)| t.cpu.is_none()).count();
    if homeless > 0 {
        report.missing(format!("ps: on which CPU {homeless} more tasks ran is not known"));
    }
    let mut blocks = Vec::new();
    for (n, cpu) in cpus.iter().enumerate() {
        let mut block = Record::new();
        if n > 0 {
            block.blank();
        }
        let line = Line::new().text("CPU: ").field("cpu", *cpu);
        if tasks::is_hidden(cx, s, *cpu) {
            block.line(line.text(" [OFFLINE]"));
            blocks.push(block);
            continue;
        }
        block.line(line);
        let on: Vec<Record> = timed.iter().filter(|(_, t)| t.was_on(*cpu)).map(row).collect();
        if on.is_empty() {
            block.text("(no tasks found)");
        }
        block.list("tasks", on);
        blocks.push(block);
    }
    report.list("cpus", blocks);
    Ok(())
}

pub(super) fn arguments(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut out = Vec::new();
    for t in chosen {
        cx.cancel.check()?;
        let mut row = Record::of(banner(t));
        if t.is_kthread() == Some(true) || t.mm == Some(VirtAddr(0)) {
            row.text("ps: no user stack");
            row.blank();
            out.push(row);
            continue;
        }
        match address_space::arguments(s, t) {
            Ok(found) => {
                let words = found.arguments.map(|v| v.into_iter().map(Cell::from).collect());
                let line = Line::new().text("ARG: ");
                row.line(match words {
                    Ok(words) => line.field("arguments", Cell::Many(words, " ")).text(" "),
                    Err(e) => line.field("arguments", gap(&e)),
                });
                match found.environment {
                    Ok(list) => environment(&list, &mut row),
                    Err(e) => row.line(Line::new().text("ENV: ").field("environment", gap(&e))),
                }
            }
            Err(e) => failed("arguments", t, &e, &mut row)?,
        }
        row.blank();
        out.push(row);
    }
    report.list("tasks", out);
    Ok(())
}

/// What could not be read, by its reason.
fn gap(e: &kernel::KernelError) -> Cell {
    match e {
        kernel::KernelError::Fault(fault) => Cell::from(*fault),
        e => tasks::unknown("not known", e),
    }
}

fn environment(list: &[String], row: &mut Record) {
    let mut lead = "ENV: ";
    let mut lines = Vec::new();
    for one in list {
        lines.push(Record::of(Line::new().text(lead).field("value", one.clone())));
        lead = "     ";
    }
    if lines.is_empty() {
        row.text("ENV: ");
    }
    row.list("environment", lines);
}

pub(super) fn rlimits(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    report: &mut Report,
) -> Result<(), CommandError> {
    let cell = |n: u64| {
        if n == rlimit::INFINITY {
            Cell::Shown(Box::new(Cell::from("unlimited")), "(unlimited)".into())
        } else {
            Cell::from(n)
        }
    };
    let mut out = Vec::new();
    for t in chosen {
        cx.cancel.check()?;
        let mut row = Record::of(banner(t));
        match rlimit::limits(s, t) {
            Ok(limits) => {
                row.line(Line::heading("      RLIMIT     CURRENT       MAXIMUM  "));
                let one = |l: &rlimit::Limit| {
                    let line = Line::new().text("  ").field("limit", l.name).right(10).text("   ");
                    Record::of(
                        line.field("current", cell(l.current))
                            .center(11)
                            .text("   ")
                            .field("maximum", cell(l.maximum))
                            .center(11),
                    )
                };
                row.list("limits", limits.iter().map(one).collect());
            }
            Err(e) => failed("limits", t, &e, &mut row)?,
        }
        row.blank();
        out.push(row);
    }
    report.list("tasks", out);
    Ok(())
}
