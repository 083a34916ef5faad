//! What killed the machine: the first fatal event, the condition or access that failed with the values
//! of its operands, and what the system was doing. Prints nothing.
//!
//! **Invariant:** nothing is stated that was not derived from this dump. Each [`Statement`] says how it is
//! known and which commands show it; what could not be found out is in [`Verdict::undetermined`].

mod access;
mod analyse;
mod bits;
mod bug;
mod code;
mod condition;
mod context;
mod culprit;
mod event;
mod files;
mod judge;
mod known;
mod model;
mod names;
mod operand;
mod path;
mod related;
mod signature;
mod terms;
mod values;
mod waits;

pub use analyse::{Options, analyse};
pub use event::{Class, Event, Oops};
pub use known::{Entry as KnownEntry, KnownError};
pub use model::{Access, Condition, How, OperandRow, Place, Statement, Verdict};
