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
        ops: "vm_ops",
        anon: "anon_vma",
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
///
/// # Errors
/// It is not in the dump, or the types do not know it.
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
///
/// # Errors
/// What leads to them is not in the dump, or the types do not know it. What is wrong with one of them is told in
/// [`Vmas`].
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
                // an address that no memory has is damage of the pointer to it
                let is_lost = e.is_missing() || e.is_loss() || !matches!(e, KernelError::Fault(_));
                let damage = |e: KernelError| KernelError::Damaged {
                    what: "list of mappings",
                    at,
                    why: format!("it leads there, and {e}"),
                };
                out.problem = Some(if is_lost { e } else { damage(e) });
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

/// Flags that every kernel from 3.10 on has at the same bits (include/linux/mm.h).
const LASTING: [(u32, &str); 24] = [
    (0, "READ"),
    (1, "WRITE"),
    (2, "EXEC"),
    (3, "SHARED"),
    (4, "MAYREAD"),
    (5, "MAYWRITE"),
    (6, "MAYEXEC"),
    (7, "MAYSHARE"),
    (8, "GROWSDOWN"),
    (10, "PFNMAP"),
    (13, "LOCKED"),
    (14, "IO"),
    (15, "SEQ_READ"),
    (16, "RAND_READ"),
    (17, "DONTCOPY"),
    (18, "DONTEXPAND"),
    (20, "ACCOUNT"),
    (21, "NORESERVE"),
    (22, "HUGETLB"),
    (26, "DONTDUMP"),
    (28, "MIXEDMAP"),
    (29, "HUGEPAGE"),
    (30, "NOHUGEPAGE"),
    (31, "MERGEABLE"),
];

/// The names of the flags of mappings, `(bit, name)`: by the kernel's own table (`vmaflag_names`, mm/debug.c, 4.6
/// edf14cdbf9a0); those that have never changed, where there is none. A bit without a name here is not known.
///
/// # Errors
/// The table is not in the dump.
pub fn flag_names(s: &Session) -> Result<Vec<(u32, String)>> {
    let own = match crate::mm::page::printed_flags(s, "vmaflag_names") {
        // a kernel that names its functions alone does not say where the table is
        Err(e) if !e.is_loss() => None,
        own => own?.filter(|all| !all.is_empty()),
    };
    let mut out: Vec<(u32, String)> = match own {
        // a name for several bits at once is not one of a bit
        Some(all) => {
            let single = all.into_iter().filter(|(mask, _)| mask.is_power_of_two());
            single.map(|(mask, name)| (mask.trailing_zeros(), name.to_uppercase())).collect()
        }
        None => LASTING.iter().map(|(bit, name)| (*bit, (*name).to_owned())).collect(),
    };
    out.sort_by_key(|(bit, _)| *bit);
    out.dedup_by_key(|(bit, _)| *bit);
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
    fn names_of_flags_are_the_kernels_own_where_it_has_them() {
        let mut k = Kernel::new();
        let bit = |k: &Kernel, n: u32| {
            flag_names(&session(k)).unwrap().into_iter().find(|(bit, _)| *bit == n).map(|(_, name)| name)
        };
        assert_eq!(bit(&k, 2).as_deref(), Some("EXEC"));
        assert_eq!(bit(&k, 11), None, "DENYWRITE until 5.14");
        let table = k.variable("vmaflag_names", 5 * 16);
        for (n, (mask, name)) in
            (0..).zip([(4, "exec"), (0x800, "maybe_new"), (0xf000, "several"), (0x10, "mayread")])
        {
            let text = k.text(name);
            k.word(table + n * 16, mask).word(table + n * 16 + 8, text);
        }
        assert_eq!(bit(&k, 2).as_deref(), Some("EXEC"));
        assert_eq!(bit(&k, 11).as_deref(), Some("MAYBE_NEW"));
        assert_eq!((bit(&k, 12), bit(&k, 0)), (None, None));
    }

    #[test]
    fn flags_by_each_of_their_names() {
        for name in ["vm_flags", "__vm_flags", "flags"] {
            assert_eq!(mappings(2, |_, vma| vma, name).all[1].flags, 0x71, "{name}");
        }
    }
}
