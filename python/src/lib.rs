//! The extension module of the wheel `crashlens`: Python's names for the library crate. What needs no Rust is in
//! `crashlens/*.py`; the types of all names are in `crashlens/_crashlens.pyi`.
//!
//! **Invariant**: work that may take long runs without the interpreter's lock, and Ctrl-C ends it (`work.rs`). An object owns
//! its dump.

#![allow(unsafe_code, unreachable_pub, reason = "what PyO3's macros write says both; nothing here does")]

mod dump;
mod errors;
mod fleet;
mod numbers;
mod object;
mod own;
mod remote;
mod reports;
mod stack;
mod task;
mod types;
mod walks;
mod work;

use pyo3::prelude::*;

#[pymodule]
mod _crashlens {
    #[pymodule_export]
    use crate::dump::{Dump, Symbol, builds_read, open};
    #[pymodule_export]
    use crate::errors::{CommandError, Error, ExpressionError, FaultError, Interrupted, WalkError};
    #[pymodule_export]
    use crate::fleet::{find, row};
    #[pymodule_export]
    use crate::object::Object;
    #[pymodule_export]
    use crate::own::{CommandFailed, UsageError, add_command, main};
    #[pymodule_export]
    use crate::reports::Report;
    #[pymodule_export]
    use crate::stack::{Frame, Stack};
    #[pymodule_export]
    use crate::task::{Lock, Task};
    #[pymodule_export]
    use crate::types::{Member, Type};
}
