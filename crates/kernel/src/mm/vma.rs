//! The mappings of a process (`struct vm_area_struct`): in a maple tree since 6.1 (524e00b36e8c, 763ecb035029),
//! a list before.

use crate::containers::maple;
use crate::error::{KernelError, Result};
use crate::mm::address_space::MmStruct;
use crate::plausible;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct vm_area_struct` (include/linux/mm_types.h)
    pub struct VmaStruct("vm_area_struct") {
        start: "vm_start",
        end: "vm_end",
        flags: "vm_flags" | "__vm_flags" | "flags", // 6.3 (bc292ab00f6c); a bitmap beside it: its first word
        file: "vm_file",
        pgoff: "vm_pgoff",
        next: "vm_next",
        mm: "vm_mm",
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
        // a fork that failed marks the first mapping that it did not copy: what follows is the parent's
        let copied = entries.reserved.unwrap_or(u64::MAX);
        for entry in entries.all.into_iter().filter(|entry| entry.first < copied) {
            match read(s, entry.value) {
                // the tree has it by its addresses: with others it is none, or overwritten
                Ok(vma) if vma.end <= vma.start || vma.end <= entry.first || vma.start > entry.last => {
                    let why = format!("it begins at {:#x} and ends at {:#x}", vma.start, vma.end);
                    out.problem.get_or_insert(plausible::not_one(
                        "vm_area_struct",
                        vma.at,
                        "mapping of its place",
                        &why,
                    ));
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// An address space of mappings `first..last` of 0x1000 bytes each, in one leaf; `at` gives what stands in a slot.
    fn mappings(count: u64, at: impl Fn(u64, u64) -> u64, flags: &str) -> Vmas {
        let mut k = Kernel::new();
        k.structure("maple_tree", 16, &[("ma_flags", 4, "u32"), ("ma_root", 8, "*void")]);
        k.structure("maple_range_64", 256, &[("pivot", 8, "u64[15]"), ("slot", 128, "*void[16]")]);
        k.structure("maple_node", 256, &[("parent", 0, "*void"), ("slot", 8, "*void[31]")]);
        k.structure("mm_struct", 64, &[("mm_mt", 16, "maple_tree")]);
        k.structure(
            "vm_area_struct",
            128,
            &[
                ("vm_start", 0, "u64"),
                ("vm_end", 8, "u64"),
                (flags, 32, "u64"),
                ("vm_file", 40, "*void"),
                ("vm_pgoff", 48, "u64"),
            ],
        );
        let (mm, leaf) = (k.object("mm_struct"), k.memory(256));
        k.set(mm, "mm_struct", "mm_mt.ma_root", leaf | 1 << 3 | 2);
        for n in 0..count {
            let vma = k.object("vm_area_struct");
            let (start, end) = (n * 0x1000, (n + 1) * 0x1000);
            k.set(vma, "vm_area_struct", "vm_start", start).set(vma, "vm_area_struct", "vm_end", end);
            k.set(vma, "vm_area_struct", flags, 0x70 + n);
            k.word(leaf + 8 + n * 8, end - 1).word(leaf + 128 + n * 8, at(n, vma));
        }
        vmas(&session(&k), VirtAddr(mm)).unwrap()
    }

    fn starts(all: &Vmas) -> Vec<u64> {
        all.all.iter().map(|v| v.start).collect()
    }

    /// 6.1 and later: a fork that failed leaves XA_ZERO_ENTRY at the first mapping that was not copied.
    #[test]
    fn a_failed_fork_s_mark_is_no_mapping_and_nothing_behind_it_counts() {
        let whole = mappings(5, |_, vma| vma, "vm_flags");
        assert_eq!(starts(&whole), [0, 0x1000, 0x2000, 0x3000, 0x4000]);
        let cut = mappings(5, |n, vma| if n == 2 { maple::RESERVED } else { vma }, "vm_flags");
        assert_eq!(starts(&cut), [0, 0x1000]);
        assert!(cut.problem.is_none(), "{:?}", cut.problem);
        let none = mappings(3, |_, _| maple::RESERVED, "vm_flags");
        assert!(none.all.is_empty() && none.problem.is_none());
    }

    #[test]
    fn flags_by_each_of_their_names() {
        for name in ["vm_flags", "__vm_flags", "flags"] {
            assert_eq!(mappings(2, |_, vma| vma, name).all[1].flags, 0x71, "{name}");
        }
    }
}
