//! `runq`: what waits to run on each CPU ([`kernel::sched::runq`]).

mod groups;
mod times;

use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use kernel::sched::runq::{self, CpuQueues, Of, Queue, Queued};
use kernel::sched::task::Task;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Runq;

/// The arguments of `runq`.
#[derive(clap::Args)]
pub(crate) struct RunqArgs {
    /// Show the clock of each run queue, and when the task that runs was put on the CPU
    #[arg(short = 't')]
    clocks: bool,
    /// Show how far each run queue's clock is behind the most recent one
    #[arg(short = 'T')]
    lag: bool,
    /// Show for how long the task on each CPU has been running
    #[arg(short = 'm')]
    milliseconds: bool,
    /// Show tasks by the groups that they are in
    #[arg(short = 'g')]
    groups: bool,
    /// Only of these CPUs
    #[arg(short = 'c', value_name = "CPU,...")]
    cpus: Option<String>,
}

impl Run for Runq {
    type Args = RunqArgs;
    fn name(&self) -> &'static str {
        "runq"
    }
    fn about(&self) -> &'static str {
        "run queue"
    }
    fn details(&self) -> &'static str {
        "Shows the task that each CPU runs and those that wait on its queues, with their priorities: real-time tasks (the \
         one that runs is among them), then those of the fair class, in the order in which they would run. Tasks with \
         deadlines and those of a BPF scheduler are shown where there are any. DELAYED is said of a task that sleeps and \
         stays queued until it has given back what it ran too long (6.12). -g shows groups within each other, with their \
         cgroups' names, THROTTLED where a group used up its share of time; its tasks do not run until it gets more, and \
         without -g those are not shown."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("runq", "what waits to run"),
                Example::new("runq -g -c 0", "one CPU's, by groups"),
                Example::new("runq -t", "the clocks"),
                Example::new("runq -T", "how far CPUs are behind"),
                Example::new("runq -m", "for how long the tasks have been running"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &RunqArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let cpus = tasks::cpus_or_all(s, args.cpus.as_deref())?;
        let mut report = Report::new("runq");
        if args.clocks {
            times::clocks(cx, s, &cpus, &mut report)?;
        } else if args.lag {
            times::lag(s, &cpus, &mut report)?;
        } else if args.milliseconds {
            times::running(cx, s, &cpus, &mut report)?;
        } else if args.groups {
            groups::show(cx, s, &cpus, &mut report)?;
        } else {
            queues(cx, s, &cpus, &mut report)?;
        }
        tasks::unknown_cpus(s, &mut report);
        Ok(report)
    }
}

fn queues(cx: &Cx<'_>, s: &Session, cpus: &[u32], report: &mut Report) -> Result<(), CommandError> {
    let name = |cpu: u32| Line::of("CPU ").field("cpu", cpu);
    let offline = |cpu, row: &mut Record| {
        row.line(name(cpu).text(" [OFFLINE]"));
        row.hidden("offline", true);
    };
    let rows = tasks::cpu_rows(cx, s, cpus, &offline, &mut |cpu, row| {
        let line = name(cpu);
        match runq::of_cpu(s, cpu) {
            Ok(own) => {
                row.line(line.text(" RUNQUEUE: ").field("runqueue", own.at));
                row.line(current(s, cpu, "  CURRENT: "));
                of_cpu(s, cpu, &own, row)?;
            }
            Err(e) if e.is_of_all() => return Err(CommandError::failed(e)),
            Err(e) => {
                row.line(line.text(" RUNQUEUE: ").field("runqueue", unknown("?", &e)));
                row.lacking(e.is_loss(), format!("runq: the queues of CPU {cpu} are not known: {e}"));
            }
        }
        Ok(())
    })?;
    report.list("cpus", rows);
    Ok(())
}

