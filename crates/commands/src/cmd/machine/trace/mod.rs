//! `trace`: what ftrace recorded ([`kernel::trace`]), as text and as a file for trace-cmd.

mod dump;

use crate::show::problems;
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Run, Writes};
use base::VirtAddr;
use kernel::trace::event::Events;
use kernel::trace::format::{Format, Lack, Names, Symbol};
use kernel::trace::instance::{self, Instance};
use kernel::trace::record::{self, Flags, Record as Recorded};
use kernel::trace::ring_buffer::{self, Cpu};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report, Role};
use std::collections::BTreeMap;

/// `trace`.
#[derive(Debug)]
pub(crate) struct Trace;

/// The arguments of `trace`.
#[derive(clap::Args)]
pub(crate) struct TraceArgs {
    /// With show: only these CPUs (1,3-5, a for all)
    #[arg(short = 'c', value_name = "CPUS")]
    cpus: Option<String>,
    /// The buffer of this instance, and not the one that is always there
    #[arg(short = 'i', value_name = "INSTANCE")]
    instance: Option<String>,
    /// The buffer of the snapshot
    #[arg(long = "snapshot")]
    snapshot: bool,
    /// With dump: one file, which trace-cmd and kernelshark read
    #[arg(short = 't')]
    dat: bool,
    /// With dump: the formats of events and the names of tasks too
    #[arg(short = 'm')]
    metadata: bool,
    /// With dump: the kernel's symbols too
    #[arg(short = 's')]
    symbols: bool,
    /// What to do (report is show), and for dump where to write
    #[arg(value_name = "show | report | dump [FILE]", num_args = 0..=2)]
    words: Vec<String>,
}

impl Run for Trace {
    type Args = TraceArgs;
    fn name(&self) -> &'static str {
        "trace"
    }
    fn about(&self) -> &'static str {
        "what ftrace recorded"
    }
    fn details(&self) -> &'static str {
        "Without a word, shows the instances of ftrace, their tracers and how much each CPU recorded. \"show\" (or \"report\") \
         prints the records in the order of time, as /sys/kernel/tracing/trace does: the task, its CPU, what it was doing (d \
         interrupts off, n to be rescheduled, h and s in an interrupt, z in an NMI, then how often preemption and migration were \
         off), the time, and the event by its own format; where a format is not understood, by its fields. Tracers that draw \
         their records are not imitated: function_graph's calls and returns stand as their events (funcgraph_entry, \
         funcgraph_exit), a line each. \"dump -t\" \
         writes trace.dat (or FILE), which trace-cmd report reads; \"dump\" writes a folder (dump_tracing_dir) with what the tracing \
         directory would give: per_cpu/cpuN/trace_pipe_raw."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn writes(&self, args: &TraceArgs) -> Writes {
        match args.words.as_slice() {
            [word] if word == "dump" => Writes::file(dump::default_path(args)),
            [word, path] if word == "dump" => Writes::file(path),
            _ => Writes::NOTHING,
        }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("trace", "the instances, and how much they recorded"),
                Example::new("trace show", "all records"),
                Example::new("trace show -c 1", "those of a CPU"),
                Example::new("trace dump -t /tmp/trace.dat", "a file for trace-cmd report"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &TraceArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
        let (action, file) = match words.as_slice() {
            [] => ("", None),
            [one @ ("show" | "report")] => (*one, None),
            ["dump"] => ("dump", None),
            ["dump", file] => ("dump", Some(*file)),
            [one, ..] => {
                return Err(CommandError::argument(format_args!(
                    "{one}: there are show, report and dump [FILE]"
                )));
            }
        };
        let of_dump = args.dat || args.metadata || args.symbols;
        if of_dump && action != "dump" || args.cpus.is_some() && !matches!(action, "show" | "report") {
            return Err(CommandError::argument("-t, -m and -s are of dump, -c is of show"));
        }
        if args.dat && (args.metadata || args.symbols) {
            return Err(CommandError::argument("-t has all that -m and -s add"));
        }
        let (all, lost) = instance::instances(s).map_err(CommandError::failed)?;
        let mut report = Report::new("trace");
        match action {
            "" => shown(cx, s, &all, args, &mut report)?,
            "dump" => dump::write(cx, s, &all, args, file, &mut report)?,
            _ => show(cx, s, &all, args, &mut report)?,
        }
        problems::tell(&mut report, "trace", "instances of ftrace", &lost);
        Ok(report)
    }
}

/// The instance that is meant.
fn chosen<'a>(all: &'a [Instance], args: &TraceArgs) -> Result<&'a Instance, CommandError> {
    let found = all.iter().find(|one| one.name.as_deref() == args.instance.as_deref());
    found.ok_or_else(|| {
        let name = args.instance.as_deref().unwrap_or_default();
        CommandError::failed(format_args!("there is no instance {name:?}; \"trace\" lists them"))
    })
}

