//! C over a session: what expressions may name, their values, and the variables of a frame. For commands, and for programs
//! that use crashlens as a library.

mod eval;
mod locals;
mod scope;

pub use eval::{eval, eval_or_type, load_modules, type_named, with_modules};
pub use locals::{Local, values as locals};
pub use scope::{SessionScope, UserOnly, holds};
