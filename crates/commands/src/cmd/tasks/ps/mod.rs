//! `ps`: the tasks, and what belongs to each.

mod modes;

use crate::show::tasks::{self, Named};
use crate::{CommandError, Cx, Example, Run};
use kernel::Fetch;
use kernel::Session;
use kernel::mm::address_space;
use kernel::sched::runq;
use kernel::sched::task::{Task, TaskStruct};
use report::{Cell, Line, Record, Report, Role};

/// `ps`.
#[derive(Debug)]
pub(crate) struct Ps;

/// The arguments of `ps`.
#[derive(clap::Args)]
pub(crate) struct PsArgs {
    /// Only threads of the kernel
    #[arg(short = 'k')]
    kernel: bool,
    /// Only tasks of the user
    #[arg(short = 'u')]
    user: bool,
    /// Only the first thread of each process
    #[arg(short = 'G')]
    leaders: bool,
    /// Without the idle tasks of the CPUs
    #[arg(short = 'I')]
    not_idle: bool,
    /// Only tasks of these scheduling policies
    #[arg(short = 'y', value_name = "POLICY")]
    policy: Option<String>,
    /// Show the kernel stack pointer in place of the task_struct
    #[arg(short = 's')]
    kstackp: bool,
    /// Show the parents of each task, up to the first
    #[arg(short = 'p')]
    parents: bool,
    /// Show the children of each task
    #[arg(short = 'c')]
    children: bool,
    /// Show run time, start time, user and system time
    #[arg(short = 't')]
    times: bool,
    /// Show when each ran last, the latest first
    #[arg(short = 'l')]
    last_run: bool,
    /// The same, as time before the dump
    #[arg(short = 'm')]
    last_run_ago: bool,
    /// With -l and -m: by CPU (1,3-5, a for all)
    #[arg(short = 'C', value_name = "CPUS")]
    cpus: Option<String>,
    /// Show the arguments and the environment of user tasks
    #[arg(short = 'a')]
    arguments: bool,
    /// Show tasks by thread group
    #[arg(short = 'g')]
    threads: bool,
    /// Show the resource limits
    #[arg(short = 'r')]
    rlimits: bool,
    /// Show the scheduling policy and the priority in place of state and memory
    #[arg(short = 'Y')]
    policies: bool,
    /// Count the tasks in each state
    #[arg(short = 'S')]
    summary: bool,
    /// Only what each CPU was running
    #[arg(short = 'A')]
    active: bool,
    /// No line of heads
    #[arg(short = 'H')]
    no_header: bool,
    /// Only these tasks
    #[arg(value_name = "PID | TASK | COMMAND", num_args = 0..)]
    task: Vec<String>,
}

impl Run for Ps {
    type Args = PsArgs;
    fn name(&self) -> &'static str {
        "ps"
    }
    fn about(&self) -> &'static str {
        "display process status information"
    }
    fn details(&self) -> &'static str {
        "Shows all tasks, or those that are named: by pid, by the address of the task_struct, by name (\\123 for a \
         name of digits), or by an extended regular expression in single quotes for names. \
         The columns: the thread id and that of the parent, the CPU that it ran on last, the task_struct, the \
         state (RU running, IN interruptible sleep, UN uninterruptible sleep, ID idle kernel thread, ST stopped, TR \
         traced, ZO zombie, DE dead, PA parked, NE new), the share of memory, the size of its address space and \
         its resident part in KB, and the name, in brackets for threads of the kernel. > marks what a CPU was \
         running; \"set offline hide\" marks it - on CPUs that are offline. Policies for -y: 0 NORMAL, 1 FIFO, \
         2 RR, 3 BATCH, 4 ISO, 5 IDLE, 6 DEADLINE, 7 EXT; several with commas. The priority of -Y is the scheduler's own \
         (task_struct.prio): less is sooner, -1 for deadlines, 0 to 98 for FIFO and RR, 100 to 139 for the rest, of which \
         120 is nice 0."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("ps", "all tasks"),
                Example::new("ps -A", "what each CPU was running"),
                Example::new("ps 1 kthreadd 'kworker/.*'", "tasks by pid, name and pattern"),
                Example::new("ps -m", "how long ago each task ran"),
                Example::new("ps -l -C 0,1", "last run by CPU"),
                Example::new("ps -p 1", "its parents"),
                Example::new("ps -y FIFO,RR", "real-time tasks"),
                Example::new("ps -Y -I", "the policy and priority of each, without the idle tasks"),
                Example::new("ps -S", "how many are in which state"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PsArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let mut report = Report::new("ps");
        tasks::problems(s, &mut report);
        if args.kernel && args.user {
            return Err(CommandError::argument("-u and -k are mutually exclusive"));
        }
        let chosen = select(s, args, &mut report)?;
        let last_run = args.last_run || args.last_run_ago;
        if args.cpus.is_some() && !last_run {
            return Err(CommandError::argument("-C option is only applicable with -l and -m"));
        }
        if args.summary {
            modes::summary(s, &chosen, &mut report);
        } else if args.parents {
            modes::parents(cx, s, &chosen, &mut report)?;
        } else if args.children {
            modes::children(cx, s, &chosen, &mut report)?;
        } else if args.times {
            modes::times(cx, s, &chosen, &mut report)?;
        } else if last_run {
            let cpus = match &args.cpus {
                Some(text) => Some(tasks::cpus(s, text)?),
                None => None,
            };
            modes::last_run(cx, s, &chosen, args.last_run_ago, cpus, &mut report)?;
        } else if args.arguments {
            modes::arguments(cx, s, &chosen, &mut report)?;
        } else if args.threads {
            modes::threads(cx, s, &chosen, &mut report)?;
        } else if args.rlimits {
            modes::rlimits(cx, s, &chosen, &mut report)?;
        } else if args.policies {
            policies(cx, s, &chosen, args.kstackp, !args.no_header, &mut report)?;
        } else {
            table(cx, s, &chosen, args.kstackp, !args.no_header, &mut report)?;
        }
        Ok(report)
    }
}

