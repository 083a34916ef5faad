//! What the machine's memory is used for, as /proc/meminfo tells it (fs/proc/meminfo.c), in pages. It costs no walk over all
//! pages: the kernel's own sums, and the inodes of block devices.

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::fs::inode::{AddressSpace, Inode, SuperBlock};
use crate::machine::system;
use crate::mm::address_space::percpu_counter;
use crate::mm::{hugetlb, swap, vmstat};
use crate::session::Session;

/// Huge pages, in usual pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Huge {
    /// In pools.
    pub total: u64,
    /// Of them free.
    pub free: u64,
}

/// Swap, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Room.
    pub total: u64,
    /// Taken.
    pub used: u64,
}

/// What may be promised to processes, and what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// What may be, where the kernel is strict (`CommitLimit`).
    pub limit: u64,
    /// What is (`Committed_AS`).
    pub committed: u64,
}

/// Memory that the allocator has (`MemTotal`).
///
/// # Errors
/// It is not known.
pub fn total(s: &Session) -> Result<u64> {
    if let Some(bytes) = system::managed_bytes(s) {
        return Ok(bytes / s.page_size());
    }
    // the sum of all zones is the same
    let mut pages = 0_u64;
    for zone in crate::mm::zone::nodes(s)?.into_iter().flat_map(|node| node.zones) {
        pages = pages.saturating_add(zone.managed?);
    }
    Ok(pages)
}

/// Free memory (`MemFree`).
///
/// # Errors
/// As of [`vmstat::total`], as of all that follow.
pub fn free(s: &Session) -> Result<u64> {
    vmstat::total(s, &["NR_FREE_PAGES"])
}

/// Pages in slabs (`Slab`).
///
/// # Errors
/// As of [`vmstat::total`].
pub fn slab(s: &Session) -> Result<u64> {
    // in bytes by name since 5.9 (d42f3245c7e2), in pages in the sum
    let reclaimable = vmstat::total(s, &["NR_SLAB_RECLAIMABLE", "NR_SLAB_RECLAIMABLE_B"])?;
    let other = vmstat::total(s, &["NR_SLAB_UNRECLAIMABLE", "NR_SLAB_UNRECLAIMABLE_B"])?;
    Ok(reclaimable.saturating_add(other))
}

/// Pages of block devices in the page cache (`Buffers`): of the inodes of the file system that has them all.
///
/// # Errors
/// The list of those inodes is not known or not whole.
pub fn buffers(s: &Session) -> Result<u64> {
    let mem = s.mem();
    let sb = mem.ptr(s.need_symbol("blockdev_superblock")?)?;
    let (inode, cache) = (s.bind::<Inode>(), s.bind::<AddressSpace>());
    let mut pages = 0_u64;
    let mut add = |link| {
        let at = inode.in_sb.container(link)?;
        pages = pages.saturating_add(cache.count.u64(mem, inode.mapping.ptr(mem, at)?)?);
        Ok(())
    };
    match both_ways(mem, s.bind::<SuperBlock>().inodes.at(sb)?, &mut add).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(pages),
    }
}

/// Pages of files in memory, without those of block devices and of swap (`Cached`).
///
/// # Errors
/// One of these is not known.
pub fn cached(s: &Session) -> Result<u64> {
    cached_of(vmstat::total(s, &["NR_FILE_PAGES"]), &swap::cached(s), &buffers(s))
}

/// The same of what was read: pages of files, of swap in memory, of block devices.
pub(crate) fn cached_of(files: Result<u64>, swapped: &Result<u64>, buffers: &Result<u64>) -> Result<u64> {
    let other = swapped.clone()?.saturating_add(buffers.clone()?);
    Ok(files?.saturating_sub(other))
}

/// Huge pages.
///
/// # Errors
/// As of [`hugetlb::pools`].
pub fn huge(s: &Session) -> Result<Huge> {
    let mut out = Huge::default();
    for pool in hugetlb::pools(s)? {
        let pages = |count: u64| count.saturating_mul(1 << pool.order.min(30));
        out.total = out.total.saturating_add(pages(pool.total?));
        out.free = out.free.saturating_add(pages(pool.free?));
    }
    Ok(out)
}

/// Swap.
///
/// # Errors
/// As of [`swap::devices`]; one device is not known.
pub fn swap(s: &Session) -> Result<Swap> {
    let found = swap::devices(s)?;
    if let Some(problem) = found.problem {
        return Err(problem);
    }
    let mut out = Swap::default();
    for device in found.list {
        out.total = out.total.saturating_add(device.pages?);
        out.used = out.used.saturating_add(device.used?);
    }
    Ok(out)
}

