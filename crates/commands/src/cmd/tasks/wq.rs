//! `wq`: workqueues, the pools of workers that do their works, and what waits ([`kernel::workqueue`]).

use crate::show::tasks::{self, or_why, unknown};
use crate::show::when::ago;
use crate::show::{problems, symbol};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use debuginfo::types::Type;
use kernel::machine::hardware;
use kernel::sched::times::{NSEC, latest_clock, not_run_for};
use kernel::time::timer;
use kernel::workqueue::delayed;
use kernel::workqueue::pool::{self, Pool, Running, Work, Worker};
use kernel::workqueue::queue::{self, Queue, Queues};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Wq;

/// The arguments of `wq`.
#[derive(clap::Args)]
pub(crate) struct WqArgs {
    /// All pools, with the workers that do nothing
    #[arg(short = 'a')]
    all: bool,
    /// Delayed works: their timers have not fired yet
    #[arg(short = 'd')]
    delayed: bool,
    /// The workqueues
    #[arg(short = 'w')]
    queues: bool,
    /// Only of the workqueues of these names
    #[arg(value_name = "WORKQUEUE", num_args = 0..)]
    names: Vec<String>,
}

/// What all parts of an answer need.
struct Asked<'a> {
    s: &'a Session,
    args: &'a WqArgs,
    /// The counter of ticks, and how many a second has.
    now: Result<u64, KernelError>,
    hz: Option<u64>,
}

impl Run for Wq {
    type Args = WqArgs;
    fn name(&self) -> &'static str {
        "wq"
    }
    fn about(&self) -> &'static str {
        "workqueues: pools, workers, works that run and wait"
    }
    fn details(&self) -> &'static str {
        "Shows each pool of workers that has work: its number, its CPU (unbound: any) and the nice value of its workers; which \
         worker runs which function, of which workqueue, and since when; the works that wait for a worker, with the time \
         since the pool last began one (the kernel does not note when a work was given); and the works that wait until fewer \
         of their workqueue are active. -a shows all pools, with the workers that do nothing and what they did last. -d shows \
         delayed works (their timers have not fired yet), the one that is due first leading. -w shows the workqueues: how many works each may \
         have active in a pool, how many are active, not done and held back. A rescuer that helps a pool is among its workers."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("wq", "pools that have work"),
                Example::new("wq -a", "all pools and workers"),
                Example::new("wq -d", "delayed works"),
                Example::new("wq -w events", "one workqueue"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &WqArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut report = Report::new("wq");
        let asked = Asked { s, args, now: timer::jiffies(s), hz: hardware::hz(s).ok() };
        let queues = queue::queues(s).map_err(CommandError::failed)?;
        asked.names_are_there(&queues)?;
        if args.all || !(args.delayed || args.queues) {
            asked.pools(cx, &queues, &mut report)?;
        }
        if args.delayed {
            asked.delayed(&mut report)?;
        }
        if args.queues {
            asked.queues(&queues, &mut report);
        }
        problems::tell(&mut report, "wq", "workqueues", &queues.problems);
        Ok(report)
    }
}

