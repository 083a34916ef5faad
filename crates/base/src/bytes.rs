//! A cursor over untrusted little-endian bytes: every read is bounds-checked, none can panic.

use std::fmt;

/// A read past the end of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfBounds {
    /// Where the read began.
    pub offset: usize,
    /// How many bytes it wanted.
    pub wanted: usize,
    /// How many bytes there are in all.
    pub len: usize,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at offset {:#x} are past the end ({:#x})", self.wanted, self.offset, self.len)
    }
}
impl std::error::Error for OutOfBounds {}

/// Random access and a moving position over a slice.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    data: &'a [u8],
    pos: usize,
}

macro_rules! number {
    ($(#[$doc:meta])* $next:ident, $at:ident, $ty:ty) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// Fewer bytes are left.
        pub fn $next(&mut self) -> Result<$ty, OutOfBounds> {
            let value = self.$at(self.pos)?;
            self.pos = self.pos.saturating_add(size_of::<$ty>());
            Ok(value)
        }
        /// The same number at a given offset; the position stays.
        ///
        /// # Errors
        /// It ends beyond the bytes that are there.
        pub fn $at(&self, offset: usize) -> Result<$ty, OutOfBounds> {
            Ok(<$ty>::from_le_bytes(self.array(offset)?))
        }
    };
}

impl<'a> Bytes<'a> {
    /// A cursor at the start of `data`.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0 }
    }
    /// The position, in bytes from the start.
    #[must_use]
    pub const fn pos(&self) -> usize {
        self.pos
    }
    /// All bytes, whatever the position.
    #[must_use]
    pub const fn all(&self) -> &'a [u8] {
        self.data
    }
    /// How many bytes follow the position.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.data.len().saturating_sub(self.pos)
    }
    /// Moves to an offset; one past the end or further is an error of the next read, not of this call.
    pub const fn seek(&mut self, offset: usize) {
        self.pos = offset;
    }
    /// Moves up to the next multiple of `align` (a power of two).
    pub const fn align(&mut self, align: usize) {
        self.pos = self.pos.saturating_add(align.wrapping_sub(1)) & !align.wrapping_sub(1);
    }
    /// The slice of `len` bytes at `offset`.
    ///
    /// # Errors
    /// It ends beyond the bytes that are there.
    pub fn slice_at(&self, offset: usize, len: usize) -> Result<&'a [u8], OutOfBounds> {
        offset.checked_add(len).and_then(|end| self.data.get(offset..end)).ok_or(OutOfBounds {
            offset,
            wanted: len,
            len: self.data.len(),
        })
    }
    /// The next `len` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], OutOfBounds> {
        let s = self.slice_at(self.pos, len)?;
        self.pos = self.pos.saturating_add(len);
        Ok(s)
    }
    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], OutOfBounds> {
        let s = self.slice_at(offset, N)?;
        s.try_into().map_err(|_| OutOfBounds { offset, wanted: N, len: self.data.len() })
    }
    number!(
        /// One byte.
        u8, u8_at, u8);
    number!(
        /// A 16-bit number.
        u16, u16_at, u16);
    number!(
        /// A 32-bit number.
        u32, u32_at, u32);
    number!(
        /// A 64-bit number.
        u64, u64_at, u64);
    number!(
        /// A signed 16-bit number.
        i16, i16_at, i16);
    number!(
        /// A signed 32-bit number.
        i32, i32_at, i32);
    number!(
        /// A signed 64-bit number.
        i64, i64_at, i64);
    /// The NUL-terminated string at `offset`, without the NUL; to the end where no NUL comes.
    ///
    /// # Errors
    /// It begins beyond the bytes that are there.
    pub fn cstr_at(&self, offset: usize) -> Result<&'a [u8], OutOfBounds> {
        self.data.get(offset..).map(cstr).ok_or(OutOfBounds { offset, wanted: 1, len: self.data.len() })
    }
}

/// The bytes before the first NUL, all of them where there is none.
#[must_use]
pub fn cstr(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_move_and_stop_at_the_end() {
        let mut b = Bytes::new(&[1, 2, 0, 3, 0, 0, 0, 9]);
        assert_eq!(b.u8().unwrap(), 1);
        assert_eq!(b.u16().unwrap(), 2);
        assert_eq!(b.u32().unwrap(), 3);
        assert_eq!(b.u16().unwrap_err(), OutOfBounds { offset: 7, wanted: 2, len: 8 });
        assert_eq!(b.left(), 1);
    }

    #[test]
    fn huge_offsets_do_not_overflow() {
        let b = Bytes::new(&[0; 4]);
        assert!(b.slice_at(usize::MAX, 8).is_err());
        assert!(b.u64_at(usize::MAX - 2).is_err());
    }

    #[test]
    fn strings_end_at_nul_or_at_the_end() {
        let b = Bytes::new(b"ab\0cd");
        assert_eq!(b.cstr_at(0).unwrap(), b"ab");
        assert_eq!(b.cstr_at(3).unwrap(), b"cd");
        assert!(b.cstr_at(6).is_err());
    }
}
