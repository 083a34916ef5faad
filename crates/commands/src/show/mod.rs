//! What commands share: how addresses, tasks and values are named by the user and shown.

pub(crate) mod address;
pub(crate) mod entries;
pub(crate) mod frames;
pub(crate) mod holes;
pub(crate) mod locals;
pub(crate) mod page;
pub(crate) mod place;
pub(crate) mod problems;
pub(crate) mod registers;
pub(crate) mod source;
pub(crate) mod symbol;
pub(crate) mod tasks;
pub(crate) mod values;
pub(crate) mod when;
