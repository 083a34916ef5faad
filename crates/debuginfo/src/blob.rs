//! Bytes with a shared owner: a mapped file, a decompressed section, or what was read from a dump.
//!
//! A [`Blob`] is a window into its owner; cloning and slicing copy nothing.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// What a [`Blob`] keeps alive.
type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A window into shared bytes.
#[derive(Clone)]
pub struct Blob {
    owner: Owner,
    range: Range<usize>,
}

impl Blob {
    /// All bytes of `owner`: a memory map, a `Vec<u8>`, an `Arc<[u8]>`.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::shared(Arc::new(owner))
    }

    /// All bytes of an owner that others hold too.
    #[must_use]
    pub fn shared(owner: Owner) -> Self {
        let range = 0..(*owner).as_ref().len();
        Self { owner, range }
    }

    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::new([0_u8; 0])
    }

    /// The window of this one that `part` is, where `part` was borrowed from it.
    #[must_use]
    pub fn window_of(&self, part: &[u8]) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(self.as_ptr().addr())?;
        self.slice(start..start.checked_add(part.len())?)
    }

    /// A window into this one; `None` where it would reach beyond it.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        (start <= end && end <= self.range.end)
            .then(|| Self { owner: Arc::clone(&self.owner), range: start..end })
    }
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        (*self.owner).as_ref().get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.range.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_nest_and_never_reach_out() {
        let all = Blob::new(vec![0, 1, 2, 3, 4, 5]);
        let mid = all.slice(1..5).unwrap();
        assert_eq!(&*mid, [1, 2, 3, 4]);
        assert_eq!(&*mid.slice(2..4).unwrap(), [3, 4]);
        assert!(mid.slice(2..5).is_none());
        assert!(mid.slice(usize::MAX..usize::MAX).is_none());
    }
}
