//! `bt`: backtraces.

pub(super) mod frames;
mod scans;
mod stackdump;

use crate::engine::command::arguments;
use crate::engine::command::has_letter;
use crate::show::address;
use crate::show::source::no_debug;
use crate::show::tasks::{self, Named};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use kernel::sched::task::Task;
use kernel::stack::stacks::{cpu_stacks, task_stack};
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

/// The arguments of `bt`.
#[derive(clap::Args)]
pub(crate) struct BtArgs {
    /// The task that each CPU was running
    #[arg(short = 'a')]
    all: bool,
    /// The tasks of these CPUs: 1,3,5-7 or a for all
    #[arg(short = 'c', value_name = "CPUS")]
    cpus: Option<String>,
    /// -n idle: of idle tasks show the name alone
    #[arg(long = "idle-filter", value_name = "idle", value_parser = ["idle"])]
    not_idle: Option<String>,
    /// The panic task
    #[arg(short = 'p')]
    panic: bool,
    /// All threads of the task's process
    #[arg(short = 'g')]
    group: bool,
    /// The whole stack as words
    #[arg(short = 'r')]
    raw: bool,
    /// Every word of the stack that lies in code, from the saved stack pointer up
    #[arg(short = 't')]
    text: bool,
    /// The same from the bottom of the stack
    #[arg(short = 'T')]
    text_all: bool,
    /// File and line of each frame, with the calls inlined there
    #[arg(short = 'l')]
    lines: bool,
    /// The exception frames on the stack
    #[arg(short = 'e')]
    exceptions: bool,
    /// The exception frames on all IRQ and exception stacks
    #[arg(short = 'E')]
    cpu_exceptions: bool,
    /// The words of each frame
    #[arg(short = 'f')]
    full: bool,
    /// The words of each frame, with symbols and slab caches
    #[arg(short = 'F')]
    named: bool,
    /// -FF: as -F, with address and slab cache
    #[arg(long = "FF")]
    objects: bool,
    /// Check all tasks' stacks for overflow
    #[arg(short = 'v')]
    overflow: bool,
    /// Take every word that looks like a return address for a frame
    #[arg(short = 'o')]
    old: bool,
    /// Do so from now on, or no longer
    #[arg(short = 'O')]
    toggle: bool,
    /// Only tasks with this symbol or address in their frames
    #[arg(short = 'R', value_name = "REF")]
    reference: Option<String>,
    /// The offset in each function
    #[arg(short = 's')]
    offsets: bool,
    /// Offsets in hex
    #[arg(short = 'x')]
    hex: bool,
    /// Offsets in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// Parameters and local variables of each frame
    #[arg(long)]
    locals: bool,
    /// Start at this program counter
    #[arg(short = 'I', value_name = "PC", value_parser = parse_hex)]
    ip: Option<u64>,
    /// Start at this stack pointer
    #[arg(short = 'S', value_name = "SP", value_parser = parse_hex)]
    sp: Option<u64>,
    /// The tasks: pids, addresses of task_structs, names, 'regex'
    #[arg(value_name = "PID|TASK|NAME", num_args = 0.., action = clap::ArgAction::Set)]
    task: Vec<String>,
}

impl Run for Bt {
    type Args = BtArgs;
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

