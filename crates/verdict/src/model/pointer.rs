//! What the value of a pointer says.

use super::{Met, Who};
use kernel::mm::page_state::Use;
use kernel::mm::poison::Poison;

/// A pointer's value, and what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Pointed {
    /// The value.
    pub value: u64,
    /// What it is.
    pub is: PointerIs,
}

/// What a pointer's value is.
#[derive(Clone, PartialEq, Debug)]
pub enum PointerIs {
    /// NULL.
    Null,
    /// A little less than NULL: a member of what is not there.
    BelowNull {
        /// By so many bytes.
        less: u64,
        /// It may be an error number as well.
        error: Option<String>,
    },
    /// A value that the kernel writes into dead memory.
    Poison {
        /// Which.
        poison: Poison,
        /// How far from it.
        off: i64,
    },
    /// An error number.
    Error(String),
    /// A small number.
    Small,
    /// Text.
    Text(String),
    /// No address for this machine.
    NonCanonical {
        /// The bit in which it differs from a good one, that one, and what lies there.
        flipped: Option<(u32, u64, Option<Located>)>,
    },
    /// An address of user space.
    User,
    /// The address of something.
    Of(Located),
    /// Mapped memory of which nothing is known.
    Mapped,
    /// Memory that cannot be read; why.
    Unreadable(String),
    /// In the area of modules, where none is now; the one that was unloaded last.
    NoModule(Option<String>),
    /// In the area of `vmalloc`, where nothing is mapped.
    Unmapped {
        /// The page before it is mapped.
        behind: bool,
    },
}

/// What lies at an address.
#[derive(Clone, PartialEq, Debug)]
pub enum Located {
    /// A symbol.
    Symbol {
        /// Its name.
        name: String,
        /// Its module.
        module: Option<String>,
        /// Bytes into it.
        offset: u64,
    },
    /// A task.
    Task(Who),
    /// An object of an allocator.
    Object(Box<Met>),
    /// Memory of a slab cache.
    Cache(String),
    /// KFENCE's pool.
    Kfence,
    /// A page.
    Page {
        /// What it is used for.
        used: Use,
        /// Of a block of free pages: where it begins.
        begin: Option<u64>,
    },
    /// An area of `vmalloc`, or behind one.
    Area {
        /// Where it begins.
        start: u64,
        /// Bytes.
        size: u64,
        /// Bytes behind its end.
        behind: Option<u64>,
        /// Who mapped it.
        by: Option<String>,
    },
    /// A task's kernel stack, or behind one.
    Stack {
        /// Whose.
        who: Who,
        /// Bytes behind its end.
        behind: Option<u64>,
    },
}
