//! Many dumps, one row each: what they died of, where, when, and which of them died alike.
//!
//! One thread a dump, as many as there are processors; a dump is closed before its thread opens the next one, so that the
//! memory in use does not grow with their number. What depends on a build alone is read once ([`kernel::Workspace`]).
//! **Invariant:** a dump that cannot be read is a row that says why, and stops nothing.

mod find;
mod group;
mod headers;
mod plan;
mod row;
mod run;
mod show;
mod state;

pub use find::{Found, find};
pub use group::{Group, groups};
pub use plan::Plan;
pub use row::{End, Row, look};
pub use run::run;
pub use show::{group_report, row_report, summary, table};
pub use state::StateError;
