//! A machine that ran out of memory: who had it.

pub(crate) mod limits;
pub(crate) mod usage;
