//! Runs the crashlens program on real dumps, as a user would, and compares its answers with what the guests said
//! about themselves before they died (`truth.json`, written by `cargo xtask corpus`).
//!
//! The crate has nothing but tests: [`Case`] finds the dumps, [`program`] runs crashlens, [`aspects`] compares. A
//! comparison returns the differences as text; a test collects those of all cases and fails with the whole list.
//!
//! `CRASHLENS_CORPUS=required` makes a missing corpus an error; `none` leaves it out; without
//! it, the tests say what they left out. `CRASHLENS_PEERS` says the same of crash, drgn and pahole.
//! `CRASHLENS_BIN` names the program; without it, the release build of this checkout is brought up to date and used.

pub mod aspects;
pub mod beside;
mod cases;
pub mod checker;
pub mod compare;
pub mod peers;
pub mod program;
pub mod schema;
mod truth;
mod wish;
pub mod zoo;

pub use cases::{Case, State, corpus, corpus_arm64};
pub use program::Answers;
pub use truth::{Message, Place, Report, Truth};
