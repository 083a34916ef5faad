//! Which code has run: the counters of `-C instrument-coverage`, which stable Rust has, read from this process's own
//! memory while it runs. `cargo xtask fuzz` builds the house's crates with them (`fuzz/rustc-with-counters`);
//! a build without them falls back on outcomes alone.
//!
//! Facts: LLVM keeps one 64-bit counter for each region of code in the section `__llvm_prf_cnts`.
//! The counters are never set back: an input is new when it makes one leave 0 for the first time.

use debuginfo::elf::ObjectFile;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of counters that are looked at; the house's crates have less.
const MAX_COUNTERS: u64 = 16 << 20;

/// The counters of this process.
pub(crate) struct Coverage {
    memory: File,
    at: u64,
    counters: Vec<u8>,
    reached: usize,
}

impl Coverage {
    /// `None` where the program was built without counters.
    pub(crate) fn of_this_process() -> Option<Self> {
        let object = ObjectFile::open(Path::new("/proc/self/exe")).ok()?;
        let section = object.header("__llvm_prf_cnts").filter(|s| s.size() != 0)?;
        let exe = fs::read_link("/proc/self/exe").ok()?;
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        // a position-independent program is linked at 0: its first mapping is where it was put
        let first = maps.lines().find(|l| l.ends_with(&*exe.to_string_lossy()))?;
        let slide = u64::from_str_radix(first.split('-').next()?, 16).ok()?;
        let memory = File::open("/proc/self/mem").ok()?;
        let counters = vec![0; usize::try_from(section.size().min(MAX_COUNTERS)).ok()?];
        let mut coverage = Self { memory, at: section.addr().checked_add(slide)?, counters, reached: 0 };
        coverage.grew();
        (coverage.reached != 0).then_some(coverage)
    }

    /// True where code ran for the first time since the last call.
    pub(crate) fn grew(&mut self) -> bool {
        if self.memory.read_exact_at(&mut self.counters, self.at).is_err() {
            return false;
        }
        let reached = self.counters.as_chunks::<8>().0.iter().filter(|c| **c != [0; 8]).count();
        let grew = reached > self.reached;
        self.reached = reached;
        grew
    }

    /// Regions of code that ran, and that there are.
    pub(crate) fn regions(&self) -> (usize, usize) {
        (self.reached, self.counters.len() / 8)
    }
}
