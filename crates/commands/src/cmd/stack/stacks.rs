//! `stacks`: the stacks of tasks, equal ones counted once.

use crate::cmd::stack::bt::frames::{ends, lost_nmi};
use crate::show::tasks::{self, Named, unknown};
use crate::show::when::ago;
use crate::{CommandError, Cx, Example, Run, unquoted};
use base::VirtAddr;
use kernel::sched::task::Task;
use kernel::sched::times::{latest_clock, not_run_for};
use kernel::stack::backtrace::Backtrace;
use kernel::{Fetch, KernelError, Session};
use regex_lite::Regex;
use report::{Cell, Line, Record, Report, SymbolRef};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The command.
#[derive(Debug)]
pub(crate) struct Stacks;

/// The arguments of `stacks`.
#[derive(clap::Args)]
pub(crate) struct StacksArgs {
    /// Only tasks in these states: RU, IN, UN, ID, ST, TR, ZO, DE, PA, NE, WA
    #[arg(short = 's', value_name = "STATE,...")]
    states: Vec<String>,
    /// Only stacks with a frame in this function
    #[arg(short = 'f', value_name = "NAME | 'REGEX'")]
    functions: Vec<String>,
    /// Only stacks with a frame in this module
    #[arg(short = 'm', value_name = "MODULE")]
    modules: Vec<String>,
    /// Only tasks that have not run for so many seconds
    #[arg(short = 'a', value_name = "SECONDS")]
    age: Option<f64>,
    /// Only threads of the kernel
    #[arg(short = 'k', conflicts_with = "user")]
    kernel: bool,
    /// Only tasks of users
    #[arg(short = 'u')]
    user: bool,
    /// Name all tasks of each stack, and not the first ones alone
    #[arg(short = 'p')]
    every: bool,
    /// Only these tasks
    #[arg(value_name = "PID | TASK | NAME | 'REGEX'", num_args = 0..)]
    task: Vec<String>,
}

const STATES: [&str; 11] = ["RU", "IN", "UN", "ID", "ST", "TR", "ZO", "DE", "PA", "NE", "WA"];
/// Tasks that are named of a stack, without `-p`.
const NAMED: usize = 6;

impl Run for Stacks {
    type Args = StacksArgs;
    fn name(&self) -> &'static str {
        "stacks"
    }
    fn about(&self) -> &'static str {
        "stacks of tasks, equal ones counted once"
    }
    fn details(&self) -> &'static str {
        "Shows each different stack of all tasks once, the one that most tasks have first, with how many have it, their \
         states, for how long they have not run, and which they are. Stacks are equal where all their return addresses are. \
         The options choose tasks and stacks: several of one kind are alternatives, different kinds all have to hold."
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("stacks", "all stacks"),
                Example::new("stacks -s UN", "what tasks in uninterruptible sleep wait in"),
                Example::new("stacks -f do_wait -u", "users' tasks that wait for a child"),
                Example::new("stacks -m virtio_ring", "stacks with a frame in a module"),
                Example::new(
                    "stacks -a 5 -p",
                    "of tasks that have not run for five seconds, all of them named",
                ),
            ]
        }
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn run(&self, cx: &mut Cx<'_>, args: &StacksArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let wanted = Wanted::parse(s, args)?;
        let mut report = Report::new("stacks");
        tasks::problems(s, &mut report);
        let clocks = Clocks::of(s);
        let (chosen, more) = wanted.tasks(s, &args.task, &clocks, &mut report)?;
        let found = backtraces(cx, s, &chosen)?;
        let mut groups: BTreeMap<Key, Vec<(&Task, &Backtrace)>> = BTreeMap::new();
        let mut open = 0_usize;
        for (task, bt) in chosen.iter().zip(&found) {
            if wanted.has_stack(s, bt) {
                groups.entry(key(s, task, bt)).or_default().push((*task, bt));
            } else if bt.lack(s).is_some() {
                open = open.saturating_add(1);
            }
        }
        if open > 0 {
            let why = "the dump lost a part of them";
            report
                .missing(format!("stacks: whether {open} more stacks have such a frame is not known: {why}"));
        }
        let of_all = s.tasks().lack().filter(|_| args.task.is_empty());
        let more = more.or(of_all);
        // what is lost of a stack may make it equal to any other
        let partial = found.iter().filter(|bt| bt.lack(s).is_some()).count();
        let others = (partial > 0).then(|| format!("the stacks of {partial} tasks are not known whole"));
        let others = more.clone().or(others);
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group.first().map(|(task, _)| task.pid)));
        if groups.is_empty() {
            report.info("stacks: no task has such a stack");
        }
        let mut rows = Vec::new();
        for group in &groups {
            cx.cancel.check()?;
            let mut row = group_row(s, group, &clocks, others.as_deref(), args.every);
            if !rows.is_empty() {
                row.items.insert(0, report::Item::Blank);
            }
            rows.push(row);
        }
        report.hidden("tasks", counted(chosen.len(), more.as_deref()));
        report.list("stacks", rows);
        Ok(report)
    }
}

