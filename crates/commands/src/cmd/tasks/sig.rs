//! `sig`: what processes do at signals, and which ones wait for them ([`kernel::sched::signal`]).

use crate::engine::number;
use crate::show::tasks::{self, Named, banner, or_why, unknown};
use crate::{CommandError, Cx, Example, Run};
use kernel::sched::signal::{self, Action, Pending, Process, Thread};
use kernel::sched::task::Task;
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Sig;

/// The arguments of `sig`.
#[derive(clap::Args)]
pub(crate) struct SigArgs {
    /// List the numbers and names of the signals
    #[arg(short = 'l')]
    names: bool,
    /// Name the signals whose bits are set in this number, in hex
    #[arg(short = 's', value_name = "SIGSET")]
    set: Option<String>,
    /// Show all threads of the task's process
    #[arg(short = 'g')]
    group: bool,
    /// Which tasks; the context where none
    #[arg(value_name = "PID | TASK", num_args = 0..)]
    task: Vec<String>,
}

impl Run for Sig {
    type Args = SigArgs;
    fn name(&self) -> &'static str {
        "sig"
    }
    fn about(&self) -> &'static str {
        "task signal handling"
    }
    fn details(&self) -> &'static str {
        "Shows what a task's process does at each signal (SIG_DFL: what is usual; SIG_IGN: nothing; or the address of a \
         function), with the signals that wait meanwhile and the flags; which signals the task blocks; and which ones wait: \
         for it alone (PRIVATE_PENDING) and for any thread of its process (SHARED_PENDING), with the siginfo of each that is \
         queued. SIGPENDING is yes where one of them is not blocked. Sets of signals are numbers in hex with a bit for each \
         signal, 1 for the lowest."
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        if crate::engine::command::has_letter(words, &['l', 's']) { Fetch::Never } else { Fetch::Lacking }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("sig", "the context's signals"),
                Example::new("sig 1", "another task's"),
                Example::new("sig -g 1", "a process, thread by thread"),
                Example {
                    line: "sig -s 800A000000000201",
                    about: "the names of a set",
                    output: "SIGHUP SIGUSR1 SIGRTMAX-14 SIGRTMAX-12 SIGRTMAX",
                },
                Example::new("sig -l", "all names"),
            ]
        }
    }
    fn needs(&self, args: &SigArgs) -> crate::Layer {
        if args.names || args.set.is_some() { crate::Layer::Nothing } else { crate::Layer::Session }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &SigArgs) -> Result<Report, CommandError> {
        if let Some(set) = &args.set {
            return translated(set);
        }
        if args.names {
            return Ok(names());
        }
        let s = cx.session()?;
        let mut chosen = Vec::new();
        let mut lost: Vec<(String, bool)> = Vec::new();
        for word in &args.task {
            let found = tasks::chosen(s, &[Named::parse(s, word)?]);
            if found.is_empty() {
                let why = tasks::nobody(s, word);
                lost.push((format!("sig: {why}"), why.is_loss()));
            }
            chosen.extend(found);
        }
        if let (Some(word), true) = (args.task.first(), chosen.is_empty()) {
            return Err(CommandError::failed(tasks::nobody(s, word)));
        }
        if chosen.is_empty() {
            chosen.push(tasks::context(cx)?);
        }
        let mut report = Report::new("sig");
        let mut rows = Vec::new();
        for task in chosen {
            cx.cancel.check()?;
            rows.push(if args.group { group(cx, s, task)? } else { one(s, task)? });
        }
        report.list("tasks", rows);
        for (text, is_loss) in lost {
            report.lacking_or_error(is_loss, text);
        }
        if args.group {
            tasks::problems(s, &mut report);
        }
        Ok(report)
    }
}

fn names() -> Report {
    let mut report = Report::new("sig");
    let rows = (1..=signal::COUNT).filter_map(|number| {
        let (name, second) = signal::name(number)?;
        let line = Line::new().text(if number < 10 { " [" } else { "[" }).field("number", number).text("] ");
        let line = line.field("name", name);
        let line = match second {
            Some(second) => line.text("/").field("second_name", second),
            None => line,
        };
        Some(Record::of(line))
    });
    report.list("signals", rows.collect());
    report
}