impl Asked<'_> {
    /// A name that no workqueue has is a mistake, as far as all are known.
    fn names_are_there(&self, queues: &Queues) -> Result<(), CommandError> {
        let has =
            |name: &String| queues.all.iter().any(|queue| queue.name.as_ref().is_ok_and(|own| own == name));
        let Some(name) = self.args.names.iter().find(|name| !has(name)) else { return Ok(()) };
        let lost =
            queues.problems.iter().chain(queues.all.iter().filter_map(|queue| queue.name.as_ref().err()));
        Err(CommandError::failed(format_args!("no workqueue has the name {name}"))
            .lost_if(lost.into_iter().any(KernelError::is_loss)))
    }

    /// True for a work of a workqueue that is asked for; `lost` takes why that is not known.
    fn is_asked(&self, queue: &Result<VirtAddr, KernelError>, lost: &mut Vec<KernelError>) -> bool {
        let names = &self.args.names;
        if names.is_empty() {
            return true;
        }
        match queue.clone().and_then(|at| queue::name(self.s, at)) {
            Ok(name) => names.contains(&name),
            Err(e) => {
                lost.push(e);
                false
            }
        }
    }

    fn pools(&self, cx: &Cx<'_>, queues: &Queues, report: &mut Report) -> Result<(), CommandError> {
        let found = pool::pools(self.s).map_err(CommandError::failed)?;
        let (mut rows, mut lost) = (Vec::new(), found.problems.clone());
        // what is held back is told by the workqueues
        lost.extend(queues.all.iter().flat_map(|queue| queue.problems.iter().cloned()));
        for pool in &found.all {
            cx.cancel.check()?;
            if let Some(mut row) = self.pool(pool, queues, &mut lost) {
                if !rows.is_empty() {
                    row.items.insert(0, report::Item::Blank);
                }
                rows.push(row);
            }
        }
        if rows.is_empty() && lost.is_empty() {
            report.info("wq: no work runs or waits for a worker");
        }
        report.list("pools", rows);
        problems::tell(report, "wq", "pools", &lost);
        Ok(())
    }

    /// A pool; none that is not to be shown. What is not known of such a one is for `lost`.
    fn pool(&self, pool: &Pool, queues: &Queues, lost: &mut Vec<KernelError>) -> Option<Record> {
        let mut own = pool.problems.clone();
        let is_all = self.args.all && self.args.names.is_empty();
        let mut workers: Vec<&Worker> = Vec::new();
        for worker in &pool.workers {
            let shown = match &worker.running {
                _ if is_all => true,
                Ok(Some(running)) => self.is_asked(&running.work.queue, &mut own),
                Ok(None) => false,
                Err(e) => {
                    own.push(e.clone());
                    false
                }
            };
            workers.extend(shown.then_some(worker));
        }
        let mut asked = |works: &mut dyn Iterator<Item = &'_ Work>| -> Vec<Work> {
            works.filter(|work| self.is_asked(&work.queue, &mut own)).cloned().collect()
        };
        let pending = asked(&mut pool.pending.iter());
        let inactive = asked(&mut of_pool(queues, pool.at));
        if workers.is_empty() && pending.is_empty() && inactive.is_empty() && !is_all {
            lost.append(&mut own);
            return None;
        }
        let line = Line::of("POOL: ").field("id", pool.id).left(4);
        let line = line.text(" WORKER_POOL: ").field("worker_pool", Cell::Addr(pool.at.0)).zeros(16);
        let cpu = match &pool.cpu {
            Ok(-1) => Cell::shown(-1_i64, "unbound"),
            Ok(cpu) => Cell::from(*cpu),
            Err(e) => unknown("?", e),
        };
        let line = line
            .text("  CPU: ")
            .field("cpu", cpu)
            .left(7)
            .text(" NICE: ")
            .field("nice", number(&pool.nice))
            .left(3);
        let line = line.text("  WORKERS: ").field("nr_workers", number(&pool.count));
        let line = line.text("  IDLE: ").field("nr_idle", number(&pool.idle));
        let mut row = Record::of(match flags(self.s, &pool.flags, POOL_FLAGS) {
            Some(flags) => line.text("  FLAGS: ").field("flags", flags),
            None => line,
        });
        row.list("workers", workers.into_iter().map(|worker| self.worker(worker)).collect());
        if !pending.is_empty() {
            row.line(self.progress(pool));
        }
        row.list(
            "pending",
            pending.iter().map(|work| self.work(Line::of("    "), work)).map(Record::of).collect(),
        );
        if !inactive.is_empty() {
            row.text("  INACTIVE:");
        }
        row.list(
            "inactive",
            inactive.iter().map(|work| self.work(Line::of("    "), work)).map(Record::of).collect(),
        );
        let known = pool.workers.len();
        let what = match &pool.count {
            Ok(count) => {
                format!("workers and works of pool {} ({known} of {count} workers are known)", pool.id)
            }
            Err(_) => format!("workers and works of pool {}", pool.id),
        };
        problems::not_whole(&mut row, "wq", &what, &own);
        Some(row)
    }

    /// `  PENDING (no work was begun for 0 00:00:01.000):`
    fn progress(&self, pool: &Pool) -> Line {
        let line = Line::of("  PENDING");
        match &pool.progress {
            None => line.text(":"),
            Some(at) => {
                line.text(" (the pool began no work for ").field("stalled_ticks", self.since(at)).text("):")
            }
        }
    }

    /// How long ago a tick was.
    fn since(&self, at: &Result<u64, KernelError>) -> Cell {
        match (at, &self.now) {
            (Ok(at), Ok(now)) => self.ticks(now.saturating_sub(*at)),
            (Err(e), _) | (_, Err(e)) => unknown("?", e),
        }
    }

    /// So many ticks as a time.
    fn ticks(&self, ticks: u64) -> Cell {
        let nsec = self.hz.and_then(|hz| ticks.checked_mul(NSEC)?.checked_div(hz));
        Cell::shown(ticks, nsec.map_or_else(|| format!("{ticks} ticks"), ago))
    }

    fn worker(&self, worker: &Worker) -> Record {
        let s = self.s;
        let line = Line::of("  WORKER: ").field("worker", Cell::Addr(worker.at.0)).zeros(16).text("  ");
        let mut line = match &worker.task {
            Ok(at) if at.is_null() => line.text("in softirqs"),
            Ok(at) => {
                let task = s.tasks().at(*at);
                let cell = |value: Option<Cell>| value.unwrap_or_else(task_lost);
                line.text("PID: ")
                    .field("pid", cell(task.map(|task| task.pid.into())))
                    .left(7)
                    .text(" ")
                    .field("state", cell(task.map(|task| tasks::state(s, task))))
                    .text("  COMMAND: \"")
                    .field("command", cell(task.map(|task| task.comm.clone().into())))
                    .text("\"")
            }
            Err(e) => line.text("TASK: ").field("task", unknown("?", e)),
        };
        let is_rescuer = worker.rescues.as_ref().is_ok_and(|at| !at.is_null());
        if is_rescuer {
            line = line.text("  rescuer of ").field("rescues", self.name(&worker.rescues));
        }
        let mut row = match &worker.running {
            Ok(Some(running)) => {
                let mut row = Record::of(line);
                row.line(self.running(worker, running));
                row.hidden("desc", or_why(worker.desc.as_ref().cloned()));
                row
            }
            Ok(None) => match &worker.desc {
                Ok(desc) if desc.is_empty() => Record::of(line.text("  did nothing yet")),
                Ok(desc) => Record::of(line.text("  last: ").field("desc", desc.clone())),
                Err(e) => Record::of(line.text("  last: ").field("desc", unknown("?", e))),
            },
            Err(e) => Record::of(line.text("  runs ").field("work", unknown("?", e))),
        };
        row.hidden("id", number(&worker.id));
        if let Ok(at) = &worker.task
            && !at.is_null()
        {
            row.hidden("task", *at);
        }
        let works = worker.scheduled.iter().map(|work| Record::of(self.work(Line::of("    then "), work)));
        row.list("scheduled", works.collect());
        row
    }

    /// What a worker runs, and since when: else for how long its task has not run.
    fn running(&self, worker: &Worker, running: &Running) -> Line {
        let line = self.work(Line::of("    "), &running.work);
        if let Some(started) = &running.started {
            return line.text("  for ").field("runs_ticks", self.since(started));
        }
        let s = self.s;
        let task = worker.task.as_ref().ok().and_then(|at| s.tasks().at(*at));
        match task {
            Some(task) if task.active => line.text("  on a CPU"),
            Some(task) => {
                let waits = latest_clock(s).and_then(|clock| not_run_for(s, task, clock));
                let waits = waits.map(|nsec| {
                    tasks::known(nsec.map(|nsec| Cell::shown(nsec, ago(nsec))), tasks::NOT_NOTED)
                });
                let waits = or_why(waits);
                line.text("  not run for ").field("waits_nsec", waits)
            }
            None => line,
        }
    }

    /// `WORK: ffff888004000000  WORKQUEUE: events  FUNCTION: do_it`
    fn work(&self, line: Line, work: &Work) -> Line {
        let line = line.text("WORK: ").field("work", Cell::Addr(work.at.0)).zeros(16);
        let line = line.text("  WORKQUEUE: ").field("workqueue", self.name(&work.queue)).left(16);
        let line = line.text("  FUNCTION: ");
        match &work.function {
            Ok(at) => {
                let line = line.field("function", symbol::of(self.s, *at));
                match symbol::module(self.s, *at) {
                    Some(module) => line.text(" [").field("module", module).text("]"),
                    None => line,
                }
            }
            Err(e) => line.field("function", unknown("?", e)),
        }
    }

    fn name(&self, queue: &Result<VirtAddr, KernelError>) -> Cell {
        match queue.clone().and_then(|at| queue::name(self.s, at)) {
            Ok(name) => name.into(),
            Err(e) => unknown("?", &e),
        }
    }

    fn delayed(&self, report: &mut Report) -> Result<(), CommandError> {
        let found = delayed::delayed(self.s).map_err(CommandError::failed)?;
        report.line(Line::heading("CPU               DUE  WORK"));
        let mut lost = found.problems.clone();
        let asked = found.all.iter().filter(|delayed| self.is_asked(&delayed.work.queue, &mut lost));
        let rows = asked.map(|delayed| {
            let left = delayed.expires.wrapping_sub(found.now).cast_signed();
            let due = match self.ticks(left.unsigned_abs()) {
                Cell::Shown(_, text) if left < 0 => Cell::shown(left, format!("-{text}")),
                Cell::Shown(_, text) => Cell::shown(left, text),
                cell => cell,
            };
            let line = Line::new().field("cpu", delayed.cpu).right(3).text(" ");
            let line = line.field("due_ticks", due).right(17).text("  ");
            Record::of(self.work(line, &delayed.work))
        });
        report.list("delayed", rows.collect());
        problems::tell(report, "wq", "delayed works", &lost);
        Ok(())
    }

    fn queues(&self, queues: &Queues, report: &mut Report) {
        report.line(Line::heading(
            "WORKQUEUE_STRUCT  MAX ACTIVE IN_FLIGHT INACTIVE  NAME                      FLAGS",
        ));
        let names = &self.args.names;
        let asked = queues
            .all
            .iter()
            .filter(|queue| names.is_empty() || queue.name.as_ref().is_ok_and(|name| names.contains(name)));
        report.list("workqueues", asked.map(|queue| self.queue(queue)).collect());
        let unnamed: Vec<KernelError> =
            queues.all.iter().filter_map(|queue| queue.name.clone().err()).collect();
        if !names.is_empty() {
            problems::tell(report, "wq", "workqueues of these names", &unnamed);
        }
    }

    fn queue(&self, queue: &Queue) -> Record {
        let whole = queue.problems.is_empty();
        let sum = |of: &dyn Fn(&queue::Share) -> Result<u64, KernelError>| -> Cell {
            let sum = queue.shares.iter().try_fold(0_u64, |sum, share| Ok(sum.saturating_add(of(share)?)));
            match sum {
                Ok(sum) if whole => sum.into(),
                Ok(sum) => Cell::at_least(sum, "what the workqueue has is not all known"),
                Err(e) => unknown("?", &e),
            }
        };
        let inactive = |share: &queue::Share| Ok(u64::try_from(share.inactive.len()).unwrap_or(u64::MAX));
        let line = Line::new().field("workqueue_struct", Cell::Addr(queue.at.0)).zeros(16).text(" ");
        let line = line.field("max_active", number(&queue.most)).right(4).text(" ");
        let line = line.field("active", sum(&|share| share.active.clone())).right(6).text(" ");
        let line = line.field("in_flight", sum(&|share| share.in_flight.clone())).right(9).text(" ");
        let line = line.field("inactive", sum(&inactive)).right(8).text("  ");
        let name = or_why(queue.name.as_ref().cloned());
        let line = line.field("name", name).left(25).text(" ");
        let mut row = Record::of(match flags(self.s, &queue.flags, QUEUE_FLAGS) {
            Some(flags) => line.field("flags", flags),
            None => line,
        });
        match &queue.rescuer {
            Ok(Some(worker)) => row.hidden("rescuer", worker.at),
            Ok(None) => {}
            Err(e) => row.hidden("rescuer", unknown("?", e)),
        }
        problems::not_whole(&mut row, "wq", "works of this workqueue", &queue.problems);
        row
    }
}

