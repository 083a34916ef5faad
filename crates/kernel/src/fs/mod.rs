//! File systems: dentries, mounts, open files.

pub mod path;
#[cfg(test)]
mod tests;
