//! Files: the open ones, those that use one, what is mounted.

pub(crate) mod dentries;
pub(crate) mod files;
pub(crate) mod fuser;
pub(crate) mod mount;