/// A count, where others may belong to it for a reason.
fn counted(count: usize, others: Option<&str>) -> Cell {
    match others {
        Some(why) => Cell::at_least(count, why),
        None => Cell::from(count),
    }
}

/// What makes stacks equal: their addresses, and where there is none, why. A stack that the dump lost a part of is equal to
/// no other: its task's address tells it from them.
type Key = (Vec<(u64, bool)>, Option<String>, Option<VirtAddr>);

fn key(s: &Session, task: &Task, bt: &Backtrace) -> Key {
    let frames: Vec<(u64, bool)> = bt.unwound.frames.iter().map(|f| (f.pc.0, f.how.is_guess())).collect();
    let reason = frames.is_empty().then(|| why_none(bt));
    let own = (!frames.is_empty() && bt.lack(s).is_some()).then_some(task.at);
    (frames, reason, own)
}

/// Why a task has no frames.
fn why_none(bt: &Backtrace) -> String {
    match bt.user {
        Some(_) => "in user mode".to_owned(),
        None => bt.unwound.stopped.to_string(),
    }
}

/// What tasks and stacks are chosen by.
struct Wanted {
    states: Vec<&'static str>,
    functions: Vec<Pattern>,
    modules: Vec<String>,
    age_nsec: Option<u64>,
    kernel: bool,
    user: bool,
}

/// The name of a function, or a pattern of names.
enum Pattern {
    Name(String),
    Regex(Regex),
}

impl Pattern {
    fn parse(word: &str) -> Result<Self, CommandError> {
        match unquoted(word).filter(|_| word.starts_with('\'')) {
            Some(pattern) => Regex::new(pattern)
                .map(Pattern::Regex)
                .map_err(|e| CommandError::argument(format_args!("invalid expression {word}: {e}"))),
            None => Ok(Pattern::Name(word.to_owned())),
        }
    }
    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Name(own) => own == name,
            Pattern::Regex(regex) => regex.is_match(name),
        }
    }
}

