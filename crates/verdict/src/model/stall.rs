//! Who waits for what.

use super::{Place, Who};
use cexpr::Expr;
use kernel::locking::{Kind, spinlock};
use kernel::log::event::{Class, Subject};

/// A statement about who stands still.
#[derive(Clone, PartialEq, Debug)]
pub enum Stall {
    /// They wait for each other; one alone for what it has itself.
    Circle(Vec<Who>),
    /// There are such who do.
    Circles,
    /// A task sleeps.
    Waits {
        /// Who.
        who: Who,
        /// In which function.
        within: Waiter,
        /// For what.
        what: For,
        /// For so many seconds.
        seconds: Option<u64>,
    },
    /// A CPU spins.
    Spins {
        /// The CPU.
        cpu: Option<u32>,
        /// Its task.
        who: Who,
        /// In which function.
        function: String,
        /// For which lock: its name, its address.
        lock: Option<(String, u64)>,
        /// The lock's state.
        state: Option<spinlock::State>,
        /// Who has it, and the call that took it, where the lock itself does not say that.
        holder: Option<(Who, Option<String>)>,
        /// It has it itself.
        own: bool,
    },
    /// So many more tasks wait.
    More {
        /// How many.
        count: usize,
        /// There may be more.
        at_least: bool,
    },
    /// A CPU's ticks do not come.
    NoTick {
        /// The CPU.
        cpu: Option<u32>,
        /// For so many seconds.
        seconds: u64,
    },
    /// A CPU waits until others answer its call.
    Calls {
        /// The CPU.
        cpu: Option<u32>,
        /// The function that waits.
        function: String,
        /// Those that take no interrupts.
        deaf: Vec<Deaf>,
    },
    /// A CPU is in a loop.
    Loops {
        /// The CPU.
        cpu: Option<u32>,
        /// The function.
        function: String,
        /// Its first instruction.
        from: String,
        /// Its last.
        to: String,
        /// What it reads.
        reads: Vec<LoopRead>,
    },
    /// A task has a spinning lock.
    Holds {
        /// Who.
        who: Who,
        /// The lock's symbol.
        name: Option<String>,
        /// Its address.
        lock: u64,
        /// The call that took it.
        call: String,
    },
    /// What lockdep lists of a task in a log: the last may be the lock that it waits for.
    Listed {
        /// Who.
        who: Who,
        /// The locks, each with the place where it was taken.
        locks: Vec<String>,
    },
    /// Others that the log tells of.
    Others(Class, Vec<Subject>),
}

/// The function that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Waiter {
    /// By name.
    Function(String),
    /// Code without a name.
    Nameless(u64),
    /// Not known.
    Unknown,
}

/// What is wrong with who has a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostOwner {
    /// Nothing.
    No,
    /// It ended with the lock held.
    Ended,
    /// It began after the wait: another one had the lock, and ended; or it took it since.
    Younger,
    /// Nothing in its frames tells that it took the lock: it did, or another one, which ended, had its `task_struct`.
    Unproven,
    /// The lock says that nobody has it, and nobody woke who waits.
    Nobody,
}

impl LostOwner {
    /// True where the task that the lock names may never have had it.
    #[must_use]
    pub const fn is_doubted(self) -> bool {
        matches!(self, Self::Younger | Self::Unproven)
    }
}

/// What a task waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum For {
    /// A lock that sleeps.
    Lock {
        /// Its kind.
        kind: Kind,
        /// Its name; empty where it has none.
        name: String,
        /// Its address.
        at: u64,
        /// Who has it.
        owner: Option<Who>,
        /// Readers have it.
        readers: bool,
        /// The one that took it last.
        last: bool,
        /// Who has it ended since, or its `task_struct` is younger than the wait.
        lost: LostOwner,
    },
    /// A lock that sleeps, of which the kind alone is known.
    SomeLock(Kind),
    /// A completion: its name and its address.
    Completion(String, Option<u64>),
    /// The end of work, by its function where that is known; and the worker that does it.
    Work(String, Option<Who>),
    /// Input or output.
    Io,
    /// All readers of RCU.
    Rcu,
    /// Not known.
    Other,
}

/// A CPU that runs with interrupts off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deaf {
    /// The CPU.
    pub cpu: Option<u32>,
    /// Its task.
    pub who: Who,
    /// Where.
    pub place: Place,
}

/// What a loop reads from memory.
#[derive(Clone, PartialEq, Debug)]
pub struct LoopRead {
    /// As C calls it.
    pub expr: Expr,
    /// What memory has there now.
    pub value: Option<super::Value>,
    /// Where.
    pub at: Option<u64>,
}
