//! An operand: what it is called, what it was, where that is, and how the code came by it.

use super::{CodeAt, How, Located};
use cexpr::{Expr, MemberPath};

/// An operand with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Operand {
    /// What it is called.
    pub name: Name,
    /// What it was at the time; `None` where that is gone.
    pub value: Option<Value>,
    /// True where it is gone because the dump lost the memory that has it.
    pub lost: bool,
    /// Where it is, and why that is believed, in the order in which it is told.
    pub detail: Vec<Detail>,
    /// How many calls lie between its function and the instruction to blame: its frame, from the victim's on.
    pub level: usize,
    /// Where its value is now, as far as one place has it.
    pub spot: Spot,
    /// How its name is known.
    pub how: How,
    /// The commands that show it.
    pub commands: Vec<String>,
}

/// What an operand is called.
#[derive(Clone, PartialEq, Debug)]
pub enum Name {
    /// A C expression; what has no name in C is a register or the instruction's own operand in it.
    Expr(Expr),
    /// An argument of a function that has no prototype.
    Argument {
        /// The function.
        function: String,
        /// Which, from 0 on.
        n: usize,
    },
    /// The return address that was taken from the stack.
    Return,
    /// The next one above it.
    NextReturn,
}

impl Operand {
    /// Gives it another name.
    pub(crate) fn call_it(&mut self, expr: &Expr) {
        self.name = Name::Expr(expr.clone());
    }

    /// The C expression that it is, where it is one.
    #[must_use]
    pub const fn expr(&self) -> Option<&Expr> {
        match &self.name {
            Name::Expr(expr) => Some(expr),
            _ => None,
        }
    }

    /// Its value as a number: its bytes, without a sign.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.value.as_ref().map(|value| value.bits)
    }
}

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Its bytes, without a sign.
    pub bits: u64,
    /// As C spells it in its type: `NULL`, `-22`, an enumerator.
    pub spelt: String,
}

impl Value {
    /// A value as C spells it.
    pub(crate) fn of(bits: u64, spelt: impl Into<String>) -> Self {
        Self { bits, spelt: spelt.into() }
    }

    /// An address.
    pub(crate) fn address(at: u64) -> Self {
        Self::of(at, format!("{at:016x}"))
    }
}

/// Where a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spot {
    /// Nowhere: it is a constant, or was computed.
    Made,
    /// In a register.
    Register(String),
    /// Saved on the stack.
    Saved(u64),
    /// In memory.
    Memory {
        /// So many bits.
        bits: u64,
        /// The address.
        at: u64,
    },
    /// In the log: the warning printed it.
    Printed,
    /// Where the caller had it.
    Caller {
        /// The caller.
        function: String,
        /// Its place there.
        spot: Box<Spot>,
    },
}

/// How a function came by a value.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Origin {
    /// Not told.
    #[default]
    Unsaid,
    /// It is an argument.
    Argument {
        /// Which, from 0 on.
        n: usize,
        /// The register has it since entry.
        unchanged: bool,
    },
    /// A register that nothing has changed since entry.
    Unchanged,
    /// Read from memory by an instruction.
    Read(CodeAt),
    /// A call returned it.
    Returned(CodeAt),
    /// A global variable.
    Global,
    /// A variable on the stack.
    OnStack,
    /// A variable of this CPU.
    OfCpu,
    /// This CPU's current task.
    CurrentTask,
    /// A constant.
    Constant,
    /// A result.
    Computed,
    /// A result that an instruction stored there.
    Stored(CodeAt),
    /// A struct on the stack that a call was given.
    Given {
        /// Its type.
        ty: String,
        /// The function that was called.
        callee: String,
    },
    /// The caller passed it.
    Passed(String),
    /// A loop moves it on by so many bytes.
    Stride(i64),
    /// A loop followed it through memory.
    Turns {
        /// So often.
        turns: usize,
        /// From here.
        first: Expr,
    },
    /// The first of the values that it may have been.
    First {
        /// How the function came by that.
        own: Box<Origin>,
        /// A loop moves it on; else it is one of several that meet here.
        moved: bool,
    },
    /// One of several values.
    OneOf {
        /// What it may be.
        firsts: Vec<Expr>,
        /// What a loop follows from them: `->next`.
        next: Option<String>,
    },
    /// Other members of a union lie at the same place.
    Or(Vec<MemberPath>),
}

impl Origin {
    /// The same of a value that is no longer where it was then.
    #[must_use]
    pub fn when_it_was(self) -> Self {
        match self {
            Self::Argument { n, .. } => Self::Argument { n, unchanged: false },
            other => other,
        }
    }
}

/// A part of what is told of where a value is.
#[derive(Clone, PartialEq, Debug)]
pub enum Detail {
    /// It is in a register.
    In(String),
    /// It is some of a register's bits.
    Among(String),
    /// It was in a register, and is in another now.
    StillIn {
        /// Then.
        then: String,
        /// Now.
        now: String,
    },
    /// It was in a register; the same is elsewhere.
    Then {
        /// The register.
        register: String,
        /// Where it is.
        spot: Spot,
        /// That is memory, as the dump has it.
        now: bool,
    },
    /// It was in a register that was overwritten since.
    Overwritten(String),
    /// It is made of others.
    Computed,
    /// It is somewhere.
    At(Spot),
    /// It is in memory, as the dump has it.
    Now(Spot),
    /// The instruction's own operand.
    Operand(String),
    /// At an address.
    Address(u64),
    /// How the function came by it.
    Origin(Origin),
    /// How the function came by the struct that it is in.
    OfMember(Origin),
    /// What a caller passed.
    Passes {
        /// The caller.
        by: String,
        /// As it calls it.
        expr: Expr,
    },
    /// What it points to.
    Target(Located),
    /// What it points to, behind what is told of where it is.
    Leads(Located),
    /// What was read through it is something else in the dump.
    HoldsNow {
        /// What was read, where that has a name.
        what: Option<Expr>,
        /// Where it lies.
        at: u64,
        /// What is there in the dump.
        value: u64,
    },
    /// It is of what this variable was before.
    Before(Expr),
    /// Its bytes are a text; and those that it was compared with.
    Text(String, Option<String>),
    /// The struct that it is in.
    Within {
        /// The pointer to it.
        expr: Expr,
        /// Its type.
        ty: String,
        /// Where it begins.
        at: u64,
        /// Where the pointer is.
        spot: Spot,
    },
    /// Memory may have changed before the trap.
    MayHaveChanged,
    /// The way to the trap says so.
    Implied,
    /// A number was added to it.
    Less(i64),
    /// One bit of what follows.
    Bit(u64),
    /// It lies below the stack pointer.
    BelowStack,
    /// A return address into a function.
    Into {
        /// The function.
        function: String,
        /// Its module.
        module: Option<String>,
        /// Where it lies.
        at: u64,
    },
    /// The address in a report tells it.
    FromReport,
    /// The address that was accessed tells it.
    Solved,
    /// By its name it counts the elements of an array.
    Counts(Expr),
}
