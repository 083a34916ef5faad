//! `gcore`: a process as a core file, for debuggers of user programs ([`kernel::fs::coredump`]).

use crate::show::holes::{self, Hole, Holes};
use crate::show::problems;
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Run, Writes};
use kernel::fs::coredump::elf::Writer;
use kernel::fs::coredump::notes::notes;
use kernel::fs::coredump::threads::{self, Thread};
use kernel::fs::coredump::{self, Content, Kinds, Part, Space};
use kernel::mm::address_space;
use kernel::sched::task::Task;
use kernel::{Fetch, Session};
use report::{Cell, Line, Record, Report, Role};
use std::io::BufWriter;

/// `gcore`.
#[derive(Debug)]
pub(crate) struct Gcore;

/// The arguments of `gcore`.
#[derive(clap::Args)]
pub(crate) struct GcoreArgs {
    /// Which memory to take, as /proc/PID/coredump_filter counts it: 1 anonymous, 2 anonymous and shared, 4 of files, 8 of files and shared, 16 first pages of files, 32 huge, 64 huge and shared; 128 takes what the process asked not to be dumped (127 without this option)
    #[arg(short = 'f', value_name = "FILTER")]
    filter: Option<String>,
    /// Write to this file, and not to core.PID
    #[arg(short = 'o', value_name = "FILE")]
    output: Option<String>,
    /// The tasks; without one, the task that set chose
    #[arg(value_name = "PID | TASK", num_args = 0..)]
    tasks: Vec<String>,
}

impl Run for Gcore {
    type Args = GcoreArgs;
    fn name(&self) -> &'static str {
        "gcore"
    }
    fn about(&self) -> &'static str {
        "write a process as a core file"
    }
    fn details(&self) -> &'static str {
        "Writes an ELF core of a user process, as the kernel would: its memory, the registers of all of its threads (that of the \
         named one first), and what debuggers ask of it. gdb PROGRAM core.PID reads it. The memory comes from the process's page \
         tables and from the page cache. What was in swap, what a filter left out of the dump and what was not read from its file \
         is not in the core: debuggers say that it cannot be read, or take it from the file. Each such part is told, and \
         core.PID.holes has a line for each."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn writes(&self, args: &GcoreArgs) -> Writes {
        // without a name it is made of the process's, in this folder
        args.output.as_deref().map_or_else(|| Writes::file("."), holes::both)
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("gcore", "the process that set chose"),
                Example::new("gcore 1", "process 1, as core.1"),
                Example::new("gcore -f 3 -o /tmp/stacks.core 1", "its anonymous memory alone, to a file"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &GcoreArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let kinds = match args.filter.as_deref() {
            None => Kinds::USUAL,
            Some(text) => {
                let bits = crate::engine::number::value(text, &|_| None).ok().and_then(Kinds::of);
                let why = || {
                    CommandError::argument(format_args!(
                        "{text} is no filter: it is a sum of 1, 2, 4, 8, 16, 32, 64, 128"
                    ))
                };
                bits.ok_or_else(why)?
            }
        };
        let mut wanted = Vec::new();
        for word in &args.tasks {
            wanted.push(tasks::one(s, word)?);
        }
        if wanted.is_empty() {
            wanted.push(tasks::context(cx)?);
        }
        if args.output.is_some() && wanted.len() > 1 {
            return Err(CommandError::argument("-o names one file, and there are several tasks"));
        }
        let mut report = Report::new("gcore");
        tasks::problems(s, &mut report);
        let mut rows = Vec::new();
        for task in wanted {
            let path = args.output.clone().unwrap_or_else(|| format!("core.{}", task.pid));
            rows.push(core(cx, s, task, &path, kinds, &mut report)?);
        }
        report.list("cores", rows);
        Ok(report)
    }
}

/// The threads of a process that have registers of user mode, a named one first; of the others, why they have none.
fn all_threads(s: &Session, task: &Task, report: &mut Report) -> Vec<Thread> {
    let of_process = |t: &&Task| t.tgid == task.tgid && t.at != task.at && !t.has_exited();
    let others = s.tasks().all.iter().filter(of_process);
    let mut out = Vec::new();
    for t in std::iter::once(task).chain(others) {
        match threads::thread(s, t) {
            Ok(thread) => out.push(thread),
            Err(e) => report.lacking(e.is_loss(), format!("gcore: thread {} is not in the core: {e}", t.pid)),
        }
    }
    out
}

