//! [`ReadAt`]: bytes at offsets, whatever holds them. Every format reads through it.

use std::io;

/// Bytes at offsets: a file, memory, a range read over a network. Any number of threads read at once; a read waits until
/// its bytes are there.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn len(&self) -> u64;
    /// True where there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `buf` from `offset` on, as far as there are bytes; how many that were. Fewer than asked for means the end.
    ///
    /// # Errors
    /// The bytes cannot be had now. That says nothing about the dump: it is told as [`base::Gap::Io`], and the next read
    /// asks again.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Fills several buffers, each from its own offset on: what can join requests does so here.
    ///
    /// # Errors
    /// As [`ReadAt::read_at`]; a buffer that reaches past the end is an error of the kind `UnexpectedEof`.
    fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> io::Result<()> {
        for (offset, buf) in parts {
            if self.read_at(*offset, buf)? < buf.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
    /// True where the same offset always has the same bytes. What is not stable (the memory of a live machine) is never
    /// borrowed, and none of its pages is kept.
    fn is_stable(&self) -> bool;
    /// `len` bytes at `offset` without a copy; `None` says only that they cannot be had this way.
    fn borrow(&self, _offset: u64, _len: usize) -> Option<&[u8]> {
        None
    }
    /// The first offset at or after `offset` that is no hole; `None` where only holes follow.
    fn next_data(&self, offset: u64) -> Option<u64> {
        (offset < self.len()).then_some(offset)
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|o| self.get(o..)).unwrap_or(&[]);
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
    fn is_stable(&self) -> bool {
        true
    }
    fn borrow(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(len)?)
    }
}
