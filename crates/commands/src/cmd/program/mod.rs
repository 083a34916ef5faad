//! The program itself, and numbers.

pub(crate) mod ascii;
pub(crate) mod bugreport;
pub(crate) mod eval;
pub(crate) mod macros;
pub(crate) mod meta;
pub(crate) mod repeat;
pub(crate) mod rustfilt;
