//! A read-only map of a dump file, with a bound on how much of it stays resident.
//!
//! Touched pages of a map count as the process's memory. So the map counts the 64 KiB windows that
//! reads touch (the unit in which Linux maps file pages around a fault) and, past a budget, gives
//! them all back: they are clean, the kernel maps them again from its cache when they are read again.
//!
//! Invariant: nobody writes through the map, and slices of it stay valid for its whole life, whether
//! or not their pages were given back.

use base::MappedFile;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// log2 of the window in which touched memory is counted.
const WINDOW_SHIFT: u32 = 16;
/// How many windows may be touched before all are given back: 16 MiB.
const BUDGET_WINDOWS: usize = 256;
/// Slots of the table of windows touched last; a power of two.
const SLOTS: usize = 1024;

/// A whole file, mapped read-only.
pub(crate) struct Map {
    map: MappedFile,
    /// Window number + 1 that was last seen in each slot.
    seen: Box<[AtomicU64]>,
    touched: AtomicUsize,
}

impl Map {
    /// Maps the whole of a regular file.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let map = MappedFile::from_file(file)?;
        let seen = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { map, seen, touched: AtomicUsize::new(0) })
    }

    /// `len` bytes at `offset`, if the file has them all. `file_len` asks for the file's length: a file that another
    /// program cut since it was mapped would end this process with SIGBUS. It is asked once for each window, so that
    /// a file has to be cut within microseconds of the access to do harm.
    pub(crate) fn get(&self, offset: u64, len: usize, file_len: impl FnOnce() -> u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(len)?;
        let bytes = self.map.get(start..end)?;
        if self.count(offset, len) && file_len() < end as u64 {
            return None;
        }
        Some(bytes)
    }

    /// Counts the windows of an access, and gives all back once there are too many. True where it touches a new one.
    fn count(&self, offset: u64, len: usize) -> bool {
        let first = offset >> WINDOW_SHIFT;
        let last = offset.saturating_add(len as u64) >> WINDOW_SHIFT;
        let mut new = 0;
        if last.saturating_sub(first) >= SLOTS as u64 {
            new = usize::try_from(last - first).unwrap_or(usize::MAX);
        } else {
            for window in first..=last {
                let slot = window as usize & (SLOTS - 1);
                if let Some(seen) = self.seen.get(slot)
                    && seen.load(Ordering::Relaxed) != window + 1
                {
                    seen.store(window + 1, Ordering::Relaxed);
                    new += 1;
                }
            }
        }
        if new > 0 && self.touched.fetch_add(new, Ordering::Relaxed).saturating_add(new) > BUDGET_WINDOWS {
            self.give_back();
        }
        new > 0
    }

    fn give_back(&self) {
        self.touched.store(0, Ordering::Relaxed);
        for seen in &self.seen {
            seen.store(0, Ordering::Relaxed);
        }
        self.map.forget(&self.map);
    }
}
