//! A verdict's parts, as types. How they read is `words`' business.
//!
//! **Invariant:** nothing here is a sentence. What is text is the kernel's own (a line of its log, a name), C, or the
//! assembler's.

mod cause;
mod context;
mod logged;
mod memory;
mod object;
mod operand;
mod path;
mod pointer;
mod report;
mod stall;
mod statement;

pub use cause::{Access, Accessed, Bound, CodeAt, CodeLine, Condition, Copied, End, Jump, Why};
pub use context::{
    Argument, Base, Context, CpuDoing, Doing, Handler, Kind as LayerKind, Layer, Opened, Syscall, Task, Whose,
};
pub use logged::{Logged, TraceRow};
pub use memory::{HugePool, Memory, PageKind};
pub use object::{Allocator, Known, Met, Past, PastEvent};
pub use operand::{Detail, Name, Operand, Origin, Spot, Value};
pub use path::shown_path;
pub use pointer::{Located, Pointed, PointerIs};
pub use report::{ErrorFact, FirmwareFault, MachineCheck, Report, StackUser, Vendor};
pub use stall::{Deaf, For, LoopRead, LostOwner, Stall, Waiter};
pub use statement::{Evidence, History, KnownIssue, Lack, Module, NoCondition, Related, Says, Statement};

use kernel::log::event::{Class, Subject};

/// How a statement is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum How {
    /// A table of the kernel in the dump's memory says so (the bug table, the symbol table).
    Table,
    /// Debug information says so.
    Dwarf,
    /// Read from the dump's memory or registers.
    Memory,
    /// The machine code was decoded.
    Decoded,
    /// The kernel's log says so.
    Log,
    /// The likeliest of several readings.
    Guessed,
}

impl How {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            How::Table => "table",
            How::Dwarf => "dwarf",
            How::Memory => "memory",
            How::Decoded => "decoded",
            How::Log => "log",
            How::Guessed => "guessed",
        }
    }
}

/// A task by name and PID.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// `task_struct.comm`
    pub comm: String,
    /// `task_struct.pid`
    pub pid: i32,
}

impl Who {
    /// Of a task.
    pub(crate) fn of(task: &kernel::sched::task::Task) -> Self {
        Self { comm: task.comm.clone(), pid: task.pid }
    }
}

impl std::fmt::Display for Who {
    /// `dd[77]`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.comm, self.pid)
    }
}

/// Where in the code.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The address.
    pub address: u64,
    /// The function; empty where no symbol covers the address.
    pub function: String,
    /// Bytes into it.
    pub offset: u64,
    /// Its module.
    pub module: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The function of the source that the line is of, where it was inlined.
    pub inlined: Option<String>,
}

impl Place {
    /// Its source file and line, as far as they are known: `drivers/virtio/virtio_ring.c:550`.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        let file = shown_path(self.file.as_ref()?);
        Some(self.line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.function.is_empty() {
            return write!(f, "{:016x}", self.address);
        }
        write!(f, "{}+{:#x}", self.function, self.offset)?;
        match &self.module {
            Some(m) => write!(f, " [{m}]"),
            None => Ok(()),
        }
    }
}

/// A struct that the verdict speaks of.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// The pointer to it.
    pub expr: cexpr::Expr,
    /// Its type.
    pub ty: debuginfo::types::TypeRef,
    /// Where it begins.
    pub at: u64,
    /// The member that the verdict speaks of.
    pub member: cexpr::MemberPath,
    /// How many calls lie between the function whose pointer it is and the instruction to blame.
    pub level: usize,
}

/// The verdict's first line.
#[derive(Clone, PartialEq, Debug)]
pub struct Headline {
    /// The kind of death.
    pub class: Class,
    /// The machine was not told to panic: something in it stands still.
    pub hang: bool,
    /// All that there is is a log: of what is not in it nobody knows.
    pub of_log: bool,
    /// Where.
    pub place: Option<Place>,
    /// Where the damage was found and told of, if that is not the place.
    pub reporter: Option<Place>,
    /// What was done at the place when that was found; it need not have done the damage.
    pub act: Option<Act>,
    /// Of a reference count that was found wrong: which.
    pub counter: Option<Counter>,
    /// Who stands still.
    pub subject: Option<Subject>,
    /// What the kernel said, where the class does not say it already.
    pub said: Option<String>,
    /// Who called a function that serves many.
    pub caller: Option<Place>,
    /// Of a machine that lives: who is stuck in it.
    pub stuck: Option<Stuck>,
    /// An error number was used as a pointer, which says more than the class.
    pub error: Option<ErrorPointer>,
}

/// What a function did when damage was found that others may have done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// It put an entry into a list.
    ListAdd,
    /// It took an entry from a list.
    ListDel,
    /// It freed an object or memory.
    Free,
    /// It asked for memory.
    Allocate,
    /// It took a reference.
    Take,
    /// It dropped a reference.
    Drop,
}

/// A reference count.
#[derive(Clone, PartialEq, Debug)]
pub struct Counter {
    /// In C.
    pub expr: cexpr::Expr,
    /// What it was, where the report says that: the kernel has set it to another value since.
    pub was: Option<u64>,
}

/// An error number in a pointer.
#[derive(Clone, PartialEq, Debug)]
pub struct ErrorPointer {
    /// `-ENOENT`
    pub error: String,
    /// The pointer, or the call that returned it.
    pub from: cexpr::Expr,
    /// A call returned it.
    pub returned: bool,
}

