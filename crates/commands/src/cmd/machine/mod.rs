//! The machine and its kernel: what it is, what it logged, what killed it.

pub(crate) mod debuginfo;
pub(crate) mod info;
pub(crate) mod irq;
pub(crate) mod log;
pub(crate) mod mach;
pub(crate) mod modules;
pub(crate) mod sys;
pub(crate) mod timer;
pub(crate) mod trace;
pub(crate) mod verdict;