/// What may be promised and what is.
///
/// # Errors
/// A part of it is not known.
pub fn commit(s: &Session) -> Result<Commit> {
    let mem = s.mem();
    // 3.14 (49f0ce5f9232)
    let fixed = match s.optional_symbol("sysctl_overcommit_kbytes")? {
        Some(at) => mem.u64(at)?,
        None => 0,
    };
    let of_memory = match fixed {
        0 => {
            let ratio = u64::from(mem.u32(s.need_symbol("sysctl_overcommit_ratio")?)?);
            // a kernel without huge pages has none in pools
            let huge = match huge(s) {
                Err(KernelError::NoSymbol(_)) => Huge::default(),
                huge => huge?,
            };
            total(s)?.saturating_sub(huge.total).saturating_mul(ratio) / 100
        }
        kib => kib / (s.page_size() / 1024).max(1),
    };
    let swap = match swap(s) {
        Err(KernelError::NoSymbol(_)) => Swap::default(),
        swap => swap?,
    };
    let sum = percpu_counter(s, s.need_symbol("vm_committed_as")?)?;
    let committed = u64::try_from(sum).unwrap_or(0); // less than none is none, as the kernel has it
    Ok(Commit { limit: of_memory.saturating_add(swap.total), committed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    fn kernel() -> Kernel {
        let mut k = Kernel::new();
        k.list_head();
        k.structure("address_space", 64, &[("host", 0, "*void"), ("nrpages", 8, "u64")]);
        let members =
            [("i_mapping", 0, "*void"), ("i_data", 64, "address_space"), ("i_sb_list", 16, "list_head")];
        k.structure("inode", 128, &members);
        k.structure("super_block", 64, &[("s_inodes", 8, "list_head")]);
        k.enumeration("zone_stat_item", &[("NR_FREE_PAGES", 0), ("NR_VM_ZONE_STAT_ITEMS", 1)]);
        k.enumeration(
            "node_stat_item",
            &[
                ("NR_SLAB_RECLAIMABLE_B", 0),
                ("NR_SLAB_UNRECLAIMABLE_B", 1),
                ("NR_FILE_PAGES", 2),
                ("NR_SWAPCACHE", 3),
                ("NR_VM_NODE_STAT_ITEMS", 4),
            ],
        );
        let (zone, node) = (k.variable("vm_zone_stat", 8), k.variable("vm_node_stat", 32));
        k.word(zone, 500).word(node, 40).word(node + 8, 2).word(node + 16, 300).word(node + 24, 7);
        let pages = k.variable("_totalram_pages", 8);
        k.word(pages, 1000);
        let (root, sb) = (k.variable("blockdev_superblock", 8), k.object("super_block"));
        k.word(root, sb);
        let inodes = [10, 3].map(|pages| {
            let at = k.object("inode");
            k.word(at, at + 64).word(at + 72, pages);
            at
        });
        k.link(sb + 8, &inodes.map(|at| at + 16));
        k
    }

    #[test]
    fn each_sum_is_the_kernels() {
        let s = session(&kernel());
        let shown = [total(&s), free(&s), slab(&s), buffers(&s), cached(&s)].map(Result::unwrap);
        assert_eq!(shown, [1000, 500, 42, 13, 300 - 7 - 13]);
        assert!(huge(&s).is_err() && swap(&s).is_err(), "it has neither");
    }

    #[test]
    fn what_may_be_promised() {
        let mut k = kernel();
        k.structure("percpu_counter", 40, &[("count", 8, "s64"), ("counters", 32, "*s32")]);
        let (ratio, sum) = (k.variable("sysctl_overcommit_ratio", 4), k.variable("vm_committed_as", 40));
        k.half(ratio, 50).word(sum + 8, 77);
        assert_eq!(commit(&session(&k)).unwrap(), Commit { limit: 500, committed: 77 });
        let fixed = k.variable("sysctl_overcommit_kbytes", 8);
        k.word(fixed, 400);
        assert_eq!(commit(&session(&k)).unwrap().limit, 100);
    }

    #[test]
    fn an_inode_that_is_lost_is_not_none() {
        let mut k = kernel();
        let sb = k.at("blockdev_superblock");
        k.word(sb, 0x1234);
        let s = session(&k);
        assert!(buffers(&s).is_err() && cached(&s).is_err());
        assert_eq!(free(&s).unwrap(), 500);
    }
}
