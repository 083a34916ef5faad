//! File systems: dentries, mounts, open files, inodes.

pub mod char_dev;
pub mod coredump;
pub mod dcache;
pub mod file;
pub mod fs_struct;
pub mod inode;
pub mod namespace;
pub mod path;
pub mod super_block;
#[cfg(test)]
mod tests;
