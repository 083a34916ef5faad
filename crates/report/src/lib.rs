//! What a command answers: a tree of typed cells, laid out once. Text is the concatenation of the
//! spans of its lines; JSON is its keyed cells, records and lists. Nothing here prints.
//!
//! **Invariant**: layout and data are one structure, so that text and JSON cannot disagree.

mod cell;
mod clean;
mod line;
mod tree;

pub use cell::{Cell, Role, SymbolRef};
pub use clean::{Clean, Keep, acts};
pub use line::{Align, Field, Key, Line, Span};
pub use tree::{Item, List, Note, NoteKind, Record, Report};
