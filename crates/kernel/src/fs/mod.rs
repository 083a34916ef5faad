//! File systems: dentries, mounts, open files.

pub mod path;
