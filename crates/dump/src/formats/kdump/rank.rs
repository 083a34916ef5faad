//! How many bits of a bitmap are set before a given one: the number of a page's descriptor.
//!
//! The bitmap stays in the file. Bits are counted a block at a time, only up to the block that is
//! asked for, and remembered as one running sum for each block that is not empty; holes of a sparse
//! file are skipped without reading. So the index of a dump grows with the pages that it has and
//! not with the addresses that its machine spans, and opening counts nothing.

use super::header::Extent;
use crate::Gap;
use crate::cache::PageCache;
use crate::image::Image;
use std::sync::{PoisonError, RwLock};

/// Bytes of bitmap that one sum covers: 32,768 page frames.
pub(crate) const BLOCK: u64 = 4096;
/// Bytes that are read at a time while counting.
const CHUNK: usize = 64 * 1024;
/// Counting more than this is shared among threads.
const PARALLEL: u64 = 8 << 20;

/// A bitmap in the file, and the sums of its blocks as far as they were needed.
pub(crate) struct Rank {
    at: Extent,
    sums: RwLock<Sums>,
}

#[derive(Default)]
struct Sums {
    /// Blocks that have a bit set, ascending: their number, and the bits set before them.
    blocks: Vec<(u64, u64)>,
    /// The first block that was not counted yet.
    next: u64,
    /// Bits set before `next`.
    total: u64,
}

impl Sums {
    fn before(&self, block: u64) -> u64 {
        let i = self.blocks.partition_point(|&(b, _)| b < block);
        self.blocks.get(i).map_or(self.total, |&(_, before)| before)
    }
}

impl Rank {
    /// The bitmap at an extent that lies in the file.
    pub(crate) fn new(at: Extent) -> Self {
        Self { at, sums: RwLock::default() }
    }

    /// Bits set before `bit`, and whether `bit` itself is set.
    pub(crate) fn rank(&self, image: &Image, cache: &PageCache, bit: u64) -> Result<(u64, bool), Gap> {
        let (block, within) = (bit / (BLOCK * 8), bit % (BLOCK * 8));
        let mut rank = 0;
        let mut set = false;
        self.with_block(image, cache, block, |bytes| {
            rank = count_to(bytes, within);
            set = is_set(bytes, within);
        })?;
        if !set {
            return Ok((0, false));
        }
        Ok((self.before(image, block)?.saturating_add(rank), true))
    }

    /// Whether `bit` is set; past the end of the bitmap none is.
    pub(crate) fn get(&self, image: &Image, cache: &PageCache, bit: u64) -> Result<bool, Gap> {
        let (block, within) = (bit / (BLOCK * 8), bit % (BLOCK * 8));
        let mut set = false;
        self.with_block(image, cache, block, |bytes| set = is_set(bytes, within))?;
        Ok(set)
    }

    /// How many bits are set in a row from `bit` on, up to `max` and to the end of the block of the bitmap.
    pub(crate) fn run(&self, image: &Image, cache: &PageCache, bit: u64, max: u64) -> Result<u64, Gap> {
        let (block, within) = (bit / (BLOCK * 8), bit % (BLOCK * 8));
        let mut run = 0;
        self.with_block(image, cache, block, |bytes| {
            run = (within..within.saturating_add(max)).take_while(|&bit| is_set(bytes, bit)).count();
        })?;
        Ok(run as u64)
    }

    /// Bits set before `bit`, whatever `bit` is.
    pub(crate) fn count_before(&self, image: &Image, cache: &PageCache, bit: u64) -> Result<u64, Gap> {
        let (block, within) = (bit / (BLOCK * 8), bit % (BLOCK * 8));
        let mut rank = 0;
        self.with_block(image, cache, block, |bytes| rank = count_to(bytes, within))?;
        Ok(self.before(image, block)?.saturating_add(rank))
    }

