//! Disks and the numbers of their drivers (block/genhd.c, block/bdev.c).
//!
//! Shape decides where disks are found: each has an inode among those of block devices since 5.11 (22ae8ce8b892); before, they
//! are in the map of device numbers (`bdev_map`).

use crate::containers::chain::Chains;
use crate::containers::list::both_ways;
use crate::driver::map::{self, numbers};
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct gendisk`
    struct Gendisk("gendisk") { major: "major", minor: "first_minor", name: "disk_name", ops: "fops", queue: "queue" }
}
bind! {
    /// `struct block_device`
    struct BlockDevice("block_device") { disk: "bd_disk" }
}
bind! {
    /// `struct bdev_inode`
    struct BdevInode("bdev_inode") { device: "bdev", inode: "vfs_inode" }
}
bind! {
    /// `struct super_block` of all block devices
    struct BdevSuper("super_block") { inodes: "s_inodes" }
}
bind! {
    /// `struct inode`
    struct BdevLink("inode") { link: "i_sb_list" }
}
bind! {
    /// `struct blk_major_name`
    struct BlkMajorName("blk_major_name") { next: "next", major: "major", name: "name" }
}

/// Chains of the table of names (`BLKDEV_MAJOR_HASH_SIZE`).
const CHAINS: u64 = 255;
/// More names than a machine has.
const MAX_NAMES: usize = 65536;

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// `struct gendisk`
    pub at: VirtAddr,
    /// Its major number.
    pub major: u64,
    /// Its first minor number.
    pub minor: u64,
    /// Its name.
    pub name: String,
    /// Its operations.
    pub ops: Result<VirtAddr>,
    /// Its queue of requests.
    pub queue: Result<VirtAddr>,
}

/// The disks in the order of their numbers, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct Disks {
    /// The disks.
    pub all: Vec<Disk>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// The disks.
///
/// # Errors
/// Neither way to them is known in this kernel.
pub fn disks(s: &Session) -> Result<Disks> {
    let (places, problems) = match s.symbol("bdev_map") {
        Some(_) => of_map(s)?,
        None => of_inodes(s)?,
    };
    let mut out = Disks { problems, ..Disks::default() };
    let mut seen = FxHashSet::default();
    for (at, wanted) in places {
        if !seen.insert(at) {
            continue;
        }
        match disk(s, at) {
            // what a driver keeps in the map may be something else than a disk
            Ok(Some(disk)) if wanted.is_none_or(|wanted| wanted == (disk.major, disk.minor)) => {
                out.all.push(disk)
            }
            Ok(_) if wanted.is_some() => {}
            Err(e) if wanted.is_some() && !e.is_loss() => {}
            Ok(_) => {
                let why = "it has no name".to_owned();
                out.problems.push(KernelError::Damaged { what: "gendisk", at, why });
            }
            Err(e) => out.problems.push(e),
        }
    }
    out.all.sort_by_key(|disk| (disk.major, disk.minor));
    Ok(out)
}

type Places = (Vec<(VirtAddr, Option<(u64, u64)>)>, Vec<KernelError>);

fn of_map(s: &Session) -> Result<Places> {
    let (entries, problems) = map::entries(s, "bdev_map")?;
    let places = entries.iter().filter(|entry| s.arch().is_kernel(entry.data));
    Ok((places.map(|entry| (entry.data, Some(numbers(entry.device)))).collect(), problems))
}

fn of_inodes(s: &Session) -> Result<Places> {
    let mem = s.mem();
    let sb = mem.ptr(s.need_symbol("blockdev_superblock")?)?;
    let (own, link, b) = (s.bind::<BdevInode>(), s.bind::<BdevLink>(), s.bind::<BlockDevice>());
    own.device.offset()?;
    let mut places = Vec::new();
    let problems = both_ways(mem, s.bind::<BdevSuper>().inodes.at(sb)?, &mut |at| {
        let inode = link.link.container(at)?;
        let device = own.device.at(own.inode.container(inode)?)?;
        let disk = b.disk.ptr(mem, device)?;
        // the root of their file system is a directory, and no device
        if s.arch().is_kernel(disk) {
            places.push((disk, None));
        }
        Ok(())
    });
    Ok((places, problems))
}

/// One disk; none where there is no name of one.
fn disk(s: &Session, at: VirtAddr) -> Result<Option<Disk>> {
    let (b, mem) = (s.bind::<Gendisk>(), s.mem());
    let name = b.name.text(mem, at)?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(None);
    }
    Ok(Some(Disk {
        at,
        major: b.major.num(mem, at)? & 0xffff_ffff,
        minor: b.minor.num(mem, at)? & 0xffff_ffff,
        name,
        ops: b.ops.ptr(mem, at),
        queue: b.queue.ptr(mem, at),
    }))
}

/// A major number and the name of its driver.
#[derive(Clone, Debug)]
pub struct Major {
    /// The number.
    pub number: u64,
    /// The name.
    pub name: Result<String>,
}

/// The major numbers of block devices, ascending, and why there may be others.
///
/// # Errors
/// The variable or its types are not known.
pub fn majors(s: &Session) -> Result<(Vec<Major>, Vec<KernelError>)> {
    let (b, mem, table) = (s.bind::<BlkMajorName>(), s.mem(), s.need_symbol("major_names")?);
    b.name.offset()?;
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    let mut chains = Chains::new("major_names", table, MAX_NAMES);
    for chain in 0..CHAINS {
        let first = mem.ptr(table.add(chain * 8)).map_err(KernelError::from);
        let end = chains.follow(0, first, &|at| b.next.ptr(mem, at), &mut |at| {
            match b.major.num(mem, at).map(|number| number & 0xffff_ffff) {
                Ok(number) if number % CHAINS == chain => {
                    all.push(Major { number, name: b.name.text(mem, at) });
                }
                Ok(number) => {
                    let why = format!("its major is {number}, and it is in chain {chain}");
                    problems.push(KernelError::Damaged { what: "blk_major_name", at, why });
                }
                Err(e) => problems.push(e),
            }
            Ok(())
        });
        problems.extend(end.err());
    }
    all.sort_by_key(|major| major.number);
    Ok((all, problems))
}
