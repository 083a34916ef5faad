//! Reports of the kernel's own checkers and of the hardware, as the log has them.

pub(crate) mod checkers;
pub(crate) mod machine_check;
pub(crate) mod overruns;
