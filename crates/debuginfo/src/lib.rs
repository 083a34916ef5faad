//! What debug information says, whichever kind there is: symbols, types, unwind tables, lines.

pub mod btf;
pub mod types;

mod blob;

pub use blob::Blob;
