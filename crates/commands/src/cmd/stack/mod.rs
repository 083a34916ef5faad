//! Stacks: backtraces, and the frame that expressions are about.

pub(crate) mod bt;
pub(crate) mod frame;
pub(crate) mod pstack;
pub(crate) mod stacks;
