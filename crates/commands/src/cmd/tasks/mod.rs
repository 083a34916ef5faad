//! Tasks: which there are, the one that commands are about, a command for each, what they share.

pub(crate) mod foreach;
pub(crate) mod gcore;
pub(crate) mod ipcs;
pub(crate) mod locks;
pub(crate) mod ps;
pub(crate) mod runq;
pub(crate) mod set;
pub(crate) mod sig;
pub(crate) mod task;
pub(crate) mod waitq;
pub(crate) mod wq;