    /// The first set bit at or after `bit`.
    pub(crate) fn next_set(&self, image: &Image, cache: &PageCache, bit: u64) -> Result<Option<u64>, Gap> {
        let mut block = bit / (BLOCK * 8);
        let mut within = bit % (BLOCK * 8);
        while block.checked_mul(BLOCK).is_some_and(|start| start < self.at.len) {
            let mut found = None;
            self.with_block(image, cache, block, |bytes| found = first_set(bytes, within))?;
            if let Some(found) = found {
                return Ok(Some(block * BLOCK * 8 + found));
            }
            within = 0;
            let behind = self.at.offset.checked_add((block + 1) * BLOCK);
            let Some(next) = behind.and_then(|behind| image.next_data(behind)) else { break };
            block = (block + 1).max(next.saturating_sub(self.at.offset) / BLOCK);
        }
        Ok(None)
    }

    /// Hands the bytes of a block to `see`; bytes past the bitmap's end are not there.
    fn with_block(
        &self,
        image: &Image,
        cache: &PageCache,
        block: u64,
        see: impl FnOnce(&[u8]),
    ) -> Result<(), Gap> {
        let Some(start) = block.checked_mul(BLOCK).filter(|&s| s < self.at.len) else {
            see(&[]);
            return Ok(());
        };
        let len = BLOCK.min(self.at.len - start);
        let offset = self.at.offset.saturating_add(start);
        cache.with(
            offset,
            |buf| image.fill_table(offset, buf.get_mut(..len as usize).unwrap_or(&mut [])),
            |buf| {
                see(buf.get(..len as usize).unwrap_or(&[]));
            },
        )
    }

    /// Bits set in all blocks before `block`.
    fn before(&self, image: &Image, block: u64) -> Result<u64, Gap> {
        {
            let sums = self.sums.read().unwrap_or_else(PoisonError::into_inner);
            if block <= sums.next {
                return Ok(sums.before(block));
            }
        }
        let mut sums = self.sums.write().unwrap_or_else(PoisonError::into_inner);
        if block > sums.next {
            let counted = self.count_blocks(image, sums.next, block)?;
            for (block, bits) in counted {
                let total = sums.total;
                sums.blocks.push((block, total));
                sums.total = total.saturating_add(bits);
            }
            sums.next = block;
        }
        Ok(sums.before(block))
    }

    /// The bits of each block of `from..to` that has any.
    fn count_blocks(&self, image: &Image, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Gap> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) as u64;
        if (to - from).saturating_mul(BLOCK) < PARALLEL || threads == 1 {
            return self.count_part(image, from, to);
        }
        let step = (to - from).div_ceil(threads);
        let parts: Vec<_> = std::thread::scope(|scope| {
            let spawned: Vec<_> = (0..threads)
                .map(|i| {
                    let start = from.saturating_add(i * step).min(to);
                    let end = start.saturating_add(step).min(to);
                    scope.spawn(move || self.count_part(image, start, end))
                })
                .collect();
            spawned.into_iter().map(|t| t.join().unwrap_or(Err(Gap::Corrupt))).collect()
        });
        let mut all = Vec::new();
        for part in parts {
            all.extend(part?);
        }
        Ok(all)
    }

    fn count_part(&self, image: &Image, from: u64, to: u64) -> Result<Vec<(u64, u64)>, Gap> {
        let mut out = Vec::new();
        let mut buf = vec![0; CHUNK];
        let end = to.saturating_mul(BLOCK).min(self.at.len);
        let mut at = from.saturating_mul(BLOCK);
        while at < end {
            let Some(data) = image.next_data(self.at.offset.saturating_add(at)) else { break };
            // back to the block that the data begins in
            at = at.max(data.saturating_sub(self.at.offset) / BLOCK * BLOCK);
            if at >= end {
                break;
            }
            let len = (end - at).min(CHUNK as u64);
            let chunk = buf.get_mut(..len as usize).ok_or(Gap::Corrupt)?;
            image.fill_table(self.at.offset.saturating_add(at), chunk)?;
            for (i, block) in chunk.chunks(BLOCK as usize).enumerate() {
                let bits = count(block);
                if bits != 0 {
                    out.push((at / BLOCK + i as u64, bits));
                }
            }
            at += len;
        }
        Ok(out)
    }
}

