//! Statements with their evidence, and what could not be found out.

use super::{CodeLine, Context, How, Memory, Place, Pointed, Report, Stall, Value, Who};
use cexpr::Expr;
use kernel::log::event;

/// A statement with its evidence.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// What is stated.
    pub says: Says,
    /// How it is known.
    pub how: How,
    /// The commands that show it.
    pub commands: Vec<String>,
}

impl Statement {
    /// A statement.
    pub(crate) fn new(how: How, says: impl Into<Says>, commands: &[String]) -> Self {
        Self { says: says.into(), how, commands: commands.to_vec() }
    }

    /// The same where nothing but the log is at hand: memory has shown nothing.
    pub(crate) fn by_log(self) -> Self {
        match self.how {
            How::Memory => Self { how: How::Log, commands: vec!["log".to_owned()], ..self },
            _ => Self { commands: vec!["log".to_owned()], ..self },
        }
    }

    /// What the log says.
    pub(crate) fn logged(says: impl Into<Says>) -> Self {
        Self::new(How::Log, says, &["log".to_owned()])
    }
}

/// What a statement states.
#[derive(Clone, PartialEq, Debug)]
pub enum Says {
    /// A line of the log, in the kernel's words.
    Line(String),
    /// Instructions.
    Code(Vec<CodeLine>),
    /// What the verdict rests on.
    Evidence(Evidence),
    /// What the machine was doing.
    Context(Context),
    /// The module to blame.
    Module(Module),
    /// Who stands still.
    Stall(Stall),
    /// What is in an object.
    Related(Related),
    /// What a report says.
    Report(Report),
    /// Who had the memory.
    Memory(Memory),
    /// What came before and after.
    History(History),
    /// A known issue.
    Known(KnownIssue),
}

macro_rules! into_says {
    ($($name:ident)*) => {
        $(impl From<$name> for Says {
            fn from(said: $name) -> Self {
                Self::$name(said)
            }
        })*
    };
}

into_says!(Evidence Context Module Stall Related Report Memory History);

impl From<KnownIssue> for Says {
    fn from(issue: KnownIssue) -> Self {
        Self::Known(issue)
    }
}

/// What a verdict rests on.
#[derive(Clone, PartialEq, Debug)]
pub enum Evidence {
    /// The frame to blame.
    Frame(Place),
    /// Registers, as the oops in the log has them.
    Logged(Place),
    /// Registers on the stack.
    Saved {
        /// Of the instruction here.
        place: Place,
        /// Where they are.
        at: Option<u64>,
        /// What saved them.
        entry: Option<String>,
    },
    /// What the bug table has of an instruction.
    BugTable {
        /// A WARN; else a BUG.
        warning: bool,
        /// The instruction.
        at: u64,
        /// The source file.
        file: String,
        /// The line.
        line: u32,
    },
    /// Where the program counter is.
    Counter(Pointed),
    /// What a warning printed, by the expressions that it was given.
    Printed(Vec<(Expr, String)>),
}

/// The module to blame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Module {
    /// Its name, and where it comes from.
    Blamed {
        /// Its name.
        name: String,
        /// Its taints; `None` where they are not known.
        taints: Option<u64>,
        /// Who called into it: the module, where it is one, and the function.
        from: Option<(Option<String>, String)>,
        /// Of a death in the kernel proper: where the module called it.
        caller: Option<Place>,
    },
    /// Who called a check in a library.
    CalledBy(Place),
}

/// What is in an object of the verdict.
#[derive(Clone, PartialEq, Debug)]
pub enum Related {
    /// The object: what follows is in it.
    Object {
        /// Its type.
        ty: String,
        /// Where it begins.
        at: u64,
    },
    /// A member, with its value in C's spelling.
    Member {
        /// As C calls it, from the verdict's own pointer.
        expr: Expr,
        /// Its path.
        path: String,
        /// Its value.
        value: Value,
        /// Where it is.
        at: u64,
        /// How many calls lie between the function whose pointer it is and the instruction to blame.
        level: usize,
    },
}

/// What came before the death, and after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum History {
    /// Of a machine that lives: a report in the log.
    Reported {
        /// When, in nanoseconds since boot.
        at: Option<u64>,
        /// Its first line.
        line: String,
    },
    /// A report before the one that counts.
    Before {
        /// When, in nanoseconds since boot.
        at: Option<u64>,
        /// Its first line.
        line: String,
        /// Whom it was of.
        of: Option<event::Who>,
    },
    /// How the machine ended.
    After {
        /// When, in nanoseconds since boot.
        at: Option<u64>,
        /// It lived on for so many seconds.
        lived: Option<u64>,
        /// The line.
        line: String,
        /// Of another oops: whom it was of.
        of: Option<event::Who>,
    },
}

/// A known issue that matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownIssue {
    /// Its short name.
    pub id: String,
    /// What it is, as its entry has it.
    pub explanation: String,
    /// The function may die of other things, too.
    pub maybe: bool,
    /// The condition as it stands in the source, where types do not name the operands.
    pub source: Option<String>,
    /// The upstream commit, and its title.
    pub commit: Option<(String, String)>,
    /// The first release that has the fix.
    pub fixed: Option<String>,
    /// The releases of stable series that have it.
    pub stable: Vec<String>,
    /// This kernel's release is later.
    pub later: bool,
    /// This kernel's distribution counts its own way.
    pub counted: bool,
}

/// What could not be found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lack {
    /// What a part of the log says; why.
    LogPart(String),
    /// What the log says; why.
    Log(String),
    /// What only memory tells: a log is all that there is.
    Memory,
    /// The task that panicked on this CPU.
    PanicTask(u32),
    /// Registers of the victim's CPU, as the backtrace says it.
    Registers(String),
    /// Neither the stack nor the log gives the instruction.
    Instruction,
    /// The stack does not give it; what the log names cannot be placed.
    Unplaced {
        /// The function.
        function: String,
        /// Bytes into it.
        offset: u64,
        /// Its module.
        module: Option<String>,
        /// How many functions have that name.
        named: usize,
    },
    /// The code at an address.
    Code(u64),
    /// The condition.
    Condition(NoCondition),
    /// The access: an instruction without a memory operand there, its place and text.
    Operand(super::CodeAt, String),
    /// The access: no instruction begins there.
    NoInstruction,
    /// The access: no division is there.
    NoDivision,
    /// The access: the divisor.
    Divisor,
    /// Who jumped to where no code is: no return address on top of the stack.
    Jumper(u64),
    /// Who jumped there: no call before the return address.
    NoCall(u64, u64),
    /// Who called this function, which found the damage.
    Caller(String),
    /// Which function returned.
    Returner,
    /// Condition and operands: values are not followed through this machine's code; why.
    NotFollowed(String),
    /// The task of the report: it is none of those that are known.
    ReportedTask(Who),
    /// Who else waits; why.
    Waiters(String),
    /// What a CPU ran.
    RunQueue(u32),
    /// Known issues; why.
    KnownIssues(String),
}

/// Why a condition cannot be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoCondition {
    /// The function always reaches the trap.
    Always(String),
    /// The same, and its caller tells no more.
    AlwaysIn {
        /// The function.
        function: String,
        /// Its caller.
        caller: String,
        /// Why that tells none.
        why: Box<NoCondition>,
    },
    /// No conditional jump decides it.
    NoJump,
    /// The values at hand say that none of so many ways was taken.
    Refuted(usize),
    /// The comparison cannot be told.
    Untold,
    /// Several ways lead there, and which was taken is not known.
    Several(usize),
    /// Its registers were overwritten.
    Overwritten,
}
