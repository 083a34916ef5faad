//! What the kernel's memory means: a [`Session`] joins a dump, an architecture, symbols and types,
//! and gives the kernel's tasks, modules, log and the rest as typed Rust values. Prints nothing.

mod session;

pub use session::Session;
