//! What a damaged kallsyms still says: some words of it were overwritten, or pages of it are not in the dump.
//!
//! The markers say where every 256th name begins, so that what is wrong with a name's length is lost with its block
//! alone; addresses that do not ascend with the others are lost by themselves. What is lost is a gap of the table and
//! no symbol ([`crate::symtab::Listed`]): an address there is never told as part of the symbol before.
//!
//! **Invariant:** most of it must be whole ([`MOST`]), or it is no kallsyms.

use super::{Addresses, KallsymsError, MAX_SYMBOLS, names::split};
use base::{VirtAddr, VirtRead};

/// At most one part in so many may be lost.
const MOST: usize = 4;
/// As many equal entries are no addresses of symbols.
const RUN: usize = 128;
/// Names to a marker.
pub(super) const BLOCK: usize = 256;
/// Bytes that a block's names can have: each has its length and two letters at least, and 512 and its length at most.
const BLOCK_BYTES: std::ops::Range<u64> = 2 * BLOCK as u64..515 * BLOCK as u64;

/// The names of a damaged table.
pub(super) struct Blocks {
    pub(super) bytes: Vec<u8>,
    /// Where each block begins; `None` where it is lost.
    pub(super) starts: Vec<Option<usize>>,
    pub(super) markers: VirtAddr,
    pub(super) width: u8,
}

/// The names by their markers.
pub(super) fn blocks(mem: &dyn VirtRead, at: &Addresses, count: u32) -> Result<Blocks, KallsymsError> {
    if count == 0 || count > MAX_SYMBOLS {
        return Err(KallsymsError::Count { count });
    }
    let total = count as usize;
    let (markers, width, marks) = markers(mem, at, total).ok_or(KallsymsError::NamesEnd { index: 0 })?;
    let len = usize::try_from(markers.0.wrapping_sub(at.names.0)).unwrap_or(usize::MAX);
    let bytes = patched(mem, at.names, len);
    let mut starts = Vec::with_capacity(marks.len());
    let mut here = Some(0);
    for (n, &mark) in marks.iter().enumerate() {
        let number = BLOCK.min(total - n * BLOCK);
        let reaches = |from: usize| {
            let end = walk(&bytes, from, number)?;
            let right = |end: usize, next: Option<&u64>| match next {
                Some(&next) => end as u64 == next,
                None => end <= len && len - end < 8,
            };
            // the next marker may be what is wrong: then the one behind it is not
            let beyond = || {
                let number = BLOCK.min(total.checked_sub((n + 1) * BLOCK)?);
                Some(right(walk(&bytes, end, number)?, marks.get(n + 2)))
            };
            (right(end, marks.get(n + 1)) || beyond() == Some(true)).then_some(end)
        };
        // where the block before ends, or where the marker says
        let marked = usize::try_from(mark).ok();
        let found = [here, marked].into_iter().flatten().find_map(|from| Some((from, reaches(from)?)));
        starts.push(found.map(|(from, _)| from));
        here = found.map(|(_, end)| end);
    }
    let lost = starts.iter().filter(|start| start.is_none()).count();
    if lost > (marks.len() / MOST).max(1) || starts.iter().all(Option::is_none) {
        return Err(KallsymsError::NamesEnd {
            index: starts.iter().take_while(|s| s.is_some()).count() * BLOCK,
        });
    }
    Ok(Blocks { bytes, starts, markers, width })
}

/// Where so many names end.
fn walk(bytes: &[u8], from: usize, number: usize) -> Option<usize> {
    let mut rest = bytes.get(from..)?;
    for _ in 0..number {
        rest = split(rest)?.1;
    }
    Some(bytes.len() - rest.len())
}

/// Where the markers are, how wide, and what they are.
type Markers = (VirtAddr, u8, Vec<u64>);