/// Works that wait until fewer of their workqueue are active in a pool.
fn of_pool(queues: &Queues, pool: VirtAddr) -> impl Iterator<Item = &Work> {
    let shares = queues.all.iter().flat_map(|queue| &queue.shares);
    shares
        .filter(move |share| share.pool.as_ref().is_ok_and(|own| *own == pool))
        .flat_map(|share| &share.inactive)
}

/// In the place of what a worker's task would tell.
fn task_lost() -> Cell {
    Cell::absent("?", "the worker's task is not among those that are known").lost_if(true)
}

fn number<T: Copy + Into<Cell>>(number: &Result<T, KernelError>) -> Cell {
    or_why(number.as_ref().copied())
}

/// A flag whose enumeration has a pool's flags.
const POOL_FLAGS: &str = "POOL_DISASSOCIATED";
/// The same of workqueues.
const QUEUE_FLAGS: &str = "WQ_UNBOUND";

/// The names of the flags that are set, as the enumeration of one of them has them, and what has no name; none where no flag
/// is set.
fn flags(s: &Session, flags: &Result<u64, KernelError>, one: &str) -> Option<Cell> {
    let set = match flags {
        Ok(0) => return None,
        Ok(set) => *set,
        Err(e) => return Some(unknown("?", e)),
    };
    let found = s.types().find_enumerator(one).into_iter().next();
    let of = found.and_then(|(of, _)| s.types().get(of).ok());
    let mut rest = set;
    let mut words = Vec::new();
    if let Some(Type::Enum { values, .. }) = of.as_deref() {
        for (name, value) in values.iter() {
            // limits stand among them, and what several flags are together
            let bit = u64::try_from(*value).ok().filter(|bit| {
                bit.is_power_of_two() && !(name.starts_with("WQ_") && name.ends_with("_ACTIVE"))
            });
            let Some(bit) = bit.filter(|bit| rest & bit != 0) else { continue };
            rest &= !bit;
            let name = name.trim_start_matches('_');
            words.push(name.trim_start_matches("WQ_").trim_start_matches("POOL_").to_owned());
        }
    }
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    Some(Cell::shown(set, words.join("|")))
}
