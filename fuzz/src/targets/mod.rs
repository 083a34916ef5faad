//! The table of targets.

mod debuginfo;
mod dump;
mod kernel;
mod machine;
mod session;
mod text;

use std::hash::{DefaultHasher, Hash, Hasher};

/// A parser under test.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Good inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Runs the parser on an input, and returns a number that stands for what happened: the kind of
    /// an error, how many of what were found. Coarse, so that kept inputs stay few.
    pub(crate) run: fn(&[u8]) -> u64,
}

/// All targets, by the file of their function.
const TARGETS: &[&[Target]] =
    &[dump::TARGETS, debuginfo::TARGETS, machine::TARGETS, text::TARGETS, kernel::TARGETS, session::TARGETS];

/// All targets.
pub(crate) fn all() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().copied().flatten()
}

/// The number of an outcome.
fn outcome(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
