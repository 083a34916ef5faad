//! The mappings of a process (`struct vm_area_struct`): in a maple tree since 6.1 (524e00b36e8c, 763ecb035029),
//! a list before.

use crate::error::{KernelError, Result};
use crate::maple;
use crate::mm::MmStruct;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct vm_area_struct` (include/linux/mm_types.h)
    pub struct VmaStruct("vm_area_struct") {
        start: "vm_start",
        end: "vm_end",
        flags: "vm_flags" | "__vm_flags", // 6.3 (bc292ab00f6c)
        file: "vm_file",
        pgoff: "vm_pgoff",
        next: "vm_next",
        mm: "vm_mm",
        anon_vma: "anon_vma",
    }
}

/// More mappings than sysctl vm.max_map_count can allow.
const MAX_VMAS: usize = 1 << 22;

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vma {
    /// Its `vm_area_struct`.
    pub at: VirtAddr,
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// `VM_…` flags.
    pub flags: u64,
    /// The mapped `struct file`; null for anonymous memory.
    pub file: VirtAddr,
    /// Where in the file it begins, in pages.
    pub pgoff: u64,
}

/// All mappings of an address space, ascending, as far as they could be read.
#[derive(Debug, Default)]
pub struct Vmas {
    /// The mappings.
    pub all: Vec<Vma>,
    /// The first damage.
    pub problem: Option<KernelError>,
}

impl Vmas {
    /// The mapping that an address lies in.
    #[must_use]
    pub fn at(&self, at: VirtAddr) -> Option<&Vma> {
        self.all.iter().find(|v| v.start <= at.0 && at.0 < v.end)
    }
}

/// Reads one mapping.
pub fn read(s: &Session, at: VirtAddr) -> Result<Vma> {
    let mem = s.mem();
    let b = s.bind::<VmaStruct>();
    Ok(Vma {
        at,
        start: b.start.u64(mem, at)?,
        end: b.end.u64(mem, at)?,
        flags: b.flags.u64(mem, at)?,
        file: b.file.ptr(mem, at)?,
        pgoff: b.pgoff.u64(mem, at)?,
    })
}

/// Reads the mappings of the address space at `mm`.
pub fn vmas(s: &Session, mm: VirtAddr) -> Result<Vmas> {
    let b = s.bind::<MmStruct>();
    let mut out = Vmas::default();
    if b.mm_mt.exists() {
        let entries = maple::entries(s, b.mm_mt.at(mm)?)?;
        out.problem = entries.problem;
        for entry in entries.all {
            match read(s, entry.value) {
                Ok(vma) => out.all.push(vma),
                Err(e) => {
                    out.problem.get_or_insert(e);
                }
            }
        }
        return Ok(out);
    }
    let next = &s.bind::<VmaStruct>().next;
    let mut at = b.mmap.ptr(s.mem(), mm)?;
    let mut last_end = 0;
    while !at.is_null() {
        let step = read(s, at).and_then(|vma| Ok((vma, next.ptr(s.mem(), at)?)));
        let (vma, after) = match step {
            Ok(both) => both,
            Err(e) => {
                out.problem = Some(e);
                break;
            }
        };
        // mappings ascend: a list that does not is damaged, and cannot run in a circle unseen
        if vma.start < last_end || vma.end <= vma.start || out.all.len() >= MAX_VMAS {
            out.problem = Some(KernelError::Damaged {
                what: "list of mappings",
                at,
                why: "its addresses do not ascend".into(),
            });
            break;
        }
        last_end = vma.end;
        out.all.push(vma);
        at = after;
    }
    Ok(out)
}