impl Wanted {
    fn parse(s: &Session, args: &StacksArgs) -> Result<Self, CommandError> {
        let mut states = Vec::new();
        for word in args.states.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty()) {
            let known = STATES.iter().find(|state| state.eq_ignore_ascii_case(word));
            states.push(
                *known.ok_or_else(|| CommandError::argument(format_args!("not a state of tasks: {word}")))?,
            );
        }
        for name in &args.modules {
            if !s.modules().iter().any(|module| module.name == *name) {
                let is_loss = s.modules_problem().is_some_and(KernelError::is_loss);
                return Err(
                    CommandError::failed(format_args!("no module of this name: {name}")).lost_if(is_loss)
                );
            }
        }
        let age_nsec = match args.age {
            Some(seconds) if !(0.0..1e9).contains(&seconds) => {
                return Err(CommandError::argument(format_args!("not a number of seconds: {seconds}")));
            }
            age => age.map(|seconds| (seconds * 1e9) as u64),
        };
        Ok(Self {
            states,
            functions: args.functions.iter().map(|word| Pattern::parse(word)).collect::<Result<_, _>>()?,
            modules: args.modules.clone(),
            age_nsec,
            kernel: args.kernel,
            user: args.user,
        })
    }

    /// The tasks that are meant, and why there may be more.
    fn tasks<'s>(
        &self,
        s: &'s Session,
        words: &[String],
        clocks: &Clocks,
        report: &mut Report,
    ) -> Result<(Vec<&'s Task>, Option<String>), CommandError> {
        let mut named = Vec::new();
        for word in words {
            let one = Named::parse(s, word)?;
            if !s.tasks().all.iter().any(|task| one.matches(task)) {
                return Err(CommandError::failed(tasks::nobody(s, word)));
            }
            named.push(one);
        }
        let all: Vec<&Task> =
            if named.is_empty() { s.tasks().all.iter().collect() } else { tasks::chosen(s, &named) };
        let mut open = 0_usize;
        let mut out = Vec::new();
        for task in all {
            match self.has_task(s, task, clocks) {
                Some(true) => out.push(task),
                Some(false) => {}
                None => open = open.saturating_add(1),
            }
        }
        let why = (open > 0).then(|| {
            let why = "what tells their kind, state or time is not in the dump";
            format!("whether {open} more tasks are meant is not known: {why}")
        });
        if let Some(why) = &why {
            report.missing(format!("stacks: {why}"));
        }
        Ok((out, why))
    }

    /// Whether a task is meant; none where that is not known.
    fn has_task(&self, s: &Session, task: &Task, clocks: &Clocks) -> Option<bool> {
        if !self.states.is_empty() && !self.states.contains(&s.task_states().letters(task)?) {
            return Some(false);
        }
        if (self.kernel || self.user) && task.is_kthread()? != self.kernel {
            return Some(false);
        }
        match self.age_nsec {
            None => Some(true),
            // what a CPU ran has been running
            Some(_) if task.active => Some(false),
            Some(age) => Some(clocks.age(s, task).ok()?.is_some_and(|own| own >= age)),
        }
    }

    fn has_stack(&self, s: &Session, bt: &Backtrace) -> bool {
        let any = |of: &dyn Fn(&kernel::Located<'_>) -> bool| {
            bt.unwound.frames.iter().any(|frame| s.locate(frame.lookup()).is_some_and(|found| of(&found)))
        };
        let function =
            |found: &kernel::Located<'_>| self.functions.iter().any(|own| own.matches(found.symbol.name));
        let module = |found: &kernel::Located<'_>| {
            self.modules.iter().any(|own| found.symbol.module == Some(own.as_str()))
        };
        // of a module whose names are lost the place of its code tells
        let inside = || {
            bt.unwound.frames.iter().any(|frame| {
                s.module_at(frame.lookup()).is_some_and(|module| self.modules.contains(&module.name))
            })
        };
        (self.functions.is_empty() || any(&function)) && (self.modules.is_empty() || any(&module) || inside())
    }
}

/// The most recent clock of all run queues: what tasks' last runs are held against.
struct Clocks(Result<u64, KernelError>);

impl Clocks {
    fn of(s: &Session) -> Self {
        Self(latest_clock(s))
    }

    /// For how long a task has not run, in nanoseconds; none where the kernel did not note it.
    fn age(&self, s: &Session, task: &Task) -> Result<Option<u64>, KernelError> {
        not_run_for(s, task, self.0.clone()?)
    }
}

/// Tasks that a thread takes at a time.
const BATCH: usize = 16;

/// The backtraces of the tasks, on all cores.
fn backtraces(cx: &Cx<'_>, s: &Session, chosen: &[&Task]) -> Result<Vec<Backtrace>, CommandError> {
    let Some((first, rest)) = chosen.split_first() else { return Ok(Vec::new()) };
    // what all backtraces need is read by the first, while nobody waits for it
    let mut out = vec![s.backtrace(first)];
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let batches: Vec<&[&Task]> = rest.chunks(BATCH).collect();
    let cancel = cx.cancel;
    let work = || {
        let mut done = Vec::new();
        while !cancel.is_cancelled() {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(n) else { break };
            done.push((n, batch.iter().map(|task| s.backtrace(task)).collect::<Vec<_>>()));
        }
        done
    };
    let mut all: Vec<(usize, Vec<Backtrace>)> = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.min(batches.len())).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for helper in helpers {
            all.extend(helper.join().unwrap_or_default());
        }
        all
    });
    cx.cancel.check()?;
    all.sort_by_key(|(n, _)| *n);
    out.extend(all.into_iter().flat_map(|(_, batch)| batch));
    match out.len() == chosen.len() {
        true => Ok(out),
        false => Err(CommandError::failed("a thread that unwound stacks ended early")),
    }
}

