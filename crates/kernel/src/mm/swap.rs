//! Swap devices (`swap_info`, mm/swapfile.c), and the entries of page tables that name them.

use crate::error::{KernelError, Result};
use crate::fs::inode::{self, AddressSpace, FileType};
use crate::fs::path::{self, FileStruct};
use crate::mm::vmstat;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct swap_info_struct` (include/linux/swap.h)
    pub struct SwapInfo("swap_info_struct") {
        flags: "flags",
        pages: "pages",
        max: "max",
        inuse: "inuse_pages",
        swap_file: "swap_file",
        kind: "type",
        prio: "prio",
    }
}
/// A type has five bits; the highest ones are no devices (migration, poisoned memory, markers and others).
const MAX_TYPES: u64 = 32;

/// Address spaces of a device: one for 64 MiB.
const MAX_SPACES: u64 = 1 << 24;

/// How many types were ever in use; why that is not known.
fn ever_used(s: &Session) -> Result<u64> {
    let at = s.symbol("nr_swapfiles").ok_or_else(|| s.no_symbol("nr_swapfiles"))?;
    Ok(u64::from(s.mem().u32(at)?).min(MAX_TYPES))
}

/// The `swap_info_struct` in a slot of the table; none where nothing is there that knows its own number.
fn in_slot(s: &Session, table: VirtAddr, kind: u64) -> Result<Option<VirtAddr>> {
    // an array of pointers since 2.6.33 (efa90a981bbc)
    let at = s.mem().ptr(table.add(kind * 8))?;
    let own = &s.bind::<SwapInfo>().kind;
    let is_own = s.arch().is_kernel(at) && (!own.exists() || own.num(s.mem(), at)? == kind);
    Ok(is_own.then_some(at))
}

/// The `swap_info_struct` of a type, where there is one, of those that were ever in use.
pub fn info(s: &Session, kind: u64) -> Option<VirtAddr> {
    let table = s.symbol("swap_info")?;
    let is_used = kind < ever_used(s).unwrap_or(MAX_TYPES);
    in_slot(s, table, kind).ok().flatten().filter(|_| is_used)
}

/// In `flags`: the entry is in use (`SWP_USED`, include/linux/swap.h).
const USED: u64 = 1;
/// In `inuse_pages` since 6.13 (b228386cf37a), where it is 64 bits wide: the device is on no list of those with room
/// (`SWAP_USAGE_OFFLIST_BIT`).
const OFF_LIST: u64 = 1 << 30;

/// A swap device or file that is in use.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number: the type in page table entries.
    pub kind: u64,
    /// Its `swap_info_struct`.
    pub at: VirtAddr,
    /// True for a block device, false for a file.
    pub is_partition: Result<bool>,
    /// How many pages it has room for.
    pub pages: Result<u64>,
    /// How many of them are taken.
    pub used: Result<u64>,
    /// The priority: the highest is filled first.
    pub priority: Result<i32>,
    /// The device's or file's path.
    pub file: Result<String>,
}

/// The swap devices of a machine.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// Those in use, by number.
    pub list: Vec<Device>,
    /// Why others may be missing.
    pub problem: Option<KernelError>,
}

/// The swap devices in use.
///
/// # Errors
/// The kernel was built without swap, or its symbols or types are not known.
pub fn devices(s: &Session) -> Result<Devices> {
    let table = s.symbol("swap_info").ok_or_else(|| s.no_symbol("swap_info"))?;
    let b = s.bind::<SwapInfo>();
    b.flags.offset()?;
    let mut out = Devices::default();
    let used = ever_used(s);
    for kind in 0..*used.as_ref().unwrap_or(&MAX_TYPES) {
        let found = in_slot(s, table, kind);
        let flags = |at: VirtAddr| Ok((at, b.flags.num(s.mem(), at)?));
        match found.and_then(|at| at.map(flags).transpose()) {
            Ok(Some((at, flags))) if flags & USED != 0 => out.list.push(device(s, kind, at)),
            Ok(_) => {}
            Err(e) => out.problem = out.problem.or(Some(e)),
        }
    }
    // a kernel of which only the names of functions are known hides none of them
    out.problem = out.problem.or(used.err().filter(KernelError::is_loss));
    Ok(out)
}

fn device(s: &Session, kind: u64, at: VirtAddr) -> Device {
    let (b, mem) = (s.bind::<SwapInfo>(), s.mem());
    let kind_of_file =
        || inode::file_type(s, s.bind::<FileStruct>().inode.ptr(mem, b.swap_file.ptr(mem, at)?)?);
    let off_list = if b.inuse.size().is_ok_and(|size| size == 8) { OFF_LIST } else { 0 };
    Device {
        kind,
        at,
        is_partition: kind_of_file().map(|kind| kind == FileType::Block),
        pages: b.pages.num(mem, at),
        used: b.inuse.num(mem, at).map(|pages| pages & !off_list),
        priority: b.prio.int(mem, at).map(|prio| i32::try_from(prio).unwrap_or_default()),
        file: file(s, at),
    }
}

/// Pages of swap that are in memory too: as the kernel counts them since 5.12 (b6038942480e), before it as the address spaces
/// of each type have them (3.9, 33806f06da65; several for each since 4.11, 4b3ef9daa4fc).
///
/// # Errors
/// The kernel was built without swap, or what counts them is not known.
pub fn cached(s: &Session) -> Result<u64> {
    let counted = vmstat::total(s, &["NR_SWAPCACHE"]);
    if !matches!(counted, Err(KernelError::NoEnumeration("NR_SWAPCACHE"))) {
        return counted;
    }
    // a kernel that has neither keeps nothing there
    let Some(spaces) = s.optional_symbol("swapper_spaces")? else { return Ok(0) };
    let (mem, b) = (s.mem(), s.bind::<AddressSpace>());
    let size = b.size.ok_or(KernelError::NoType("address_space"))?;
    let lengths = s.optional_symbol("nr_swapper_spaces")?;
    let mut pages = 0_u64;
    for kind in 0..ever_used(s)? {
        let (first, count) = match lengths {
            Some(lengths) => {
                let count = u64::from(mem.u32(lengths.add(kind * 4))?);
                (mem.ptr(spaces.add(kind * 8))?, count)
            }
            None => (spaces.add(kind * size), 1),
        };
        if count > MAX_SPACES {
            let why = format!("device {kind} has {count} address spaces");
            return Err(KernelError::Damaged { what: "nr_swapper_spaces", at: spaces, why });
        }
        // a device that was taken away has none
        for n in (0..count).filter(|_| !first.is_null()) {
            pages = pages.saturating_add(b.count.u64(mem, first.add(n * size))?);
        }
    }
    Ok(pages)
}

/// A page in swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Which device, by its number.
    pub kind: u64,
    /// The page in it.
    pub offset: u64,
    /// The device's or file's path, where the dump has it.
    pub file: Option<String>,
}

/// What a page table entry that is not present says about swap. How it is packed changed over the years:
/// the packing under which the entry names a device that is there, and a page within it, is the one.
#[must_use]
pub fn entry(s: &Session, entry: u64) -> Option<Swapped> {
    s.arch().paging.swap_entries(entry).into_iter().find_map(|(kind, offset)| {
        let at = info(s, kind)?;
        let b = s.bind::<SwapInfo>();
        let max = u64::from(b.max.u32(s.mem(), at).ok()?);
        (offset != 0 && offset < max).then(|| Swapped { kind, offset, file: file(s, at).ok() })
    })
}

fn file(s: &Session, info: VirtAddr) -> Result<String> {
    path::of_file(s, s.bind::<SwapInfo>().swap_file.ptr(s.mem(), info)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A machine with two devices of 100 pages; the array goes on with what looks like more.
    fn machine(counted: bool, numbered: bool) -> Kernel {
        let mut k = Kernel::new();
        k.structure("swap_info_struct", 64, &[("flags", 0, "u64"), ("max", 12, "u32")]);
        if numbered {
            k.member("swap_info_struct", ("type", 10, "s8"));
        }
        let table = k.variable("swap_info", 32 * 8);
        if counted {
            let used = k.variable("nr_swapfiles", 4);
            k.half(used, 2);
        }
        let devices: Vec<u64> = (0..2)
            .map(|kind| {
                let at = k.object("swap_info_struct");
                k.set(at, "swap_info_struct", "max", 100);
                if numbered {
                    k.set(at, "swap_info_struct", "type", kind);
                }
                at
            })
            .collect();
        for kind in 0..32 {
            k.word(table + kind * 8, devices[kind as usize % 2]);
        }
        k
    }

    #[test]
    fn the_devices_in_use() {
        let mut k = machine(true, true);
        for (member, at, kind) in [("pages", 16, "u32"), ("inuse_pages", 24, "u64"), ("prio", 8, "s16")] {
            k.member("swap_info_struct", (member, at, kind));
        }
        let first = k.object("swap_info_struct");
        k.word(k.at("swap_info"), first);
        k.set(first, "swap_info_struct", "flags", USED | 2);
        k.set(first, "swap_info_struct", "pages", 99);
        k.set(first, "swap_info_struct", "prio", 0xfffe);
        k.set(first, "swap_info_struct", "inuse_pages", 0x4000_0007);
        let found = devices(&session(&k)).unwrap();
        assert!(found.problem.is_none());
        let [one] = found.list.as_slice() else { panic!("one was swapped off: {found:?}") };
        let numbers = (one.pages.clone().unwrap(), one.used.clone().unwrap(), one.priority.clone().unwrap());
        assert_eq!((one.kind, numbers), (0, (99, 7, -2)));
        assert!(one.file.is_err(), "and no empty path");
    }

    /// An entry as since 4.18.1: the type in the top five bits, the offset inverted.
    fn inverted(kind: u64, offset: u64) -> u64 {
        kind << 59 | (!(offset << 9) & 0x07ff_ffff_ffff_fe00)
    }

    #[test]
    fn types_that_are_no_devices_are_no_swap() {
        for (counted, numbered) in [(true, true), (true, false), (false, true)] {
            let s = session(&machine(counted, numbered));
            for (kind, want) in [(0, true), (1, true), (2, false), (27, false), (30, false), (31, false)] {
                assert_eq!(info(&s, kind).is_some(), want, "{kind} {counted} {numbered}");
            }
        }
    }

    #[test]
    fn an_entry_names_a_device_and_a_page_in_it() {
        let s = session(&machine(true, true));
        let of = |raw| entry(&s, raw).map(|found| (found.kind, found.offset));
        assert_eq!(of(inverted(1, 77)), Some((1, 77)));
        assert_eq!(of(inverted(30, 77)), None);
        // 4.6 to 4.18: type above bit 9, offset above 14; before: 1 and 9
        assert_eq!(of(1 << 9 | 77 << 14), Some((1, 77)));
        assert_eq!(of(1 << 1 | 77 << 9), Some((1, 77)));
        // migration (30, 31), poisoned memory (29), a marker (28), in each layout; a page behind the device's end
        for raw in [30 << 59, 31 << 9 | 5 << 14, 29 << 9 | 9 << 14, 28 << 1 | 3 << 9, 1 << 9 | 100 << 14] {
            assert_eq!(of(raw), None, "{raw:#x}");
        }
    }
}
