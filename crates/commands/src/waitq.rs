//! `waitq`: the tasks that sleep on a wait queue.
//!
//! A `wait_queue_head` links `wait_queue_entry`s (`__wait_queue_head`, `__wait_queue` and `task_list` before
//! 4.13, 2055da97389a); a waiter's `private` is its task where its function wakes tasks.

use crate::scope::SessionScope;
use crate::{Command, CommandError, Cx, Example, entries, tasks, values};
use base::VirtAddr;
use clap::{Arg, ArgAction, ArgMatches};
use kernel::list::list;
use report::{Cell, Line, Record, Report};

kernel::bind! {
    /// `struct wait_queue_head`
    struct WaitQueueHead("wait_queue_head" | "__wait_queue_head") { head: "head" | "task_list" }
}
kernel::bind! {
    /// `struct wait_queue_entry`
    struct WaitQueueEntry("wait_queue_entry" | "__wait_queue") {
        entry: "entry" | "task_list",
        private: "private" | "task",
        func: "func",
    }
}

/// The command.
#[derive(Debug)]
pub(crate) struct Waitq;

impl Command for Waitq {
    fn name(&self) -> &'static str {
        "waitq"
    }
    fn about(&self) -> &'static str {
        "list tasks queued on a wait queue"
    }
    fn details(&self) -> &'static str {
        "The wait queue is a symbol, an address, or STRUCT.MEMBER and the address of the struct that holds it."
    }
    fn args(&self, clap: clap::Command) -> clap::Command {
        clap.arg(
            Arg::new("what")
                .value_name("SYMBOL | ADDRESS | STRUCT.MEMBER ADDRESS")
                .action(ArgAction::Append)
                .num_args(1..=2)
                .required(true)
                .help("The wait queue"),
        )
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("waitq kauditd_wait", "a queue by its symbol"),
                Example::new("waitq signal_struct.wait_chldexit init_signals", "a queue in a struct"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &ArgMatches) -> Result<Report, CommandError> {
        let s = cx.session("waitq")?;
        let words: Vec<&str> =
            args.get_many::<String>("what").into_iter().flatten().map(String::as_str).collect();
        let at = match words.as_slice() {
            [member, place] => {
                let offset = entries::offset("waitq", &SessionScope::new(s), "struct.member", member)?;
                values::address(cx, s, "waitq", place)?.add(offset)
            }
            [word] => values::address(cx, s, "waitq", word).map_err(|_| match word.split_once('.') {
                Some((of, _)) => {
                    CommandError::argument("waitq", format_args!("must supply an address for {of}"))
                }
                None => CommandError::failed("waitq", format_args!("cannot resolve \"{word}\"")),
            })?,
            _ => return Err(CommandError::argument("waitq", "a wait queue is required")),
        };
        let name = words.last().copied().unwrap_or("");
        waiters(cx, at, name)
    }
}

fn waiters(cx: &Cx<'_>, at: VirtAddr, name: &str) -> Result<Report, CommandError> {
    let s = cx.session("waitq")?;
    let failed = |e: kernel::KernelError| CommandError::failed("waitq", e);
    let (head, entry) = (s.bind::<WaitQueueHead>(), s.bind::<WaitQueueEntry>());
    let mut report = Report::new("waitq");
    report.hidden("wait_queue", Cell::Addr(at.0));
    let mut records = Vec::new();
    let mut problem = None;
    let mut any = false;
    for link in list(s.mem(), head.head.at(at).map_err(failed)?) {
        cx.cancel.check()?;
        any = true;
        let waiter = link.and_then(|link| entry.entry.container(link));
        let read = waiter.and_then(|w| Ok((w, entry.private.ptr(s.mem(), w)?)));
        match read {
            Ok((waiter, task)) => {
                records.push(record(cx, waiter, task, entry.func.ptr(s.mem(), waiter).ok()))
            }
            Err(e) => problem = Some(e),
        }
    }
    if !any {
        let line =
            Line::new().text(format!("wait queue \"{name}\" (")).cell(Cell::Addr(at.0)).text(") is empty");
        report.line(line);
    }
    report.list("waiters", records);
    if let Some(e) = problem {
        report.error(format!("waitq: {e}"));
    }
    Ok(report)
}

fn record(cx: &Cx<'_>, waiter: VirtAddr, task: VirtAddr, func: Option<VirtAddr>) -> Record {
    let known = cx.session_if_open().and_then(|s| s.tasks().at(task));
    let mut record = match known {
        Some(t) => Record::of(tasks::banner(t)),
        None => {
            // an entry of epoll, an io_uring or another who is no task: its function says who
            let name = func.and_then(|f| cx.session_if_open()?.locate(f).map(|l| l.symbol.name.to_owned()));
            let text = format!(
                "  (no task: private is {:x}, func is {})",
                task.0,
                name.as_deref().unwrap_or("unknown")
            );
            Record::of(Line::new().text("WAITER: ").cell(Cell::Addr(waiter.0)).text(text))
        }
    };
    record.hidden("waiter", Cell::Addr(waiter.0));
    if let Some(func) = func {
        record.hidden("func", Cell::Addr(func.0));
    }
    record
}
