//! The part of `truth.json` that the tests read. Its writer says what each member means.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file.
#[derive(Deserialize, Debug)]
pub struct Truth {
    /// How the guest was set up.
    pub case: About,
    /// Its kernel.
    pub kernel: Kernel,
    /// Its dumps.
    pub dumps: Vec<Dump>,
    /// The first report of what went wrong.
    pub oops: Option<Report>,
    /// Those after it.
    pub later_reports: Vec<Report>,
    /// The reason of the final panic.
    pub panic: Option<String>,
    /// `/proc/modules`.
    pub modules: Vec<Module>,
    /// `/proc/PID/task/TID/stat`.
    pub tasks: Vec<Task>,
    /// Samples of `/proc/kallsyms`.
    pub kallsyms: Kallsyms,
    /// `/proc/PID/stack`.
    pub stacks: Vec<Stack>,
    /// `/proc/PID/maps`.
    pub maps: Vec<Map>,
    /// `dmesg` with levels, at the time of the sections.
    pub dmesg: Vec<Message>,
    /// The kernel's messages on the console, to the end.
    pub console: Vec<Message>,
    /// All that the guest showed, line by line, by its title: `loadavg` is `/proc/loadavg`.
    #[serde(default)]
    pub sections: BTreeMap<String, Vec<String>>,
}

/// A process's sets of signals, as `/proc/PID/status` names them.
const SETS: [&str; 5] = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"];

impl Truth {
    /// The sets of signals of each process that has memory of its own: for its first thread, for all of them, blocked, ignored,
    /// caught.
    #[must_use]
    pub fn signals(&self) -> BTreeMap<i64, [String; 5]> {
        let mut out: BTreeMap<i64, [String; 5]> = BTreeMap::new();
        let mut pid = None;
        for line in self.sections.get("process.status").into_iter().flatten() {
            if let Some(words) = line.strip_prefix("@ ") {
                pid = words.split_whitespace().next().and_then(|word| word.parse().ok());
            }
            let (Some(pid), Some((name, value))) = (pid, line.split_once(':')) else { continue };
            if let Some(n) = SETS.iter().position(|set| *set == name)
                && let Some(set) = out.entry(pid).or_default().get_mut(n)
            {
                value.trim().clone_into(set);
            }
        }
        out
    }

    /// The task that has an IPC namespace of its own, where the guest has one.
    #[must_use]
    pub fn task_in_own_ipc(&self) -> Option<i64> {
        self.tasks.iter().find(|task| task.comm == "job-ipc").map(|task| task.pid)
    }

    /// The report to compare the panic task with: the oops, or the state that `panic()` printed where there was none.
    #[must_use]
    pub fn death(&self) -> Option<&Report> {
        let panic = |report: &&Report| report.trace.iter().any(|frame| frame.place.symbol.ends_with("panic"));
        let oops = self.oops.as_ref().filter(|oops| oops.is_exception());
        oops.or_else(|| self.later_reports.iter().chain(&self.oops).find(panic)).or(self.oops.as_ref())
    }
}

impl Report {
    /// Whether the kernel stopped at `rip`; a report that dumps its own stack may have an older exception in it.
    #[must_use]
    pub fn is_exception(&self) -> bool {
        let own = self.trace.first().is_some_and(|frame| frame.place.symbol.starts_with("dump_stack"));
        self.rip.is_some() && !own
    }
}

/// How the guest was set up.
#[derive(Deserialize, Debug)]
pub struct About {
    /// `live` where nothing went wrong.
    pub end: String,
    /// CPUs.
    pub cpus: u64,
    /// Memory.
    pub memory_mib: u64,
}

/// The guest's kernel.
#[derive(Deserialize, Debug)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// As the kernel printed it.
    #[serde(default)]
    pub kaslr_offset: Option<String>,
    /// `/proc/version`.
    pub banner: String,
}

/// A dump of the case.
#[derive(Deserialize, Debug)]
pub struct Dump {
    /// More than one for a split set.
    pub files: Vec<String>,
}

/// An oops, or the state that `panic()` prints.
#[derive(Deserialize, Debug)]
pub struct Report {
    /// The lines before the state.
    pub headlines: Vec<String>,
    /// CPU.
    pub cpu: Option<u64>,
    /// Task.
    pub pid: Option<i64>,
    /// Its name.
    pub comm: Option<String>,
    /// Where, in the kernel.
    pub rip: Option<Place>,
    /// Where the link register pointed, on arm64.
    #[serde(default)]
    pub lr: Option<Place>,
    /// Kernel registers, upper case.
    pub registers: BTreeMap<String, String>,
    /// The call trace.
    pub trace: Vec<Frame>,
    /// Registers of user space.
    pub user_registers: BTreeMap<String, String>,
}

/// `symbol+offset`.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Symbol.
    pub symbol: String,
    /// Bytes from its start.
    pub offset: u64,
}

/// A line of a call trace.
#[derive(Deserialize, Debug)]
pub struct Frame {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// False for the lines with `?`.
    pub reliable: bool,
}

/// A module.
#[derive(Deserialize, Debug)]
pub struct Module {
    /// Name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Where.
    pub address: String,
}

/// A thread.
#[derive(Deserialize, Debug)]
pub struct Task {
    /// Its id.
    pub pid: i64,
    /// Its thread group's.
    pub tgid: i64,
    /// Its parent's.
    pub ppid: i64,
    /// One letter.
    pub state: String,
    /// Its name.
    pub comm: String,
    /// The same as `/proc` tells it: of a worker with what it does.
    #[serde(default)]
    pub name: String,
}

/// Samples of `/proc/kallsyms`.
#[derive(Deserialize, Debug)]
pub struct Kallsyms {
    /// The samples.
    pub samples: Vec<Symbol>,
}

/// A symbol.
#[derive(Deserialize, Debug)]
pub struct Symbol {
    /// Where, hexadecimal.
    pub address: String,
    /// Its letter.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: Option<String>,
}

/// A stack as `/proc/PID/stack` has it: without the scheduler's own frames.
#[derive(Deserialize, Debug)]
pub struct Stack {
    /// The thread.
    pub tid: i64,
    /// Innermost first.
    pub frames: Vec<Place>,
}

/// A line of `/proc/PID/maps`.
#[derive(Deserialize, Debug)]
pub struct Map {
    /// Its process.
    pub pid: i64,
    /// Where, hexadecimal.
    pub start: String,
    /// `rw-p`.
    pub flags: String,
    /// What is mapped, where it has a name.
    #[serde(default)]
    pub path: Option<String>,
}

/// A message of the log.
#[derive(Deserialize, Debug)]
pub struct Message {
    /// Where known.
    pub level: Option<u64>,
    /// Seconds since boot, as printed.
    pub time: String,
    /// Text.
    pub text: String,
}

/// A compiler's own label (`.LC0`, ARM's `$x`), of which a module's table has many and nobody asks for any.
pub(crate) fn is_label(name: &str) -> bool {
    name.starts_with(".L") || name.starts_with('$')
}
