//! What failed: a condition, or an access.

use super::{How, Object, Operand, Pointed};
use cexpr::Expr;
use kernel::log::event::Asserted;

/// The condition that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    /// `total_sg > vq->split.vring.num`
    pub expr: Option<Expr>,
    /// The assertion as the code that failed printed it.
    pub printed: Option<Asserted>,
    /// The line of the log that reported it, where nothing but a log is there.
    pub reported: Option<String>,
    /// It warns; else it is a BUG.
    pub warning: bool,
    /// The function that asked before it called, where the one to blame always dies.
    pub caller: Option<String>,
    /// The function whose condition and code it is, where that is another than the place's: it found what another did.
    pub within: Option<String>,
    /// How its operands' names are known: the weakest of them.
    pub how: How,
    /// Its operands.
    pub operands: Vec<Operand>,
    /// The instructions: `+78 cmp %r12d,0x60(%rbp)`.
    pub code: Vec<CodeLine>,
    /// True where the values were checked and make it true.
    pub confirmed: bool,
    /// The structs that its operands lie in.
    pub objects: Vec<Object>,
}

/// The access that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Access {
    /// What it was.
    pub what: Accessed,
    /// How the expression is known.
    pub how: How,
    /// The chain of pointers that led there.
    pub operands: Vec<Operand>,
    /// The instruction.
    pub code: Vec<CodeLine>,
    /// The address.
    pub at: Option<u64>,
}

/// What the processor did not do.
#[derive(Clone, PartialEq, Debug)]
pub enum Accessed {
    /// Read or write memory.
    Memory {
        /// A write.
        writes: bool,
        /// Bytes; 0 where a counter says how many.
        size: u64,
        /// Where.
        at: u64,
        /// What is there.
        expr: Option<Expr>,
        /// Why it failed.
        why: Vec<Why>,
    },
    /// A breakpoint that nothing in the kernel took for its own.
    Breakpoint {
        /// The code no longer has it.
        gone: bool,
    },
    /// An instruction that is there to stop the code, by its name.
    Stop(String),
    /// An instruction that it does not know.
    Unknown(String),
    /// An instruction that was refused without an access.
    Refused {
        /// By a general protection fault; else by another exception.
        protection: bool,
        /// The instruction.
        instruction: String,
        /// The selector of a segment that the exception names.
        selector: Option<u64>,
    },
    /// A division.
    Division {
        /// By what.
        by: Expr,
        /// By zero; else it overflowed.
        zero: bool,
    },
    /// A call to where no code is.
    Call {
        /// The pointer that was called.
        target: Option<Expr>,
        /// Where that led.
        to: Pointed,
    },
    /// A return to where no code is.
    Return {
        /// Where that led.
        to: Pointed,
        /// Where the return address was.
        slot: u64,
    },
    /// Free memory that is free already, or that is no object.
    Free {
        /// The address that was given.
        at: u64,
    },
    /// What UBSAN says, in its words.
    Undefined(String),
    /// Copy more bytes than there is room for, as a check of copies has it.
    Copy {
        /// From where to where.
        kind: Copied,
        /// Bytes.
        size: u64,
        /// What has not so many, in the kernel's words.
        of: String,
        /// From this byte of it on.
        offset: Option<u64>,
        /// How many bytes it has.
        room: Option<u64>,
    },
}

/// From where to where was copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// From the kernel's memory to a process's.
    ToUser,
    /// From a process's memory to the kernel's.
    FromUser,
    /// From what is too small.
    Read,
    /// To what is too small.
    Write,
}

/// Why an access failed.
#[derive(Clone, PartialEq, Debug)]
pub enum Why {
    /// The address is no multiple of 16, which this instruction needs.
    Unaligned(String),
    /// What a pointer is.
    Pointer(Expr, Pointed),
    /// What the address is.
    Address(Pointed),
    /// The call that returned the pointer.
    Returned(Expr),
    /// An index is not among the elements, or there are none.
    Index {
        /// The index.
        index: Expr,
        /// Its value.
        value: i128,
        /// The array.
        array: Expr,
        /// How many elements there are.
        bound: Bound,
    },
}

/// What says how many elements an array has.
#[derive(Clone, PartialEq, Debug)]
pub enum Bound {
    /// Its type.
    Type(u64),
    /// A member that by its name counts them.
    Member(Expr, u64),
    /// The memory that it lies in has room for so many.
    Room(u64),
    /// Nothing.
    Unknown,
}

/// A place in the code that is sliced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeAt {
    /// Bytes from the function's begin.
    Offset(u64),
    /// An address.
    Address(u64),
}

impl std::fmt::Display for CodeAt {
    /// `+0x4e`, as places and the kernel's own traces have it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offset(offset) => write!(f, "+{offset:#x}"),
            Self::Address(at) => write!(f, "{at:x}"),
        }
    }
}

/// A line of code.
#[derive(Clone, PartialEq, Debug)]
pub enum CodeLine {
    /// What follows is in another function.
    In(String),
    /// An instruction.
    Instruction {
        /// Where.
        at: CodeAt,
        /// As the disassembler has it.
        text: String,
        /// Of a jump: where it led.
        jump: Option<Jump>,
        /// Of a comparison: its operands that have a name, as the instruction has them and in C.
        names: Vec<(String, Expr)>,
    },
}

/// Where a jump led.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Jump {
    /// It was taken.
    pub taken: bool,
    /// To where.
    pub to: Option<CodeAt>,
    /// What is there.
    pub end: End,
}

/// What a way through code ends in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The trap.
    Trap,
    /// The call of the function that dies.
    Call,
}
