//! Bytes at offsets: a file, or bytes in memory (tests, fuzzing). Files are read by `pread` and never mapped: a file that
//! another program cuts would end a process that has it mapped with SIGBUS; a read says that the bytes are gone.

use crate::DumpError;
use crate::read::ReadAt;
use base::PhysAddr;
use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One input.
pub(crate) struct Source {
    path: PathBuf,
    placed: Option<PhysAddr>,
    len: u64,
    bytes: Box<dyn ReadAt>,
}

/// A hole is asked for once in so many bytes of data: the system goes through its list of extents for it.
const GRANULE: u64 = 1 << 20;

/// A file.
struct OnDisk {
    file: File,
    len: u64,
    known: Mutex<Known>,
}

/// What was last found of a file's holes: one that is asked for again and again costs a search of the system each time.
#[derive(Default)]
struct Known {
    data: Range<u64>,
    /// Ends at `u64::MAX` where nothing but a hole follows.
    hole: Range<u64>,
}

impl ReadAt for OnDisk {
    fn len(&self) -> u64 {
        self.len
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        read_file_at(&self.file, offset, buf)
    }
    fn is_stable(&self) -> bool {
        true
    }
    /// A hole that begins less than [`GRANULE`] behind data is taken for data up to there.
    fn next_data(&self, offset: u64) -> Option<u64> {
        if offset >= self.len {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.hole.contains(&offset) {
            return Some(known.hole.end).filter(|end| *end < u64::MAX);
        }
        if !known.data.contains(&offset) {
            let found = next_data_of(&self.file, offset, self.len);
            known.hole = offset..found.unwrap_or(u64::MAX);
            let found = found?;
            known.data = found..(found / GRANULE + 1) * GRANULE;
            return Some(found);
        }
        Some(offset)
    }
}

impl Source {
    /// Opens a regular file (or a block device, whose length is then found by seeking).
    pub(crate) fn open(path: &Path) -> Result<Self, DumpError> {
        let (path, placed) = placed(path);
        let path = &*path;
        let io = |source| DumpError::Io { path: path.into(), source };
        // asked before the open, which would wait for a writer on a FIFO
        let kind = std::fs::metadata(path).map_err(io)?.file_type();
        if kind.is_dir() {
            return Err(DumpError::Directory { path: path.into() });
        }
        if !kind.is_file() && !is_block_device(kind) {
            return Err(DumpError::NotAFile { path: path.into() });
        }
        let mut file = File::open(path).map_err(io)?;
        let len = std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(io)?;
        Self::reader(path, placed, Box::new(OnDisk { file, len, known: Mutex::default() }))
    }

    /// Any bytes, under the name that messages have.
    pub(crate) fn reader(
        path: &Path,
        placed: Option<PhysAddr>,
        bytes: Box<dyn ReadAt>,
    ) -> Result<Self, DumpError> {
        let len = bytes.len();
        if len == 0 {
            return Err(DumpError::Empty { path: path.into() });
        }
        Ok(Self { path: path.into(), placed, len, bytes })
    }

    /// Bytes in memory, under a made-up name.
    pub(crate) fn memory(name: &str, bytes: Vec<u8>) -> Result<Self, DumpError> {
        Self::reader(Path::new(name), None, Box::new(bytes))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The physical address that the user said the file begins at.
    pub(crate) fn placed_at(&self) -> Option<PhysAddr> {
        self.placed
    }

    /// See [`ReadAt::is_stable`].
    pub(crate) fn is_stable(&self) -> bool {
        self.bytes.is_stable()
    }

    /// Fills `buf` from `offset` on, as far as the file goes; how many bytes that were.
    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.bytes.read_at(offset, buf)
    }

    /// The first offset at or after `offset` that is no hole; `None` where only holes follow.
    pub(crate) fn next_data(&self, offset: u64) -> Option<u64> {
        self.bytes.next_data(offset)
    }

    /// `len` bytes at `offset` without a copy.
    pub(crate) fn borrow(&self, offset: u64, len: usize) -> Option<&[u8]> {
        if self.is_stable() { self.bytes.borrow(offset, len) } else { None }
    }
}

/// `FILE@ADDRESS` (in hex) of a file that has no such name itself: the file, and where its bytes are in memory.
pub(crate) fn placed(path: &Path) -> (Cow<'_, Path>, Option<PhysAddr>) {
    let whole = (Cow::Borrowed(path), None);
    let Some((file, at)) = path.to_str().and_then(|p| p.rsplit_once('@')) else { return whole };
    match u64::from_str_radix(at.strip_prefix("0x").unwrap_or(at), 16) {
        Ok(at) if !path.exists() => (Cow::Owned(PathBuf::from(file)), Some(PhysAddr(at))),
        _ => whole,
    }
}

/// Holes are asked for only where the file system knows them; elsewhere all is data.
#[cfg(target_os = "linux")]
fn next_data_of(file: &File, offset: u64, len: u64) -> Option<u64> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    // the position of the file means nothing here: all reads name their offset
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Some(data),
        Err(Errno::NXIO) => None,
        Err(_) => (offset < len).then_some(offset),
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data_of(_file: &File, offset: u64, len: u64) -> Option<u64> {
    (offset < len).then_some(offset)
}

#[cfg(unix)]
pub(crate) fn is_block_device(kind: std::fs::FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&kind)
}

fn read_file_at(file: &File, mut offset: u64, mut buf: &mut [u8]) -> std::io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut done = 0;
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => break,
            Ok(n) => {
                done += n;
                offset = offset.saturating_add(n as u64);
                buf = buf.get_mut(n..).unwrap_or(&mut []);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
