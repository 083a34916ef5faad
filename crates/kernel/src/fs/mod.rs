//! File systems: dentries, mounts, open files, inodes.

pub mod inode;
pub mod path;
#[cfg(test)]
mod tests;
