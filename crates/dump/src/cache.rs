//! A bounded cache of equally sized pages, keyed by a number, for any number of threads.
//!
//! Sets of [`WAYS`] entries, each under its own lock, the entry used last at the front: a hit copies
//! under the lock and moves one pointer, a miss fills the buffer of the entry used longest ago.
//! Memory is taken as sets fill, so that a small session stays small.

use std::sync::{Mutex, PoisonError};

/// Entries of a set.
const WAYS: usize = 8;

struct Entry {
    key: u64,
    page: Box<[u8]>,
}

/// The cache.
pub(crate) struct PageCache {
    page_len: usize,
    /// A power of two of sets; none where nothing may be kept.
    sets: Box<[Mutex<Vec<Entry>>]>,
}

impl PageCache {
    /// A cache of at most `pages` (rounded up to a power of two of sets) of `page_len` bytes.
    pub(crate) fn new(page_len: usize, pages: usize) -> Self {
        let sets = pages.div_ceil(WAYS).max(1).next_power_of_two();
        Self { page_len, sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// A cache that keeps nothing where the bytes behind may change.
    pub(crate) fn of(stable: bool, page_len: usize, pages: usize) -> Self {
        if stable { Self::new(page_len, pages) } else { Self { page_len, sets: Box::default() } }
    }

    /// Hands the page `key` to `see`, after `fill` made it where it was not there. A page that could
    /// not be filled is not kept.
    pub(crate) fn with<E>(
        &self,
        key: u64,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
        see: impl FnOnce(&[u8]),
    ) -> Result<(), E> {
        let Some(set) = self.sets.get(self.set_of(key)) else {
            let mut page = vec![0; self.page_len];
            fill(&mut page)?;
            see(&page);
            return Ok(());
        };
        let reuse = {
            let mut entries = set.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(i) = entries.iter().position(|e| e.key == key) {
                if i != 0
                    && let Some(used) = entries.get_mut(..=i)
                {
                    used.rotate_right(1);
                }
                if let Some(entry) = entries.first() {
                    see(&entry.page);
                }
                return Ok(());
            }
            if entries.len() >= WAYS { entries.pop() } else { None }
        };
        // filled without the lock: other pages of the set stay readable meanwhile
        let mut page = reuse.map_or_else(|| vec![0; self.page_len].into_boxed_slice(), |e| e.page);
        fill(&mut page)?;
        see(&page);
        let mut entries = set.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < WAYS && !entries.iter().any(|e| e.key == key) {
            entries.insert(0, Entry { key, page });
        }
        Ok(())
    }

    /// Spreads neighbours and pages at any stride alike (multiplication by 2^64 / the golden ratio).
    fn set_of(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.sets.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_misses_and_failures() {
        let cache = PageCache::new(4, WAYS);
        let mut fills = 0;
        let mut get = |key: u64| {
            let mut seen = 0;
            cache
                .with(
                    key,
                    |buf| {
                        fills += 1;
                        buf.fill(key as u8);
                        if key == 99 { Err(()) } else { Ok(()) }
                    },
                    |page| seen = page[0],
                )
                .map(|()| (seen, fills))
        };
        assert_eq!(get(1), Ok((1, 1)));
        assert_eq!(get(1), Ok((1, 1)));
        assert_eq!(get(99), Err(()));
        assert_eq!(get(99), Err(()));
        for key in 2..=9 {
            get(key).unwrap();
        }
        // one set of eight: page 1 was used longest ago and is gone, 9 is there
        let (_, before) = get(9).unwrap();
        assert_eq!(get(1), Ok((1, before + 1)));
    }
}
