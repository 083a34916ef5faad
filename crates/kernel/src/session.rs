//! One opened dump.

/// One opened dump: memory, symbols, types and what was found out about the kernel.
#[derive(Debug)]
pub struct Session {}
