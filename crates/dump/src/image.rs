//! A dump file as its format sees it: the file itself, or what a flattened stream stands for.

use crate::cache::PageCache;
use crate::flattened::Index;
use crate::source::Source;
use crate::{DumpError, Warning};
use base::{Gap, PhysAddr};
use std::path::Path;

/// The logical file that a format parses.
pub(crate) struct Image {
    source: Source,
    index: Option<Index>,
    /// Blocks of the logical file that were read for a few bytes.
    blocks: PageCache,
}

/// Why a read failed. EIO has no kind of its own.
fn failed(error: &std::io::Error) -> Gap {
    let eio = rustix::io::Errno::IO.raw_os_error();
    Gap::Io(if error.raw_os_error() == Some(eio) { std::io::ErrorKind::Other } else { error.kind() })
}

/// Bytes of a block that is read where a few of its bytes are asked for.
const BLOCK: u64 = 4096;
/// Blocks that are kept: 16 MiB.
const BLOCKS: usize = 4096;

impl Image {
    /// The logical file in `source`.
    pub(crate) fn new(source: Source) -> Result<Self, DumpError> {
        let index = if source.placed_at().is_some() { None } else { Index::read(&source)? };
        let blocks = PageCache::of(source.is_stable(), BLOCK as usize, BLOCKS);
        Ok(Self { source, index, blocks })
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    /// The physical address that the file begins at, where the user said so.
    pub(crate) fn placed_at(&self) -> Option<PhysAddr> {
        self.source.placed_at()
    }

    /// True for a flattened stream.
    pub(crate) fn is_flattened(&self) -> bool {
        self.index.is_some()
    }

    /// What is wrong with the stream.
    pub(crate) fn warning(&self) -> Option<&Warning> {
        self.index.as_ref()?.warning.as_ref()
    }

    /// What is wrong with the stream's header.
    pub(crate) fn header_warning(&self) -> Option<Warning> {
        let is_signed = self.index.as_ref().is_none_or(|index| index.is_signed);
        (!is_signed).then_some(Warning::MagicDamaged { format: "a flattened stream", offset: 0 })
    }

    /// How many of the `len` bytes from `offset` on are in the file.
    pub(crate) fn covered(&self, offset: u64, len: u64) -> u64 {
        match &self.index {
            Some(index) => index.covered(offset, len),
            None => self.source.len().saturating_sub(offset).min(len),
        }
    }

    /// How many of the `len` bytes from `offset` on a stream has before the first that it lacks; all where it is none.
    pub(crate) fn known(&self, offset: u64, len: u64) -> u64 {
        self.index.as_ref().map_or(len, |index| index.known(offset, len))
    }

    /// What a stream that is whole lacks of these parts of the dump, each a place and a length: a record is missing.
    pub(crate) fn stream_hole(&self, parts: impl Iterator<Item = (u64, u64)>) -> Option<Warning> {
        let index = self.index.as_ref().filter(|index| index.warning.is_none())?;
        let mut hole: Option<(u64, u64)> = None;
        for (offset, len) in parts {
            let lacks = len.saturating_sub(index.covered(offset, len));
            if lacks > 0 {
                let (_, lost) = hole.get_or_insert((offset.saturating_add(index.known(offset, len)), 0));
                *lost = lost.saturating_add(lacks);
            }
        }
        hole.map(|(offset, len)| Warning::StreamHole { offset, len })
    }

    /// See [`crate::ReadAt::is_stable`].
    pub(crate) fn is_stable(&self) -> bool {
        self.source.is_stable()
    }

    /// Length of the logical file.
    pub(crate) fn len(&self) -> u64 {
        self.index.as_ref().map_or(self.source.len(), Index::len)
    }

    /// Length of the file on disk.
    pub(crate) fn file_len(&self) -> u64 {
        self.source.len()
    }

    /// Fills `buf` as far as the file goes; how many bytes that were.
    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        match &self.index {
            Some(index) => index.read_at(&self.source, offset, buf),
            None => self.source.read_at(offset, buf),
        }
    }

    /// `len` bytes at `offset` without a copy, where they are in one piece.
    pub(crate) fn borrow(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let offset = match &self.index {
            Some(index) => index.in_one_piece(offset, len)?,
            None => offset,
        };
        self.source.borrow(offset, len)
    }

    /// The first offset at or after `offset` that is no hole; `None` where only holes follow.
    pub(crate) fn next_data(&self, offset: u64) -> Option<u64> {
        match &self.index {
            Some(index) => index.next_data(offset),
            None => self.source.next_data(offset),
        }
    }

