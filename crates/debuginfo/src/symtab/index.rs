//! The index by name: chained buckets of u32 ids, built at the first search by name.

use super::rows::Rows;
use rustc_hash::FxHasher;
use std::hash::Hasher;

const NONE: u32 = u32::MAX;

/// Names to ids. Ids of a chain ascend; a chain holds every name of its bucket.
pub(super) struct NameIndex {
    heads: Vec<u32>,
    next: Vec<u32>,
    shift: u32,
}

fn hash(name: &[u8]) -> u64 {
    let mut h = FxHasher::default();
    h.write(name);
    h.finish()
}

impl NameIndex {
    pub(super) fn build(rows: &dyn Rows) -> Self {
        let buckets = rows.len().next_power_of_two().max(2);
        let shift = 64 - buckets.trailing_zeros();
        let mut heads = vec![NONE; buckets];
        let mut next = vec![NONE; rows.len()];
        // backwards, so that each chain ascends
        rows.backwards(&mut |index, name| {
            let bucket = (mix(hash(name)) >> shift) as usize;
            if let (Some(head), Some(next), Ok(id)) =
                (heads.get_mut(bucket), next.get_mut(index), u32::try_from(index))
            {
                *next = std::mem::replace(head, id);
            }
        });
        Self { heads, next, shift }
    }

    /// The ids of the bucket that `name` would be in.
    pub(super) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = u32> {
        let bucket = (mix(hash(name)) >> self.shift) as usize;
        let mut at = self.heads.get(bucket).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let id = (at != NONE).then_some(at)?;
            at = self.next.get(id as usize).copied().unwrap_or(NONE);
            Some(id)
        })
    }
}

/// The top bits choose the bucket, so they must depend on all others.
const fn mix(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
