//! A dump of a 4 TiB machine out of a real one: same pages at the same addresses, and the bitmaps and descriptors of a
//! machine eight thousand times as large.
//!
//! Layout of the kdump-compressed format (makedumpfile's IMPLEMENTATION and diskdump_mod.h), all little-endian: header
//! in block 0, sub-header from block 1, then two bitmaps of equal size (RAM; dumped), a descriptor of 24 bytes for each
//! set bit of the second (offset u64, size u32, flags u32, page_flags u64), then the pages.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::run::{At as _, Error, other, say};

/// Pages of 4 TiB.
const PAGES: u64 = 1 << 30;
/// Beyond the real memory, one page in so many is in the dump.
pub(crate) const STRIDE: u64 = 512;
const BLOCK: usize = 4096;
const DESCRIPTOR: usize = 24;

/// About how many descriptors the made dump has.
pub(crate) fn descriptors() -> u64 {
    PAGES / STRIDE
}

/// Makes the dump, unless it is there and newer than what it is made of.
pub(crate) fn make(from: &Path, to: &Path) -> Result<(), Error> {
    let time = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
    if time(to) > time(from) {
        return Ok(());
    }
    say(format_args!("making {}", to.display()));
    let old = fs::read(from).at(from)?;
    let file = File::create(to).at(to)?;
    let mut out = BufWriter::new(&file);
    let Some(parts) = Parts::new(&old) else { return other(format!("{}: no kdump file", from.display())) };
    match write(&old, &parts, &mut out) {
        Some(result) => result.and_then(|()| out.flush()).at(to),
        None => other(format!("{}: cut short", from.display())),
    }
}

/// Where the parts of the real dump begin.
struct Parts {
    /// Of the bitmaps: the end of the headers.
    bitmaps: usize,
    /// Bytes of one bitmap.
    bitmap: usize,
    /// Of the descriptors.
    descriptors: usize,
    /// How many there are.
    count: usize,
}

impl Parts {
    fn new(old: &[u8]) -> Option<Self> {
        if !old.starts_with(b"KDUMP   ") || u32_at(old, 428)? as usize != BLOCK {
            return None;
        }
        let bitmaps = (1 + u32_at(old, 432)? as usize).checked_mul(BLOCK)?;
        let both = (u32_at(old, 436)? as usize).checked_mul(BLOCK)?;
        let bitmap = both / 2;
        let descriptors = bitmaps.checked_add(both)?;
        let dumped = old.get(bitmaps.checked_add(bitmap)?..descriptors)?;
        let count = dumped.iter().map(|byte| byte.count_ones() as usize).sum();
        Some(Self { bitmaps, bitmap, descriptors, count })
    }
}

/// A page as it lies in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) offset: u64,
    pub(super) size: usize,
    pub(super) flags: u32,
}

/// Where the descriptors of a kdump file end at the latest, by its first block: each frame has one at most.
pub(super) fn end_of_head(block: &[u8]) -> Option<usize> {
    let blocks = 1 + u32_at(block, 432)? as usize + u32_at(block, 436)? as usize;
    let frames = (u32_at(block, 436)? as usize).checked_mul(BLOCK * 8 / 2)?;
    blocks.checked_mul(BLOCK)?.checked_add(frames.checked_mul(DESCRIPTOR)?)
}

/// All pages of a kdump file, which begins with `head`; `None` where it is another file or is not whole.
pub(super) fn packed(head: &[u8]) -> Option<Vec<Packed>> {
    let parts = Parts::new(head)?;
    let end = parts.descriptors.checked_add(parts.count.checked_mul(DESCRIPTOR)?)?;
    let page = |one: &[u8]| {
        let (size, flags) = (u32_at(one, 8)? as usize, u32_at(one, 12)?);
        (size <= BLOCK).then_some(Packed { offset: u64_at(one, 0)?, size, flags })
    };
    head.get(parts.descriptors..end)?.chunks_exact(DESCRIPTOR).map(page).collect()
}