    fn run(&self, cx: &mut Cx<'_>, args: &BtArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        if args.toggle {
            cx.settings.old_bt = !cx.settings.old_bt;
            let method = if cx.settings.old_bt { "old" } else { "new" };
            let mut report = Report::new("bt");
            let line = Line::new().text("bt: use ").field("method", method);
            report.line(line.text(" bt method by default"));
            return Ok(report);
        }
        if args.cpu_exceptions {
            let cpus = match &args.cpus {
                Some(text) => tasks::cpus(s, text)?,
                None => s.cpus().possible.clone(),
            };
            return scans::cpu_exceptions(cx, s, &cpus);
        }
        if args.overflow {
            return scans::overflows(cx, s);
        }
        let mode = match () {
            () if args.raw => Mode::Raw,
            () if args.text_all => Mode::Text { all: true },
            () if args.text => Mode::Text { all: false },
            () if args.exceptions => Mode::Exceptions,
            () if args.old || cx.settings.old_bt => Mode::Old,
            () => Mode::Frames,
        };
        let (ip, sp) = (args.ip.map(VirtAddr), args.sp.map(VirtAddr));
        let shape = Shape {
            lines: args.lines,
            offsets: args.offsets,
            hex: cx.settings.is_hex(args.hex, args.decimal),
            dump: match () {
                () if args.objects => Some(stackdump::Dump::Objects),
                () if args.named => Some(stackdump::Dump::Named),
                () if args.full => Some(stackdump::Dump::Words),
                () => None,
            },
            locals: args.locals,
            reference: args.reference.clone(),
            at: (ip.is_some() || sp.is_some()).then_some((ip, sp)),
        };
        if let Some(reference) = &shape.reference {
            known_reference(s, reference)?;
        }
        ip.map_or(Ok(()), |ip| check_code(s, ip))?;
        let alone = if mode == Mode::Frames { without_task(s, args) } else { Vec::new() };
        let alone: Vec<Record> = alone.into_iter().filter_map(|cpu| frames::of_cpu(s, cpu, &shape)).collect();
        let tasks = match choose(cx, s, args) {
            Err(_) if !alone.is_empty() => Vec::new(),
            tasks => tasks?,
        };
        let not_idle = args.not_idle.is_some();
        let mut report = Report::new("bt");
        if args.all || args.cpus.is_some() {
            tasks::unknown_cpus(s, &mut report);
        }
        if args.group {
            tasks::problems(s, &mut report);
        }
        let mut out: Vec<Record> = Vec::new();
        let asked = tasks.len();
        let mut open = Vec::new();
        for task in tasks {
            cx.cancel.check()?;
            sp.map_or(Ok(()), |sp| check_stack(s, task, sp))?;
            let record = match mode {
                _ if not_idle && task.pid == 0 => Ok(Record::of(tasks::banner(task))),
                Mode::Frames => frames::record(s, task, &shape),
                Mode::Raw => Ok(stackdump::raw(s, task)),
                Mode::Text { all } => Ok(scans::text(s, task, all)),
                Mode::Exceptions => Ok(scans::exceptions(s, task)),
                Mode::Old => scans::old(s, task, &shape),
            };
            match record {
                Ok(mut record) => {
                    tasks::damage_of(task, &mut report);
                    if !out.is_empty() {
                        record.items.insert(0, report::Item::Blank);
                    }
                    out.push(record);
                }
                Err(why) => open.extend(why),
            }
        }
        if let Some(why) = open.first() {
            let count = open.len();
            report.missing(format!(
                "bt: whether {count} more tasks have such a frame is not known: frames are missing: {why}"
            ));
        }
        for mut record in alone {
            if !out.is_empty() {
                record.items.insert(0, report::Item::Blank);
            }
            out.push(record);
        }
        let unmentioned = shape.reference.as_ref().filter(|_| out.is_empty());
        let shown = !out.is_empty();
        report.list("backtraces", out);
        let of_kernel = || no_debug(s, s.symbol("_stext")?);
        if let Some(why) = of_kernel().filter(|_| shown && args.lines) {
            report.info(format!("bt: no source lines of the kernel: {why}"));
        }
        if let Some(reference) = unmentioned {
            let text = format!("bt: no frame of the tasks asked for ({asked}) has {reference}");
            report.lacking_or_error(report.is_incomplete(), text);
        }
        Ok(report)
    }
}

/// `-I` takes an address in code.
fn check_code(s: &Session, ip: VirtAddr) -> Result<(), CommandError> {
    match s.is_text(s.opened().machine.plain_code(ip)) {
        true => Ok(()),
        false => Err(CommandError::failed(format_args!("-I {ip:#x}: not an address in the kernel's code"))),
    }
}

