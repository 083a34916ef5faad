//! The machine and the kernel's build as the kernel describes them: names, clocks, DMI, configuration, system calls.

pub mod dmi;
pub mod hardware;
pub mod ikconfig;
pub mod syscalls;
pub mod system;
