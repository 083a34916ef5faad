//! Pages of the kernel's that processes have mapped: the vDSO's code, and the data that it reads (mm/vma.c,
//! `_install_special_mapping`; arch/x86/entry/vdso/vma.c).
//!
//! Such a mapping has no file. Its pages are those of an array, or those of the vDSO's image in the kernel.

use crate::error::{KernelError, Result};
use crate::mm::page::Pages;
use crate::mm::vma::{Vma, VmaStruct};
use crate::session::Session;
use base::{PhysAddr, VirtAddr};

bind! {
    /// `struct vm_area_struct`
    struct Private("vm_area_struct") { private: "vm_private_data" }
}
bind! {
    /// `struct vm_special_mapping`, 3.16 (a62c34bd2a8a); before it the mapping has the array of pages itself
    struct SpecialMapping("vm_special_mapping") { name: "name", pages: "pages" }
}
bind! {
    /// `struct mm_struct`: the vDSO's image and address (`mm_context_t` of x86)
    struct Context("mm_struct") { image: "context.vdso_image", vdso: "context.vdso" } // image: 4.8 (b059a453b1cf)
}
bind! {
    /// `struct vdso_image` (x86, 3.16, 6f121e548f83)
    struct VdsoImage("vdso_image") { data: "data", bytes: "size" }
}

/// Longest name that is read.
const MAX_NAME: usize = 64;
/// More pages than any such mapping has.
const MAX_PAGES: u64 = 1 << 10;

/// A mapping of kernel pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    /// What the kernel calls it: `[vdso]`, `[vvar]`.
    pub name: String,
    /// Its array of pages; null where it has none.
    pages: VirtAddr,
}

/// What kind of mapping of kernel pages one is; none for any other mapping.
///
/// # Errors
/// What tells is not in the dump, or not known to the types.
pub fn of(s: &Session, mm: VirtAddr, vma: &Vma) -> Result<Option<Special>> {
    if !vma.file.is_null() {
        return Ok(None);
    }
    let mem = s.mem();
    let ops = s.bind::<VmaStruct>().ops.ptr(mem, vma.at)?;
    let own = ["special_mapping_vmops", "legacy_special_mapping_vmops"].map(|name| s.symbol(name));
    if ops.is_null() || !own.contains(&Some(ops)) {
        return Ok(None);
    }
    let private = s.bind::<Private>().private.ptr(mem, vma.at)?;
    let b = s.bind::<SpecialMapping>();
    if own.first() == Some(&Some(ops)) && b.size.is_some() {
        let name = b.name.string(mem, private, MAX_NAME)?;
        return Ok(Some(Special { name, pages: b.pages.ptr(mem, private)? }));
    }
    // arch_vma_name: the address alone tells
    let vdso = s.bind::<Context>().vdso.ptr(mem, mm)?;
    let name = if vdso.0 == vma.start { "[vdso]" } else { "" };
    Ok(Some(Special { name: name.to_owned(), pages: private }))
}

impl Special {
    /// True for the vDSO's code.
    #[must_use]
    pub fn is_vdso(&self) -> bool {
        self.name == "[vdso]"
    }
}

/// Where the page is that a process would see at a place of such a mapping that it has not touched; none where there is none.
///
/// # Errors
/// It is not in the dump, or not known to the types.
pub fn untouched(s: &Session, mm: VirtAddr, vma: &Vma, own: &Special, at: u64) -> Result<Option<PhysAddr>> {
    let shift = s.page_shift();
    let Some(number) = at.checked_sub(vma.start).map(|from| from >> shift).filter(|n| *n < MAX_PAGES) else {
        return Ok(None);
    };
    if !own.pages.is_null() {
        for before in 0..=number {
            let page = s.mem().ptr(own.pages.add(before.saturating_mul(8)))?;
            if page.is_null() {
                return Ok(None);
            }
            if before == number {
                return Ok(Some(PhysAddr(Pages::new(s).frame(page)?.0 << shift)));
            }
        }
    }
    if !own.is_vdso() {
        return Ok(None);
    }
    let image = s.bind::<Context>().image.ptr(s.mem(), mm)?;
    if image.is_null() {
        return Ok(None);
    }
    let b = s.bind::<VdsoImage>();
    let (data, size) = (b.data.ptr(s.mem(), image)?, b.bytes.u64(s.mem(), image)?);
    if data.0 & s.page_size().wrapping_sub(1) != 0 {
        let why = format!("its data are at {:#x}, which begins no page", data.0);
        return Err(KernelError::Damaged { what: "vdso_image", at: image, why });
    }
    let from = number << shift;
    if from >= size {
        return Ok(None);
    }
    Ok(Some(s.map().translate(data.add(from))?.0))
}
