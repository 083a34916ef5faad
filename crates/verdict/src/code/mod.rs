//! A function's code as it is in the dump: its instructions, its calls and loops, the registers of frames further out,
//! what functions are there for.

pub(crate) mod errors;
pub(crate) mod function;
pub(crate) mod listing;
pub(crate) mod operand;
pub(crate) mod printed;
pub(crate) mod printf;
pub(crate) mod registers;
pub(crate) mod roles;
