//! Headers that account for the whole file: each part of it is the headers', or one segment's, or padding before a segment
//! whose data are aligned, up to the last segment's end. Such headers are believed in whatever order they stand: no damage of a place or a length leaves
//! the file covered once.
//!
//! **Invariant:** of the file nothing is read but padding behind memory that is not all there; what this costs grows with the
//! headers.

use super::header::Segment;
use super::padding::are_zeros;
use crate::image::Image;
use base::PAGE_SIZE;

/// The largest alignment of data that is known of writers.
const MAX_ALIGN: u32 = 21;
/// So many data have to be aligned to what is no power of two.
const ENOUGH: usize = 2;

/// A part of the file.
struct Part<'s> {
    start: u64,
    end: u64,
    /// The memory that it is; none for headers and notes.
    load: Option<&'s Segment>,
}

/// What padding may stand before a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Such as aligns it.
    Alignment,
    /// Less than a page, where it is aligned: the front of the file has room for what is not known yet when it is written.
    Front,
    /// Less than a page.
    Any,
}

/// A gap, what stands behind it, and what may be the reason for it.
struct Gap {
    len: u64,
    next: u64,
    room: Room,
}

/// Whether the headers cover a file of `len` bytes up to the last segment's end, each part of it once. `headers` are the ELF header and the table.
pub(super) fn is_covered(segments: &[Segment], headers: [(u64, u64); 2], len: u64, image: &Image) -> bool {
    let mut parts: Vec<Part<'_>> =
        headers.iter().map(|&(start, end)| Part { start, end, load: None }).collect();
    for own in segments {
        let says_nothing = own.file_len == 0 && own.mem_len == 0;
        if !(own.is_load() || own.is_note() || says_nothing) || own.is_load() && own.file_len > own.mem_len {
            return false;
        }
        if own.file_len > 0 {
            parts.push(Part { start: own.offset, end: own.file_end(), load: own.is_load().then_some(own) });
        }
    }
    parts.sort_by_key(|part| (part.start, part.end));
    let mut gaps = Vec::new();
    // a length that is too short leaves memory there, and padding is zeros
    let is_short = |last: Option<&Segment>, from: u64, to: u64| {
        from < to && last.is_some_and(|last| last.file_len < last.mem_len) && !are_zeros(image, from, to)
    };
    let (mut at, mut last): (u64, Option<&Segment>) = (0, None);
    let mut is_first = true;
    for part in &parts {
        // the first data have the front of the file before them
        let room = match part.load {
            Some(_) if std::mem::take(&mut is_first) => Room::Front,
            Some(_) => Room::Alignment,
            None => Room::Any,
        };
        // the same bytes for the same memory: a header that is there twice
        let is_same = || match (part.load, last) {
            (Some(own), Some(last)) => {
                own.phys.wrapping_sub(own.offset) == last.phys.wrapping_sub(last.offset)
            }
            _ => false,
        };
        match part.start.checked_sub(at) {
            Some(_) if is_short(last, at, part.start) => return false,
            Some(len) => gaps.push(Gap { len, next: part.start, room }),
            None if is_same() => {}
            None => return false,
        }
        if part.end > at {
            (at, last) = (part.end, part.load);
        }
    }
    // a copy may be filled up, a table of sections or anything else stand behind: where the length of the last data is said
    // twice, that says nothing of them
    let is_lost = |s: &Segment| s.is_load() && s.file_len == 0 && s.mem_len > 0 && s.offset >= at;
    let is_told = last.is_none_or(|last| last.file_len == last.mem_len) && !segments.iter().any(is_lost);
    let ends = at <= len && (is_told || len - at < PAGE_SIZE) && !is_short(last, at, len);
    let mut aligns = (0..=MAX_ALIGN).map(|bits| 1 << bits).chain(common(&gaps));
    ends && aligns.any(|align| explains(&gaps, align))
}

/// The alignment that most writers would not choose: what all data have in common, where enough of them have it that chance
/// does not make it.
fn common(gaps: &[Gap]) -> Option<u64> {
    let padded: Vec<u64> =
        gaps.iter().filter(|gap| gap.room == Room::Alignment && gap.len > 0).map(|gap| gap.next).collect();
    let all = gaps.iter().filter(|gap| gap.room != Room::Any).map(|gap| gap.next);
    let of_padded = padded.iter().copied().reduce(gcd)?;
    // one to a page or less may be met by chance, a larger one by all
    let align = if of_padded > PAGE_SIZE { all.fold(of_padded, gcd) } else { of_padded };
    (padded.len() >= ENOUGH && (2..=1 << MAX_ALIGN).contains(&align)).then_some(align)
}

