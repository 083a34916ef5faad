//! The clocks, the nodes of memory and the size of address spaces, each told by numbers that fit others.
//!
//! - The timekeeper's wall clock and its distance to the monotonic clock add up to an uptime at which the log can end.
//! - A node's first page and what it spans end at `max_pfn`; what is present is no more than what it spans.
//! - `mm_struct.total_vm` is the sum of the areas in the list that `mm_struct` begins with (until 6.1).
//!
//! What several places fit is not told at all.

use super::{Guess, Shape, Struct};
use crate::mm::node;
use crate::session::Session;
use base::{Bytes, VirtAddr};

/// How much of a timekeeper is looked at.
const CLOCK_LOOK: usize = 512;
/// Wall clocks that a dump can have, in seconds since 1970: 2005 to 2200.
const WALL: std::ops::Range<u64> = 1_104_537_600..7_258_118_400;
/// The log's clock and the monotonic one drift apart by less than one part in this.
const DRIFT: u64 = 1000;
/// How long a kernel can have been silent before it was dumped, in seconds.
const SILENT: u64 = 31 * 86_400;
/// Nanoseconds in a second.
const NSEC: u64 = 1_000_000_000;

/// The only item, where there is one and no other.
fn only<T: PartialEq>(mut found: impl Iterator<Item = T>) -> Option<T> {
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

/// Where `struct timekeeper` begins in `tk_core`: with the clock that it reads, which stands in it twice, behind a lock
/// whose size depends on how it is checked.
fn start_of_timekeeper(raw: &[u8]) -> Option<usize> {
    let bytes = Bytes::new(raw);
    let word = |at: usize| bytes.u64_at(at).ok().filter(|value| VirtAddr(*value).in_upper_half());
    let is_twice =
        |at: &usize| word(*at).is_some() && (at + 8..raw.len()).step_by(8).any(|o| word(o) == word(*at));
    (0..raw.len()).step_by(8).find(is_twice)
}

/// `struct timekeeper`, and `tk_core`'s struct around it (3.17).
pub(super) fn clocks(s: &Session) -> Vec<Struct> {
    let core = s.symbol("tk_core").or_else(|| s.symbol("timekeeper_data"));
    let Some(at) = core.or_else(|| s.symbol("timekeeper")) else { return Vec::new() };
    let Ok(raw) = s.mem().bytes(at, CLOCK_LOOK) else { return Vec::new() };
    // not the session's own, which may be what asks for types
    let last = crate::log::printk::read_log(s).ok().and_then(|log| log.last_nsec());
    let Some((wall, to_monotonic)) = last.and_then(|last| pair_of_clocks(&raw, last / NSEC)) else {
        return Vec::new();
    };
    let start = if core.is_some() { start_of_timekeeper(&raw) } else { Some(0) };
    let Some(start) = start.filter(|start| *start <= wall.min(to_monotonic)) else { return Vec::new() };
    let member = |name, offset: usize, shape| Guess { name, offset: offset as u64, shape };
    let members = vec![
        member("xtime_sec", wall - start, Shape::Long),
        member("wall_to_monotonic", to_monotonic - start, Shape::Timespec),
    ];
    let mut all = vec![Struct { name: "timekeeper", size: CLOCK_LOOK as u64, members }];
    if core.is_some() {
        let members = vec![member("timekeeper", start, Shape::Long)];
        all.push(Struct { name: "tk_data", size: CLOCK_LOOK as u64, members });
    }
    all
}

/// Where the wall clock's seconds are, and a `timespec` that leads from them to an uptime at which the log can have
/// ended with a message of this second.
fn pair_of_clocks(raw: &[u8], last: u64) -> Option<(usize, usize)> {
    let bytes = Bytes::new(raw);
    let word = |at: usize| bytes.u64_at(at).ok();
    let possible = last.saturating_sub(last / DRIFT + 1)..last.saturating_add(last / DRIFT + SILENT);
    let pairs = (0..raw.len()).step_by(8).filter_map(|wall| {
        let seconds = word(wall).filter(|seconds| WALL.contains(seconds))?;
        let fits = |at: &usize| {
            let (sec, nsec) = (word(*at).unwrap_or(0), word(at + 8).unwrap_or(NSEC));
            sec.cast_signed().is_negative() && nsec < NSEC && possible.contains(&seconds.wrapping_add(sec))
        };
        only((0..raw.len()).step_by(8).filter(fits)).map(|other| (wall, other))
    });
    only(pairs)
}

/// How much of a node is looked at: its zones, and the lists of zones of the largest configuration.
const NODE_LOOK: usize = 256 << 10;

/// `struct pglist_data`: `node_start_pfn`, `node_present_pages`, `node_spanned_pages`, `node_id` (in this order since 2.6).
pub(super) fn nodes(s: &Session) -> Vec<Struct> {
    let found = || -> Option<u64> {
        let max = s.mem().u64(s.symbol("max_pfn")?).ok()?;
        let nodes = node::numbered(s).ok()?;
        let raw: Vec<(u64, Vec<u8>)> =
            nodes.iter().map(|(n, at)| (*n, s.mem().up_to_a_gap(*at, NODE_LOOK))).collect();
        place_in_nodes(&raw, max)
    };
    let Some(start) = found() else { return Vec::new() };
    let member = |name, offset, shape| Guess { name, offset, shape };
    let members = vec![
        member("node_start_pfn", start, Shape::Long),
        member("node_present_pages", start + 8, Shape::Long),
        member("node_spanned_pages", start + 16, Shape::Long),
        member("node_id", start + 24, Shape::Int),
    ];
    vec![Struct { name: "pglist_data", size: 0, members }]
}

/// The only offset at which every node has its number behind a range of pages, the last of which ends at `max`.
fn place_in_nodes(nodes: &[(u64, Vec<u8>)], max: u64) -> Option<u64> {
    let end = |raw: &[u8], number: u64, at: usize| -> Option<u64> {
        let bytes = Bytes::new(raw);
        let (start, present) = (bytes.u64_at(at).ok()?, bytes.u64_at(at + 8).ok()?);
        let (spanned, id) = (bytes.u64_at(at + 16).ok()?, bytes.u32_at(at + 24).ok()?);
        let fits = present > 0 && present <= spanned && u64::from(id) == number;
        start.checked_add(spanned).filter(|&end| fits && end <= max)
    };
    let shortest = nodes.iter().map(|(_, raw)| raw.len()).min()?;
    let is = |at: &usize| {
        let ends: Option<Vec<u64>> = nodes.iter().map(|(n, raw)| end(raw, *n, *at)).collect();
        ends.is_some_and(|ends| ends.iter().max() == Some(&max))
    };
    only((0..shortest).step_by(8).filter(is)).map(|at| at as u64)
}

/// How much of a `mm_struct` is looked at.
const MM_LOOK: usize = 1024;
/// How many areas of one address space are added up.
const MAX_AREAS: usize = 1 << 16;
/// How many address spaces are looked at.
const MAX_SPACES: usize = 1024;
/// Fewer address spaces, and smaller ones, tell nothing for sure.
const MIN_SPACES: usize = 4;
const MIN_PAGES: u64 = 64;

/// `struct mm_struct`: `mmap` and `total_vm`, by the areas of these address spaces.
pub(super) fn spaces(s: &Session, mms: &[u64]) -> Vec<Struct> {
    let mut samples = Vec::new();
    for &mm in mms.iter().take(MAX_SPACES) {
        let at = VirtAddr(mm);
        let (Some(pages), Ok(raw)) = (pages_of_areas(s, at), s.mem().bytes(at, MM_LOOK)) else { continue };
        samples.push((pages, raw));
    }
    let Some(total) = total_vm(&samples) else { return Vec::new() };
    let members = vec![
        Guess { name: "mmap", offset: 0, shape: Shape::Pointer },
        Guess { name: "total_vm", offset: total, shape: Shape::Long },
    ];
    vec![Struct { name: "mm_struct", size: 0, members }]
}

/// The pages of all areas: `vm_start`, `vm_end` and `vm_next` have begun an area since 2.6, in rising order, until 6.1
/// took the list away.
fn pages_of_areas(s: &Session, mm: VirtAddr) -> Option<u64> {
    let mut next = s.mem().ptr(mm).ok()?;
    let (mut pages, mut last) = (0_u64, 0);
    for _ in 0..MAX_AREAS {
        if next.is_null() {
            return (pages > 0).then_some(pages);
        }
        let (start, end) = (s.mem().u64(next).ok()?, s.mem().u64(next.add(8)).ok()?);
        let aligned = [start, end].iter().all(|at| at.is_multiple_of(s.page_size()));
        if start < last || end <= start || s.arch().is_kernel(VirtAddr(end)) || !aligned {
            return None;
        }
        pages = pages.checked_add((end - start) / s.page_size())?;
        last = end;
        next = s.mem().ptr(next.add(16)).ok()?;
    }
    None
}

/// A word that is the sum in every address space. There must be several, of two sizes at least, none of them a number
/// that words often have. The highest that the sum ever was comes before it, and can be the same everywhere.
fn total_vm(samples: &[(u64, Vec<u8>)]) -> Option<u64> {
    let mut sums: Vec<u64> = samples.iter().map(|(pages, _)| *pages).collect();
    sums.sort_unstable();
    sums.dedup();
    let all = |at: &usize| samples.iter().all(|(pages, raw)| Bytes::new(raw).u64_at(*at) == Ok(*pages));
    let found = || (8..MM_LOOK).step_by(8).rfind(all);
    let telling = samples.len() >= MIN_SPACES && sums.len() >= 2 && sums.first() >= Some(&MIN_PAGES);
    telling.then(found)?.map(|at| at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(size: usize, words: &[(usize, u64)]) -> Vec<u8> {
        let mut raw = vec![0; size];
        for &(at, word) in words {
            raw[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        raw
    }

    #[test]
    fn clocks_that_add_up_to_the_logs_end() {
        let wall = 1_795_404_175_u64;
        let boot = |up: u64| (wall - up).wrapping_neg();
        let raw = bytes(512, &[(80, wall), (88, boot(14)), (96, 500), (232, 77)]);
        assert_eq!(pair_of_clocks(&raw, 13), Some((80, 88)));
        // it would have been dumped before its last message
        assert_eq!(pair_of_clocks(&raw, 20), None);
        // a second pair that fits
        let two = bytes(512, &[(80, wall), (88, boot(14)), (96, 500), (200, boot(15)), (208, 0)]);
        assert_eq!(pair_of_clocks(&two, 13), None);
    }

    #[test]
    fn the_timekeeper_begins_with_its_clock() {
        let (clock, key) = (0xffff_ffff_8260_0000, 0xffff_ffff_8270_0000);
        let raw = bytes(512, &[(0, 77), (8, clock), (64, clock)]);
        assert_eq!(start_of_timekeeper(&raw), Some(8));
        let checked = bytes(512, &[(0, 77), (8, key), (16, key + 64), (56, clock), (112, clock)]);
        assert_eq!(start_of_timekeeper(&checked), Some(56));
        assert_eq!(start_of_timekeeper(&bytes(512, &[(8, clock)])), None);
    }

    #[test]
    fn nodes_end_at_the_last_page() {
        let zone = [(40, 4096), (48, 126_941), (56, 126_941), (64, u64::MAX << 32 | 5)];
        let node = |start: u64, present, spanned, id| {
            let mut words = zone.to_vec();
            words.extend([(400, start), (408, present), (416, spanned), (424, id)]);
            (id, bytes(1024, &words))
        };
        assert_eq!(place_in_nodes(&[node(1, 130_939, 131_036, 0)], 131_037), Some(400));
        let two = [node(1, 90, 99, 0), node(100, 37, 37, 1)];
        assert_eq!(place_in_nodes(&two, 137), Some(400));
        assert_eq!(place_in_nodes(&two, 138), None);
        let apart = [node(1, 90, 99, 0), node(100, 37, 37, 2)];
        assert_eq!(place_in_nodes(&apart, 137), Some(400));
        assert_eq!(place_in_nodes(&[node(1, 200, 99, 0)], 100), None);
        assert_eq!(place_in_nodes(&[], 5), None);
    }

    #[test]
    fn the_sum_of_areas_is_told_by_several_processes() {
        let at = |places: &[usize], pages: u64| {
            let words: Vec<(usize, u64)> = places.iter().map(|at| (*at, pages)).collect();
            (pages, bytes(MM_LOOK, &words))
        };
        let one = |pages| at(&[184], pages);
        assert_eq!(total_vm(&[one(561), one(561), one(11830), one(11830)]), Some(184));
        // of one size, too few, too small
        assert_eq!(total_vm(&[one(561), one(561), one(561), one(561)]), None);
        assert_eq!(total_vm(&[one(561), one(562), one(563)]), None);
        assert_eq!(total_vm(&[one(5), one(561), one(562), one(563)]), None);
        let twice = |pages| at(&[176, 184], pages);
        assert_eq!(total_vm(&[twice(561), twice(562), twice(563), twice(564)]), Some(184));
        assert_eq!(total_vm(&[at(&[], 561), one(562), one(563), one(564)]), None);
    }
}