/// The tasks that the options and operands leave.
fn select<'s>(s: &'s Session, args: &PsArgs, report: &mut Report) -> Result<Vec<&'s Task>, CommandError> {
    let words: Vec<&String> = args.task.iter().collect();
    let all = || s.tasks().all.iter().collect::<Vec<_>>();
    let mut chosen = if words.is_empty() {
        all()
    } else {
        let named: Vec<Named> = words.iter().map(|w| Named::parse(s, w)).collect::<Result<_, _>>()?;
        for (word, one) in words.iter().zip(&named) {
            if !s.tasks().all.iter().any(|t| one.matches(t)) {
                let why = tasks::nobody(s, word);
                report.lacking_or_error(why.is_loss(), format!("ps: {why}"));
            }
        }
        tasks::chosen(s, &named)
    };
    if args.kernel {
        chosen.retain(|t| kind(t, report, true));
    }
    if args.user {
        chosen.retain(|t| kind(t, report, false));
    }
    if args.leaders {
        chosen.retain(|t| t.is_leader());
    }
    if args.not_idle {
        chosen.retain(|t| t.pid != 0);
    }
    if args.active {
        chosen.retain(|t| t.active);
        tasks::unknown_cpus(s, report);
    }
    if let Some(text) = &args.policy {
        let wanted: Vec<u64> = text.split(',').map(policy).collect::<Result<_, _>>()?;
        let b = s.bind::<TaskStruct>();
        b.policy.offset().map_err(CommandError::failed)?;
        chosen.retain(|t| match b.policy.u32(s.mem(), t.at) {
            Ok(policy) => wanted.contains(&u64::from(policy)),
            Err(e) => {
                report.lacking(
                    e.is_loss(),
                    format!("ps: the policy of task {} is not known: left out: {e}", t.pid),
                );
                false
            }
        });
    }
    Ok(chosen)
}

/// True for a task of this kind. One whose kind is not known is none of it, which the report says.
fn kind(t: &Task, report: &mut Report, kernel: bool) -> bool {
    let own = t.is_kthread();
    if own.is_none() {
        report.missing(format!("ps: whether task {} is of the kernel is not known: left out", t.pid));
    }
    own == Some(kernel)
}

/// What rows of `ps` begin with: the mark of what a CPU was running, and which task it is.
fn lead(cx: &Cx<'_>, s: &Session, t: &Task, kstackp: bool) -> Line {
    let offline = t.cpu.is_some_and(|cpu| tasks::is_hidden(cx, s, cpu));
    let mark = match (t.active, offline) {
        (true, false) => ">",
        (true, true) => "-",
        (false, _) if s.tasks().was_active(t).is_none() => "?",
        _ => " ",
    };
    let line = Line::new().styled(mark, Role::Strong).field("pid", t.pid).right(8);
    let ppid =
        tasks::known(t.ppid, "the page that names the parent, or the parent's own, is not in the dump")
            .lost_if(true);
    let line = line.field("ppid", ppid).right(8).field("cpu", tasks::cpu(t)).right(4).text("  ");
    if kstackp {
        let sp = s.bind::<TaskStruct>().thread_sp.ptr(s.mem(), t.at);
        match sp {
            // the stack of a running task is in its CPU's registers
            _ if t.active => line.field("kstackp", Cell::Shown(Box::new(Cell::Null), "--".into())).center(16),
            Ok(at) => line.field("kstackp", Cell::Addr(at.0)).zeros(16),
            Err(e) => line.field("kstackp", tasks::unknown("?", &e)).center(16),
        }
    } else {
        line.field("task", Cell::Addr(t.at.0)).zeros(16)
    }
}

/// The name of a task, in brackets where it is a thread of the kernel.
fn named(line: Line, t: &Task) -> Line {
    match t.is_kthread() {
        Some(true) => line.text("[").field("command", t.comm.clone()).text("]"),
        _ => line.field("command", t.comm.clone()),
    }
}

