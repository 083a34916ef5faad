//! Which bytes of the file are which physical addresses.
//!
//! Segments may overlap (the kernel's `/proc/vmcore` has the kernel image twice: as part of its RAM
//! range and under its own virtual address), may begin and end anywhere, may have less data than memory
//! (`makedumpfile -E`), and their data may lie behind the end of a cut file. Bytes that any segment has
//! in the file are data; all is told to the byte.

use super::header::Segment;
use crate::dump::Hole;
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};

use crate::Gap;

/// Data of the file: physical addresses `start..=last` are at `offset`.
#[derive(Clone, Copy, Debug)]
struct Data {
    start: u64,
    last: u64,
    offset: u64,
}

impl Data {
    /// The first `len` bytes of a segment's data from `skip` on; `None` where there are none.
    fn of(segment: &Segment, skip: u64, len: u64) -> Option<Self> {
        let start = segment.phys.checked_add(skip)?;
        let offset = segment.offset.saturating_add(skip);
        Some(Self { start, last: start.saturating_add(len.checked_sub(1)?), offset })
    }

    /// Bytes, at most `u64::MAX`.
    fn len(&self) -> u64 {
        (self.last - self.start).saturating_add(1)
    }
}

/// The segments, sorted and made disjoint.
pub(crate) struct Layout {
    /// What is in the file.
    data: Vec<Data>,
    /// What the headers say that the file has, and it ends before.
    cut: Vec<PhysRange>,
    ranges: Vec<PhysRange>,
    /// The end of the last data, by the headers.
    end_of_data: u64,
}

/// Where an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// At `offset` of the file; `left` bytes follow in one piece.
    Data {
        /// Offset in the file.
        offset: u64,
        /// Bytes from there to the end of the piece.
        left: u64,
    },
    /// Not there.
    Hole(Hole),
}

impl Layout {
    /// The layout of a file of `len` bytes.
    pub(crate) fn new(segments: &[Segment], len: u64) -> Self {
        let loads = || segments.iter().filter(|s| s.is_load() && s.phys != u64::MAX);
        let in_file = |s: &Segment| len.saturating_sub(s.offset).min(s.data_len());
        let mut data: Vec<Data> = loads().filter_map(|s| Data::of(s, 0, in_file(s))).collect();
        data.sort_by_key(|d| d.start);
        let mut covered: Option<u64> = None;
        data.retain_mut(|d| {
            // the last byte that is told already, and what of this piece goes on behind it
            let skip = covered.map_or(Some(0), |last| {
                let next = last.checked_add(1)?;
                (next <= d.last).then(|| next.saturating_sub(d.start))
            });
            let Some(skip) = skip else { return false };
            covered = Some(d.last);
            d.start = d.start.saturating_add(skip);
            d.offset = d.offset.saturating_add(skip);
            true
        });
        let cut = loads().filter_map(|s| Data::of(s, in_file(s), s.data_len() - in_file(s)));
        let end_of_data = loads()
            .filter(|s| s.data_len() > 0)
            .map(|s| s.offset.saturating_add(s.data_len()))
            .max()
            .unwrap_or(0);
        Self {
            data,
            cut: merged(cut.map(|d| PhysRange::of(PhysAddr(d.start), d.len())).collect()),
            ranges: merged(loads().map(|s| PhysRange::of(PhysAddr(s.phys), s.mem_len)).collect()),
            end_of_data,
        }
    }

    pub(crate) fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    /// The end of the last data in the file, by the headers.
    pub(crate) fn end_of_data(&self) -> u64 {
        self.end_of_data
    }

    /// Where memory is in the file: places and lengths.
    pub(crate) fn extents(&self) -> impl Iterator<Item = (u64, u64)> {
        self.data.iter().map(|d| (d.offset, d.len()))
    }

