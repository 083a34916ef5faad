//! `waitq`: the tasks that sleep on a wait queue ([`kernel::sched::waitq`]).

use crate::show::entries;
use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use inspect::SessionScope;
use kernel::{Fetch, KernelError};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Waitq;

/// The arguments of `waitq`.
#[derive(clap::Args)]
pub(crate) struct WaitqArgs {
    /// The wait queue
    #[arg(value_name = "SYMBOL | ADDRESS | STRUCT.MEMBER ADDRESS", num_args = 1..=2, required = true)]
    what: Vec<String>,
}

impl Run for Waitq {
    type Args = WaitqArgs;
    fn name(&self) -> &'static str {
        "waitq"
    }
    fn about(&self) -> &'static str {
        "list tasks queued on a wait queue"
    }
    fn details(&self) -> &'static str {
        "The wait queue is a symbol, an address, or STRUCT.MEMBER and the address of the struct that holds it."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("waitq kauditd_wait", "a queue by its symbol"),
                Example::new("waitq signal_struct.wait_chldexit init_signals", "a queue in a struct"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &WaitqArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let words: Vec<&str> = args.what.iter().map(String::as_str).collect();
        let at = match words.as_slice() {
            [member, place] => {
                let offset = entries::offset(&SessionScope::new(s), "struct.member", member)?;
                values::address(cx, s, place)?.add(offset)
            }
            [word] => values::address(cx, s, word).map_err(|_| match word.split_once('.') {
                Some((of, _)) => CommandError::argument(format_args!("must supply an address for {of}")),
                None => CommandError::failed(format_args!("cannot resolve \"{word}\"")),
            })?,
            _ => return Err(CommandError::argument("a wait queue is required")),
        };
        let name = words.last().copied().unwrap_or("");
        waiters(cx, at, name)
    }
}

fn waiters(cx: &Cx<'_>, at: VirtAddr, name: &str) -> Result<Report, CommandError> {
    let s = cx.session()?;
    let mut report = Report::new("waitq");
    report.hidden("wait_queue", Cell::Addr(at.0));
    let mut records = Vec::new();
    let problems = kernel::sched::waitq::waiters(s, at, &mut |waiter| {
        records.push(record(cx, waiter.at, waiter.private, waiter.func));
        match cx.cancel.is_cancelled() {
            true => Err(KernelError::Stopped("walking the queue")),
            false => Ok(()),
        }
    });
    let problems = problems?;
    cx.cancel.check()?;
    let problem = problems.into_iter().next();
    if records.is_empty() && problem.is_none() {
        let line =
            Line::new().text(format!("wait queue \"{name}\" (")).cell(Cell::Addr(at.0)).text(") is empty");
        report.line(line);
    }
    report.list("waiters", records);
    if let Some(e) = problem {
        let is_loss = e.is_missing() || e.is_loss();
        let lead = if is_loss { "the queue is not whole: " } else { "" };
        report.lacking_or_error(is_loss, format!("waitq: {lead}{e}"));
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
            let who = match cx.session_if_open().and_then(|s| s.tasks().lack()) {
                None => "no task",
                Some(_) => "no task that is known",
            };
            let text = format!(
                "  ({who}: private is {:x}, func is {})",
                task.0,
                name.as_deref().unwrap_or("unknown")
            );
            let mut record = Record::of(Line::new().text("WAITER: ").cell(Cell::Addr(waiter.0)).text(text));
            if let Some(lack) = cx.session_if_open().and_then(|s| s.tasks().lack()) {
                for name in ["pid", "task", "cpu", "command"] {
                    record.hidden(name, Cell::absent("not known", lack.clone()));
                }
            }
            record
        }
    };
    record.hidden("waiter", Cell::Addr(waiter.0));
    record.hidden(
        "func",
        tasks::known(func.map(|at| Cell::Addr(at.0)), "the entry's function is not in the dump"),
    );
    record
}
