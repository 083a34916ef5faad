//! Shared memory (ipc/shm.c): each segment is a file that no directory has, of tmpfs or, with huge pages, of hugetlbfs.

use super::util::{Facility, Found, Perm, objects};
use crate::containers::xarray;
use crate::error::Result;
use crate::fs::inode::{self, AddressSpace, Inode, SuperBlock};
use crate::fs::path::FileStruct;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct shmid_kernel`
    struct ShmidKernel("shmid_kernel") {
        perm: "shm_perm",
        bytes: "shm_segsz",
        attached: "shm_nattch",
        file: "shm_file",
    }
}
bind! {
    /// `struct shmem_inode_info`
    struct ShmemInode("shmem_inode_info") { inode: "vfs_inode", swapped: "swapped" }
}

/// What `Perm::mode` says of a segment beside its permissions: `SHM_DEST`, `SHM_LOCKED` (include/linux/shm.h).
const STATES: [(u64, &str); 2] = [(0o1000, "dest"), (0o2000, "locked")];

/// A `shmid_kernel`.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its `struct shmid_kernel`.
    pub at: VirtAddr,
    /// What every object has.
    pub perm: Perm,
    /// Its size.
    pub bytes: Result<u64>,
    /// How often it is attached.
    pub attached: Result<u64>,
}

/// A segment's memory, in pages of the machine.
#[derive(Clone, Debug)]
pub struct Pages {
    /// The inode of its file.
    pub inode: Result<VirtAddr>,
    /// What it may take.
    pub allocated: Result<u64>,
    /// What it has in memory.
    pub resident: Result<u64>,
    /// What it has in swap.
    pub swapped: Result<u64>,
}

/// The segments of a namespace.
///
/// # Errors
/// The kernel's types do not know them, or their table is not in the dump.
pub fn segments(s: &Session, namespace: VirtAddr) -> Result<Found<Segment>> {
    let b = s.bind::<ShmidKernel>();
    objects(s, namespace, Facility::Memory, &b.perm, |at, perm| Segment {
        at,
        perm,
        bytes: b.bytes.num(s.mem(), at),
        attached: b.attached.num(s.mem(), at),
    })
}

/// What a segment's mode says of it: `dest` for one that goes when nobody is attached any more, `locked` for one that stays in
/// memory.
#[must_use]
pub fn states(mode: u64) -> Vec<&'static str> {
    STATES.into_iter().filter(|(bit, _)| mode & bit != 0).map(|(_, name)| name).collect()
}

/// Where a segment's memory is.
#[must_use]
pub fn pages(s: &Session, segment: &Segment) -> Pages {
    let file = s.bind::<ShmidKernel>().file.ptr(s.mem(), segment.at);
    let inode = file.and_then(|file| s.bind::<FileStruct>().inode.ptr(s.mem(), file));
    let held = |count: fn(&Session, VirtAddr) -> Result<u64>| inode.clone().and_then(|inode| count(s, inode));
    Pages {
        resident: held(resident),
        swapped: held(swapped),
        allocated: segment.bytes.clone().map(|bytes| bytes.div_ceil(s.page_size())),
        inode,
    }
}

fn is_huge(s: &Session, inode: VirtAddr) -> Result<bool> {
    Ok(inode::kind(s, inode)? == "hugetlbfs")
}

fn resident(s: &Session, inode: VirtAddr) -> Result<u64> {
    let mem = s.mem();
    let b = s.bind::<AddressSpace>();
    let mapping = s.bind::<Inode>().mapping.ptr(mem, inode)?;
    if !is_huge(s, inode)? {
        return b.count.num(mem, mapping);
    }
    // whether nrpages counts huge pages or usual ones changed in 6.7 (a08c7193e4f1): the huge ones themselves are counted
    let head = xarray::head(s, b.pages.at(mapping)?)?;
    let found = xarray::entries(mem, xarray::Layout::of(s)?, head);
    if let Some(problem) = found.problems.into_iter().next() {
        return Err(problem);
    }
    let sb = s.bind::<Inode>().sb.ptr(mem, inode)?;
    let each = s.bind::<SuperBlock>().block.num(mem, sb)? / s.page_size();
    Ok((found.all.len() as u64).saturating_mul(each))
}

fn swapped(s: &Session, inode: VirtAddr) -> Result<u64> {
    if is_huge(s, inode)? {
        return Ok(0); // huge pages are never swapped
    }
    let b = s.bind::<ShmemInode>();
    b.swapped.num(s.mem(), b.inode.container(inode)?)
}
