//! Addresses are types: a physical address, a virtual address and a page frame number
//! never stand in for one another.

use std::fmt;

/// log2 of the size of the frames that dumps are read in: the smallest page of all machines.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in such a frame.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// Bytes that lie in one page whatever the size of a kernel's pages: the step in which its memory is read. What a kernel
/// counts, numbers or aligns by pages goes by its own size (`Session::page_size`).
pub const GRANULE: u64 = PAGE_SIZE;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The address `bytes` further on; wraps at the end of the space, as hardware does.
            #[must_use]
            pub const fn add(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }
            /// The address `bytes` before; wraps at zero, as hardware does.
            #[must_use]
            pub const fn sub(self, bytes: u64) -> Self {
                Self(self.0.wrapping_sub(bytes))
            }
            /// The address moved by a signed distance.
            #[must_use]
            pub const fn offset(self, bytes: i64) -> Self {
                Self(self.0.wrapping_add_signed(bytes))
            }
            /// Distance from the start of its page, in bytes.
            #[must_use]
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }
            /// The first address of its page.
            #[must_use]
            pub const fn page_base(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// A physical address: what the dump is a record of.
    PhysAddr
}
address! {
    /// A virtual address, of the kernel or of a process; which, is said by the memory it is read from.
    VirtAddr
}

impl VirtAddr {
    /// True for the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
    /// True in the upper half of all addresses, where the kernels of every machine that is read are linked and keep what
    /// they allocate: what tells a word that may be a pointer of theirs. Where the machine is known, `Arch::is_kernel` tells.
    #[must_use]
    pub const fn in_upper_half(self) -> bool {
        self.0 >> 63 == 1
    }
}

impl PhysAddr {
    /// The page frame that holds this address.
    #[must_use]
    pub const fn pfn(self) -> Pfn {
        Pfn(self.0 >> PAGE_SHIFT)
    }
}

/// A page frame number: a physical address in units of [`PAGE_SIZE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pfn(pub u64);

impl Pfn {
    /// The physical address of the first byte of the frame.
    #[must_use]
    pub const fn addr(self) -> PhysAddr {
        PhysAddr(self.0 << PAGE_SHIFT)
    }
}

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pfn({:#x})", self.0)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_offsets() {
        let at = PhysAddr(0x12_3456);
        assert_eq!(at.pfn(), Pfn(0x123));
        assert_eq!(at.page_offset(), 0x456);
        assert_eq!(at.page_base(), Pfn(0x123).addr());
    }

    #[test]
    fn arithmetic_wraps_as_hardware_does() {
        assert_eq!(VirtAddr(u64::MAX).add(1), VirtAddr(0));
        assert_eq!(VirtAddr(0).offset(-1), VirtAddr(u64::MAX));
    }
}
