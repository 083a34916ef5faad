//! Who had the memory, in words.

use crate::model::{HugePool, Memory, PageKind};
use crate::words::joined;
use std::fmt;

/// `183 MiB`, `12 KiB`
pub(super) fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Total { present, managed: Some(managed) } => {
                write!(f, "memory: {} MiB that the kernel hands out (MemTotal)", managed >> 20)?;
                present.iter().try_for_each(|all| write!(f, ", of {} MiB that the machine has", all >> 20))
            }
            Memory::Total { present, managed: None } => {
                let all = present.map_or_else(|| "?".to_owned(), |all| (all >> 20).to_string());
                write!(
                    f,
                    "memory: {all} MiB that the machine has; how much of it the kernel hands out is not known"
                )
            }
            Memory::Kinds(kinds) => {
                let each = kinds.iter().map(|(kind, bytes)| format!("{kind} {}", size(*bytes)));
                write!(f, "pages: {}", joined(each, ", "))
            }
            Memory::Group { name, used, limit, full: true } => {
                write!(f, "the memory of the control group {name} is at its limit: {used} of {limit}")
            }
            Memory::Group { name, used, limit, full: false } => {
                write!(f, "the control group {name} has {used} of the {limit} of memory that it may have")
            }
            Memory::Huge(pools) => write!(f, "set aside as huge pages: {}", joined(pools, ", ")),
            Memory::Caches { caches, unknown, problem } => {
                let each = caches.iter().map(|(name, bytes)| format!("{name} {}", size(*bytes)));
                write!(f, "slab caches: {}", joined(each, ", "))?;
                if *unknown > 0 {
                    write!(f, "; of {unknown} more it is not known")?;
                }
                problem.iter().try_for_each(|e| write!(f, "; there may be more caches: {e}"))
            }
            Memory::Process(who, bytes) => write!(f, "{who}: {} resident", size(*bytes)),
            Memory::Many(name, count, bytes) => {
                write!(f, "{count} processes {name}: {} resident together", size(*bytes))
            }
            Memory::Unknown(count) => write!(f, "the memory of {count} more processes is not known"),
        }
    }
}

impl fmt::Display for PageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PageKind::Anonymous => "anonymous (with shared memory)",
            PageKind::Cache => "files in the page cache",
            PageKind::Unevictable => "unevictable",
            PageKind::Reclaimable => "reclaimable slab",
            PageKind::Unreclaimable => "unreclaimable slab",
            PageKind::Shared => "shared memory alone (shmem)",
            PageKind::Tables => "page tables",
            PageKind::Stacks => "kernel stacks",
            PageKind::Free => "free",
        })
    }
}

impl fmt::Display for HugePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.total.saturating_mul(self.kilobytes).saturating_mul(1024);
        let Self { kilobytes, total, free } = self;
        write!(f, "{} ({total} of {kilobytes} kB, {free} of them not used)", size(bytes))
    }
}
