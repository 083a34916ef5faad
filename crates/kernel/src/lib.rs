//! What the kernel's memory means: a [`Session`] joins a dump, an architecture, symbols and types,
//! and gives the kernel's tasks, modules, log and the rest as typed Rust values. Prints nothing.

#[macro_use]
pub mod bind;
pub mod backtrace;
pub mod cpu;
mod error;
pub mod list;
pub mod module;
mod open;
pub mod printk;
mod session;
pub mod stacks;
mod symbols;
pub mod system;
pub mod task;
mod typing;

pub use error::{KernelError, Result};
pub use open::{Opened, hex};
pub use session::{OpenOptions, Session};
pub use symbols::{KernelSymbols, Located};
pub use typing::KernelBtf;