/// The line of the task that a CPU runs.
fn current(s: &Session, cpu: u32, head: &'static str) -> Line {
    let line = Line::of(head);
    match s.tasks().on_cpu(cpu) {
        Some(task) => named(line, task),
        None => {
            line.field("task", Cell::absent("?", format!("what CPU {cpu} ran is not known")).lost_if(true))
        }
    }
}

/// `PID: 588    TASK: ffff88007e4877a0  COMMAND: "udevd"`
fn named(line: Line, task: &Task) -> Line {
    line.text("PID: ")
        .field("pid", task.pid)
        .left(5)
        .text("  TASK: ")
        .field("task", task.at)
        .text("  COMMAND: \"")
        .field("command", task.comm.clone())
        .text("\"")
}

/// The queues of one CPU.
fn of_cpu(s: &Session, cpu: u32, own: &CpuQueues, row: &mut Record) -> Result<(), CommandError> {
    let mut seen = Vec::new();
    let rt = own.rt.clone().and_then(|at| Ok((at, runq::realtime_lists(s, at)?)));
    let rt = rt.and_then(|(at, lists)| {
        row.line(Line::of("  RT PRIO_ARRAY: ").field("rt_prio_array", lists));
        runq::realtime(s, at)
    });
    part(rt, (cpu, "real-time tasks", "rt"), row, |queue, list| realtime(s, queue, list, &mut seen))?;
    if let Some(at) = own.deadline {
        let queue = runq::deadline(s, at);
        if is_worth_showing(queue.as_ref()) {
            if let Ok(tree) = runq::deadline_tree(s, at)
                && queue.is_ok()
            {
                row.line(Line::of("  DL RB_ROOT: ").field("dl_rb_root", tree));
            }
            part(queue, (cpu, "tasks with deadlines", "deadline"), row, |queue, list| {
                list.extend(queue.all.into_iter().map(|queued| entry(s, &queued, 5)));
                queue.problems
            })?;
        }
    }
    let fair = own.fair.clone().and_then(|at| Ok((at, runq::fair_tree(s, at)?)));
    let fair = fair.and_then(|(at, tree)| {
        row.line(Line::of("  CFS RB_ROOT: ").field("cfs_rb_root", tree));
        runq::fair(s, at).map(|queue| (at, queue))
    });
    let mut seen = Vec::new();
    part(fair, (cpu, "tasks of the fair class", "cfs"), row, |(at, queue), list| {
        seen.push(at);
        fair_tasks(s, at, queue, list, &mut seen)
    })?;
    if let Some(at) = own.runnable {
        let queue = runq::extensible(s, at);
        if is_worth_showing(queue.as_ref()) {
            row.line(Line::of("  SCX RUNNABLE_LIST: ").field("scx_runnable_list", at));
            part(queue, (cpu, "tasks of the BPF scheduler", "scx"), row, |queue, list| {
                list.extend(queue.all.into_iter().map(|queued| entry(s, &queued, 5)));
                queue.problems
            })?;
        }
    }
    Ok(())
}

/// True for a queue that holds something, or of which that is not known.
fn is_worth_showing(queue: Result<&Queue<Queued>, &KernelError>) -> bool {
    match queue {
        Ok(queue) => !queue.all.is_empty() || !queue.problems.is_empty(),
        Err(e) => !e.is_of_all(),
    }
}

