//! A verdict's parts.

use kernel::log::event::Class;

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

/// A statement with its evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// What is stated.
    pub text: String,
    /// How it is known.
    pub how: How,
    /// The commands that show it.
    pub commands: Vec<String>,
}

impl Statement {
    /// A statement.
    pub(crate) fn new(how: How, text: impl Into<String>, commands: &[String]) -> Self {
        Self { text: text.into(), how, commands: commands.to_vec() }
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

/// An operand with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct OperandRow {
    /// Its name: a C path, a register, `argument 3`.
    pub name: String,
    /// The C expression that it is, where it is one.
    pub expr: Option<cexpr::Expr>,
    /// Its value at the time, in C's spelling; `None` where it is gone.
    pub value: Option<String>,
    /// The same as a number: its bytes, without a sign.
    pub number: Option<u64>,
    /// True where it is gone because the dump lost the memory that has it.
    pub lost: bool,
    /// Where it is and why that is believed.
    pub detail: String,
    /// How its name is known.
    pub how: How,
    /// The commands that show it.
    pub commands: Vec<String>,
}

impl OperandRow {
    /// Gives it another name.
    pub(crate) fn call_it(&mut self, expr: &cexpr::Expr) {
        self.name = expr.for_reader().to_string();
        self.expr = Some(expr.clone());
    }
}

/// The condition that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    /// `total_sg > vq->split.vring.num`
    pub expr: Option<cexpr::Expr>,
    /// `BUG_ON(total_sg > vq->split.vring.num)`
    pub text: String,
    /// How its operands' names are known: the weakest of them.
    pub how: How,
    /// Its operands.
    pub operands: Vec<OperandRow>,
    /// The instructions: `+78 cmp %r12d,0x60(%rbp)`.
    pub code: Vec<String>,
    /// True where the values were checked and make it true.
    pub confirmed: bool,
    /// The structs that its operands lie in: type and address.
    pub(crate) objects: Vec<Object>,
}

/// A struct that the verdict speaks of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) ty: debuginfo::types::TypeRef,
    pub(crate) at: u64,
    /// The member that the verdict speaks of.
    pub(crate) member: String,
}

/// The access that failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Access {
    /// `read of 8 bytes at 0000000000000018: q->elevator is NULL`
    pub text: String,
    /// How the expression is known.
    pub how: How,
    /// The chain of pointers that led there.
    pub operands: Vec<OperandRow>,
    /// The instruction.
    pub code: Vec<String>,
    /// The address.
    pub(crate) at: Option<u64>,
}

/// An object that a pointer of the verdict leads to, and of which an allocator knows the past.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Where it begins.
    pub at: u64,
    /// What it is.
    pub text: String,
    /// It is free, or damaged, or the pointer is beside it.
    pub suspect: bool,
    /// Who allocated it, and who freed it.
    pub past: Vec<Past>,
    /// True where the dump lost a part of what the allocator knows of it.
    pub lost: bool,
    /// The commands that show it.
    pub commands: Vec<String>,
}

/// That an object was allocated or freed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Past {
    /// `freed in PID 7, CPU 1, 13 ticks before the end`
    pub text: String,
    /// By whom: the functions of the stack, innermost first.
    pub stack: Vec<String>,
}

/// Something that the dump lost and by which the verdict would say more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lack {
    /// What: `a part of the log`, `the kernel's taints`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What killed the machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// The kind of death.
    pub class: Class,
    /// In one line.
    pub headline: String,
    /// Where.
    pub place: Option<Place>,
    /// The condition that failed, for assertions.
    pub condition: Option<Condition>,
    /// The access that failed, for faults.
    pub access: Option<Access>,
    /// What the machine was doing.
    pub context: Vec<Statement>,
    /// The module to blame, and its standing.
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
    pub undetermined: Vec<String>,
    /// What the dump lost of all that: the verdict is not whole.
    pub lacks: Vec<Lack>,
}

impl Verdict {
    /// One that says nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            class: Class::Unknown,
            headline: String::new(),
            place: None,
            condition: None,
            access: None,
            context: Vec::new(),
            module: Vec::new(),
            waits: Vec::new(),
            objects: Vec::new(),
            related: Vec::new(),
            history: Vec::new(),
            known: Vec::new(),
            evidence: Vec::new(),
            signature: Err(String::new()),
            undetermined: Vec::new(),
            lacks: Vec::new(),
        }
    }

    /// True where the kind of death is known.
    #[must_use]
    pub const fn is_determined(&self) -> bool {
        !matches!(self.class, Class::Unknown)
    }
}
