//! What the machine was doing.

use super::Who;
use jiff::civil::Date;

/// A statement of the context.
#[derive(Clone, PartialEq, Debug)]
pub enum Context {
    /// The task.
    Task(Task),
    /// The log names a task whose struct is not to be had.
    Named {
        /// The task.
        who: Who,
        /// Its CPU.
        cpu: Option<u32>,
    },
    /// The system call that it was in.
    Syscall(Syscall),
    /// Whose process it was, as far as memory tells.
    Process {
        /// What it was called with.
        command: Option<Vec<String>>,
        /// Its PID in its own namespace, where that is not the first one.
        inner: Option<i32>,
        /// The path of its cgroup, where that is not the root.
        cgroup: Option<String>,
        /// The short id of its container.
        container: Option<String>,
    },
    /// The workqueue, as the log has it.
    Workqueue(String),
    /// What the other CPUs did.
    Cpus {
        /// Which they are.
        whose: Whose,
        /// Those that were not idle.
        busy: Vec<CpuDoing>,
        /// So many more were busy.
        more: usize,
        /// Those that were idle.
        idle: Vec<Option<u32>>,
    },
    /// The load averages in hundredths.
    Load {
        /// Of 1, 5 and 15 minutes.
        load: Vec<u64>,
        /// How many tasks there are.
        tasks: usize,
        /// There may be more.
        at_least: bool,
    },
    /// The kernel and the hardware.
    Kernel {
        /// Its release.
        release: Option<String>,
        /// When it was built, and so many days before the end.
        built: Option<(Date, Option<i32>)>,
        /// For how many seconds it ran.
        up: Option<u64>,
        /// The hardware.
        hardware: Option<String>,
    },
    /// Taints.
    Tainted {
        /// Their letters.
        letters: Vec<char>,
        /// The modules that are none of the kernel's own, with their letters.
        modules: Vec<(String, String)>,
        /// So many more.
        more: usize,
    },
    /// Whether it is tainted is not known; why.
    TaintsLost(String),
    /// A function that a live patch brought or replaced; which, in the kernel's terms.
    Patched {
        /// The function.
        function: String,
        /// Its role.
        role: String,
    },
    /// Tasks were changing to a live patch.
    Patching {
        /// The patch.
        name: String,
        /// To its functions, or back.
        to_new: Option<bool>,
        /// So many, of so many, had yet to.
        yet: Option<(usize, usize)>,
    },
    /// The list of live patches is not whole; why.
    PatchesLost(String),
    /// How the first process ended: as `wait()` has it.
    Exit(u32),
}

/// Which CPUs are told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Those besides the task's.
    Others,
    /// All, where it is not known whose the verdict is.
    All,
    /// All, of a machine that lives.
    Unsaid,
}

/// The task that the verdict is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// Its name.
    pub who: Who,
    /// Its CPU.
    pub cpu: Option<u32>,
    /// It does not run: the CPU is the one that it ran on last.
    pub sleeps: bool,
    /// What it was: idle, a process, a thread of the kernel; `None` where that is not known.
    pub base: Option<Base>,
    /// What came upon it, innermost first; `None` where its stack was not followed to its end.
    pub layers: Option<Vec<Layer>>,
}

/// What a task is below what came upon it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Nothing to do.
    Idle,
    /// A process.
    Process,
    /// A thread of the kernel.
    Thread,
}

/// How the CPU came to where it died: one step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// By what.
    pub kind: Kind,
    /// What was called for it.
    pub handler: Handler,
    /// It had ended, and this is what is done then.
    pub ended: bool,
}

/// What was called for a layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Handler {
    /// Nothing that says more.
    None,
    /// This function.
    Function(String),
    /// This one, or another that jumped on to it.
    Through(String),
}

/// What calls handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Kind {
    Timer,
    Hrtimer,
    Tasklet,
    SoftirqWork,
    Work,
    InterruptHandler,
    InterruptThread,
    CpuCall,
    RcuCallback,
    Notifier,
    Init,
    Asynchronous,
    CpuThread,
    TaskWork,
    Softirq,
    Thread,
    HardInterrupt,
    NonMaskable,
    MachineCheck,
}

impl Kind {
    /// True for what the hardware begins.
    #[must_use]
    pub const fn is_hardware(self) -> bool {
        matches!(self, Self::HardInterrupt | Self::NonMaskable | Self::MachineCheck)
    }
}

/// A system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Syscall {
    /// Its name.
    pub name: String,
    /// Its arguments by name, in C's spelling; their registers' values where the prototype is not known.
    pub arguments: Result<Vec<Argument>, Vec<u64>>,
    /// The open files that it is given.
    pub files: Vec<Opened>,
    /// Why its arguments or one of the files are not told, where the dump lost what would.
    pub lost: Option<String>,
}

/// An argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    /// Its parameter.
    pub name: String,
    /// Its value, in C's spelling.
    pub value: String,
}

/// An open file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The parameter that names it, where it is one of several.
    pub parameter: Option<String>,
    /// Its path.
    pub path: String,
    /// How it is open: `O_DIRECT`.
    pub flags: Vec<String>,
}

/// What a CPU did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuDoing {
    /// The CPU.
    pub cpu: Option<u32>,
    /// What it ran.
    pub who: Who,
    /// In what.
    pub doing: Doing,
}

/// What a task did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doing {
    /// It was in user mode.
    User,
    /// It was in `panic()`.
    Panic,
    /// It was in a function.
    In(String),
    /// It was in code without a symbol.
    Nameless,
    /// Not known, or guessed from its stack alone.
    Unknown,
}
