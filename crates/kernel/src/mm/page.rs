//! Page frames (`struct page`).
//!
//! The array of all `struct page` is at `vmemmap_base` (CONFIG_SPARSEMEM_VMEMMAP, always so on x86_64).

use crate::error::{KernelError, Result};
use crate::mm::slab;
use crate::session::Session;
use base::{Pfn, PhysAddr, VirtAddr};
use debuginfo::types::Type;

bind! {
    /// `struct page` (include/linux/mm_types.h)
    pub struct PageStruct("page") {
        flags: "flags",
        mapping: "mapping",
        index: "index" | "__folio_index", // 6.16 (acc53a0b4c15)
        refcount: "_refcount" | "_count", // 4.6 (0139aa7b7fa1)
    }
}
/// The kernel's address of a physical one, in the direct map.
///
/// # Errors
/// Where the direct map begins is not known.
pub fn direct_map(s: &Session, phys: PhysAddr) -> Result<VirtAddr> {
    Ok(slab::direct_map_base(s)?.add(phys.0))
}

/// Reads pages; what it needs again and again is looked up once.
pub struct Pages<'s> {
    s: &'s Session,
    vmemmap: Result<VirtAddr>,
}

/// One `struct page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its `struct page`.
    pub at: VirtAddr,
    /// The frame.
    pub pfn: Pfn,
    /// `flags`
    pub flags: u64,
    /// `mapping`
    pub mapping: Option<u64>,
    /// `index`
    pub index: Option<u64>,
    /// `_refcount`
    pub count: i32,
}

impl std::fmt::Debug for Pages<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("vmemmap", &self.vmemmap).finish_non_exhaustive()
    }
}

impl<'s> Pages<'s> {
    /// Looks up what all pages share.
    #[must_use]
    pub fn new(s: &'s Session) -> Self {
        Self { s, vmemmap: slab::vmemmap_base(s) }
    }

    /// The `struct page` of a frame.
    ///
    /// # Errors
    /// Where the array of them begins, or how large one is, is not known, or memory has none there.
    pub fn at(&self, pfn: Pfn) -> Result<VirtAddr> {
        let size = self.s.bind::<PageStruct>().size.ok_or(KernelError::NoType("page"))?;
        Ok(self.vmemmap.clone()?.add(pfn.0.wrapping_mul(size)))
    }

    /// The frame of a `struct page`.
    ///
    /// # Errors
    /// It is not in the array of them.
    pub fn frame(&self, page: VirtAddr) -> Result<Pfn> {
        let size = self.s.bind::<PageStruct>().size.filter(|n| *n > 0).ok_or(KernelError::NoType("page"))?;
        let from = page.0.wrapping_sub(self.vmemmap.clone()?.0);
        // no more of them than 52 bits of address have pages
        match (from.checked_rem(size), from / size) {
            (Some(0), pfn) if pfn >> 40 == 0 => Ok(Pfn(pfn)),
            _ => Err(KernelError::Damaged {
                what: "page",
                at: page,
                why: "it is not in the array of all pages".to_owned(),
            }),
        }
    }

    /// Reads the `struct page` of a frame.
    ///
    /// # Errors
    /// It is not in the dump, or the types do not know it.
    pub fn read(&self, pfn: Pfn) -> Result<Page> {
        let at = self.at(pfn)?;
        let mem = self.s.mem();
        let b = self.s.bind::<PageStruct>();
        Ok(Page {
            at,
            pfn,
            flags: b.flags.u64(mem, at)?,
            mapping: b.mapping.u64(mem, at).ok(),
            index: b.index.u64(mem, at).ok(),
            count: b.refcount.i32(mem, at)?,
        })
    }
}

/// The names of a page's flags, by the kernel's own table (`pageflag_names`, mm/debug.c, 4.6) or by `enum
/// pageflags`; `(bit, name)`, the lowest bit first.
#[must_use]
pub fn flag_names(s: &Session) -> Vec<(u32, String)> {
    let mut out = from_enum(s);
    if out.is_empty() {
        out = from_table(s).unwrap_or_default();
    }
    out.sort_by_key(|(bit, _)| *bit);
    out.dedup_by_key(|(bit, _)| *bit);
    out
}

