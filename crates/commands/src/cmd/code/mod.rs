//! Code and symbols.

pub(crate) mod dis;
pub(crate) mod sym;
