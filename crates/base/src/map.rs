//! Files as bytes: mapped where they are stored plainly, owned where they had to be unpacked.
//!
//! This is the one place of crashlens that maps files, and the one module that may say `unsafe`.
//! Invariant: the bytes of a [`MappedFile`] never move and live as long as any clone of it.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

/// The bytes of a file, cheap to clone.
#[derive(Clone)]
pub struct MappedFile(Arc<Inner>);

enum Inner {
    Map(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl MappedFile {
    /// Maps the file at `path` for reading. Costs nothing that grows with the file.
    ///
    /// # Errors
    /// What the system says to opening or mapping it. An empty file is no error.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::from_file(&File::open(path)?)
    }

    /// Maps an open file for reading.
    ///
    /// # Errors
    /// What the system says to mapping it.
    pub fn from_file(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::from(Vec::new()));
        }
        #[expect(unsafe_code, reason = "mapping a file is unsafe: another process could change it")]
        // SAFETY: the mapping is read-only and private to this value. Another process that rewrites
        // the file while it is open can change what is read (parsers check every value they use) or,
        // by cutting it short, end this process with SIGBUS, as in every program that maps files.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(Arc::new(Inner::Map(map))))
    }

    /// Gives the memory that holds `part`, which was borrowed from this file, back to the system;
    /// the next read takes it from the page cache again. For passes over a large file.
    pub fn forget(&self, part: &[u8]) {
        let Inner::Map(map) = &*self.0 else { return };
        let Some(offset) = part.as_ptr().addr().checked_sub(map.as_ptr().addr()) else { return };
        if offset.checked_add(part.len()).is_none_or(|end| end > map.len()) {
            return;
        }
        let advice = memmap2::UncheckedAdvice::DontNeed;
        #[expect(unsafe_code, reason = "memmap2 calls this advice unsafe for maps that are written to")]
        // SAFETY: the map is read-only and of a file, so dropped pages come back with the same bytes.
        // An error (a system without the advice) leaves all as it was.
        let _ = unsafe { map.unchecked_advise_range(advice, offset, part.len()) };
    }

    /// The bytes of `range` that keep the file alive; `None` where the range leaves the file.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<MappedSlice> {
        self.get(range.clone())?;
        Some(MappedSlice { file: self.clone(), range })
    }
}

impl From<Vec<u8>> for MappedFile {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Inner::Owned(bytes)))
    }
}

impl Deref for MappedFile {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Inner::Map(map) => map,
            Inner::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match &*self.0 {
            Inner::Map(_) => "mapped",
            Inner::Owned(_) => "owned",
        };
        write!(f, "MappedFile({how}, {} bytes)", self.len())
    }
}

/// A part of a [`MappedFile`] that keeps it alive.
#[derive(Clone)]
pub struct MappedSlice {
    file: MappedFile,
    range: Range<usize>,
}

impl Deref for MappedSlice {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for MappedSlice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for MappedSlice {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { file: MappedFile::from(bytes), range }
    }
}

impl fmt::Debug for MappedSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MappedSlice({:#x}..{:#x})", self.range.start, self.range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_mapped_file_and_its_slices_outlive_the_handle() {
        let path = std::env::temp_dir().join(format!("base-map-{}", std::process::id()));
        File::create(&path).unwrap().write_all(b"0123456789").unwrap();
        let file = MappedFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let part = file.slice(3..6).unwrap();
        drop(file);
        assert_eq!(&*part, b"345");
    }

    #[test]
    fn forgotten_bytes_come_back() {
        let path = std::env::temp_dir().join(format!("base-forget-{}", std::process::id()));
        File::create(&path).unwrap().write_all(&[7; 10_000]).unwrap();
        let file = MappedFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file[5000], 7);
        file.forget(&file[4000..9000]);
        file.forget(&[1, 2, 3]);
        assert!(file.iter().all(|b| *b == 7));
    }

    #[test]
    fn slices_stay_in_the_file() {
        let file = MappedFile::from(vec![1, 2, 3]);
        assert!(file.slice(2..4).is_none());
        assert_eq!(&*file.slice(3..3).unwrap(), b"");
        assert_eq!(format!("{file:?}"), "MappedFile(owned, 3 bytes)");
    }
}
