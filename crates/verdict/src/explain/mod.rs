//! Why the instruction died: the condition that led to its trap, the access that failed, and the objects involved.

pub(crate) mod access;
pub(crate) mod blame;
pub(crate) mod condition;
pub(crate) mod counter;
pub(crate) mod element;
pub(crate) mod idiom;
pub(crate) mod instruction;
pub(crate) mod list;
pub(crate) mod objects;
pub(crate) mod operand;
pub(crate) mod pointer;
pub(crate) mod related;
pub(crate) mod returned;
