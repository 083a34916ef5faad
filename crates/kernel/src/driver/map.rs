//! Maps from device numbers to devices (`struct kobj_map`, drivers/base/map.c): `cdev_map`, and `bdev_map` to 5.10.

use crate::containers::chain::Chains;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct kobj_map`
    struct KobjMap("kobj_map") { probes: "probes" }
}
bind! {
    /// `struct probe`, within it
    struct Probe("probe") { next: "next", device: "dev", range: "range", data: "data" }
}

/// Chains of a map.
const CHAINS: u64 = 255;
/// More entries than a map has: a driver for each number.
const MAX_PROBES: usize = 1 << 20;

/// An entry: what stands behind a range of device numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The first number.
    pub(crate) device: u64,
    /// How many.
    pub(crate) range: u64,
    /// A driver's own; for most a `cdev` or a `gendisk`.
    pub(crate) data: VirtAddr,
}

/// The major and the minor of a device number (`MKDEV`).
pub(crate) const fn numbers(device: u64) -> (u64, u64) {
    ((device & 0xffff_ffff) >> 20, device & 0xf_ffff)
}

/// The entries of the map that a variable points to, and why there may be others.
///
/// # Errors
/// The variable or its types are not known.
pub(crate) fn entries(s: &Session, name: &'static str) -> Result<(Vec<Entry>, Vec<KernelError>)> {
    let mem = s.mem();
    let map = mem.ptr(s.need_symbol(name)?)?;
    let (first, b) = (s.bind::<KobjMap>().probes.at(map)?, s.bind::<Probe>());
    b.data.offset()?;
    let (mut out, mut problems) = (Vec::new(), Vec::new());
    let mut chains = Chains::new("kobj_map", map, MAX_PROBES);
    for chain in 0..CHAINS {
        let first = mem.ptr(first.add(chain * 8)).map_err(KernelError::from);
        let end = chains.follow(chain, first, &|at| b.next.ptr(mem, at), &mut |at| {
            let entry = || {
                let device = b.device.num(mem, at)? & 0xffff_ffff;
                Ok(Entry { device, range: b.range.num(mem, at)?, data: b.data.ptr(mem, at)? })
            };
            match entry() {
                Ok(entry) => out.push(entry),
                Err(e) => problems.push(e),
            }
            Ok(())
        });
        problems.extend(end.err());
    }
    Ok((out, problems))
}
