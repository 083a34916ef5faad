//! The commands, by topic.

pub(crate) mod code;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod fs;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod net;
pub(crate) mod program;
pub(crate) mod stack;
pub(crate) mod tasks;
