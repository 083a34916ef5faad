//! Character devices by their numbers (fs/char_dev.c).

use crate::containers::chain::Chains;
use crate::driver::map::{self, Entry, numbers};
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct char_device_struct`
    struct CharDeviceStruct("char_device_struct") {
        next: "next",
        major: "major",
        minor: "baseminor",
        count: "minorct",
        name: "name",
    }
}
bind! {
    /// `struct cdev`
    struct Cdev("cdev") { ops: "ops", device: "dev" }
}

/// Chains of the table (`CHRDEV_MAJOR_HASH_SIZE`).
const CHAINS: u64 = 255;
/// More ranges than a machine has.
const MAX_RANGES: usize = 1 << 20;

/// A range of numbers that a driver has.
#[derive(Clone, Debug)]
pub struct CharDevice {
    /// Its major number.
    pub major: u64,
    /// Its first minor number.
    pub minor: u64,
    /// How many.
    pub count: Result<u64>,
    /// The driver's name for it.
    pub name: Result<String>,
    /// `struct cdev`; none where the driver has registered nothing yet.
    pub cdev: Result<Option<VirtAddr>>,
    /// Its operations.
    pub ops: Option<Result<VirtAddr>>,
}

/// The ranges in the order of their numbers, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct CharDevices {
    /// The ranges.
    pub all: Vec<CharDevice>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// The character devices.
///
/// # Errors
/// The variable or its types are not known.
pub fn devices(s: &Session) -> Result<CharDevices> {
    let (b, mem, table) = (s.bind::<CharDeviceStruct>(), s.mem(), s.need_symbol("chrdevs")?);
    b.name.offset()?;
    let mut out = CharDevices::default();
    let entries = match map::entries(s, "cdev_map") {
        Ok((entries, problems)) => {
            out.problems = problems;
            entries
        }
        Err(e) => {
            out.problems.push(e);
            Vec::new()
        }
    };
    let lost = out.problems.first().cloned();
    let mut chains = Chains::new("chrdevs", table, MAX_RANGES);
    for chain in 0..CHAINS {
        let first = mem.ptr(table.add(chain * 8)).map_err(KernelError::from);
        let end = chains.follow(0, first, &|at| b.next.ptr(mem, at), &mut |at| {
            match device(s, at, chain, &entries, lost.as_ref()) {
                Ok(one) => out.all.push(one),
                Err(e) => out.problems.push(e),
            }
            Ok(())
        });
        out.problems.extend(end.err());
    }
    // a chain has several majors, each in the order of its minors
    out.all.sort_by_key(|one| one.major);
    Ok(out)
}

fn device(
    s: &Session,
    at: VirtAddr,
    chain: u64,
    entries: &[Entry],
    lost: Option<&KernelError>,
) -> Result<CharDevice> {
    let (b, mem) = (s.bind::<CharDeviceStruct>(), s.mem());
    let major = b.major.num(mem, at)? & 0xffff_ffff;
    if major % CHAINS != chain {
        let why = format!("its major is {major}, and it is in chain {chain}");
        return Err(KernelError::Damaged { what: "char_device_struct", at, why });
    }
    let minor = b.minor.num(mem, at)? & 0xffff_ffff;
    // one that is lost can be what is not among the entries, and a narrower one than what is
    let cdev = behind(s, entries, major, minor).and_then(|found| match (found, lost) {
        (Some((_, false)) | None, Some(e)) => Err(e.clone()),
        (found, _) => Ok(found.map(|(cdev, _)| cdev)),
    });
    Ok(CharDevice {
        major,
        minor,
        count: b.count.num(mem, at).map(|n| n & 0xffff_ffff),
        name: b.name.text(mem, at),
        ops: cdev.as_ref().ok().copied().flatten().map(|cdev| s.bind::<Cdev>().ops.ptr(mem, cdev)),
        cdev,
    })
}

/// The `cdev` of the narrowest range around a number, as the kernel finds it, and whether none can be narrower; it says that
/// number's major itself.
fn behind(s: &Session, entries: &[Entry], major: u64, minor: u64) -> Result<Option<(VirtAddr, bool)>> {
    let device = major << 20 | minor & 0xf_ffff;
    let has = |entry: &&Entry| entry.device <= device && device - entry.device < entry.range;
    let around = entries.iter().filter(has).filter(|entry| !entry.data.is_null());
    // where nothing is behind the first minor, the first one of the major that has something
    let of_major = || {
        entries.iter().filter(|e| numbers(e.device).0 == major && !e.data.is_null()).min_by_key(|e| e.device)
    };
    let Some(entry) = around.min_by_key(|entry| entry.range).or_else(of_major) else { return Ok(None) };
    let own = s.bind::<Cdev>().device.num(s.mem(), entry.data)?;
    Ok((numbers(own).0 == major).then_some((entry.data, has(&entry) && entry.range == 1)))
}