/// The largest number that divides both.
fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Whether an alignment of all data is the reason for what is between them.
fn explains(gaps: &[Gap], align: u64) -> bool {
    gaps.iter().all(|gap| {
        let is_aligned = gap.next.is_multiple_of(align);
        // by chance many places are aligned to a page or less, few to more
        let touches = gap.len == 0 && align <= PAGE_SIZE;
        match gap.room {
            Room::Any => gap.len < PAGE_SIZE || gap.len < align && is_aligned,
            Room::Front => is_aligned && gap.len < align.max(PAGE_SIZE) || touches,
            Room::Alignment => is_aligned && gap.len < align || touches,
        }
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::formats::elf::header::PT_NOTE;
    use crate::source::Source;

    const HEADERS: [(u64, u64); 2] = [(0, 64), (64, 0x200)];

    fn load(phys: u64, offset: u64, len: u64) -> Segment {
        Segment::load(phys, offset, len)
    }

    fn image(byte: u8) -> Image {
        Image::new(Source::memory("file", vec![byte; 0x3_0000]).unwrap()).unwrap()
    }

    fn covers(segments: &[Segment], len: u64) -> bool {
        is_covered(segments, HEADERS, len, &image(1))
    }

    /// Four segments behind each other, and what ends the file.
    fn sound() -> (Vec<Segment>, u64) {
        let of = |n: u64| load(0x10_0000 * (n + 1), 0x200 + 0x2000 * n, 0x2000);
        ((0..4).map(of).collect(), 0x8200)
    }

    #[test]
    fn headers_in_any_order_cover_a_file() {
        let (mut all, len) = sound();
        assert!(covers(&all, len));
        all.reverse();
        assert!(covers(&all, len));
        all.swap(0, 2);
        assert!(covers(&all, len));
    }

    #[test]
    fn a_damaged_place_or_length_covers_none() {
        let (all, len) = sound();
        for n in 0..all.len() {
            for bit in 0..40 {
                let mut place = all.clone();
                place[n].offset ^= 1 << bit;
                assert!(!covers(&place, len), "p_offset of {n}, bit {bit}");
                let mut length = all.clone();
                length[n].file_len ^= 1 << bit;
                // nothing but a shorter end of the file is left
                let is_end = n == 3 && length[n].file_len < 0x2000 && 0x2000 - length[n].file_len < PAGE_SIZE;
                assert!(!covers(&length, len) || is_end, "p_filesz of {n}, bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_behind_the_last_data_says_nothing_of_them() {
        let (all, len) = sound();
        for junk in [1, PAGE_SIZE - 1, PAGE_SIZE, 0x8000] {
            assert!(covers(&all, len + junk), "{junk:#x}");
            for n in 0..all.len() {
                let mut place = all.clone();
                place[n].offset ^= 0x1000;
                assert!(!covers(&place, len + junk), "{junk:#x}: p_offset of {n}");
                let mut length = all.clone();
                length[n].file_len -= 0x1000;
                assert!(!covers(&length, len + junk), "{junk:#x}: p_filesz of {n}");
            }
        }
    }

    #[test]
    fn what_is_aligned_has_padding_before_it() {
        let notes = Segment { kind: PT_NOTE, ..load(0, 0x3110, 0x40) };
        let by_16 = [load(0x1000, 0x200, 0x1008), load(0x10_3000, 0x1210, 0x1f00), notes];
        assert!(covers(&by_16, 0x3150));
        let pages = [load(0x1000, 0x1000, 0x1800), load(0x10_3000, 0x3000, 0x2000)];
        assert!(covers(&pages, 0x5000));
        let large = [load(0x1000, 0x1_0000, 0x1000), load(0x10_3000, 0x2_0000, 0x1000)];
        assert!(covers(&large, 0x2_1000));
        // one gap of a page, and what is behind it aligned to no more
        let lost = [load(0x1000, 0x1000, 0x1000), load(0x10_3000, 0x3000, 0x2000)];
        assert!(!covers(&lost, 0x5000));
        // memory whose end the filter left out, or that has a p_filesz which is too short
        let short =
            [Segment { mem_len: 0x2000, ..load(0x1000, 0x1000, 0x1800) }, load(0x10_3000, 0x3000, 0x2000)];
        assert!(is_covered(&short, HEADERS, 0x5000, &image(0)) && !covers(&short, 0x5000));
        // alignments that are no power of two
        for align in [7_u64, 0x3000, 0x6000] {
            let lens = [0x1234_u64, 0x1001, 0x2000, 0x1801];
            let mut at = 0x200_u64;
            let mut all: Vec<Segment> = Vec::new();
            for (n, len) in (1..).zip(lens) {
                let start = at.next_multiple_of(align);
                all.push(load(0x10_0000 * n, start, len));
                at = start + len;
            }
            all.swap(0, 2);
            assert!(covers(&all, at), "{align:#x}");
            for n in 0..4 {
                for bit in 0..40 {
                    let mut place = all.clone();
                    place[n].offset ^= 1 << bit;
                    assert!(!covers(&place, at), "{align:#x}: p_offset of {n}, bit {bit}");
                }
            }
        }
        // memory that is there twice in the same bytes, and other memory in them
        let twice = [load(0x1000, 0x1000, 0x2000), load(0x2000, 0x2000, 0x1000)];
        assert!(covers(&twice, 0x3000));
        let shared = [load(0x1000, 0x1000, 0x2000), load(0x9000, 0x2000, 0x1000)];
        assert!(!covers(&shared, 0x3000));
    }
}
