//! What the machine was doing: process, system call, interrupt, its other CPUs, its kernel.

pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod layers;
pub(crate) mod machine;
pub(crate) mod patches;
pub(crate) mod process;
pub(crate) mod syscall;
pub(crate) mod trace;