/// All names that `enum pageflags` has for bits, in its order: one bit may have several.
///
/// # Errors
/// The enumeration is not known.
pub fn all_flags(s: &Session) -> Result<Vec<(u32, String)>> {
    let unknown = KernelError::NoEnumeration("pageflags");
    let (types, locked) = (s.types(), s.types().find_enumerator("PG_locked"));
    let Some((at, _)) = locked.into_iter().next() else { return Err(unknown) };
    let Type::Enum { values, .. } = &*types.get(at)? else { return Err(unknown) };
    let bit = |value: i128| u32::try_from(value).ok().filter(|bit| *bit < 64);
    let own = values.iter().filter(|(name, _)| name.starts_with("PG_"));
    Ok(own.filter_map(|(name, value)| Some((bit(*value)?, name.to_string()))).collect())
}

/// How many pages have more than one user, reserved ones aside.
///
/// # Errors
/// What the pages are is not known.
pub fn shared(s: &Session) -> Result<u64> {
    let names = flag_names(s);
    let reserved = names.iter().find(|(_, name)| name == "reserved").map(|(bit, _)| *bit);
    let reserved = reserved.ok_or(KernelError::NoEnumeration("pageflags"))?;
    let (b, mem) = (s.bind::<PageStruct>(), s.mem());
    let pages = Pages::new(s);
    let mut out = 0_u64;
    for pfn in crate::mm::sparse::frames(s)? {
        s.cancel().check().map_err(|_| KernelError::Stopped("counting pages"))?;
        let at = pages.at(pfn?)?;
        if b.flags.u64(mem, at)? >> reserved & 1 == 0 && b.refcount.i32(mem, at)? > 1 {
            out += 1;
        }
    }
    Ok(out)
}

fn from_enum(s: &Session) -> Vec<(u32, String)> {
    let types = s.types();
    let Some((at, _)) = types.find_enumerator("PG_locked").into_iter().next() else { return Vec::new() };
    let Ok(ty) = types.get(at) else { return Vec::new() };
    let Type::Enum { values, .. } = &*ty else { return Vec::new() };
    let count = values.iter().find(|(name, _)| &**name == "__NR_PAGEFLAGS").map_or(64, |(_, n)| *n);
    // later names of one bit are aliases
    let own = values.iter().filter(|(name, bit)| name.starts_with("PG_") && *bit < count);
    own.filter_map(|(name, bit)| {
        Some((u32::try_from(*bit).ok().filter(|&b| b < 64)?, name.strip_prefix("PG_")?.to_owned()))
    })
    .collect()
}

/// The flags by the kernel's own table.
fn from_table(s: &Session) -> Option<Vec<(u32, String)>> {
    let all = printed_flags(s, "pageflag_names").ok()??;
    Some(all.into_iter().map(|(mask, name)| (mask.trailing_zeros(), name)).collect())
}

/// A table of names of flags (`struct trace_print_flags { unsigned long mask; const char *name; }`, ended by zeros), such as
/// mm/debug.c has since 4.6 (edf14cdbf9a0); nothing where this kernel has none.
pub(crate) fn printed_flags(s: &Session, table: &str) -> Result<Option<Vec<(u64, String)>>> {
    let Some(at) = s.optional_symbol(table)? else { return Ok(None) };
    let mut out = Vec::new();
    for n in 0..64 {
        let one = at.add(n * 16);
        let mask = s.mem().u64(one)?;
        let name = s.mem().ptr(one.add(8))?;
        if mask == 0 || name.is_null() {
            break;
        }
        let name = s.mem().cstr(name, 32)?;
        out.push((mask, String::from_utf8_lossy(&name).into_owned()));
    }
    Ok(Some(out))
}
