//! Memory: read, searched, and addresses translated.

pub(crate) mod bytes_pages;
pub(crate) mod kmem;
pub(crate) mod meminfo;
pub(crate) mod pte;
pub(crate) mod ptov;
pub(crate) mod rd;
pub(crate) mod search;
pub(crate) mod swap;
pub(crate) mod vm;
pub(crate) mod vtop;
