//! `bt`: backtraces.

mod frames;
mod scans;
mod stackdump;

use crate::engine::command::has_letter;
use crate::show::address;
use crate::show::tasks::{self, Named};
use crate::{Command, CommandError, Cx, Example};
use base::VirtAddr;
use clap::{Arg, ArgAction, ArgMatches};
use kernel::sched::task::Task;
use kernel::{Fetch, Session};
use report::{Line, Record, Report};

/// `bt`.
#[derive(Debug)]
pub(crate) struct Bt;

/// What is shown of each task.
#[derive(Clone, Debug, Default)]
struct Shape {
    lines: bool,
    offsets: bool,
    hex: bool,
    dump: Option<stackdump::Dump>,
    locals: bool,
    reference: Option<String>,
    at: Option<(Option<VirtAddr>, Option<VirtAddr>)>,
}

/// What kind of answer is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Frames,
    /// `-r`
    Raw,
    /// `-t`, and with everything below `-T`
    Text {
        all: bool,
    },
    /// `-e`
    Exceptions,
    /// `-o`
    Old,
}

impl Command for Bt {
    fn name(&self) -> &'static str {
        "bt"
    }
    fn about(&self) -> &'static str {
        "backtrace"
    }
    fn details(&self) -> &'static str {
        "Shows a task's kernel stack, innermost frame first: the address where the frame's program counter was \
         found, the function, the program counter, and the module. Without an operand the task is the current \
         context's. Frames are found by the kernel's own unwind tables; one marked with ? is a guess, a word \
         on the stack that looks like a return address. Registers are shown where an exception, an interrupt \
         or a system call saved them. A last line says why frames end, where they end early."
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        // frames come from tables in the dump: source lines and variables alone are in debug files
        let locals = words.iter().any(|word| word == "--locals");
        if locals || has_letter(words, &['l']) { Fetch::Always } else { Fetch::Lacking }
    }
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        &[("-FF", "--FF"), ("-n", "--idle-filter")]
    }
    fn args(&self, clap: clap::Command) -> clap::Command {
        let flag = |name: &'static str, short, help: &'static str| {
            Arg::new(name).short(short).action(ArgAction::SetTrue).help(help)
        };
        let value = |name: &'static str, short, what: &'static str, help: &'static str| {
            Arg::new(name).short(short).value_name(what).help(help)
        };
        clap.arg(flag("all", 'a', "The task that each CPU was running"))
            .arg(value("cpus", 'c', "CPUS", "The tasks of these CPUs: 1,3,5-7 or a for all"))
            .arg(
                Arg::new("not")
                    .long("idle-filter")
                    .value_name("idle")
                    .value_parser(["idle"])
                    .help("-n idle: of idle tasks show the name alone"),
            )
            .arg(flag("panic", 'p', "The panic task"))
            .arg(flag("group", 'g', "All threads of the task's process"))
            .arg(flag("raw", 'r', "The whole stack as words"))
            .arg(flag(
                "text",
                't',
                "Every word of the stack that lies in code, from the saved stack pointer up",
            ))
            .arg(flag("Text", 'T', "The same from the bottom of the stack"))
            .arg(flag("lines", 'l', "File and line of each frame, with the calls inlined there"))
            .arg(flag("exceptions", 'e', "The exception frames on the stack"))
            .arg(flag("cpu-exceptions", 'E', "The exception frames on all IRQ and exception stacks"))
            .arg(flag("full", 'f', "The words of each frame"))
            .arg(flag("named", 'F', "The words of each frame, with symbols and slab caches"))
            .arg(
                Arg::new("FF")
                    .long("FF")
                    .action(ArgAction::SetTrue)
                    .help("-FF: as -F, with address and slab cache"),
            )
            .arg(flag("overflow", 'v', "Check all tasks' stacks for overflow"))
            .arg(flag("old", 'o', "Take every word that looks like a return address for a frame"))
            .arg(flag("toggle", 'O', "Do so from now on, or no longer"))
            .arg(value("reference", 'R', "REF", "Only tasks with this symbol or address in their frames"))
            .arg(flag("offsets", 's', "The offset in each function"))
            .arg(flag("hex", 'x', "Offsets in hex"))
            .arg(flag("decimal", 'd', "Offsets in decimal"))
            .arg(
                Arg::new("locals")
                    .long("locals")
                    .action(ArgAction::SetTrue)
                    .help("Parameters and local variables of each frame"),
            )
            .arg(value("ip", 'I', "PC", "Start at this program counter").value_parser(parse_hex))
            .arg(value("sp", 'S', "SP", "Start at this stack pointer").value_parser(parse_hex))
            .arg(
                Arg::new("task")
                    .value_name("PID|TASK|NAME")
                    .num_args(0..)
                    .help("The tasks: pids, addresses of task_structs, names, 'regex'"),
            )
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("bt", "the current context, the panic task at first"),
                Example::new("bt 1", "a task by pid"),
                Example::new("bt -a", "what every CPU was doing"),
                Example::new("bt -l", "with source lines and inlined calls"),
                Example::new("bt -sx 1", "with offsets in hex"),
                Example::new("bt -f 1", "with the words of each frame"),
                Example::new("bt -e", "the exception frames"),
            ]
        }
    }

    fn run(&self, cx: &mut Cx<'_>, args: &ArgMatches) -> Result<Report, CommandError> {
        let s = cx.session("bt")?;
        let on = |name: &str| args.get_flag(name);
        if on("toggle") {
            cx.settings.old_bt = !cx.settings.old_bt;
            let method = if cx.settings.old_bt { "old" } else { "new" };
            let mut report = Report::new("bt");
            let line = Line::new().text("bt: use ").field("method", method);
            report.line(line.text(" bt method by default"));
            return Ok(report);
        }
        if on("cpu-exceptions") {
            let cpus = match args.get_one::<String>("cpus") {
                Some(text) => tasks::cpus(s, "bt", text)?,
                None => s.cpus().possible.clone(),
            };
            return scans::cpu_exceptions(cx, s, &cpus);
        }
        if on("overflow") {
            return scans::overflows(cx, s);
        }
        let mode = match () {
            () if on("raw") => Mode::Raw,
            () if on("Text") => Mode::Text { all: true },
            () if on("text") => Mode::Text { all: false },
            () if on("exceptions") => Mode::Exceptions,
            () if on("old") || cx.settings.old_bt => Mode::Old,
            () => Mode::Frames,
        };
        let at = |name: &str| args.get_one::<u64>(name).map(|&n| VirtAddr(n));
        let shape = Shape {
            lines: on("lines"),
            offsets: on("offsets"),
            hex: on("hex") || (cx.settings.radix == 16 && !on("decimal")),
            dump: match () {
                () if on("FF") => Some(stackdump::Dump::Objects),
                () if on("named") => Some(stackdump::Dump::Named),
                () if on("full") => Some(stackdump::Dump::Words),
                () => None,
            },
            locals: on("locals"),
            reference: args.get_one::<String>("reference").cloned(),
            at: (at("ip").is_some() || at("sp").is_some()).then(|| (at("ip"), at("sp"))),
        };
        if let Some(reference) = &shape.reference {
            known_reference(s, reference)?;
        }
        let alone = if mode == Mode::Frames { without_task(s, args) } else { Vec::new() };
        let alone: Vec<Record> = alone.into_iter().filter_map(|cpu| frames::of_cpu(s, cpu, &shape)).collect();
        let tasks = match choose(cx, s, args) {
            Err(_) if !alone.is_empty() => Vec::new(),
            tasks => tasks?,
        };
        let not_idle = args.contains_id("not");
        let mut report = Report::new("bt");
        if on("all") || args.contains_id("cpus") {
            tasks::unknown_cpus(s, &mut report);
        }
        if on("group") {
            tasks::problems(s, &mut report);
        }
        let mut out: Vec<Record> = Vec::new();
        let asked = tasks.len();
        for task in tasks {
            cx.cancel.check()?;
            let record = match mode {
                _ if not_idle && task.pid == 0 => Some(Record::of(tasks::banner(task))),
                Mode::Frames => frames::record(s, task, &shape),
                Mode::Raw => Some(stackdump::raw(s, task)),
                Mode::Text { all } => Some(scans::text(s, task, all)),
                Mode::Exceptions => Some(scans::exceptions(s, task)),
                Mode::Old => scans::old(s, task, &shape),
            };
            if let Some(mut record) = record {
                tasks::damage_of(task, &mut report);
                if !out.is_empty() {
                    record.items.insert(0, report::Item::Blank);
                }
                out.push(record);
            }
        }
        for mut record in alone {
            if !out.is_empty() {
                record.items.insert(0, report::Item::Blank);
            }
            out.push(record);
        }
        let unmentioned = shape.reference.as_ref().filter(|_| out.is_empty());
        report.list("backtraces", out);
        if let Some(reference) = unmentioned {
            report.error(format!("bt: no frame of the tasks asked for ({asked}) has {reference}"));
        }
        Ok(report)
    }
}

