//! What killed the machine: the first fatal event, the condition or access that failed with the values
//! of its operands, and what the system was doing. Prints nothing.
//!
//! **Invariant:** nothing is stated that was not derived from this dump. Each [`Statement`] says how it is
//! known and which commands show it; what could not be found out is in [`Verdict::undetermined`].

mod access;
mod analyse;
mod atomic;
mod bits;
mod calls;
mod checkers;
mod code;
mod condition;
mod context;
mod culprit;
mod elements;
mod hang;
mod headline;
mod idiom;
mod instruction;
mod ipi;
mod judge;
mod known;
mod lines;
mod listing;
mod locks;
mod machine;
mod machine_check;
mod machinery;
mod memory;
mod model;
mod names;
mod objects;
mod oom;
mod operand;
mod origin;
mod panic_text;
mod patches;
mod path;
mod percpu;
mod printed;
mod printf;
mod reach;
mod related;
mod returned;
mod scene;
mod signature;
mod spin;
mod stall;
mod standing;
mod terms;
mod values;
mod waits;
mod walk;

pub use analyse::{Options, analyse};
pub use kernel::log::event::{Class, Event, Named, Oops, Said, Subject};
pub use known::{Entry as KnownEntry, KnownError, Patterns as KnownPatterns};
pub use model::{Access, Condition, How, Known, OperandRow, Past, Place, Statement, Verdict};

/// Reads bytes as a table of BUG and WARN: how many entries name a file; for the fuzzer.
#[doc(hidden)]
#[must_use]
pub fn fuzz_bug_table(bytes: &[u8]) -> usize {
    kernel::module::bug::read_all(bytes)
}

/// Reads a text as a file of known issues: how many entries it has; for the fuzzer.
#[doc(hidden)]
#[must_use]
pub fn fuzz_known(text: &str) -> Option<usize> {
    known::parse("fuzz", text).ok().map(|entries| entries.len())
}
