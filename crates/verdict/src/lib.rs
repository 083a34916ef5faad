//! What killed the machine: the event that it died of, the condition or access that failed with the values
//! of its operands, and what the system was doing. Prints nothing.
//!
//! **Invariant:** nothing is stated that was not derived from this dump. Each [`Statement`] says how it is
//! known and which commands show it; what could not be found out is in [`Verdict::undetermined`].

mod analyse;
mod case;
mod code;
mod context;
mod explain;
mod headline;
mod known;
mod losses;
mod memory;
pub mod model;
mod naming;
mod reports;
mod signature;
mod stall;
pub mod syz;
mod victim;
mod words;

pub use analyse::{Options, analyse};
pub use kernel::log::event::{Class, Event, Named, Oops, Said, Subject};
pub use known::{Entry as KnownEntry, KnownError, Patterns as KnownPatterns};
pub use model::{Headline, How, Statement, Verdict};
pub use stall::locks::Proof;

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
