//! From a line to a command and its arguments: words, aliases, settings, help, errors.

pub(crate) mod aliases;
pub(crate) mod command;
pub(crate) mod cx;
pub(crate) mod dispatch;
pub(crate) mod error;
pub(crate) mod gdb;
pub(crate) mod help;
pub(crate) mod line;
pub(crate) mod macros;
pub(crate) mod number;
pub(crate) mod outputs;
pub(crate) mod own;
pub(crate) mod settings;
mod state;
pub(crate) mod symbols;
pub(crate) mod whole;
pub(crate) mod writes;
