//! Stacks: which a CPU runs on, the registers to begin with, and the frames on them.

pub mod backtrace;
pub mod called;
mod code;
mod logged;
mod partial;
mod register_call;
mod register_fit;
mod register_stack;
pub mod registers;
pub mod stacks;
mod swapped;
pub mod user;