/// The line above tasks, with what their lines begin with ([`lead`]).
fn heading(kstackp: bool, rest: &str) -> Line {
    let third = if kstackp { "     KSTACKP     " } else { "      TASK       " };
    Line::heading(format!("      PID    PPID  CPU {third} {rest}"))
}

/// `ps -Y`.
fn policies(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    kstackp: bool,
    header: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    let b = s.bind::<TaskStruct>();
    b.policy.offset().map_err(CommandError::failed)?;
    b.prio.offset().map_err(CommandError::failed)?;
    if header {
        report.line(heading(kstackp, "POLICY       PRIO  COMM"));
    }
    let mut rows = Vec::with_capacity(chosen.len());
    for t in chosen {
        cx.cancel.check()?;
        let policy = b.policy.u32(s.mem(), t.at).map(policy_name);
        let policy = tasks::or_why(policy);
        let prio = tasks::or_why(runq::priority(s, t));
        let line = lead(cx, s, t, kstackp).text("  ").field("policy", policy).left(12).text(" ");
        rows.push(Record::of(named(line.field("prio", prio).right(4).text("  "), t)));
    }
    report.list("tasks", rows);
    Ok(())
}

/// The name of a policy; one that has none that is known is its number.
fn policy_name(policy: u32) -> String {
    let name = POLICIES.iter().zip(0_u32..).find(|(_, n)| *n == policy).map(|(name, _)| *name);
    name.map_or_else(|| policy.to_string(), str::to_owned)
}

/// `SCHED_…` (include/uapi/linux/sched.h).
const POLICIES: [&str; 8] = ["NORMAL", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE", "EXT"];

fn policy(text: &str) -> Result<u64, CommandError> {
    let by_name = (0..).zip(POLICIES).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(n, _)| n);
    by_name
        .or_else(|| text.parse().ok().filter(|&n| n < POLICIES.len() as u64))
        .ok_or_else(|| CommandError::argument(format_args!("invalid scheduling policy: {text}")))
}

fn table(
    cx: &Cx<'_>,
    s: &Session,
    chosen: &[&Task],
    kstackp: bool,
    header: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    if header {
        report.line(heading(kstackp, "ST  %MEM      VSZ      RSS  COMM"));
    }
    let total = address_space::total_pages(s);
    let mut rows = Vec::with_capacity(chosen.len());
    let mut problem = None;
    for t in chosen {
        cx.cancel.check()?;
        let size = address_space::size(s, t);
        if let (None, Err(e)) = (&problem, &size) {
            problem = Some(e.to_string());
        }
        rows.push(row(cx, s, t, kstackp, &size, &total));
    }
    if let Some(e) = problem {
        let untyped = s.kernel_btf().is_none() && s.vmlinux().is_none();
        report.warning(match untyped {
            true => {
                "ps: without types (BTF, or a vmlinux with debug information) it is not known what of an address space is resident"
                    .into()
            }
            false => format!("ps: sizes of address spaces: {e}"),
        });
    }
    report.list("tasks", rows);
    Ok(())
}

fn row(
    cx: &Cx<'_>,
    s: &Session,
    t: &Task,
    kstackp: bool,
    size: &kernel::Result<address_space::MmSize>,
    total: &kernel::Result<u64>,
) -> Record {
    let page_kb = s.page_size() / 1024;
    let cell = |pages: &dyn Fn(&address_space::MmSize) -> u64| match size {
        Ok(size) => Cell::from(pages(size).saturating_mul(page_kb)),
        Err(e) => tasks::unknown("?", e),
    };
    // the whole can be known where what is resident is not
    let mapped = match (size, address_space::total(s, t)) {
        (Err(_), Ok(pages)) => Cell::from(pages.saturating_mul(page_kb)),
        _ => cell(&|z| z.total),
    };
    let share = match (size, total) {
        (Ok(size), Ok(total)) if *total > 0 => Cell::Float(size.resident as f64 * 100.0 / *total as f64, 1),
        (Err(e), _) | (_, Err(e)) => tasks::unknown("?", e),
        _ => Cell::absent("?", "the size of memory is not known"),
    };
    let mut line = lead(cx, s, t, kstackp);
    line = line.text("  ").field("state", tasks::state(s, t)).left(2);
    line = line.field("mem_percent", share).right(6).text("").field("vsz_kb", mapped).right(9);
    line = line.field("rss_kb", cell(&|z| z.resident)).right(9).text("  ");
    let mut row = Record::of(named(line, t));
    if kstackp {
        row.hidden("task", t.at);
    }
    row.hidden("tgid", t.tgid);
    row.hidden("active", tasks::active(s, t));
    row.hidden(
        "kernel",
        tasks::known(t.is_kthread(), "the page that holds the task's flags is not in the dump").lost_if(true),
    );
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_by_name_and_number() {
        assert_eq!(policy("fifo").ok(), Some(1));
        assert_eq!(policy("6").ok(), Some(6));
        assert_eq!([policy_name(1), policy_name(7), policy_name(9)], ["FIFO", "EXT", "9"]);
        assert_eq!(policy("9").unwrap_err().to_string(), "invalid scheduling policy: 9");
    }
}