    /// Bytes of memory that the file has.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.extents().fold(0, |sum, (_, len)| sum.saturating_add(len))
    }

    /// The piece that has the address, or the next one.
    fn piece(&self, at: PhysAddr) -> Option<&Data> {
        self.data.get(self.data.partition_point(|d| d.last < at.0))
    }

    pub(crate) fn find(&self, at: PhysAddr) -> Found {
        match self.piece(at) {
            Some(d) if d.start <= at.0 => Found::Data {
                offset: d.offset.saturating_add(at.0 - d.start),
                left: (d.last - at.0).saturating_add(1),
            },
            next => Found::Hole(self.hole(at, next.map_or(u64::MAX, |d| d.start))),
        }
    }

    /// Why there is nothing at `at`, and up to where that reaches; data go on at `next`.
    fn hole(&self, at: PhysAddr, next: u64) -> Hole {
        let (cut, ram) = (within(&self.cut, at), within(&self.ranges, at));
        let (why, end) = match (cut, ram) {
            (Ok(end), _) => (Gap::Truncated, end),
            (Err(start), Ok(end)) => (Gap::Excluded, end.min(start)),
            (Err(start), Err(ram)) => (Gap::Absent, ram.min(start)),
        };
        Hole { why, len: end.min(next).saturating_sub(at.0).max(1) }
    }

    /// Whether the headers say that the file has data of the frame; a frame that is RAM only in part counts.
    pub(crate) fn present(&self, pfn: Pfn) -> Option<bool> {
        let start = pfn.0.checked_mul(PAGE_SIZE)?;
        let last = start | (PAGE_SIZE - 1);
        if self.piece(PhysAddr(start)).is_some_and(|d| d.start <= last) || touches(&self.cut, start, last) {
            return Some(true);
        }
        touches(&self.ranges, start, last).then_some(false)
    }

    /// The first address at or after `from` that the file has, where it is there, and how many bytes follow.
    pub(crate) fn next_data(&self, from: PhysAddr) -> Option<(PhysAddr, u64, u64)> {
        let d = self.piece(from)?;
        let skip = from.0.saturating_sub(d.start);
        Some((PhysAddr(d.start + skip), d.offset.saturating_add(skip), d.len().saturating_sub(skip)))
    }
}

/// The end of the range that has `at`; else the start of the next one.
fn within(ranges: &[PhysRange], at: PhysAddr) -> Result<u64, u64> {
    let next = ranges.partition_point(|r| r.start <= at);
    match next.checked_sub(1).and_then(|i| ranges.get(i)).filter(|r| r.contains(at)) {
        Some(range) => Ok(range.end.0),
        None => Err(ranges.get(next).map_or(u64::MAX, |r| r.start.0)),
    }
}

/// Whether a range has one of the bytes `start..=last`.
fn touches(ranges: &[PhysRange], start: u64, last: u64) -> bool {
    let next = ranges.partition_point(|r| r.last().is_none_or(|own| own.0 < start));
    ranges.get(next).is_some_and(|r| r.start.0 <= last)
}