/// Writes the dump; `None` where the real one is not whole.
fn write(old: &[u8], parts: &Parts, out: &mut impl std::io::Write) -> Option<std::io::Result<()>> {
    let bytes = usize::try_from(PAGES / 8).ok()?;
    let mut header = old.get(..parts.bitmaps)?.to_vec();
    let blocks = u32::try_from(2 * bytes / BLOCK).ok()?;
    header.get_mut(436..440)?.copy_from_slice(&blocks.to_le_bytes());
    header.get_mut(440..444)?.copy_from_slice(&u32::try_from(PAGES).ok()?.to_le_bytes());
    header.get_mut(BLOCK + 96..BLOCK + 104)?.copy_from_slice(&PAGES.to_le_bytes());

    // One bit in `STRIDE` beyond the real memory; all of these pages are the real dump's first one.
    let step = usize::try_from(STRIDE / 8).ok()?;
    let mut more = 0_usize;
    let mut bitmap = |at: usize| {
        let mut bits = old.get(at..at.checked_add(parts.bitmap)?)?.to_vec();
        bits.resize(bytes, 0);
        more = 0;
        for byte in bits.iter_mut().skip(parts.bitmap).step_by(step) {
            *byte = 1;
            more += 1;
        }
        Some(bits)
    };
    let (ram, dumped) = (bitmap(parts.bitmaps)?, bitmap(parts.bitmaps.checked_add(parts.bitmap)?)?);

    let old_pages = parts.descriptors.checked_add(parts.count.checked_mul(DESCRIPTOR)?)?;
    let all = parts.count.checked_add(more)?.checked_mul(DESCRIPTOR)?;
    let new_pages = parts.bitmaps.checked_add(2 * bytes)?.checked_add(all)?;
    let moved = |one: &[u8]| {
        let mut one: [u8; DESCRIPTOR] = one.try_into().ok()?;
        let offset = u64_at(&one, 0)?.checked_sub(old_pages as u64)?.checked_add(new_pages as u64)?;
        one.get_mut(..8)?.copy_from_slice(&offset.to_le_bytes());
        Some(one)
    };
    let real = old.get(parts.descriptors..old_pages)?.chunks_exact(DESCRIPTOR).map(moved);
    let real: Vec<[u8; DESCRIPTOR]> = real.collect::<Option<_>>()?;
    let first = *real.first()?;
    let pages = old.get(old_pages..)?;
    Some((|| {
        for part in [&header, &ram, &dumped] {
            out.write_all(part)?;
        }
        for one in real.iter().chain(std::iter::repeat_n(&first, more)) {
            out.write_all(one)?;
        }
        out.write_all(pages)
    })())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dump of two pages of 16, the second and the fifth.
    fn small() -> Vec<u8> {
        let mut old = vec![0; 4 * BLOCK];
        old[..8].copy_from_slice(b"KDUMP   ");
        old[428..432].copy_from_slice(&4096_u32.to_le_bytes());
        old[432..436].copy_from_slice(&1_u32.to_le_bytes());
        old[436..440].copy_from_slice(&2_u32.to_le_bytes());
        old[2 * BLOCK] = 0xff;
        old[3 * BLOCK] = 0b1_0010;
        let pages = old.len() as u64 + 48;
        for offset in [pages, pages + 3] {
            old.extend(offset.to_le_bytes());
            old.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        old.extend(b"onetwo");
        old
    }

    #[test]
    fn the_real_pages_stay_where_they_were() {
        let old = small();
        let mut new = Vec::new();
        write(&old, &Parts::new(&old).unwrap(), &mut new).unwrap().unwrap();
        let parts = Parts::new(&new).unwrap();
        let second = parts.bitmaps + parts.bitmap;
        assert_eq!(parts.bitmap as u64 * 8, PAGES);
        assert_eq!(new[second], 0b1_0010);
        assert_eq!(u64_at(&new, BLOCK + 96), Some(PAGES));
        let at = |index: usize| u64_at(&new, parts.descriptors + index * DESCRIPTOR).unwrap() as usize;
        assert_eq!(&new[at(0)..at(0) + 3], b"one");
        assert_eq!(&new[at(1)..at(1) + 3], b"two");
        assert_eq!(at(parts.count - 1), at(0));
        assert_eq!(new.len(), at(1) + 3);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        assert!(Parts::new(b"").is_none());
        assert!(Parts::new(&[0; 9000]).is_none());
        let mut old = small();
        old.truncate(4 * BLOCK + 10);
        assert!(Parts::new(&old).is_none_or(|parts| write(&old, &parts, &mut Vec::new()).is_none()));
    }
}
