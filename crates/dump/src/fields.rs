//! Numbers of headers in the byte order and the word size of the machine that wrote them.

use base::OutOfBounds;

/// How a machine writes its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words {
    /// Bytes of a pointer and of a C `long`: 4 or 8.
    pub size: u8,
    /// The highest byte first.
    pub big_endian: bool,
}

impl Words {
    /// As x86-64, arm64, riscv64 and most others write them.
    pub const LITTLE_64: Self = Self { size: 8, big_endian: false };

    /// The number that up to eight bytes are.
    #[must_use]
    pub fn number(self, bytes: &[u8]) -> u64 {
        let byte = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, byte) } else { bytes.iter().rev().fold(0, byte) }
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let order = if self.big_endian { "big" } else { "little" };
        write!(f, "{} bits, {order}-endian", u32::from(self.size) * 8)
    }
}

/// The fields of a header.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    pub(crate) words: Words,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8], words: Words) -> Self {
        Self { bytes, words }
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], OutOfBounds> {
        let out = OutOfBounds { offset: at, wanted: N, len: self.bytes.len() };
        let slice = at.checked_add(N).and_then(|end| self.bytes.get(at..end)).ok_or(out)?;
        let mut array: [u8; N] = slice.try_into().map_err(|_| out)?;
        if self.words.big_endian {
            array.reverse();
        }
        Ok(array)
    }

    pub(crate) fn u16(&self, at: usize) -> Result<u16, OutOfBounds> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&self, at: usize) -> Result<u32, OutOfBounds> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&self, at: usize) -> Result<u64, OutOfBounds> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A C `unsigned long`.
    pub(crate) fn long(&self, at: usize) -> Result<u64, OutOfBounds> {
        if self.words.size == 4 { self.u32(at).map(u64::from) } else { self.u64(at) }
    }
}
