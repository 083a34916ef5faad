//! What debug information says, whichever kind there is: symbols, types, unwind tables, lines.

pub mod types;
