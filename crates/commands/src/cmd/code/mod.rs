//! Code and symbols.

pub(crate) mod bpf;
pub(crate) mod dis;
pub(crate) mod sym;
