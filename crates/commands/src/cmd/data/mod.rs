//! C data: types, objects, values, lists and trees.

pub(crate) mod examine;
pub(crate) mod list;
pub(crate) mod print;
pub(crate) mod printf;
pub(crate) mod structs;
pub(crate) mod tree;
pub(crate) mod whatis;