/// Writes the core of a process.
fn core(
    cx: &Cx<'_>,
    s: &Session,
    task: &Task,
    path: &str,
    kinds: Kinds,
    report: &mut Report,
) -> Result<Record, CommandError> {
    let mm = address_space::of_task(s, task).map_err(CommandError::failed)?;
    if mm.is_null() || task.is_kthread() == Some(true) {
        return Err(CommandError::failed(format_args!("task {} has no user memory", task.pid)));
    }
    let space = Space::of(s, mm).map_err(CommandError::failed)?;
    let threads = all_threads(s, task, report);
    if threads.iter().any(|t| s.arch().notes.is_narrow(&t.regs)) {
        return Err(CommandError::failed(format_args!(
            "task {} is a 32-bit program: cores of those are not written",
            task.pid
        )));
    }
    let mut holes = Holes::of(cx, path)?;
    let unwritten = |e: std::io::Error| CommandError::failed(format_args!("{path}: {e}"));
    let file = std::fs::File::create(path).map_err(unwritten)?;
    let mut writer = Writer::new(BufWriter::new(file), s.page_size());
    let (mut written, mut last) = (0_u64, 0);
    coredump::memory(s, &space, kinds, &mut |part: Part<'_>| -> Result<(), CommandError> {
        cx.cancel.check()?;
        let Part { vma, at, len, content } = part;
        let begins = std::mem::replace(&mut last, vma.start) != vma.start;
        match content {
            Content::Bytes(bytes) => {
                written = written.saturating_add(len);
                writer.bytes(at, vma.flags, begins, bytes).map_err(unwritten)?;
            }
            Content::Zeros => writer.zeros(at, vma.flags, begins, len),
            Content::Hole { why, is_loss } => {
                holes.push(Hole { from: at, to: at.saturating_add(len), why, is_loss });
            }
        }
        Ok(())
    })?;
    let files = coredump::mapped(s, &space);
    let notes = notes(s, &space, &threads, &files);
    let machine = s.arch().e_machine();
    writer.finish(machine, &notes.bytes).map_err(unwritten)?;
    holes.write()?;
    for (what, e) in &notes.problems {
        report.lacking(e.is_loss(), format!("gcore: the core lacks {what}: {e}"));
    }
    lacking(s, &space, &files, &threads, report);
    if let Some(lost) = holes.loss() {
        report.missing(format!(
            "gcore: the core of {} lacks memory that the dump lost: {}",
            task.pid, lost.why
        ));
    }
    Ok(shown(task, path, written, &threads, holes))
}

/// Says what else of a process is not known.
fn lacking(s: &Session, space: &Space, files: &[coredump::Mapped], threads: &[Thread], report: &mut Report) {
    let problem: Vec<_> = space.vmas.problem.iter().cloned().collect();
    problems::tell(report, "gcore", "mappings", &problem);
    let nameless: Vec<_> = files.iter().filter_map(|one| one.path.as_ref().err().cloned()).collect();
    problems::tell(report, "gcore", "paths of mapped files", &nameless);
    for thread in threads {
        let unknown = thread.unknown(s);
        if !unknown.is_empty() {
            let names = unknown.join(", ");
            report
                .warning(format!("gcore: thread {}: not known, and 0 in the core: {names}", thread.task.pid));
        }
        if let Err(why) = &thread.floating {
            let pid = thread.task.pid;
            report.info(format!(
                "gcore: thread {pid}: its floating point registers are not in the core: {why}"
            ));
        }
    }
}

fn shown(task: &Task, path: &str, written: u64, threads: &[Thread], holes: Holes) -> Record {
    let line = Line::new().text("Saved ").field("file", path.to_owned()).role(Role::Path);
    let line = line.text(": ").field("written", Cell::Size(written)).text(" bytes of memory, ");
    let line = line.field("thread_count", threads.len()).text(" threads; holes: ");
    let mut row = Record::of(line.field("holes_file", holes.beside.clone()).role(Role::Path));
    row.hidden("pid", task.pid);
    row.list("holes", holes.rows());
    row
}