/// Who is stuck in a machine that lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stuck {
    /// They wait for each other.
    Deadlock(Vec<Who>),
    /// Tasks that nothing wakes.
    Tasks {
        /// The one that waits longest.
        who: Who,
        /// For so many seconds.
        seconds: u64,
        /// How many there are.
        count: usize,
        /// There may be more.
        at_least: bool,
    },
}

/// The task and the frame that a verdict is of: what its expressions are read in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Victim {
    /// The task.
    pub who: Who,
    /// `struct task_struct`
    pub task: u64,
    /// Its CPU.
    pub cpu: Option<u32>,
    /// The frame that operands are read in, by its place among the backtrace's, innermost 0: that of the instruction that
    /// failed, else the one to blame.
    pub frame: Option<usize>,
}

/// What killed the machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// The kind of death.
    pub class: Class,
    /// In one line.
    pub headline: Headline,
    /// Whose death it is, or who stands still.
    pub victim: Option<Victim>,
    /// Where.
    pub place: Option<Place>,
    /// Where the damage was found and told of, if that is not the place.
    pub reporter: Option<Place>,
    /// The condition that failed, for assertions.
    pub condition: Option<Condition>,
    /// The access that failed, for faults.
    pub access: Option<Access>,
    /// What the machine was doing.
    pub context: Vec<Statement>,
    /// Of a log its report's call trace and registers; of a dump `bt` shows them.
    pub logged: Option<Logged>,
    /// The module to blame, and where it comes from.
    pub module: Vec<Statement>,
    /// Who waits for what.
    pub waits: Vec<Statement>,
    /// The objects that its pointers lead to, where their past is known.
    pub objects: Vec<Known>,
    /// What else is worth knowing about the objects involved.
    pub related: Vec<Statement>,
    /// What the machine had lived with before, and what became of it after.
    pub history: Vec<Statement>,
    /// Known issues that match.
    pub known: Vec<Statement>,
    /// Everything that the verdict rests on.
    pub evidence: Vec<Statement>,
    /// The same for the same death of another machine; where a part of it is not known, what it begins with.
    pub signature: Result<String, String>,
    /// What could not be found out.
    pub undetermined: Vec<Lack>,
    /// What the dump lost of all that: the verdict is not whole.
    pub losses: Vec<Loss>,
}

/// Something that the dump lost and by which the verdict would say more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// What.
    pub what: Lost,
    /// Why.
    pub why: String,
}

/// What a dump can lose of a verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lost {
    /// A part of the log.
    Log,
    /// The code around the instruction to blame.
    Code(u64),
    /// The list of modules.
    Modules,
    /// The name of a module.
    ModuleName,
    /// The list of tasks.
    Tasks,
    /// The kernel's types.
    Types,
    /// The types of a module.
    ModuleTypes(String),
    /// The kernel's taints.
    Taints,
    /// What a module taints.
    ModuleTaints(String),
    /// The kernel's release and version.
    Release,
    /// The time.
    Time,
    /// The hardware's name.
    Hardware,
    /// A part of the stack, or the name of one of its functions.
    Stack,
    /// The table of system calls.
    Syscalls,
    /// What the system call was given: its prototype, or a file.
    Call,
    /// The value of an operand.
    Value(String),
    /// A part of the object that a pointer leads to, in C.
    Object(String),
    /// Who allocated and freed the object at an address.
    Past(u64),
    /// What a CPU did.
    CpuStack(u32),
    /// Whether the object at an address was free.
    State(u64),
    /// What a task waits for.
    Wait(Who),
    /// For how long tasks have been waiting.
    Waited,
}

impl Lack {
    /// True where it is what a loss tells of, for the same reason.
    #[must_use]
    pub fn tells(&self, loss: &Loss) -> bool {
        match (self, &loss.what) {
            (Lack::Log(why) | Lack::LogPart(why), Lost::Log) | (Lack::Waiters(why), Lost::Tasks) => {
                *why == loss.why
            }
            (Lack::Code(at), Lost::Code(of)) => at == of,
            _ => false,
        }
    }
}

impl Verdict {
    /// True where the kind of death is known.
    #[must_use]
    pub const fn is_determined(&self) -> bool {
        !matches!(self.class, Class::Unknown)
    }

    /// What kind of cause the class has.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        Cause::of(self.class)
    }
}

/// The kinds of causes, by what tells of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A condition of the kernel's own.
    Assertion,
    /// An instruction that the processor did not carry out.
    Access,
    /// A task or CPU that does not go on.
    Stall,
    /// A report of one of the kernel's checkers, or of the hardware.
    Report,
    /// No memory was left.
    Memory,
    /// Somebody asked for it, or the kernel gave up by itself.
    Request,
    /// The machine lives.
    Alive,
    /// Not known.
    Unknown,
}

impl Cause {
    /// Of a kind of death.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Bug | Class::Warning | Class::ListCorruption | Class::Refcount | Class::Overflow => {
                Self::Assertion
            }
            Class::SlabCorruption
            | Class::PageCorruption
            | Class::Sanitizer
            | Class::Ubsan
            | Class::LockMisuse
            | Class::Atomic
            | Class::StackProtector
            | Class::MachineCheck
            | Class::Nmi => Self::Report,
            Class::OutOfMemory => Self::Memory,
            Class::Alive => Self::Alive,
            Class::Unknown => Self::Unknown,
            class if class.is_stall() => Self::Stall,
            class if class.has_instruction() => Self::Access,
            _ => Self::Request,
        }
    }

    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assertion => "assertion",
            Self::Access => "access",
            Self::Stall => "stall",
            Self::Report => "report",
            Self::Memory => "memory",
            Self::Request => "request",
            Self::Alive => "alive",
            Self::Unknown => "unknown",
        }
    }
}