/// The buffer of an instance, or that of its snapshot.
fn buffer(one: &Instance, args: &TraceArgs) -> Result<VirtAddr, CommandError> {
    match args.snapshot {
        true => one.snapshot.ok_or_else(|| CommandError::failed("it has no snapshot")),
        false => one.buffer.clone().map_err(CommandError::failed),
    }
}

/// All instances, or the one that is meant.
fn wanted<'a>(all: &'a [Instance], args: &TraceArgs) -> Result<Vec<&'a Instance>, CommandError> {
    match args.instance {
        Some(_) => Ok(vec![chosen(all, args)?]),
        None => Ok(all.iter().collect()),
    }
}

/// Says what of the buffers could not be read.
fn tell(report: &mut Report, cpus: &[Cpu]) {
    let lost: Vec<KernelError> = cpus.iter().flat_map(|one| one.problems.iter().cloned()).collect();
    problems::tell(report, "trace", "ring buffers", &lost);
}

/// The clock of an instance by its name.
fn clock(s: &Session, one: &Instance) -> Result<String, KernelError> {
    instance::clock_name(s, one.clock.clone()?)
}

/// The clock by which times are counted; of one that is not known, ftrace's own, with a word.
fn clock_or_local(s: &Session, one: &Instance, report: &mut Report) -> String {
    clock(s, one).unwrap_or_else(|e| {
        report
            .lacking(e.is_loss(), format!("trace: the clock is not known, and is taken for \"local\": {e}"));
        "local".to_owned()
    })
}

/// What there is.
fn shown(
    cx: &Cx<'_>,
    s: &Session,
    all: &[Instance],
    args: &TraceArgs,
    report: &mut Report,
) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for one in wanted(all, args)? {
        cx.cancel.check()?;
        let tracer = tasks::or_why(one.tracer.as_ref().cloned());
        let name = one.name.clone().map_or_else(|| Cell::shown(Cell::Null, "(top)"), Cell::from);
        let line =
            Line::new().text("INSTANCE: ").field("name", name).text("  TRACER: ").field("tracer", tracer);
        let clock = tasks::or_why(clock(s, one));
        let line = line.text("  CLOCK: ").field("clock", clock).text("  TRACE_ARRAY: ");
        let mut row = Record::of(line.field("trace_array", Cell::Addr(one.at.0)));
        match buffer(one, args).map(|at| ring_buffer::cpus(s, at)) {
            Ok(Ok(cpus)) => {
                row.line(Line::heading("  CPU     ENTRIES     OVERRUN  PAGES"));
                let number = |n: &Result<u64, KernelError>| tasks::or_why(n.as_ref().copied());
                let of_cpu = |one: &Cpu| {
                    let line = Line::new()
                        .field("cpu", one.cpu)
                        .right(5)
                        .text(" ")
                        .field("entries", number(&one.entries))
                        .right(11);
                    let line = line.text(" ").field("overrun", number(&one.overrun)).right(11).text(" ");
                    let pages = one.pages.len();
                    let pages = match one.problems.first() {
                        None => Cell::from(pages),
                        Some(e) => Cell::at_least(pages, e.to_string()),
                    };
                    Record::of(line.field("pages", pages).right(6))
                };
                row.list("cpus", cpus.iter().map(of_cpu).collect());
                tell(report, &cpus);
            }
            Ok(Err(e)) => row.lacking_or_error(e.is_loss(), format!("trace: its buffer: {e}")),
            Err(e) => row.info(format!("trace: {}", e.lines().join("; "))),
        }
        row.blank();
        rows.push(row);
    }
    report.list("instances", rows);
    Ok(())
}

/// What formats ask of a session.
struct OfSession<'s>(&'s Session);

impl Names for OfSession<'_> {
    fn symbol(&self, at: u64) -> Option<Symbol> {
        let found = self.0.locate(VirtAddr(at))?;
        let module = found.symbol.module.map(str::to_owned);
        let size = found.span.unwrap_or(found.symbol.size);
        Some(Symbol { name: found.symbol.name.to_owned(), offset: found.offset, size, module })
    }
    fn string(&self, at: u64) -> Option<String> {
        let raw = self.0.mem().cstr(VirtAddr(at), 4096).ok()?;
        Some(String::from_utf8_lossy(&raw).into_owned())
    }
    fn constant(&self, name: &str) -> Option<i128> {
        self.0.types().find_enumerator(name).into_iter().next().map(|(_, value)| value)
    }
}

/// Records that are handed out together.
const BATCH: usize = 4096;

/// The names of tasks: those that ftrace kept, and of those that live on.
struct Tasks {
    kept: Option<instance::Names>,
    known: BTreeMap<i32, String>,
    /// Why a name may be another task's.
    lost: Option<KernelError>,
}

