//! The table of targets.

mod dump;

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

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "dump_open", about: "a dump file of any format", seeds: dump::seeds, run: dump::open },
    Target {
        name: "dump_split",
        about: "two files of a split set",
        seeds: dump::split_seeds,
        run: dump::open_two,
    },
];

/// The number of an outcome.
fn outcome(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
