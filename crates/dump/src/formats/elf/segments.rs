//! Which bytes of the file are which physical addresses.
//!
//! Segments may overlap (the kernel's `/proc/vmcore` has the kernel image twice: as part of its RAM
//! range and under its own virtual address), may begin and end anywhere, and may have less data
//! than memory (`makedumpfile -E`). Bytes that any segment has data for are data.

use super::header::Segment;
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};

use crate::Gap;

/// Data of the file: physical addresses `start..end` are at `offset`.
#[derive(Clone, Copy, Debug)]
struct Data {
    start: u64,
    end: u64,
    offset: u64,
}

/// The segments, sorted and made disjoint.
pub(crate) struct Layout {
    data: Vec<Data>,
    ranges: Vec<PhysRange>,
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
    Gap(Gap),
}

impl Layout {
    pub(crate) fn new(segments: &[Segment]) -> Self {
        let loads = || segments.iter().filter(|s| s.is_load() && s.phys != u64::MAX);
        let mut data: Vec<Data> = loads()
            .map(|s| Data {
                start: s.phys,
                end: s.phys.saturating_add(s.file_len.min(s.mem_len)),
                offset: s.offset,
            })
            .filter(|d| d.start < d.end)
            .collect();
        data.sort_by_key(|d| d.start);
        let mut covered = 0;
        data.retain_mut(|d| {
            let skip = covered.max(d.start) - d.start;
            covered = covered.max(d.end);
            d.start = d.start.saturating_add(skip);
            d.offset = d.offset.saturating_add(skip);
            d.start < d.end
        });
        let ranges = merged(loads().map(|s| (s.phys, s.phys.saturating_add(s.mem_len))).collect());
        Self { data, ranges }
    }

    pub(crate) fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    /// The end of the last data in the file, by the headers.
    pub(crate) fn end_of_data(&self) -> u64 {
        self.data.iter().map(|d| d.offset.saturating_add(d.end - d.start)).max().unwrap_or(0)
    }

    /// Bytes of memory that the file has.
    pub(crate) fn data_len(&self) -> u64 {
        self.data.iter().map(|d| d.end - d.start).sum()
    }

    pub(crate) fn find(&self, at: PhysAddr) -> Found {
        let next = self.data.partition_point(|d| d.start <= at.0);
        match next.checked_sub(1).and_then(|i| self.data.get(i)) {
            Some(d) if at.0 < d.end => {
                Found::Data { offset: d.offset.saturating_add(at.0 - d.start), left: d.end - at.0 }
            }
            _ => Found::Gap(if self.covers(at) { Gap::Excluded } else { Gap::Absent }),
        }
    }

    /// True when some segment has the address, with or without data.
    fn covers(&self, at: PhysAddr) -> bool {
        let next = self.ranges.partition_point(|r| r.start <= at);
        next.checked_sub(1).and_then(|i| self.ranges.get(i)).is_some_and(|r| r.contains(at))
    }

    /// Whether the frame has data; a frame that is RAM only in part counts by its first byte of RAM.
    pub(crate) fn present(&self, pfn: Pfn) -> Option<bool> {
        if pfn.0 > u64::MAX / PAGE_SIZE {
            return None;
        }
        let (start, end) = (pfn.addr().0, pfn.addr().0.saturating_add(PAGE_SIZE));
        let next = self.data.partition_point(|d| d.end <= start);
        if self.data.get(next).is_some_and(|d| d.start < end) {
            return Some(true);
        }
        let next = self.ranges.partition_point(|r| r.end.0 <= start);
        self.ranges.get(next).is_some_and(|r| r.start.0 < end).then_some(false)
    }

    /// The first frame at or after `from` that has data before the end of the file, at `len`.
    pub(crate) fn next_present(&self, from: Pfn, len: u64) -> Option<Pfn> {
        let start = from.0.checked_mul(PAGE_SIZE)?;
        let next = self.data.partition_point(|d| d.end <= start);
        let in_file = |d: &&Data| d.offset.saturating_add(start.saturating_sub(d.start)) < len;
        let found = self.data.get(next..)?.iter().find(in_file)?;
        Some(Pfn((found.start / PAGE_SIZE).max(from.0)))
    }
}

/// Sorted ranges without overlaps and seams.
fn merged(mut all: Vec<(u64, u64)>) -> Vec<PhysRange> {
    all.retain(|(start, end)| start < end);
    all.sort_unstable();
    let mut out: Vec<PhysRange> = Vec::new();
    for (start, end) in all {
        match out.last_mut() {
            Some(last) if start <= last.end.0 => last.end.0 = last.end.0.max(end),
            _ => out.push(PhysRange { start: PhysAddr(start), end: PhysAddr(end) }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(phys: u64, offset: u64, file_len: u64, mem_len: u64) -> Segment {
        Segment { kind: 1, offset, virt: 0, phys, file_len, mem_len }
    }

    #[test]
    fn overlapping_segments_are_cut_and_ranges_merge() {
        let l = Layout::new(&[
            load(0x3000, 0x100, 0x1000, 0x1000),
            load(0x1000, 0x2000, 0x4000, 0x4000),
            load(0x5000, 0x9000, 0x1000, 0x1000),
        ]);
        assert_eq!(l.ranges(), [PhysRange { start: PhysAddr(0x1000), end: PhysAddr(0x6000) }]);
        assert_eq!(l.find(PhysAddr(0x3008)), Found::Data { offset: 0x4008, left: 0x1ff8 });
        assert_eq!(l.find(PhysAddr(0x5000)), Found::Data { offset: 0x9000, left: 0x1000 });
        assert_eq!(l.find(PhysAddr(0x6000)), Found::Gap(Gap::Absent));
        assert_eq!(l.data_len(), 0x5000);
    }

    #[test]
    fn memory_without_data_is_excluded_unless_another_segment_has_it() {
        let l = Layout::new(&[load(0x1000, 0x100, 0x1000, 0x4000), load(0x3000, 0x5000, 0x1000, 0x1000)]);
        assert_eq!(l.find(PhysAddr(0x2000)), Found::Gap(Gap::Excluded));
        assert_eq!(l.find(PhysAddr(0x3004)), Found::Data { offset: 0x5004, left: 0xffc });
        assert_eq!(l.find(PhysAddr(0x4000)), Found::Gap(Gap::Excluded));
        assert_eq!(l.present(Pfn(2)), Some(false));
        assert_eq!(l.present(Pfn(3)), Some(true));
        assert_eq!(l.present(Pfn(5)), None);
        assert_eq!(l.present(Pfn(u64::MAX)), None);
    }

    #[test]
    fn absurd_segments_do_not_overflow() {
        let l = Layout::new(&[
            load(u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX),
            load(0, u64::MAX - 5, u64::MAX, u64::MAX),
        ]);
        assert!(matches!(l.find(PhysAddr(0x1000)), Found::Data { offset: u64::MAX, .. }));
        assert_eq!(l.end_of_data(), u64::MAX);
    }
}
