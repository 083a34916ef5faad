//! Where things lie in the kernel's half of the address space (Documentation/arch/x86/x86_64/mm.rst).

use super::X86_64;
use crate::capability::AddressLayout;
use crate::{ImagePlace, Linear, PageTables};
use base::VirtAddr;

/// `__START_KERNEL_map`: virtual address 0 of the kernel image's mapping; plus the physical address, minus
/// `phys_base`, it gives the address of anything in the image.
pub(crate) const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Where an unmoved kernel is linked: `__START_KERNEL_map + CONFIG_PHYSICAL_START`, whose default no
/// distribution changes.
pub(crate) const DEFAULT_TEXT: u64 = 0xffff_ffff_8100_0000;
/// The kernel image's mapping ends here at the latest (`KERNEL_IMAGE_SIZE` is 1 GiB with KASLR, else 512 MiB;
/// modules begin behind).
pub(crate) const KERNEL_MAP_END: u64 = 0xffff_ffff_c000_0000;
/// End of the modules' range with any `KERNEL_IMAGE_SIZE`.
pub(crate) const MODULES_END: u64 = 0xffff_ffff_ff00_0000;
/// Base of the direct map without memory randomisation: with 4 levels of page tables since 4.20 (and as
/// base of the randomised range), before 4.20, and with 5 levels.
pub(crate) const DIRECT_MAP_BASES: [u64; 3] =
    [0xffff_8880_0000_0000, 0xffff_8800_0000_0000, 0xff11_0000_0000_0000];
/// Where vmalloc's range begins without memory randomisation, and its bytes, with 4 and 5 levels of page tables.
pub(crate) const VMALLOC: [(VirtAddr, u64); 2] =
    [(VirtAddr(0xffff_c900_0000_0000), 32 << 40), (VirtAddr(0xffa0_0000_0000_0000), 12800 << 40)];
/// Alignment of the kernel's image, physical and virtual (`CONFIG_PHYSICAL_ALIGN`).
pub(crate) const IMAGE_ALIGN: u64 = 2 << 20;

/// True when the address has the sign extension that `levels` levels of page tables ask for.
#[must_use]
pub(crate) const fn is_canonical(at: VirtAddr, levels: u8) -> bool {
    let shift = if levels == 5 { 7 } else { 16 };
    ((at.0 << shift).cast_signed() >> shift) == at.0.cast_signed()
}

/// The first address of the kernel's half.
#[must_use]
pub(crate) const fn kernel_half(levels: u8) -> VirtAddr {
    VirtAddr(if levels == 5 { 0xff00_0000_0000_0000 } else { 0xffff_8000_0000_0000 })
}

/// True for an address of the kernel's half.
#[must_use]
pub(crate) const fn is_kernel(at: VirtAddr) -> bool {
    at.0 >> 63 != 0
}

impl AddressLayout for X86_64 {
    fn is_kernel(&self, at: VirtAddr) -> bool {
        is_kernel(at)
    }
    fn image_range(&self) -> [VirtAddr; 3] {
        [START_KERNEL_MAP, KERNEL_MAP_END, MODULES_END].map(VirtAddr)
    }
    fn image_align(&self) -> u64 {
        IMAGE_ALIGN
    }
    fn image_place(&self, image: &Linear) -> ImagePlace {
        let phys_base = START_KERNEL_MAP.wrapping_sub(image.offset).cast_signed();
        ImagePlace { label: "PHYS BASE", key: "phys_base", value: phys_base.into() }
    }
    fn direct_map_bases(&self) -> &'static [u64] {
        &DIRECT_MAP_BASES
    }
    fn vmalloc_range(&self, levels: usize) -> Option<(VirtAddr, u64)> {
        let [four, five] = VMALLOC;
        Some(if levels == 5 { five } else { four })
    }
    fn user_end(&self, tables: &PageTables) -> VirtAddr {
        VirtAddr(if tables.levels() == 5 { 1 << 56 } else { 1 << 47 })
    }
    fn section_bits(&self) -> Option<u32> {
        Some(27)
    }
    fn vmemmap(&self) -> Option<VirtAddr> {
        Some(VirtAddr(0xffff_ea00_0000_0000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_halves() {
        assert!(is_canonical(VirtAddr(0x7fff_ffff_f000), 4));
        assert!(!is_canonical(VirtAddr(0x8000_0000_0000), 4));
        assert!(is_canonical(VirtAddr(0x8000_0000_0000), 5));
        assert!(is_canonical(VirtAddr(0xff11_0000_0000_0000), 5));
        assert!(!is_canonical(VirtAddr(0xff11_0000_0000_0000), 4));
        assert!(!is_canonical(VirtAddr(0xdead_0000_0000_0100), 5));
    }
}