/// `12 tasks: 10 IN, 2 UN   not run for 0 00:00:01.004 to 0 00:00:10.100`
fn group_row(
    s: &Session,
    group: &[(&Task, &Backtrace)],
    clocks: &Clocks,
    others: Option<&str>,
    every: bool,
) -> Record {
    let mut row = Record::new();
    let mut states: BTreeMap<&'static str, (usize, Cell)> = BTreeMap::new();
    for (task, _) in group {
        let state = s.task_states().letters(task).unwrap_or("??");
        states.entry(state).or_insert_with(|| (0, tasks::state(s, task))).0 += 1;
    }
    let words: Vec<String> = states.iter().map(|(state, (count, _))| format!("{count} {state}")).collect();
    let data = states.into_values().map(|(_, state)| state).collect();
    let many = if group.len() == 1 { " task: " } else { " tasks: " };
    let line = Line::new().field("count", counted(group.len(), others)).text(many);
    let line = line.field("states", Cell::shown(Cell::Many(data, ","), words.join(", ")));
    row.line(age_of(s, group, clocks, others, line));
    let shown = if every { group.len() } else { NAMED };
    let names = group.iter().take(shown).map(|(task, _)| format!("{} {}", task.pid, task.comm));
    let mut text = names.collect::<Vec<_>>().join(", ");
    if group.len() > shown {
        text = format!("{text} and {} more", group.len() - shown);
    }
    row.line(Line::of("  ").cell(text));
    let members = group.iter().map(|(task, _)| {
        let mut one = Record::new();
        one.hidden("pid", task.pid);
        one.hidden("task", task.at);
        one.hidden("command", task.comm.clone());
        one.hidden("state", tasks::state(s, task));
        one
    });
    row.list("tasks", members.collect());
    if let Some((task, bt)) = group.first() {
        frames(s, bt, &mut row);
        if let Some(cpu) = task.cpu.filter(|_| task.active) {
            lost_nmi(s, bt, cpu, "stacks", &mut row);
        }
    }
    row
}

/// For how long the tasks have not run: those that a CPU ran have. Where others may belong to the group, the times are of
/// those that are known.
fn age_of(
    s: &Session,
    group: &[(&Task, &Backtrace)],
    clocks: &Clocks,
    others: Option<&str>,
    line: Line,
) -> Line {
    let mut ages = Vec::new();
    for (task, _) in group.iter().filter(|(task, _)| !task.active) {
        match clocks.age(s, task) {
            Ok(Some(age)) => ages.push(age),
            Ok(None) => {
                return line.text("  not run for ").field("least_nsec", Cell::absent("?", tasks::NOT_NOTED));
            }
            Err(e) => return line.text("  not run for ").field("least_nsec", unknown("?", &e)),
        }
    }
    let (Some(least), Some(most)) = (ages.iter().min().copied(), ages.iter().max().copied()) else {
        return line.text("  running");
    };
    let (low, high) = match others {
        Some(why) => (Cell::absent("?", why).lost_if(true), Cell::at_least(most, why)),
        None => (Cell::from(least), Cell::from(most)),
    };
    let line = line.text("  not run for ").field("least_nsec", Cell::shown(low, ago(least)));
    match (group.len(), others) {
        (1, _) => line,
        (_, None) => line.text(" to ").field("most_nsec", Cell::shown(high, ago(most))),
        (_, Some(_)) => {
            line.text(" to ").field("most_nsec", Cell::shown(high, ago(most))).text(" (of those known)")
        }
    }
}

fn frames(s: &Session, bt: &Backtrace, row: &mut Record) {
    let all = bt.unwound.frames.iter().map(|frame| {
        let mark = if frame.how.is_guess() { "    ? " } else { "    " };
        let line = Line::of(mark).field("function", function(s, frame.lookup(), frame.pc));
        // of a module whose names are lost the place of its code tells
        let named = s.locate(frame.lookup()).and_then(|found| found.symbol.module.map(str::to_owned));
        let line = match named.or_else(|| Some(s.module_at(frame.lookup())?.name.clone())) {
            Some(module) => line.text(" [").field("module", module).text("]"),
            None => line,
        };
        let mut one = Record::of(line);
        one.hidden("pc", Cell::Addr(frame.pc.0));
        one.hidden("how", frame.how.word());
        one
    });
    row.list("frames", all.collect());
    if bt.unwound.frames.is_empty() {
        row.text(format!("    (no frames: {})", why_none(bt)));
        if let Some(why) = bt.lack(s) {
            row.missing(format!("stacks: frames are missing: {why}"));
        }
        return;
    }
    ends(s, bt, "stacks", row);
}

/// `name+43`, by the address that is looked up; the address where no symbol is known.
fn function(s: &Session, lookup: VirtAddr, pc: VirtAddr) -> Cell {
    match s.locate(lookup) {
        Some(found) => Cell::from(SymbolRef {
            name: found.symbol.name.to_owned(),
            offset: pc.0.wrapping_sub(found.symbol.addr.0),
            ..SymbolRef::default()
        }),
        None => Cell::Addr(pc.0),
    }
}