/// `-R` takes a symbol or an address: a word that is neither is in no frame of any task.
pub(crate) fn known_reference(s: &Session, reference: &str) -> Result<(), CommandError> {
    if crate::cmd::program::eval::hex(reference).is_some() || !s.named(reference).is_empty() {
        return Ok(());
    }
    Err(address::not_found(s, "bt", reference))
}

/// CPUs that are asked for and whose task is not known, but whose registers may be: of all CPUs (`-a`); where no task is
/// known and none is named, the one that panicked, or the only one.
fn without_task(s: &Session, args: &ArgMatches) -> Vec<u32> {
    let named = ["task", "cpus"].iter().any(|name| args.contains_id(name));
    let nobody = s.tasks().all.is_empty();
    if named || !(args.get_flag("all") || nobody) {
        return Vec::new();
    }
    let possible = s.cpus().possible.iter().copied();
    let noted = (0..).take(s.cpu_states().len());
    let all: Vec<u32> = if s.cpus().possible.is_empty() { noted.collect() } else { possible.collect() };
    if args.get_flag("all") {
        return all.into_iter().filter(|cpu| s.tasks().on_cpu(*cpu).is_none()).collect();
    }
    match (kernel::sched::panic::panic_cpu(s), all.as_slice()) {
        (Some(cpu), _) => vec![cpu],
        (None, &[only]) => vec![only],
        // any of several would be a guess
        (None, _) => Vec::new(),
    }
}

