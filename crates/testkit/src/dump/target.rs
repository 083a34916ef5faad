//! The machines that dumps can be of.

/// A machine as headers name it, and how it writes its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// As `uname -m` prints it.
    pub name: &'static str,
    /// `e_machine` of its ELF files.
    pub e_machine: u16,
    /// ELF64 headers, and a C `long` of 8 bytes.
    pub wide: bool,
    /// The highest byte first.
    pub big_endian: bool,
}

impl Target {
    /// One of the machines that crashlens knows.
    pub const X86_64: Self = Self { name: "x86_64", e_machine: 62, wide: true, big_endian: false };
    /// The other one.
    pub const ARM64: Self = Self { name: "aarch64", e_machine: 183, wide: true, big_endian: false };
    /// Others.
    pub const OTHERS: [Self; 6] = [
        Self::ARM64,
        Self { name: "riscv64", e_machine: 243, wide: true, big_endian: false },
        Self { name: "s390x", e_machine: 22, wide: true, big_endian: true },
        Self { name: "ppc64le", e_machine: 21, wide: true, big_endian: false },
        Self { name: "i686", e_machine: 3, wide: false, big_endian: false },
        Self { name: "ppc", e_machine: 20, wide: false, big_endian: true },
    ];

    /// Bytes of a C `long`.
    pub(crate) const fn long(self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// Writes the low `len` bytes of a number.
    pub(crate) fn put(self, out: &mut [u8], at: usize, value: u64, len: usize) {
        let bytes = value.to_le_bytes();
        for (i, slot) in out[at..at + len].iter_mut().enumerate() {
            *slot = bytes[if self.big_endian { len - 1 - i } else { i }];
        }
    }

    /// The same, at the end.
    pub(crate) fn push(self, out: &mut Vec<u8>, value: u64, len: usize) {
        let at = out.len();
        out.resize(at + len, 0);
        self.put(out, at, value, len);
    }
}