    /// Fills the front of `buf` with plain memory, by way of the blocks that are kept: how many bytes, one at least.
    pub(crate) fn copy_front(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Gap> {
        if let Some(bytes) = self.borrow(offset, buf.len()) {
            buf.copy_from_slice(bytes);
            return Ok(buf.len());
        }
        if buf.len() as u64 >= BLOCK || !self.is_stable() {
            return self.fill_front(offset, buf);
        }
        let (start, within) = (offset / BLOCK * BLOCK, (offset % BLOCK) as usize);
        // the last block of a file can be short
        let have = self.len().saturating_sub(start).min(BLOCK) as usize;
        let n = buf.len().min(have.saturating_sub(within));
        let fill = |block: &mut [u8]| self.fill(start, block.get_mut(..have).unwrap_or_default());
        let mut done = 0;
        let read = self.blocks.with(start, fill, |block| {
            if let (Some(to), Some(from)) = (buf.get_mut(..n), block.get(within..within.saturating_add(n))) {
                to.copy_from_slice(from);
                done = n;
            }
        });
        match read {
            Ok(()) if done > 0 => Ok(done),
            // of a block that is not whole the bytes that were asked for may be there
            Ok(()) | Err(_) => self.fill_front(offset, buf),
        }
    }

    /// Fills the front of `buf` as far as the file goes, and keeps nothing: how many bytes, one at least.
    pub(crate) fn fill_front(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Gap> {
        match self.read_known(offset, buf) {
            Ok(0) if !buf.is_empty() => Err(self.end_before(offset.saturating_add(1))),
            Ok(n) => Ok(n),
            Err(e) => Err(failed(&e)),
        }
    }

    /// Fills all of `buf` or says why a page could not be read.
    pub(crate) fn fill(&self, offset: u64, buf: &mut [u8]) -> Result<(), Gap> {
        let read = self.read_known(offset, buf);
        self.filled(offset, buf.len(), read)
    }

    /// What a read of `len` bytes at `offset` came to, where all of them are wanted.
    fn filled(&self, offset: u64, len: usize, read: std::io::Result<usize>) -> Result<(), Gap> {
        match read {
            Ok(n) if n == len => Ok(()),
            Ok(_) => Err(self.end_before(offset.saturating_add(len as u64))),
            Err(e) => Err(failed(&e)),
        }
    }

    /// Fills all of `buf` with a part of a table that its writer may have left room in: what no record of a whole stream
    /// covers is zero.
    pub(crate) fn fill_table(&self, offset: u64, buf: &mut [u8]) -> Result<(), Gap> {
        if self.warning().is_some() {
            return self.fill(offset, buf);
        }
        let read = self.read_at(offset, buf);
        self.filled(offset, buf.len(), read)
    }

    /// Like [`Image::read_at`], but ends where a stream has no bytes.
    fn read_known(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let Some(index) = &self.index else { return self.source.read_at(offset, buf) };
        let known = index.known(offset, buf.len() as u64);
        let n = usize::try_from(known).unwrap_or(usize::MAX).min(buf.len());
        let wanted = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX).min(n);
        let got = index.read_at(&self.source, offset, buf.get_mut(..n).unwrap_or_default())?;
        // the records were all there when the stream was opened
        if got < wanted { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(got) }
    }

    /// How many of the `left` bytes from `offset` on are missing, where the first is: all behind the end of a file, in a
    /// stream those up to the next record.
    pub(crate) fn missing(&self, offset: u64, left: u64) -> u64 {
        let next = self.index.as_ref().and_then(|index| index.next_data(offset));
        next.and_then(|at| at.checked_sub(offset)).filter(|&n| n > 0).map_or(left, |n| n.min(left))
    }

    /// Why bytes before `end` could not be read: the file ends before them, or it did not when it was opened, or a stream that
    /// is whole has no record with them. Of a cut stream the length says nothing: what it lost is cut.
    fn end_before(&self, end: u64) -> Gap {
        match &self.index {
            _ if end > self.len() => Gap::Truncated,
            None => Gap::Io(std::io::ErrorKind::UnexpectedEof),
            Some(index) if index.warning.is_none() => Gap::NoRecord,
            Some(_) => Gap::Truncated,
        }
    }

    /// `len` bytes of the header `what`; the length is checked against the file before it is allocated.
    pub(crate) fn header(&self, what: &'static str, offset: u64, len: u64) -> Result<Vec<u8>, DumpError> {
        let cut =
            || DumpError::Truncated { path: self.path().into(), what, offset, wanted: len, len: self.len() };
        let end = offset.checked_add(len).ok_or_else(cut)?;
        if end > self.len() {
            return Err(cut());
        }
        let mut buf = vec![0; usize::try_from(len).map_err(|_| cut())?];
        let n = self
            .read_at(offset, &mut buf)
            .map_err(|source| DumpError::Io { path: self.path().into(), source })?;
        if n == buf.len() { Ok(buf) } else { Err(cut()) }
    }

    /// A field whose value no dump has.
    pub(crate) fn bad(&self, field: &'static str, value: u64, expected: &'static str) -> DumpError {
        DumpError::BadField { path: self.path().into(), field, value, expected }
    }
}