fn parse_hex(text: &str) -> Result<u64, String> {
    crate::cmd::program::eval::hex(text).ok_or_else(|| format!("{text} is not a hexadecimal address"))
}

/// The tasks that the arguments name.
fn choose<'s>(cx: &Cx<'s>, s: &'s Session, args: &ArgMatches) -> Result<Vec<&'s Task>, CommandError> {
    let of_cpus =
        |cpus: &[u32]| -> Vec<&'s Task> { cpus.iter().filter_map(|&cpu| s.tasks().on_cpu(cpu)).collect() };
    if args.get_flag("all") {
        if s.tasks().all.is_empty() {
            // says why there are none
            tasks::context(cx, "bt")?;
        }
        return Ok(of_cpus(&s.cpus().possible));
    }
    if let Some(text) = args.get_one::<String>("cpus") {
        let cpus = tasks::cpus(s, "bt", text)?;
        if let Some(cpu) = cpus.iter().find(|cpu| tasks::is_hidden(cx, s, **cpu)) {
            return Err(CommandError::failed("bt", format_args!("CPU {cpu} is OFFLINE.")));
        }
        return Ok(of_cpus(&cpus));
    }
    let words: Vec<&String> = args.get_many::<String>("task").into_iter().flatten().collect();
    let mut found = if args.get_flag("panic") {
        if !kernel::sched::panic::has_panicked(s) {
            return Err(CommandError::failed("bt", "no panic task found!"));
        }
        let lost = || kernel::sched::panic::lost_panic_task(s).unwrap_or_default();
        vec![kernel::sched::panic::panic_task(s).ok_or_else(|| CommandError::failed("bt", lost()))?]
    } else if words.is_empty() {
        vec![tasks::context(cx, "bt")?]
    } else {
        let mut found = Vec::new();
        for word in words {
            let of_word = tasks::chosen(s, &[Named::parse(s, "bt", word)?]);
            if of_word.is_empty() {
                return Err(CommandError::failed("bt", tasks::nobody(s, word)));
            }
            found.extend(of_word);
        }
        found
    };
    if args.get_flag("group") {
        let leaders: Vec<i32> = found.iter().map(|t| t.tgid).collect();
        found = s.tasks().all.iter().filter(|t| leaders.contains(&t.tgid)).collect();
    }
    Ok(found)
}