/// Set bits; in words of 64, which compilers turn into vectors.
fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|w| u64::from(u64::from_le_bytes(*w).count_ones())).sum();
    words + rest.iter().map(|b| u64::from(b.count_ones())).sum::<u64>()
}

/// Set bits among the first `bits`.
fn count_to(bytes: &[u8], bits: u64) -> u64 {
    let whole = (bits / 8) as usize;
    let Some(head) = bytes.get(..whole) else { return count(bytes) };
    let mask = (1_u8 << (bits % 8)) - 1;
    count(head) + bytes.get(whole).map_or(0, |b| u64::from((b & mask).count_ones()))
}

fn is_set(bytes: &[u8], bit: u64) -> bool {
    bytes.get((bit / 8) as usize).is_some_and(|b| b & (1 << (bit % 8)) != 0)
}

/// The first set bit at or after `from`.
fn first_set(bytes: &[u8], from: u64) -> Option<u64> {
    let first = (from / 8) as usize;
    let masked = bytes.get(first)? & (0xff_u8 << (from % 8));
    if masked != 0 {
        return Some(first as u64 * 8 + u64::from(masked.trailing_zeros()));
    }
    let rest = bytes.get(first + 1..)?;
    let i = rest.iter().position(|&b| b != 0)?;
    let bit = rest.get(i)?.trailing_zeros();
    Some((first + 1 + i) as u64 * 8 + u64::from(bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use proptest::prelude::*;

    fn image(bytes: Vec<u8>) -> Image {
        Image::new(Source::memory("bitmap", bytes).unwrap()).unwrap()
    }

    fn naive(bytes: &[u8], bit: u64) -> u64 {
        (0..bit).filter(|&b| is_set(bytes, b)).count() as u64
    }

    #[test]
    fn ranks_across_blocks_in_any_order() {
        let mut bytes = vec![0; 5 * BLOCK as usize];
        for (i, b) in bytes.iter_mut().enumerate() {
            if i / BLOCK as usize != 2 {
                *b = (i * 37 % 251) as u8;
            }
        }
        let len = bytes.len() as u64;
        let rank = Rank::new(Extent { offset: 0, len });
        let cache = PageCache::new(BLOCK as usize, 8);
        let image = image(bytes.clone());
        for bit in [len * 8 - 1, 3, 40_000, 99_999, 70_000, 32_768, 0, len * 8, len * 9] {
            assert_eq!(rank.count_before(&image, &cache, bit).unwrap(), naive(&bytes, bit), "bit {bit}");
        }
    }

    #[test]
    fn next_set_walks_to_the_end() {
        let mut bytes = vec![0; 3 * BLOCK as usize];
        bytes[1] = 0x81;
        bytes[2 * BLOCK as usize + 7] = 0x10;
        let rank = Rank::new(Extent { offset: 0, len: bytes.len() as u64 });
        let cache = PageCache::new(BLOCK as usize, 8);
        let image = image(bytes);
        let next = |b| rank.next_set(&image, &cache, b).unwrap();
        assert_eq!(next(0), Some(8));
        assert_eq!(next(9), Some(15));
        assert_eq!(next(16), Some((2 * BLOCK + 7) * 8 + 4));
        assert_eq!(next((2 * BLOCK + 7) * 8 + 5), None);
        assert_eq!(next(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn counts_agree_with_the_naive_way(bytes in prop::collection::vec(any::<u8>(), 1..40), bit in 0_u64..340) {
            prop_assert_eq!(count_to(&bytes, bit), naive(&bytes, bit));
            let first = (bit..bytes.len() as u64 * 8).find(|&b| is_set(&bytes, b));
            prop_assert_eq!(first_set(&bytes, bit), first);
        }
    }
}