/// The entries of one class, by `fill`, which tells what could not be read.
fn part<T>(
    queue: Result<T, KernelError>,
    (cpu, what, key): (u32, &str, &'static str),
    row: &mut Record,
    fill: impl FnOnce(T, &mut Vec<Record>) -> Vec<KernelError>,
) -> Result<(), CommandError> {
    let mut list = Vec::new();
    let problems = match queue {
        Ok(queue) => fill(queue, &mut list),
        Err(e) if e.is_of_all() => return Err(CommandError::failed(e)),
        Err(e) => vec![e],
    };
    if list.is_empty() && problems.is_empty() {
        row.text("     [no tasks queued]");
    }
    row.list(key, list);
    told(&problems, (cpu, what), row);
    Ok(())
}

/// Says that a queue is not whole.
fn told(problems: &[KernelError], (cpu, what): (u32, &str), row: &mut Record) {
    let Some(e) = problems.first() else { return };
    let more = match problems.len() {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    row.lacking(
        problems.iter().any(KernelError::is_loss),
        format!("runq: the {what} of CPU {cpu} are not all known: {e}{more}"),
    );
}

/// Queues deeper in each other than this are a circle.
const MAX_DEPTH: usize = 256;

/// Tasks of a real-time queue and of the groups in it.
fn realtime(
    s: &Session,
    queue: Queue<Queued>,
    list: &mut Vec<Record>,
    seen: &mut Vec<base::VirtAddr>,
) -> Vec<KernelError> {
    let mut problems = queue.problems;
    for queued in &queue.all {
        match group_of(queued, seen) {
            Ok(None) => list.push(entry(s, queued, 5)),
            Ok(Some(own)) => match runq::realtime(s, own) {
                Ok(inner) => problems.extend(realtime(s, inner, list, seen)),
                Err(e) => problems.push(e),
            },
            Err(e) => problems.push(e),
        }
    }
    problems
}

/// Tasks of a fair queue and of the groups in it; the group of the task that runs comes first, as it is not in the tree.
fn fair_tasks(
    s: &Session,
    at: base::VirtAddr,
    queue: Queue<Queued>,
    list: &mut Vec<Record>,
    seen: &mut Vec<base::VirtAddr>,
) -> Vec<KernelError> {
    let mut problems = queue.problems;
    let current = match runq::fair_current(s, at) {
        Ok(current) => current.filter(|queued| matches!(queued.of, Of::Group(_))),
        Err(e) => {
            problems.push(e);
            None
        }
    };
    for queued in current.iter().chain(&queue.all) {
        match group_of(queued, seen) {
            Ok(None) => list.push(entry(s, queued, 5)),
            Ok(Some(own)) => match runq::fair(s, own) {
                Ok(inner) => problems.extend(fair_tasks(s, own, inner, list, seen)),
                Err(e) => problems.push(e),
            },
            Err(e) => problems.push(e),
        }
    }
    problems
}

/// The queue of a group; none for what is no group; an error for one that was gone through.
fn group_of(queued: &Queued, seen: &mut Vec<base::VirtAddr>) -> Result<Option<base::VirtAddr>, KernelError> {
    let Of::Group(own) = queued.of else { return Ok(None) };
    if seen.contains(&own) || seen.len() > MAX_DEPTH * MAX_DEPTH {
        let why = "a queue stands in itself, or twice".to_owned();
        return Err(KernelError::Damaged { what: "run queue", at: own, why });
    }
    seen.push(own);
    Ok(Some(own))
}

/// A line of a queue, so many columns from the left.
fn entry(s: &Session, queued: &Queued, indent: usize) -> Record {
    let mut record = Record::of(entry_line(s, queued, indent));
    if queued.is_delayed {
        record.hidden("sched_delayed", true);
    }
    record
}

fn entry_line(s: &Session, queued: &Queued, indent: usize) -> Line {
    let line = Line::of(" ".repeat(indent)).text("[");
    match &queued.of {
        Of::Task(task) => {
            let prio = match queued.level {
                Some(level) => Cell::from(level),
                None => or_why(runq::priority(s, task)),
            };
            let line = named(line.field("prio", prio).right(3).text("] "), task);
            if queued.is_delayed { line.text(" [DELAYED]") } else { line }
        }
        Of::Server => {
            let line = line.text(" -1] SCHED_DL_ENTITY: ").field("server", queued.at);
            line.text("  (time kept for tasks of another class)")
        }
        // the callers show what is in groups
        Of::Group(own) => line.text("   ] GROUP: ").field("group_queue", *own),
    }
}
