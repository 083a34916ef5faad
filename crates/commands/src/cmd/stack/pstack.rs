//! `pstack`: the stack of a process in user mode ([`kernel::stack::user`]).

use crate::show::tasks::{self, unknown};
use crate::{CommandError, Cx, Example, Run};
use kernel::Fetch;
use kernel::sched::task::Task;
use kernel::stack::user::{self, Files, UserFrame};
use report::{Cell, Line, Record, Report, Role, SymbolRef};

/// The command.
#[derive(Debug)]
pub(crate) struct Pstack;

/// The arguments of `pstack`.
#[derive(clap::Args)]
pub(crate) struct PstackArgs {
    /// All threads of each process
    #[arg(short = 'g')]
    group: bool,
    /// Of all processes
    #[arg(short = 'a', conflicts_with = "tasks")]
    all: bool,
    /// Tasks, by PID or the address of their task_struct; without any, the one of the context
    #[arg(value_name = "PID|TASK", num_args = 0..)]
    tasks: Vec<String>,
}

impl Run for Pstack {
    type Args = PstackArgs;
    fn name(&self) -> &'static str {
        "pstack"
    }
    fn about(&self) -> &'static str {
        "stacks of processes in user mode"
    }
    fn details(&self) -> &'static str {
        "Shows the frames that a task has in user mode, from the registers that it entered the kernel with: the address, the \
         function and the file. Tables for unwinding and names come from the files that the process maps, as the page cache \
         has them. \"(by frame pointer)\" marks a frame of which the file says nothing: a function need not keep frame \
         pointers. What is lacking is told: memory that a filter left out of the dump, pages that are not in memory, a file \
         without tables or names."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("pstack 1", "the first process"), Example::new("pstack -a", "all processes")] }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PstackArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut report = Report::new("pstack");
        let mut chosen: Vec<&Task> = Vec::new();
        if args.all {
            let is_user = |task: &&Task| task.is_kernel() == Some(false) && !task.has_exited();
            chosen.extend(s.tasks().all.iter().filter(is_user).filter(|task| args.group || task.is_leader()));
            tasks::problems(s, &mut report);
        } else if args.tasks.is_empty() {
            chosen.push(tasks::context(cx)?);
        }
        for word in &args.tasks {
            chosen.push(tasks::one(s, word)?);
        }
        if args.group && !args.all {
            let mut all: Vec<&Task> = Vec::new();
            for task in chosen {
                if all.iter().all(|known| known.at != task.at) {
                    all.extend(tasks::threads_of(s, task));
                }
            }
            chosen = all;
            tasks::problems(s, &mut report);
        }
        let single = chosen.len() == 1;
        let mut files = Files::default();
        let mut rows = Vec::new();
        for task in chosen {
            cx.cancel.check()?;
            let mut row = Record::new();
            if !rows.is_empty() {
                row.blank();
            }
            row.line(tasks::banner(task));
            match user::stack(s, task, &mut files) {
                Ok(stack) => shown(&stack, &mut row),
                Err(e) if single => return Err(CommandError::failed(e)),
                Err(e) => row.lacking(
                    e.is_loss(),
                    format!("pstack: the stack of task {} is not known: {e}", task.pid),
                ),
            }
            rows.push(row);
        }
        report.list("stacks", rows);
        Ok(report)
    }
}

fn shown(stack: &user::UserStack, row: &mut Record) {
    row.list("frames", stack.frames.iter().enumerate().map(|(n, frame)| line(n, frame)).collect());
    row.hidden("whole", stack.is_whole);
    for lack in &stack.lacks {
        row.warning(format!("pstack: {lack}"));
    }
    if !stack.is_whole {
        row.lacking(stack.is_loss, format!("pstack: there may be more frames: {}", stack.stopped));
    }
}

fn line(n: usize, frame: &UserFrame) -> Record {
    let line = Line::new()
        .text("#")
        .field("level", n)
        .left(3)
        .text(" ")
        .field("pc", Cell::Addr(frame.pc.0))
        .zeros(16)
        .text(" in ");
    let line = match &frame.symbol {
        Some((name, offset)) => {
            let name = rustc_demangle::demangle(name).to_string();
            line.field("symbol", Cell::from(SymbolRef { name, offset: *offset, ..SymbolRef::default() }))
        }
        None => line.field("symbol", Cell::absent("?", "no symbol covers this address")),
    };
    let line = match &frame.file {
        Some(file) => {
            let name = file.as_ref().map_or_else(|e| unknown("?", e), |name| Cell::from(name.clone()));
            line.text("  (").field("file", name).role(Role::Path).text(")")
        }
        None => line,
    };
    let mut row = Record::of(if frame.by_pointer { line.text("  (by frame pointer)") } else { line });
    row.hidden("sp", Cell::Addr(frame.sp.0));
    if let Some(at) = frame.in_file {
        row.hidden("in_file", Cell::Addr(at));
    }
    if frame.by_pointer {
        row.hidden("by_frame_pointer", true);
    }
    row
}