/// Columns of a line of names at most.
const WIDTH: usize = 80;

fn translated(text: &str) -> Result<Report, CommandError> {
    let set = number::hex(text)
        .ok_or_else(|| CommandError::argument(format_args!("not a number in hex: {text}")))?;
    let mut report = Report::new("sig");
    let names: Vec<String> = signal::in_set(set).filter_map(signal::name).map(|(name, _)| name).collect();
    report.hidden("set", Cell::hex(set));
    report.hidden("signals", Cell::Many(names.iter().cloned().map(Cell::from).collect(), " "));
    let mut line = String::new();
    for name in &names {
        if !line.is_empty() && line.len().saturating_add(name.len()) >= WIDTH {
            report.text(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
    }
    report.text(if names.is_empty() { "(none)".to_owned() } else { line });
    Ok(report)
}

/// All of one task.
fn one(s: &Session, task: &Task) -> Result<Record, CommandError> {
    let mut row = Record::of(banner(task));
    let (process, thread) = (signal::process(s, task), signal::thread(s, task));
    let both_unknown = process.as_ref().err().filter(|_| thread.is_err());
    if let Some(e @ (KernelError::NoType(_) | KernelError::NotInferred { .. })) = both_unknown {
        return Err(CommandError::failed(e));
    }
    if let Some(wrong) = &task.wrong {
        row.missing(format!("task_struct at {:#x} is damaged: {wrong}", task.at.0));
    }
    match &process {
        Ok(process) => dispositions(process, "", &mut row),
        Err(e) => lacking(&mut row, task, "what its process does at signals", e),
    }
    match &thread {
        Ok(thread) => own(thread, process.as_ref().ok(), "", &mut row),
        Err(e) => lacking(&mut row, task, "what it blocks and what waits for it", e),
    }
    if let Ok(process) = &process {
        row.text("SHARED_PENDING");
        waiting(&process.shared, "shared", "", &mut row);
    }
    row.blank();
    Ok(row)
}

/// A process: what its threads have in common, and then each of them.
fn group(cx: &Cx<'_>, s: &Session, task: &Task) -> Result<Record, CommandError> {
    let threads: Vec<&Task> = tasks::threads_of(s, task).collect();
    let leader = threads.iter().find(|t| t.is_leader()).copied().unwrap_or(task);
    let mut row = Record::of(banner(leader));
    let process = signal::process(s, leader);
    match &process {
        Ok(process) => {
            dispositions(process, "", &mut row);
            row.text("SHARED_PENDING");
            waiting(&process.shared, "shared", "", &mut row);
        }
        Err(e @ (KernelError::NoType(_) | KernelError::NotInferred { .. })) => {
            return Err(CommandError::failed(e));
        }
        Err(e) => lacking(&mut row, leader, "what its process does at signals", e),
    }
    let mut all = Vec::new();
    let others = threads.iter().copied().filter(|t| t.at != leader.at);
    for thread in std::iter::once(leader).chain(others) {
        cx.cancel.check()?;
        let mut record = Record::new();
        record.blank();
        let mut head = Line::of("  ");
        head.0.extend(banner(thread).0);
        record.line(head);
        match signal::thread(s, thread) {
            Ok(own_of) => own(&own_of, process.as_ref().ok(), "  ", &mut record),
            Err(e) => lacking(&mut record, thread, "what it blocks and what waits for it", &e),
        }
        all.push(record);
    }
    row.list("threads", all);
    row.blank();
    Ok(row)
}

fn lacking(row: &mut Record, task: &Task, what: &str, e: &KernelError) {
    row.lacking(e.is_loss(), format!("sig: task {}: {what} is not known: {e}", task.pid));
}

/// A set of signals, or why it is not known.
fn set(value: &Result<u64, KernelError>) -> Cell {
    or_why(value.clone().map(|set| Cell::hex_digits(set, 16)))
}

fn dispositions(process: &Process, indent: &'static str, row: &mut Record) {
    let line = Line::of(indent).text("SIGNAL_STRUCT: ").field("signal_struct", process.at);
    row.line(line.text("  NR_THREADS: ").field("nr_threads", or_why(process.threads.clone())));
    row.line(Line::heading(format!("{indent} SIG    SIGACTION        HANDLER       MASK       FLAGS")));
    match &process.actions {
        Ok(actions) => row.list("actions", actions.iter().map(|action| action_row(action, indent)).collect()),
        Err(e) => {
            row.lacking(e.is_loss(), format!("sig: what the process does at signals is not known: {e}"))
        }
    }
}

fn action_row(action: &Action, indent: &'static str) -> Record {
    let line = Line::of(indent)
        .text(if action.number < 10 { " [" } else { "[" })
        .field("signal", action.number)
        .text("] ")
        .field("sigaction", action.at)
        .text(" ")
        .field("handler", or_why(action.handler.clone().map(handler)))
        .right(10)
        .text(" ")
        .field("mask", set(&action.mask))
        .text(" ")
        .field("flags", or_why(action.flags.clone().map(|flags| Cell::hex_digits(flags, 1))));
    let names = action.flags.as_ref().map(|flags| signal::flag_names(*flags)).unwrap_or_default();
    Record::of(match names.is_empty() {
        true => line,
        false => {
            let names = Cell::Many(names.into_iter().map(Cell::from).collect(), "|");
            line.text(" (").field("flag_names", names).text(")")
        }
    })
}

fn handler(at: u64) -> Cell {
    match at {
        0 => Cell::from("SIG_DFL"),
        1 => Cell::from("SIG_IGN"),
        u64::MAX => Cell::from("SIG_ERR"),
        at => Cell::Addr(at),
    }
}

/// Whether a signal waits that the thread does not block.
fn is_pending(thread: &Thread, process: Option<&Process>) -> Cell {
    let shared = process.map_or(Err(None), |process| process.shared.set.clone().map_err(Some));
    let known = || -> Result<Cell, Option<KernelError>> {
        let blocked = thread.blocked.clone().map_err(Some)?;
        let open = thread.private.set.clone().map_err(Some)? & !blocked;
        if open != 0 {
            return Ok(Cell::from(true));
        }
        Ok(Cell::from(shared? & !blocked != 0))
    };
    known().unwrap_or_else(|e| match e {
        Some(e) => unknown("?", &e),
        None => Cell::absent("?", "what waits for the process is not known"),
    })
}

/// What is a thread's own.
fn own(thread: &Thread, process: Option<&Process>, indent: &'static str, row: &mut Record) {
    let line = Line::of(indent).text("SIGPENDING: ");
    row.line(line.field("sigpending", is_pending(thread, process)));
    let line = Line::of(indent).text("   BLOCKED: ");
    row.line(line.field("blocked", set(&thread.blocked)));
    row.line(Line::of(indent).text("PRIVATE_PENDING"));
    waiting(&thread.private, "private", indent, row);
}

fn waiting(pending: &Pending, key: &'static str, indent: &'static str, row: &mut Record) {
    let mut record = Record::new();
    let line = Line::of(indent).text("    SIGNAL: ");
    record.line(line.field("signal", set(&pending.set)));
    match (pending.queue.is_empty(), pending.problems.first()) {
        (true, None) => record.line(Line::of(indent).text("  SIGQUEUE: (empty)")),
        _ => record.line(Line::of(indent).text("  SIGQUEUE:  SIG  SIGINFO")),
    }
    let rows = pending.queue.iter().map(|queued| {
        let line = Line::of(indent).text("             ").field("number", queued.number).right(3);
        Record::of(line.text("  ").field("siginfo", queued.info))
    });
    record.list("queue", rows.collect());
    for e in pending.problems.iter().take(1) {
        record.lacking(e.is_loss(), format!("sig: other signals may be queued: {e}"));
    }
    row.record(key, record);
}
