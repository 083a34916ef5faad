//! Of a machine that ran out of memory: who had it.

use super::Who;

/// A statement about memory; sizes are bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Memory {
    /// How much there is, as far as each is known.
    Total {
        /// What the machine has.
        present: Option<u64>,
        /// What the kernel hands out (`MemTotal`): the rest is its image and what it set aside at boot.
        managed: Option<u64>,
    },
    /// By kind of page.
    Kinds(Vec<(PageKind, u64)>),
    /// A control group that has as much as it may have.
    Group {
        /// Its name.
        name: String,
        /// What it has, as the log has it.
        used: String,
        /// What it may have.
        limit: String,
        /// It is at its limit.
        full: bool,
    },
    /// Pools of huge pages.
    Huge(Vec<HugePool>),
    /// By slab cache.
    Caches {
        /// The largest.
        caches: Vec<(String, u64)>,
        /// So many more of which it is not known.
        unknown: usize,
        /// There may be more; why.
        problem: Option<String>,
    },
    /// A process.
    Process(Who, u64),
    /// Processes of one name: it, their number, their memory together.
    Many(String, usize, u64),
    /// So many more processes of which it is not known.
    Unknown(usize),
}

/// What pages are used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "their names say it")]
pub enum PageKind {
    Anonymous,
    Cache,
    Unevictable,
    Reclaimable,
    Unreclaimable,
    Shared,
    Tables,
    Stacks,
    Free,
}

/// A pool of huge pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HugePool {
    /// The size of a page, in kilobytes.
    pub kilobytes: u64,
    /// How many there are.
    pub total: u64,
    /// How many are not used.
    pub free: u64,
}