/// The markers before the tokens, or before the sequence that is between them (6.1 to 6.4).
fn markers(mem: &dyn VirtRead, at: &Addresses, total: usize) -> Option<Markers> {
    let number = total.div_ceil(BLOCK);
    let mut best: Option<(usize, Markers)> = None;
    for sequence in [0, 3, 4] {
        for (align, width) in [(8, 8), (8, 4), (4, 4)] {
            let below = |end: u64, len: usize| Some(end.checked_sub(len as u64)? & !(align - 1));
            let start = match sequence {
                0 => below(at.token_table.0, number * width),
                n => below(at.token_table.0, total * n).and_then(|end| below(end, number * width)),
            };
            let Some(start) = start.filter(|start| *start > at.names.0) else { continue };
            let raw = patched(mem, VirtAddr(start), number * width);
            let marks: Vec<u64> = match width {
                8 => raw.as_chunks::<8>().0.iter().map(|m| u64::from_le_bytes(*m)).collect(),
                _ => raw.as_chunks::<4>().0.iter().map(|m| u64::from(u32::from_le_bytes(*m))).collect(),
            };
            let steps = marks.windows(2).filter(|pair| match pair {
                [a, b] => b.checked_sub(*a).is_some_and(|step| BLOCK_BYTES.contains(&step)),
                _ => false,
            });
            let wrong = number.saturating_sub(steps.count() + usize::from(marks.first() == Some(&0)));
            let likely = marks.len() == number && number > MOST && wrong <= number / MOST;
            if likely && best.as_ref().is_none_or(|(least, _)| wrong < *least) {
                best = Some((wrong, (VirtAddr(start), u8::try_from(width).unwrap_or(0), marks)));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// Bytes, with zeros where they are not in the dump.
pub(super) fn patched(mem: &dyn VirtRead, at: VirtAddr, len: usize) -> Vec<u8> {
    // no table of as many symbols as there may be is longer
    let mut bytes = vec![0; len.min(64 << 20)];
    mem.read_what_is_there(at, &mut bytes);
    bytes
}

/// Which values belong to the longest row that ascends; all others are lost.
pub(super) fn ascending(values: &[u64]) -> Vec<bool> {
    // for each length the index of the least last value, and for each value the one before it in its row
    let mut last: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(values.len());
    for (n, value) in values.iter().enumerate() {
        let at = last.partition_point(|&i| values.get(i).is_some_and(|v| v <= value));
        before.push(at.checked_sub(1).and_then(|prev| last.get(prev).copied()));
        match last.get_mut(at) {
            Some(slot) => *slot = n,
            None => last.push(n),
        }
    }
    let mut good = vec![false; values.len()];
    let mut here = last.last().copied();
    while let Some(n) = here {
        if let Some(slot) = good.get_mut(n) {
            *slot = true;
        }
        here = before.get(n).copied().flatten();
    }
    good
}

/// Which values are good, where most are. `filled` says which are of a run of one number: zeros, where memory is not
/// in the dump.
pub(super) fn mostly_ascending(values: &[u64], filled: &[bool]) -> Option<Vec<bool>> {
    let is_filled = |n: usize| filled.get(n).copied().unwrap_or(false);
    let kept: Vec<usize> = (0..values.len()).filter(|n| !is_filled(*n)).collect();
    let held: Vec<u64> = kept.iter().filter_map(|n| values.get(*n).copied()).collect();
    let mut good = vec![false; values.len()];
    for (n, is_good) in kept.iter().zip(ascending(&held)) {
        if let Some(slot) = good.get_mut(*n) {
            *slot = is_good;
        }
    }
    let lost = good.iter().filter(|good| !**good).count();
    (lost <= values.len() / MOST).then_some(good)
}

/// Which entries are of a run of more equal ones than symbols share an address.
pub(super) fn filled(raw: &[u8], width: usize) -> Vec<bool> {
    let entries: Vec<&[u8]> = raw.chunks_exact(width).collect();
    entries.chunk_by(|a, b| a == b).flat_map(|run| std::iter::repeat_n(run.len() >= RUN, run.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_row_that_ascends() {
        let good = |values: &[u64]| {
            ascending(values).iter().map(|good| if *good { '+' } else { '-' }).collect::<String>()
        };
        assert_eq!(good(&[1, 2, 99, 3, 3, 0, 4]), "++-++-+");
        assert_eq!(good(&[5, 0, 0, 6, 7]), "-++++");
        assert_eq!(good(&[]), "");
        assert!(mostly_ascending(&[9, 8, 7, 6], &[]).is_none());
        assert_eq!(mostly_ascending(&[1, 2, 3, 0, 4], &[]).unwrap(), [true, true, true, false, true]);
        let filled = [false, false, true, false, false];
        assert_eq!(mostly_ascending(&[1, 2, 3, 3, 4], &filled).unwrap(), [true, true, false, true, true]);
    }

    #[test]
    fn a_page_of_zeros_is_no_addresses() {
        let mut raw = vec![1, 0, 0, 0, 0, 0, 0, 0];
        raw.resize(8 + RUN * 4, 0);
        let run = filled(&raw, 4);
        assert!(!run[0] && run[1] && run[RUN + 1]);
        assert!(!filled(&raw[..RUN * 4], 4).contains(&true));
    }
}
