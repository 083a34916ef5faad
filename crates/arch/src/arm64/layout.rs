//! Where things lie in the kernel's half (Documentation/arch/arm64/memory.rst).
//!
//! The linear map has its lower half, up to `PAGE_END`; modules, the image and `vmalloc` have the upper one.

use super::Arm64;
use crate::capability::AddressLayout;
use crate::space::{Linear, Paging};
use crate::{ImagePlace, PageTables};
use base::{VirtAddr, VmcoreInfo};

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

/// Alignment of the image's segments, and of the image where the boot loader places it as tightly as it may (`SEGMENT_ALIGN`).
pub(crate) const TEXT_ALIGN: u64 = 64 << 10;

/// Where the image is linked to begin (`KIMAGE_VADDR`): behind the modules (`MODULES_END`, which VMCOREINFO has since 6.0).
/// They begin where the linear map ends, and have 2 GiB since 6.5 (3e35d303ab7d), 128 MiB before; from 5.4 to 5.16 as much
/// for BPF lies before them.
pub(crate) fn linked_texts(info: &VmcoreInfo, paging: &Paging) -> Vec<VirtAddr> {
    let told = info.number("MODULES_END").map(|end| VirtAddr(end.cast_unsigned()));
    let mut out: Vec<VirtAddr> = told.filter(|at| is_kernel(*at)).into_iter().collect();
    // `VA_BITS_MIN` of a kernel for 16 KiB pages is 47
    let bits = [Some(paging.address_bits), (paging.page_shift() == 14).then_some(47)];
    for start in bits.into_iter().flatten().map(page_end) {
        out.extend([2 << 30, 128 << 20, 256 << 20].map(|size| start.add(size)));
    }
    out
}

/// `vmemmap`: `VMEMMAP_START` is the page of the first memory, `PHYS_OFFSET`, which is signed.
pub(crate) fn vmemmap(info: &VmcoreInfo, page_shift: u32) -> Option<VirtAddr> {
    let start = info.number("VMEMMAP_START")?.cast_unsigned();
    let (first, page) = (info.number("PHYS_OFFSET")? >> page_shift, info.size("page")?);
    Some(VirtAddr(start.wrapping_sub(first.cast_unsigned().wrapping_mul(page)))).filter(|at| is_kernel(*at))
}

/// The linear map: from `PAGE_OFFSET` on, which is mapped to `PHYS_OFFSET`.
pub(crate) fn linear_map(info: &VmcoreInfo) -> Option<Linear> {
    let bits = info.number("VA_BITS").and_then(|bits| u32::try_from(bits).ok());
    let bits = bits.filter(|bits| (36..=52).contains(bits))?;
    let (start, first) = (u64::MAX << bits, info.number("PHYS_OFFSET")?.cast_unsigned());
    Some(Linear { start: VirtAddr(start), end: page_end(bits), offset: start.wrapping_sub(first) })
}

impl AddressLayout for Arm64 {
    fn is_kernel(&self, at: VirtAddr) -> bool {
        is_kernel(at)
    }
    fn image_range(&self) -> [VirtAddr; 3] {
        image_range()
    }
    fn image_align(&self) -> u64 {
        TEXT_ALIGN
    }
    /// Since 5.11 (e2a073dde921) nothing before it is mapped.
    fn may_begin_at_stext(&self) -> bool {
        true
    }
    fn image_place(&self, image: &Linear) -> ImagePlace {
        ImagePlace { label: "KIMAGE VOFFSET", key: "kimage_voffset", value: image.offset.into() }
    }
    /// QEMU's board and Arm's own.
    fn memory_begins(&self) -> &'static [u64] {
        &[0x4000_0000, 0x8000_0000]
    }
    fn user_end(&self, tables: &PageTables) -> VirtAddr {
        VirtAddr(1 << tables.paging.address_bits)
    }
    fn vmemmap_of_info(&self, info: &VmcoreInfo, paging: &Paging) -> Option<VirtAddr> {
        vmemmap(info, paging.page_shift())
    }
    fn linear_map(&self, info: &VmcoreInfo) -> Option<Linear> {
        linear_map(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm64::paging::mode;
    use base::PhysAddr;

    /// The numbers of Debian's kernels, the memory of both at 1 GiB.
    #[test]
    fn what_vmcoreinfo_tells_of_places() {
        let info = |text: &str| VmcoreInfo::parse(text.as_bytes());
        let old = info(
            "NUMBER(VA_BITS)=48\nNUMBER(PHYS_OFFSET)=0xffffea4840000000\nNUMBER(VMEMMAP_START)=0xfffffc0000000000\nSIZE(page)=64\n",
        );
        let linear = linear_map(&old).unwrap();
        let at = |phys: u64| VirtAddr(phys.wrapping_add(linear.offset));
        assert_eq!(at(0x4ff5_c380), VirtAddr(0xffff_15b8_0ff5_c380));
        assert_eq!(linear.phys(VirtAddr(0xffff_15b8_0ff5_c380)), Some(PhysAddr(0x4ff5_c380)));
        assert_eq!(linear.phys(VirtAddr(0xffff_8000_0800_0000)), None);
        // the page of 1 GiB: 0x15b800000 pages behind the first, which is that of a negative address
        let first = vmemmap(&old, 12).unwrap();
        assert_eq!(first.add(0x40000 * 64), VirtAddr(0xffff_fc00_0000_0000 + (0x15b8_0000_0000 >> 12) * 64));
        assert_eq!(linear_map(&info("NUMBER(VA_BITS)=99\nNUMBER(PHYS_OFFSET)=0\n")), None);
    }

    #[test]
    fn where_images_are_linked() {
        let paging = mode(12, 48).unwrap();
        let none = VmcoreInfo::parse(b"");
        for at in [0xffff_8000_0800_0000, 0xffff_8000_8000_0000] {
            assert!(linked_texts(&none, paging).contains(&VirtAddr(at)), "{at:#x}");
        }
        let told = VmcoreInfo::parse(b"NUMBER(MODULES_END)=0xffff800020000000\n");
        assert_eq!(linked_texts(&told, paging)[0], VirtAddr(0xffff_8000_2000_0000));
    }
}
