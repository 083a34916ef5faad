//! Where things lie in the kernel's half (Documentation/arch/arm64/memory.rst).
//!
//! The linear map has its lower half, up to `PAGE_END`; modules, the image and `vmalloc` have the upper one.

use base::VirtAddr;

/// True for an address of the kernel: bit 55 chooses TTBR1 whatever the tag above it is.
pub(crate) const fn is_kernel(at: VirtAddr) -> bool {
    at.0 & 1 << 55 != 0
}

/// `_PAGE_END(VA_BITS_MIN)`: where the linear map ends. A kernel for 52 bits keeps the layout of 48 (`VA_BITS_MIN`), and one
/// for 16 KiB pages and 52 bits that of 47 on a processor that lacks them, which lies above in both.
pub(crate) const fn page_end(address_bits: u32) -> VirtAddr {
    let bits = if address_bits > 48 { 48 } else { address_bits };
    VirtAddr(u64::MAX << (bits - 1))
}

/// The image and the modules lie in one half with `vmalloc`: first address, the first behind the image, behind the modules.
pub(crate) const fn image_range() -> [VirtAddr; 3] {
    let end = VirtAddr(0xffff_ffff_ff00_0000);
    [VirtAddr(0xffff_8000_0000_0000), end, end]
}

/// Alignment of the image, physical and virtual (`MIN_KIMG_ALIGN`).
pub(crate) const IMAGE_ALIGN: u64 = 2 << 20;