impl Tasks {
    fn of(s: &Session) -> Self {
        let kept = instance::Names::of(s);
        let lost = kept.as_ref().err().cloned().filter(KernelError::is_loss);
        Self { kept: kept.ok(), known: BTreeMap::new(), lost }
    }
    /// Says why a name may be another task's.
    fn tell(&self, report: &mut Report) {
        if let Some(e) = &self.lost {
            report.lacking(e.is_loss(), format!("trace: names of tasks: {e}"));
        }
    }
    fn name(&mut self, s: &Session, pid: i32) -> String {
        if pid == 0 {
            return "<idle>".to_owned();
        }
        if let Some(name) = self.known.get(&pid) {
            return name.clone();
        }
        let kept = self.kept.as_ref().map(|names| names.name(s, pid)).transpose();
        let kept = kept.unwrap_or_else(|e| {
            self.lost.get_or_insert(e);
            None
        });
        let name = kept.flatten().or_else(|| s.tasks().with_pid(pid).next().map(|t| t.comm.clone()));
        let name = name.unwrap_or_else(|| "<...>".to_owned());
        self.known.insert(pid, name.clone());
        name
    }
}

/// `trace show`.
fn show(
    cx: &mut Cx<'_>,
    s: &Session,
    all: &[Instance],
    args: &TraceArgs,
    report: &mut Report,
) -> Result<(), CommandError> {
    let one = chosen(all, args)?;
    let mut cpus = ring_buffer::cpus(s, buffer(one, args)?).map_err(CommandError::failed)?;
    if let Some(text) = &args.cpus {
        let wanted = tasks::cpus(s, text)?;
        cpus.retain(|one| wanted.contains(&one.cpu));
    }
    let events = s.trace_events();
    let (records, damaged) = record::all(&cpus, events);
    let shown = Shown {
        s,
        events,
        formats: events.all.iter().map(|event| (event.number, Format::of(event, &events.common))).collect(),
        flags: Flags::of(s),
        in_nanoseconds: record::counts_nanoseconds(&clock_or_local(s, one, report)),
    };
    let (mut names, mut unread) = (Tasks::of(s), BTreeMap::new());
    let mut rows = Vec::new();
    for one in &records {
        if rows.len() >= BATCH {
            let mut part = Report::new("trace");
            part.list("records", std::mem::take(&mut rows));
            cx.emit(&part)?;
        }
        let name = names.name(s, one.pid);
        rows.push(shown.row(one, name, &mut unread));
    }
    let is_whole = cpus.iter().all(|one| one.problems.is_empty());
    if records.is_empty() && is_whole {
        report.info("trace: nothing is recorded");
    }
    report.list("records", rows);
    tell(report, &cpus);
    for why in damaged {
        report.missing(format!("trace: {why}"));
    }
    problems::tell(report, "trace", "kinds of events", &events.problems);
    names.tell(report);
    for (event, why) in unread {
        report.info(format!("trace: {event} is shown by its fields: its format has {why}"));
    }
    let mut overrun = 0_u64;
    for one in &cpus {
        match &one.overrun {
            Ok(events) => overrun = overrun.saturating_add(*events),
            Err(e) => report.lacking(
                e.is_loss(),
                format!("trace: how many older events of CPU {} were overwritten is not known: {e}", one.cpu),
            ),
        }
    }
    if overrun > 0 {
        report.info(format!("trace: {overrun} older events were overwritten before the machine died"));
    }
    Ok(())
}

/// How records are shown.
struct Shown<'s> {
    s: &'s Session,
    events: &'s Events,
    formats: BTreeMap<u16, Format<'s>>,
    flags: Flags,
    in_nanoseconds: bool,
}

impl Shown<'_> {
    fn row(&self, one: &Recorded<'_>, name: String, unread: &mut BTreeMap<String, String>) -> Record {
        let line = Line::new().field("command", name).right(16).text("-").field("pid", one.pid).left(7);
        let line = line.text(" [").field("cpu", Cell::shown(one.cpu, format!("{:03}", one.cpu))).text("] ");
        let line = line.field("flags", self.flags.letters(one)).text(" ");
        let time = Cell::shown(one.time, record::time_text(one.time, self.in_nanoseconds));
        let line = line.field("time", time).right(13).text(": ");
        let kind = self.events.of(one.number);
        let Some((kind, format)) = kind.zip(self.formats.get(&one.number)) else {
            let is_loss = self.events.problems.iter().any(KernelError::is_loss);
            let unknown =
                Cell::absent("?", format!("no event has the number {}", one.number)).lost_if(is_loss);
            return Record::of(line.field("event", unknown));
        };
        let text = match format.text(one.data, &OfSession(self.s)) {
            Ok(text) => Cell::from(text.trim_end().to_owned()),
            Err(Lack::Lost(why)) => Cell::absent("?", why).lost_if(true),
            Err(Lack::Unknown(why)) => {
                unread.entry(format!("{}:{}", kind.system, kind.name)).or_insert(why);
                Cell::from(format.fields(one.data, &OfSession(self.s)))
            }
        };
        let line = line.field("event", kind.name.clone()).role(Role::Symbol).text(": ");
        let mut row = Record::of(line.field("text", text));
        row.hidden("system", kind.system.clone());
        row
    }
}