/// Sorted ranges without overlaps and seams.
fn merged(mut all: Vec<PhysRange>) -> Vec<PhysRange> {
    all.retain(|range| !range.is_empty());
    all.sort_unstable_by_key(|range| (range.start, range.end));
    let mut out: Vec<PhysRange> = Vec::new();
    for range in all {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(why: Gap, len: u64) -> Found {
        Found::Hole(Hole { why, len })
    }

    fn load(phys: u64, offset: u64, file_len: u64, mem_len: u64) -> Segment {
        Segment { kind: 1, offset, virt: 0, phys, file_len, mem_len }
    }

    #[test]
    fn overlapping_segments_are_cut_and_ranges_merge() {
        let l = Layout::new(
            &[
                load(0x3000, 0x100, 0x1000, 0x1000),
                load(0x1000, 0x2000, 0x4000, 0x4000),
                load(0x5000, 0x9000, 0x1000, 0x1000),
            ],
            1 << 20,
        );
        assert_eq!(l.ranges(), [PhysRange { start: PhysAddr(0x1000), end: PhysAddr(0x6000) }]);
        assert_eq!(l.find(PhysAddr(0x3008)), Found::Data { offset: 0x4008, left: 0x1ff8 });
        assert_eq!(l.find(PhysAddr(0x5000)), Found::Data { offset: 0x9000, left: 0x1000 });
        assert_eq!(l.find(PhysAddr(0x6000)), hole(Gap::Absent, u64::MAX - 0x6000));
        assert_eq!(l.bytes(), 0x5000);
    }

    #[test]
    fn memory_without_data_is_excluded_unless_another_segment_has_it() {
        let l = Layout::new(
            &[load(0x1000, 0x100, 0x1000, 0x4000), load(0x3000, 0x5000, 0x1000, 0x1000)],
            1 << 20,
        );
        assert_eq!(l.find(PhysAddr(0x2000)), hole(Gap::Excluded, 0x1000));
        assert_eq!(l.find(PhysAddr(0x3004)), Found::Data { offset: 0x5004, left: 0xffc });
        assert_eq!(l.find(PhysAddr(0x4004)), hole(Gap::Excluded, 0xffc));
        assert_eq!(l.present(Pfn(2)), Some(false));
        assert_eq!(l.present(Pfn(3)), Some(true));
        assert_eq!(l.present(Pfn(5)), None);
        assert_eq!(l.present(Pfn(u64::MAX)), None);
    }

    #[test]
    fn pieces_of_a_page_are_told_to_the_byte() {
        let l = Layout::new(
            &[
                load(0x200, 0x1000, 0x200, 0x400),
                load(0x800, 0x1200, 0, 0x400),
                load(0xc00, 0x1200, 0x200, 0x200),
            ],
            0x1300,
        );
        let all = [
            (0, hole(Gap::Absent, 0x200)),
            (0x200, Found::Data { offset: 0x1000, left: 0x200 }),
            (0x400, hole(Gap::Excluded, 0x200)),
            (0x600, hole(Gap::Absent, 0x200)),
            (0x8ff, hole(Gap::Excluded, 0x301)),
            (0xcff, Found::Data { offset: 0x12ff, left: 1 }),
            (0xd00, hole(Gap::Truncated, 0x100)),
            (0xe00, hole(Gap::Absent, u64::MAX - 0xe00)),
        ];
        for (at, want) in all {
            assert_eq!(l.find(PhysAddr(at)), want, "{at:#x}");
        }
        assert_eq!((l.bytes(), l.present(Pfn(0)), l.end_of_data()), (0x300, Some(true), 0x1400));
        assert_eq!(l.next_data(PhysAddr(0x400)), Some((PhysAddr(0xc00), 0x1200, 0x100)));
        assert_eq!(l.next_data(PhysAddr(0xd00)), None);
    }

    #[test]
    fn a_cut_segment_hides_none_that_has_the_same_memory() {
        let l =
            Layout::new(&[load(0x1000, 0x5000, 0x4000, 0x4000), load(0x2000, 0x100, 0x1000, 0x1000)], 0x5800);
        assert_eq!(l.find(PhysAddr(0x1800)), hole(Gap::Truncated, 0x800));
        assert_eq!(l.find(PhysAddr(0x2000)), Found::Data { offset: 0x100, left: 0x1000 });
        assert_eq!(l.find(PhysAddr(0x3000)), hole(Gap::Truncated, 0x2000));
    }

    #[test]
    fn the_last_byte_of_the_space_is_one_like_others() {
        let l = Layout::new(&[load(u64::MAX - 0xfff, 0x100, 0x1000, 0x1000)], 1 << 20);
        assert_eq!(l.find(PhysAddr(u64::MAX)), Found::Data { offset: 0x10ff, left: 1 });
        assert_eq!(l.present(Pfn(u64::MAX >> 12)), Some(true));
        let l = Layout::new(&[load(u64::MAX - 0xfff, 0x100, 0x800, 0x1000)], 1 << 20);
        assert_eq!(l.find(PhysAddr(u64::MAX)), hole(Gap::Excluded, 1));
        assert_eq!(l.find(PhysAddr(u64::MAX - 0x1000)), hole(Gap::Absent, 1));
    }

    #[test]
    fn absurd_segments_do_not_overflow() {
        let all =
            [load(u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX), load(0, u64::MAX - 5, u64::MAX, u64::MAX)];
        let l = Layout::new(&all, u64::MAX);
        assert!(matches!(l.find(PhysAddr(0)), Found::Data { offset, left: 5 } if offset == u64::MAX - 5));
        assert_eq!(l.end_of_data(), u64::MAX);
        let l = Layout::new(&all, 1 << 20);
        assert_eq!(l.find(PhysAddr(0x1000)), hole(Gap::Truncated, u64::MAX - 0x1000));
        assert_eq!(l.bytes(), 0);
    }
}
