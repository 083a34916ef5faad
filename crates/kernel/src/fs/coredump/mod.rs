//! A process as a core file has it (fs/coredump.c, fs/binfmt_elf.c): its memory, its threads' registers, what is known of it.
//!
//! Which memory belongs into a core is what `vma_dump_size` says, by the kinds of `/proc/PID/coredump_filter`. Pages come from
//! where the process's page tables or, for files, the page cache have them.
//!
//! **Invariant:** what is not in memory is told as a hole with its reason, never as zeros. Zeros are only what the process
//! itself would read as zeros: anonymous memory that it has not touched.

pub mod elf;
pub mod notes;
pub mod threads;

use crate::error::Result;
use crate::fs::inode;
use crate::fs::path::{self, FileStruct};
use crate::mm::address_space;
use crate::mm::filemap::{self, CachedBytes, PageCache};
use crate::mm::special_mapping::{self, Special};
use crate::mm::vma::{Vma, VmaStruct, Vmas, vmas};
use crate::mm::vma_pages::{Place, runs};
use crate::session::Session;
use arch::UserMap;
use base::{Missing, PhysAddr, VirtAddr};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Kinds of memory, a bit each, as in `/proc/PID/coredump_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u64);

impl Kinds {
    const ANON_PRIVATE: u64 = 1;
    const ANON_SHARED: u64 = 2;
    const FILE_PRIVATE: u64 = 4;
    const FILE_SHARED: u64 = 8;
    /// The first page of a file that is mapped from its beginning.
    const HEADERS: u64 = 16;
    const HUGE_PRIVATE: u64 = 32;
    const HUGE_SHARED: u64 = 64;
    /// What the process asked not to be dumped (`MADV_DONTDUMP`): crash's own bit.
    const DONT_DUMP: u64 = 128;
    /// All but what the process asked not to be dumped.
    pub const USUAL: Self = Self(127);

    /// The kinds of these bits; none where a bit stands for nothing.
    #[must_use]
    pub const fn of(bits: u64) -> Option<Self> {
        if bits < 256 { Some(Self(bits)) } else { None }
    }
    const fn has(self, kind: u64) -> bool {
        self.0 & kind != 0
    }
}

/// `VM_…` bits (include/linux/mm.h), the same in all releases.
const VM_EXEC: u64 = 4;
const VM_SHARED: u64 = 8;
const VM_IO: u64 = 1 << 14;
const VM_HUGETLB: u64 = 1 << 22;
const VM_DONTDUMP: u64 = 1 << 26;

/// An address space that a core is made of.
#[derive(Debug)]
pub struct Space {
    /// Its `mm_struct`.
    pub mm: VirtAddr,
    /// Its memory.
    pub map: UserMap,
    /// Its mappings.
    pub vmas: Vmas,
}

impl Space {
    /// The address space at `mm`.
    ///
    /// # Errors
    /// Its page tables or mappings are not known.
    pub fn of(s: &Session, mm: VirtAddr) -> Result<Self> {
        Ok(Self { mm, map: address_space::user_memory_of(s, mm)?, vmas: vmas(s, mm)? })
    }
}

/// What there is of a part of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The bytes of a page.
    Bytes(&'a [u8]),
    /// Zeros, which nobody has touched.
    Zeros,
    /// Nothing that is known.
    Hole {
        /// Why.
        why: String,
        /// The dump lost it.
        is_loss: bool,
    },
}

/// A part of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The mapping.
    pub vma: Vma,
    /// The first address.
    pub at: u64,
    /// Bytes.
    pub len: u64,
    /// What there is.
    pub content: Content<'a>,
}

/// Why there is nothing of a mapping.
const UNTOUCHED: &str = "no page of it was touched";
const KERNELS_DATA: &str = "data of the kernel's that the vDSO reads ([vvar]): no core has it";

/// How much of a mapping belongs into a core.
enum Wanted {
    All,
    First,
    None(&'static str),
}

/// Where the parts of a core come from.
struct Reader<'s> {
    s: &'s Session,
    cached: CachedBytes<'s>,
    kinds: Kinds,
    files: FxHashMap<VirtAddr, std::result::Result<Arc<PageCache>, String>>,
}

/// Gives all parts of a process's memory, ascending.
///
/// # Errors
/// Those of `each`.
pub fn memory<E>(
    s: &Session,
    space: &Space,
    kinds: Kinds,
    each: &mut dyn FnMut(Part<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut reader = Reader { s, cached: CachedBytes::of(s), kinds, files: FxHashMap::default() };
    for vma in &space.vmas.all {
        reader.mapping(space, *vma, each)?;
    }
    Ok(())
}

impl Reader<'_> {
    fn mapping<E>(
        &mut self,
        space: &Space,
        vma: Vma,
        each: &mut dyn FnMut(Part<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let hole = |at: u64, end: u64, why: String, is_loss| Part {
            vma,
            at,
            len: end.saturating_sub(at),
            content: Content::Hole { why, is_loss },
        };
        let special = special_mapping::of(self.s, space.mm, &vma);
        let wanted = match &special {
            Ok(Some(own)) if own.is_vdso() => Ok(Wanted::All),
            // /proc/PID/mem has no bytes of it either
            Ok(Some(_)) if vma.flags & VM_IO != 0 => Ok(Wanted::None(KERNELS_DATA)),
            _ => self.wanted(&vma),
        };
        let end = match wanted {
            Ok(Wanted::All) => vma.end,
            Ok(Wanted::First) => vma.start.saturating_add(self.s.page_size()).min(vma.end),
            Ok(Wanted::None(why)) => return each(hole(vma.start, vma.end, why.to_owned(), false)),
            Err(e) => return each(hole(vma.start, vma.end, e.to_string(), e.is_loss())),
        };
        // memory of a driver, or a page of the kernel's: nothing tells what an untouched page of it holds
        let is_plain = vma.file.is_null()
            && self.s.bind::<VmaStruct>().ops.ptr(self.s.mem(), vma.at).is_ok_and(VirtAddr::is_null);
        let mut page = vec![0; usize::try_from(self.s.page_size()).unwrap_or(0)];
        for run in runs(self.s, &space.map, Vma { end, ..vma }) {
            let bytes = run.pages.saturating_mul(self.s.page_size());
            let part = |content| Part { vma, at: run.at.0, len: bytes, content };
            let lost = |why: String, is_loss| part(Content::Hole { why, is_loss });
            match run.place {
                Place::Memory(at) => match self.page(at, &mut page) {
                    Ok(()) => each(part(Content::Bytes(&page)))?,
                    Err(e) => each(lost(e.why.to_string(), e.why.is_loss()))?,
                },
                Place::Nowhere if is_plain => each(part(Content::Zeros))?,
                Place::Nowhere => self.untouched(space, vma, &special, run.at.0, bytes, each)?,
                Place::File(offset) => self.of_file(vma, run.at.0, bytes, offset, each)?,
                Place::Swap(swapped) => {
                    let file = swapped.file.unwrap_or_else(|| format!("device {}", swapped.kind));
                    each(lost(format!("in swap: {file}"), false))?;
                }
                Place::Other(_) => {
                    each(lost("on its way to another place, broken, or a mark".to_owned(), false))?
                }
                Place::Lost(m) => each(lost(format!("the page table at {m}"), true))?,
            }
        }
        if end < vma.end {
            each(hole(end, vma.end, "not asked for".to_owned(), false))?;
        }
        Ok(())
    }

    /// Pages of a mapping without a file that the process has not touched: the vDSO's are where the kernel has them.
    fn untouched<E>(
        &self,
        space: &Space,
        vma: Vma,
        special: &Result<Option<Special>>,
        from: u64,
        bytes: u64,
        each: &mut dyn FnMut(Part<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let size = self.s.page_size().max(1);
        let hole =
            |at, len, why: String, is_loss| Part { vma, at, len, content: Content::Hole { why, is_loss } };
        let own = match special {
            Ok(Some(own)) => own,
            Ok(None) => return each(hole(from, bytes, UNTOUCHED.to_owned(), false)),
            Err(e) => return each(hole(from, bytes, format!("{UNTOUCHED}: {e}"), e.is_loss())),
        };
        let mut page = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut at = from;
        let end = from.saturating_add(bytes);
        while at < end {
            let len = size.min(end.saturating_sub(at));
            match special_mapping::untouched(self.s, space.mm, &vma, own, at) {
                Ok(Some(place)) => match self.page(place, &mut page) {
                    Ok(()) => each(Part { vma, at, len, content: Content::Bytes(&page) })?,
                    Err(e) => each(hole(at, len, e.why.to_string(), e.why.is_loss()))?,
                },
                Ok(None) => each(hole(at, len, UNTOUCHED.to_owned(), false))?,
                Err(e) => each(hole(at, len, format!("{UNTOUCHED}: {e}"), e.is_loss()))?,
            }
            at = at.saturating_add(len);
        }
        Ok(())
    }

    /// How much of a mapping is wanted: `vma_dump_size` (fs/coredump.c).
    fn wanted(&self, vma: &Vma) -> Result<Wanted> {
        const UNASKED: &str = "not asked for";
        let (s, kinds) = (self.s, self.kinds);
        let either = |is_asked| if is_asked { Wanted::All } else { Wanted::None(UNASKED) };
        if vma.flags & VM_DONTDUMP != 0 && !kinds.has(Kinds::DONT_DUMP) {
            return Ok(Wanted::None("the process asked for it not to be dumped (MADV_DONTDUMP)"));
        }
        let is_shared = vma.flags & VM_SHARED != 0;
        if vma.flags & VM_HUGETLB != 0 {
            return Ok(either(kinds.has(if is_shared { Kinds::HUGE_SHARED } else { Kinds::HUGE_PRIVATE })));
        }
        if vma.flags & VM_IO != 0 {
            return Ok(Wanted::None("memory of a device"));
        }
        if is_shared {
            // one that has no name any more is as good as anonymous
            let is_anonymous = match vma.file.is_null() {
                true => true,
                false => {
                    let inode = s.bind::<FileStruct>().inode.ptr(s.mem(), vma.file)?;
                    inode::links(s, inode)? == 0
                }
            };
            return Ok(either(kinds.has(if is_anonymous { Kinds::ANON_SHARED } else { Kinds::FILE_SHARED })));
        }
        let b = s.bind::<VmaStruct>();
        let own_pages = !b.anon.ptr(s.mem(), vma.at)?.is_null();
        if own_pages && kinds.has(Kinds::ANON_PRIVATE) {
            return Ok(Wanted::All);
        }
        if vma.file.is_null() {
            // a page of the kernel's (vdso) is always wanted
            let is_special = !b.ops.ptr(s.mem(), vma.at)?.is_null();
            return Ok(match (is_special, own_pages) {
                (true, _) => Wanted::All,
                (false, true) => Wanted::None(UNASKED),
                (false, false) => Wanted::None("never written to"),
            });
        }
        let begins = vma.pgoff == 0 && vma.flags & VM_EXEC == 0 && kinds.has(Kinds::HEADERS);
        Ok(match kinds.has(Kinds::FILE_PRIVATE) {
            true => Wanted::All,
            false if begins => Wanted::First,
            false => Wanted::None(UNASKED),
        })
    }

    fn page(&self, at: PhysAddr, buf: &mut [u8]) -> std::result::Result<(), Missing> {
        self.s.phys().read_phys(at, buf)
    }

    /// What the page cache has of a part of a mapped file that no page table maps.
    fn of_file<E>(
        &mut self,
        vma: Vma,
        at: u64,
        len: u64,
        offset: u64,
        each: &mut dyn FnMut(Part<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let size = self.s.page_size();
        let hole = |from: u64, to: u64, why: String, is_loss| {
            let (at, len) = (at.saturating_add(from), to.saturating_sub(from));
            Part { vma, at, len, content: Content::Hole { why, is_loss } }
        };
        const NOT_CACHED: &str = "in its file, and not in the page cache";
        let cache = match self.cache(vma) {
            Ok(cache) => cache,
            Err(why) => return each(hole(0, len, why, false)),
        };
        let first = offset >> self.s.page_shift();
        let from = cache.pages.partition_point(|one| one.index < first);
        let mut page = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut done = 0;
        for one in cache.pages.iter().skip(from) {
            let begin = one.index.saturating_sub(first).saturating_mul(size);
            if begin >= len {
                break;
            }
            if begin > done {
                each(hole(done, begin, NOT_CACHED.to_owned(), false))?;
            }
            match self.cached(one, &mut page) {
                Ok(()) => each(Part {
                    vma,
                    at: at.saturating_add(begin),
                    len: size,
                    content: Content::Bytes(&page),
                })?,
                Err(e) => each(hole(begin, begin.saturating_add(size), e.0, e.1))?,
            }
            done = begin.saturating_add(size);
        }
        if done < len {
            each(hole(done, len, NOT_CACHED.to_owned(), false))?;
        }
        Ok(())
    }

    /// The page cache of a mapped file, or why it is not looked into.
    fn cache(&mut self, vma: Vma) -> std::result::Result<Arc<PageCache>, String> {
        if vma.flags & VM_HUGETLB != 0 {
            return Err("a huge page that is not mapped".to_owned());
        }
        let s = self.s;
        let read = || {
            let inode = s.bind::<FileStruct>().inode.ptr(s.mem(), vma.file)?;
            filemap::pages(s, inode)
        };
        let known = self.files.entry(vma.file).or_insert_with(|| match read() {
            Ok(cache) => Ok(Arc::new(cache)),
            Err(e) => Err(format!("the page cache of its file: {e}")),
        });
        known.clone()
    }

    /// The bytes of a cached page.
    fn cached(&self, one: &filemap::Cached, buf: &mut [u8]) -> std::result::Result<(), (String, bool)> {
        let at = self.cached.place(one).map_err(|e| (e.why, e.is_loss))?;
        self.page(at, buf).map_err(|e| (e.why.to_string(), e.why.is_loss()))
    }
}

/// A mapped file, as `NT_FILE` has it.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The mapping.
    pub vma: Vma,
    /// The file's path.
    pub path: Result<String>,
}

/// The files that a process has mapped, by address.
#[must_use]
pub fn mapped(s: &Session, space: &Space) -> Vec<Mapped> {
    let own = space.vmas.all.iter().filter(|vma| !vma.file.is_null());
    own.map(|vma| Mapped { vma: *vma, path: path::proc_path_of_file(s, vma.file) }).collect()
}