/// `-S` takes an address on the task's stack or on one of a CPU's.
fn check_stack(s: &Session, task: &Task, sp: VirtAddr) -> Result<(), CommandError> {
    let own = task_stack(s, task);
    let of_cpu = |cpu: &u32| cpu_stacks(s, *cpu).iter().any(|stack| stack.contains(sp));
    if own.end == own.start || own.contains(sp) || s.cpus().possible.iter().any(of_cpu) {
        return Ok(());
    }
    Err(CommandError::failed(format_args!(
        "-S {sp:#x}: on no stack: that of PID {} is {:#x} to {:#x}",
        task.pid, own.start, own.end
    )))
}

/// `-R` takes a symbol or an address: a word that is neither is in no frame of any task.
fn known_reference(s: &Session, reference: &str) -> Result<(), CommandError> {
    if crate::engine::number::hex(reference).is_some() || !s.named(reference).is_empty() {
        return Ok(());
    }
    Err(address::not_found(s, reference))
}

/// The same of words that `bt` would be given; words that it does not take are told when it runs.
pub(crate) fn check_reference(s: &Session, words: &[String]) -> Result<(), CommandError> {
    let args = arguments(&Bt, words.to_vec()).ok();
    args.and_then(|args| args.reference).map_or(Ok(()), |reference| known_reference(s, &reference))
}

/// CPUs that are asked for and whose task is not known, but whose registers may be: of all CPUs (`-a`); where no task is
/// known and none is named, the one that panicked, or the only one.
fn without_task(s: &Session, args: &BtArgs) -> Vec<u32> {
    let named = !args.task.is_empty() || args.cpus.is_some();
    let nobody = s.tasks().all.is_empty();
    if named || !(args.all || nobody) {
        return Vec::new();
    }
    let possible = s.cpus().possible.iter().copied();
    let noted = (0..).take(s.cpu_states().len());
    let all: Vec<u32> = if s.cpus().possible.is_empty() { noted.collect() } else { possible.collect() };
    if args.all {
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
    crate::engine::number::hex(text).ok_or_else(|| format!("{text} is not a hexadecimal address"))
}

/// The tasks that the arguments name.
fn choose<'s>(cx: &Cx<'s>, s: &'s Session, args: &BtArgs) -> Result<Vec<&'s Task>, CommandError> {
    let of_cpus =
        |cpus: &[u32]| -> Vec<&'s Task> { cpus.iter().filter_map(|&cpu| s.tasks().on_cpu(cpu)).collect() };
    if args.all {
        if s.tasks().all.is_empty() {
            // says why there are none
            tasks::context(cx)?;
        }
        return Ok(of_cpus(&s.cpus().possible));
    }
    if let Some(text) = &args.cpus {
        let cpus = tasks::cpus(s, text)?;
        if let Some(cpu) = cpus.iter().find(|cpu| tasks::is_hidden(cx, s, **cpu)) {
            return Err(CommandError::failed(format_args!("CPU {cpu} is OFFLINE.")));
        }
        return Ok(of_cpus(&cpus));
    }
    let words: Vec<&String> = args.task.iter().collect();
    let mut found = if args.panic {
        if kernel::sched::panic::has_panicked(s) == Some(false) {
            return Err(CommandError::failed("no panic task found!"));
        }
        let lost = || kernel::sched::panic::lost_panic_task(s).unwrap_or_default();
        vec![kernel::sched::panic::panic_task(s).ok_or_else(|| CommandError::failed(lost()).lost_if(true))?]
    } else if words.is_empty() {
        vec![tasks::context(cx)?]
    } else {
        let mut found = Vec::new();
        for word in words {
            let of_word = tasks::chosen(s, &[Named::parse(s, word)?]);
            if of_word.is_empty() {
                return Err(CommandError::failed(tasks::nobody(s, word)));
            }
            found.extend(of_word);
        }
        found
    };
    if args.group {
        let leaders: Vec<i32> = found.iter().map(|t| t.tgid).collect();
        found = s.tasks().all.iter().filter(|t| leaders.contains(&t.tgid)).collect();
    }
    Ok(found)
}
