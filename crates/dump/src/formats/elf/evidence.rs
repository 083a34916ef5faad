//! Program headers held against each other. A field of one header can be damaged; what the others say of the file and of
//! memory shows it.
//!
//! What all writers do (`fs/proc/vmcore.c`, QEMU `dump/dump.c`, makedumpfile `-E`, VirtualBox): data follow each other in
//! the file in the headers' order, memory ascends in the same order, and `p_vaddr` is as far from `p_paddr` in all
//! headers (`PAGE_OFFSET`, or 0). The kernel's image can be there twice, with the same bytes.
//!
//! **Invariant:** a header is changed or left out only where what stands beside it contradicts it: two other headers or more,
//! or its neighbours in the file and the file's own ends ([`places`]). That is told.

use super::header::{Begins, MAX_PHYS, Segment, get};
use super::places::{self, File};
use crate::Warning;
use crate::image::Image;
use base::PAGE_SIZE;
use std::cmp::Reverse;

/// How many pages of memory that two segments have are compared.
const SAMPLES: u64 = 4;

/// How many of the headers are some: data that an earlier one places can lie behind the table only. What can be a header
/// there is one all the same: then the place of the data is what is damaged.
pub(super) fn count(segments: &[Segment], table: u64, entry_len: u64) -> usize {
    let mut data = u64::MAX;
    for (n, segment) in (0_u64..).zip(segments) {
        let end = table.saturating_add(entry_len.saturating_mul(n + 1));
        if end > data && !segment.is_sound() {
            return usize::try_from(n).unwrap_or(usize::MAX);
        }
        let is_data = (segment.is_load() || segment.is_note()) && segment.file_len > 0;
        if is_data && segment.offset >= table.saturating_add(entry_len) {
            data = data.min(segment.offset);
        }
    }
    segments.len()
}

/// Mends what the other headers and the file contradict, or takes it out. Costs what grows with the headers, not with the dump.
pub(super) fn check(segments: &mut Vec<Segment>, file: &File<'_>, warnings: &mut Vec<Warning>) {
    let image = file.image;
    places::mend(segments, file, warnings);
    let loads: Vec<usize> = (0..).zip(segments.iter()).filter(|(_, s)| s.is_load()).map(|(n, _)| n).collect();
    if loads.len() >= 3 {
        let ordered = if file.covers { by_place(segments, &loads) } else { loads.clone() };
        mend_phys(segments, &loads, &ordered, warnings);
        leave_out(segments, &ordered, image, warnings);
        mend_memory(segments, &loads, warnings);
    }
}

/// The order of the data, for headers that cover the file: their own tells nothing that it does not. Memory that another
/// header has in the same bytes has no place in it.
fn by_place(segments: &[Segment], loads: &[usize]) -> Vec<usize> {
    let mut loads = loads.to_vec();
    loads.sort_by_key(|&n| (get(segments, n).offset, Reverse(get(segments, n).file_end())));
    let mut end = 0;
    loads.retain(|&n| {
        let own = get(segments, n);
        let is_own = own.offset >= end || own.data_len() == 0;
        end = end.max(own.file_end());
        is_own
    });
    loads
}

/// Memory of so many times all that the headers have, behind one segment's data, is looked at for damage.
const MOST_LEFT_OUT: u64 = 64;

/// `p_memsz` that reaches into the memory of other headers, or that is damaged by itself: nothing tells how much memory is
/// behind the data, so none is. Where several do, their writer let memory overlap.
fn mend_memory(segments: &mut [Segment], loads: &[usize], warnings: &mut Vec<Warning>) {
    let begins = Begins::of(segments);
    // some were taken out before
    let loads: Vec<usize> = loads.iter().copied().filter(|&n| get(segments, n).is_load()).collect();
    let held = loads.iter().fold(0_u64, |sum, &n| sum.saturating_add(get(segments, n).data_len()));
    let is_whole = |s: &Segment| s.mem_len <= s.file_len;
    let odd = loads.iter().filter(|&&n| !is_whole(&get(segments, n))).count();
    let overlaps = |own: &Segment| !is_whole(own) && !begins.is_apart(own, own.mem_len);
    let overlapping = loads.iter().filter(|&&n| overlaps(&get(segments, n))).count();
    for &number in &loads {
        let own = get(segments, number);
        if is_whole(&own) {
            continue;
        }
        let is_much = odd == 1 && own.mem_len / MOST_LEFT_OUT > held && is_damaged_length(&own);
        let is_beyond = own.phys.saturating_add(own.mem_len) > MAX_PHYS;
        if is_much || is_beyond || overlapping == 1 && overlaps(&own) {
            let (value, taken) = (own.mem_len, own.file_len);
            let why = Warning::HeaderMended { number, field: "p_memsz", value, taken };
            change(segments, number, warnings, why, Segment { mem_len: taken, ..own });
        }
    }
}

/// Whether `p_memsz` is `p_filesz` but for one byte. A filter that leaves out one large region, as the only one, makes it
/// differ in more than that.
fn is_damaged_length(own: &Segment) -> bool {
    let differ = own.mem_len ^ own.file_len;
    let bytes = differ.to_le_bytes().into_iter().filter(|byte| *byte != 0).count();
    own.file_len > 0 && bytes == 1
}

pub(super) fn change(
    segments: &mut [Segment],
    n: usize,
    warnings: &mut Vec<Warning>,
    why: Warning,
    new: Segment,
) {
    if let Some(segment) = segments.get_mut(n) {
        *segment = new;
        warnings.push(why);
    }
}

/// Takes a segment out, so that nothing is read by it, and tells why.
pub(super) fn take_out(
    segments: &mut [Segment],
    number: usize,
    why: &'static str,
    warnings: &mut Vec<Warning>,
) {
    let own = get(segments, number);
    let warning = Warning::HeaderLeftOut { number, phys: own.phys, len: own.data_len(), why };
    change(segments, number, warnings, warning, Segment { kind: 0, ..own });
}

/// What `p_vaddr` is from `p_paddr` in most headers.
fn distance(segments: &[Segment], loads: &[usize]) -> Option<u64> {
    let mut all: Vec<u64> = loads
        .iter()
        .map(|&n| get(segments, n))
        .filter(|s| s.virt != 0 || s.phys == 0)
        .map(|s| s.distance())
        .collect();
    all.sort_unstable();
    let runs = all.chunk_by(|a, b| a == b);
    let most = runs.max_by_key(|run| run.len())?;
    (most.len() >= 2 && 2 * most.len() > all.len()).then(|| most.first().copied()).flatten()
}

/// `p_paddr` where `p_vaddr` contradicts it, and memory ascends with the other value only: in the headers' order, or in that of
/// the data where memory ascends in that. There the kernel's image can be last, so that neighbours on both sides have to say so.
fn mend_phys(segments: &mut [Segment], loads: &[usize], placed: &[usize], warnings: &mut Vec<Warning>) {
    let Some(distance) = distance(segments, loads) else { return };
    // the kernel's image is mapped at another distance, which tells nothing of the order of memory
    let usual_of = |order: &[usize]| -> Vec<(usize, usize)> {
        let is_usual = |(_, n): &(usize, usize)| get(segments, *n).distance() == distance;
        (0..).zip(order.iter().copied()).filter(is_usual).collect()
    };
    let ascending = |usual: &[(usize, usize)]| {
        let all: Vec<Segment> = usual.iter().map(|&(_, n)| get(segments, n)).collect();
        chain(&all, |s| (s.phys, s.phys.saturating_add(s.mem_len))).len()
    };
    let (by_header, by_place) = (usual_of(loads), usual_of(placed));
    let is_placed = ascending(&by_place) > ascending(&by_header);
    let (order, usual) = if is_placed { (placed, by_place) } else { (loads, by_header) };
    for (own_place, &n) in order.iter().enumerate() {
        let own = get(segments, n);
        let taken = own.virt.wrapping_sub(distance);
        // QEMU's first segment has both at 0
        if (own.virt == 0 && distance != 0) || taken == own.phys || taken >= MAX_PHYS {
            continue;
        }
        let place = usual.partition_point(|(other, _)| *other < own_place);
        let neighbour = |at: Option<usize>| at.and_then(|p| usual.get(p)).map(|&(_, n)| get(segments, n));
        let (before, next) = (neighbour(place.checked_sub(1)), neighbour(Some(place)));
        if is_placed && (before.is_none() || next.is_none()) {
            continue;
        }
        let ascends = |phys: u64| {
            let low = before.is_none_or(|b| b.phys.saturating_add(b.mem_len) <= phys);
            low && next.is_none_or(|next| phys.saturating_add(own.mem_len) <= next.phys)
        };
        let fits = ascends(own.phys) && own.phys.is_multiple_of(PAGE_SIZE);
        if ascends(taken) && !fits {
            let why = Warning::HeaderMended { number: n, field: "p_paddr", value: own.phys, taken };
            change(segments, n, warnings, why, Segment { phys: taken, ..own });
        } else if ascends(taken) && taken.is_multiple_of(PAGE_SIZE) {
            // either can be right, and other memory would be read in its place
            take_out(segments, n, "p_paddr and p_vaddr contradict each other", warnings);
        }
    }
}

/// Takes out the segments that others contradict and that nothing mends: memory at another place than the order of all
/// others has it, where other bytes are; other memory in the same bytes of the file; the only one that begins inside a
/// page.
fn leave_out(segments: &mut Vec<Segment>, loads: &[usize], image: &Image, warnings: &mut Vec<Warning>) {
    let held: Vec<usize> = loads.iter().copied().filter(|&n| get(segments, n).data_len() > 0).collect();
    let all: Vec<Segment> = held.iter().map(|&n| get(segments, n)).collect();
    let by_phys = chain(&all, |s| (s.phys, s.phys.saturating_add(s.data_len())));
    let by_file = chain(&all, |s| (s.offset, s.file_end()));
    let [off_phys, off_file] = [outside(&by_phys, all.len()), outside(&by_file, all.len())];
    let mut bad: Vec<(usize, &'static str)> = Vec::new();
    let mut cut: Vec<(usize, (u64, u64))> = Vec::new();
    bad.extend(odd_in_page(&all).map(|n| (n, "it alone begins inside a page, and its data do not")));
    for &n in off_phys.iter().take(MAX_OUTSIDE) {
        let Some(own) = all.get(n) else { continue };
        let others = by_phys.iter().filter_map(|&o| all.get(o).map(|other| (o, other)));
        let mut shared = others.filter(|(_, o)| overlap(own, o).is_some()).take(MAX_OUTSIDE).peekable();
        if shared.peek().is_none() && off_phys.len() == 1 && by_phys.len() >= 3 {
            bad.push((n, "its memory is out of the order of all others"));
        }
        for (o, other) in shared.filter(|(_, other)| differ(own, other, image)) {
            // which is right nothing tells: the smaller one is left out, and of the other what it has of the larger
            let (small, large) = if own.data_len() <= other.data_len() { (n, o) } else { (o, n) };
            bad.push((small, "the same memory has other bytes in another segment"));
            cut.extend(overlap(own, other).map(|range| (large, range)));
        }
    }
    for &n in off_file.iter().take(MAX_OUTSIDE) {
        let Some(own) = all.get(n) else { continue };
        let place = |s: &Segment| s.phys.wrapping_sub(s.offset);
        let shares =
            |o: &Segment| own.offset < o.file_end() && o.offset < own.file_end() && place(o) != place(own);
        let others = by_file.iter().filter_map(|&o| all.get(o).map(|other| (o, other)));
        let mut sharing = others.filter(|(_, other)| shares(other)).take(MAX_OUTSIDE).peekable();
        if by_file.len() < 2 || sharing.peek().is_none() {
            continue;
        }
        bad.push((n, "its bytes in the file are other memory in another segment"));
        // a header that does not say its length twice can be the damaged one
        for (o, other) in sharing.filter(|(_, other)| other.file_len != other.mem_len) {
            let (start, last) = (own.offset.max(other.offset), own.file_end().min(other.file_end()));
            let at = |offset: u64| other.phys.saturating_add(offset.saturating_sub(other.offset));
            cut.push((o, (at(start), at(last))));
        }
    }
    for (n, (start, end)) in cut {
        if let Some(&number) = held.get(n) {
            cut_out(segments, number, start, end);
        }
    }
    for (n, why) in bad {
        if let Some(&number) = held.get(n)
            && segments.get(number).is_some_and(Segment::is_load)
        {
            take_out(segments, number, why, warnings);
        }
    }
}

/// The only segment that begins inside a page of memory, where its data do not lie so in the file: memory that does begin
/// there has its data as far from a page's start as all others have theirs.
fn odd_in_page(all: &[Segment]) -> Option<usize> {
    let inside = |s: &Segment| !s.phys.is_multiple_of(PAGE_SIZE);
    let mut odd = (0..).zip(all).filter(|(_, s)| inside(s));
    let (n, own) = odd.next()?;
    let mut others = (0..).zip(all).filter(|(other, _)| *other != n).map(|(_, s)| s.rest());
    let common = others.next()?;
    let agree = all.len() >= 3 && others.all(|r| r == common);
    (odd.next().is_none() && agree && own.rest() != common).then_some(n)
}

/// Takes a range of memory out of a segment: what is behind it becomes another one.
fn cut_out(segments: &mut Vec<Segment>, number: usize, start: u64, end: u64) {
    let Some(own) = segments.get_mut(number) else { return };
    let (before, skip) = (start.saturating_sub(own.phys), end.saturating_sub(own.phys));
    let behind = Segment {
        offset: own.offset.saturating_add(skip),
        virt: own.virt.wrapping_add(skip),
        phys: end,
        file_len: own.file_len.saturating_sub(skip),
        mem_len: own.mem_len.saturating_sub(skip),
        ..*own
    };
    own.file_len = own.file_len.min(before);
    own.mem_len = own.mem_len.min(before);
    if behind.mem_len > 0 {
        segments.push(behind);
    }
}

/// How many segments that stand out are looked at: a writer that keeps no order has more.
const MAX_OUTSIDE: usize = 64;

/// Physical addresses that both segments have data of.
fn overlap(a: &Segment, b: &Segment) -> Option<(u64, u64)> {
    let last = |s: &Segment| s.phys.saturating_add(s.data_len());
    let (start, end) = (a.phys.max(b.phys), last(a).min(last(b)));
    (start < end).then_some((start, end))
}

/// Whether memory that both have is not the same in both.
fn differ(a: &Segment, b: &Segment, image: &Image) -> bool {
    let Some((start, end)) = overlap(a, b) else { return false };
    let offset = |s: &Segment, at: u64| s.offset.saturating_add(at - s.phys);
    let step = ((end - start) / SAMPLES).max(1);
    (0..SAMPLES).map(|n| start.saturating_add(n * step)).filter(|at| *at < end).any(|at| {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(PAGE_SIZE as usize);
        let (mut one, mut other) = (vec![0; len], vec![0; len]);
        let read = [(a, &mut one), (b, &mut other)].map(|(s, buf)| image.fill(offset(s, at), buf).is_ok());
        read == [true, true] && one != other
    })
}

/// The places that are not in an ascending list of some.
fn outside(chain: &[usize], count: usize) -> Vec<usize> {
    let mut chain = chain.iter().copied().peekable();
    (0..count).filter(|n| chain.next_if_eq(n).is_none()).collect()
}

/// What of the file is in no segment, header or table of headers, in the file's order: each offset and length.
pub(super) fn unplaced(known: &[(u64, u64)], len: u64) -> Vec<(u64, u64)> {
    let mut known: Vec<(u64, u64)> = known.iter().copied().filter(|(start, _)| *start < len).collect();
    known.sort_unstable();
    let (mut at, mut out) = (0, Vec::new());
    for (start, end) in known.into_iter().chain([(len, len)]) {
        if start.saturating_sub(at) >= PAGE_SIZE {
            out.push((at, start - at));
        }
        at = at.max(end);
    }
    out
}

/// The longest run of segments, in the headers' order, whose ranges ascend and share nothing: their places.
fn chain(all: &[Segment], range: impl Fn(&Segment) -> (u64, u64)) -> Vec<usize> {
    // ends of the best chains by length, and how each segment's chain goes on
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; all.len()];
    let of = |n: usize| all.get(n).map_or((0, 0), &range);
    for n in 0..all.len() {
        let (start, end) = of(n);
        let length = ends.partition_point(|&e| of(e).1 <= start);
        if let Some(slot) = before.get_mut(n) {
            *slot = length.checked_sub(1).and_then(|l| ends.get(l)).copied();
        }
        match ends.get_mut(length) {
            Some(best) if of(*best).1 > end => *best = n,
            Some(_) => {}
            None => ends.push(n),
        }
    }
    let mut out = Vec::new();
    let mut at = ends.last().copied();
    while let Some(n) = at {
        out.push(n);
        at = before.get(n).copied().flatten();
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Words;

    fn load(phys: u64, offset: u64, len: u64) -> Segment {
        Segment { virt: phys.wrapping_add(0xffff_8880_0000_0000), ..Segment::load(phys, offset, len) }
    }

    /// Five runs of memory, one behind the other in the file.
    fn sound() -> Vec<Segment> {
        let runs = [(0x1000, 3), (0x10_0000, 0x40), (0x20_0000, 8), (0x40_0000, 0x10), (0x80_0000, 4)];
        let mut offset = 0x1000;
        let run = |(phys, pages): (u64, u64)| {
            let segment = load(phys, offset, pages * PAGE_SIZE);
            offset += pages * PAGE_SIZE;
            segment
        };
        runs.into_iter().map(run).collect()
    }

    fn checked(mut segments: Vec<Segment>, file: Vec<u8>) -> (Vec<Segment>, Vec<String>) {
        let image = Image::new(crate::source::Source::memory("file", file).unwrap()).unwrap();
        let mut warnings = Vec::new();
        let table = 64 + 56 * segments.len() as u64;
        let end = image.len();
        let covers = super::super::cover::is_covered(&segments, [(0, 64), (64, table)], end, &image);
        let file = File::new(&image, table, true, covers, Words::LITTLE_64, end);
        check(&mut segments, &file, &mut warnings);
        (segments, warnings.iter().map(ToString::to_string).collect())
    }

    /// A file whose bytes differ from page to page.
    fn file() -> Vec<u8> {
        (0..0x6000_u64).flat_map(|n| (n / 8).to_le_bytes().repeat(2)).take(0x60_000).collect()
    }

    fn same(a: &[Segment], b: &[Segment]) -> bool {
        let all = |s: &Segment| (s.kind, s.phys, s.offset, s.data_len());
        a.iter().map(all).eq(b.iter().map(all))
    }

    #[test]
    fn what_the_other_headers_contradict_is_mended() {
        let len: usize = 0x1000 + 0x5f * 0x1000;
        let file = file()[..len].to_vec();
        assert!(same(&checked(sound(), file.clone()).0, &sound()));
        assert!(checked(sound(), file.clone()).1.is_empty());
        for n in 1..5 {
            type Damage = fn(&mut Segment);
            let damages: [(&str, Damage); 6] = [
                ("p_offset", |s| s.offset ^= 0xff00),
                ("p_offset", |s| s.offset += 0x100_0000),
                ("p_filesz", |s| s.file_len -= 0x1000),
                ("p_memsz", |s| s.mem_len -= 0x1000),
                ("p_paddr", |s| s.phys ^= 0xff),
                ("p_paddr", |s| s.phys += 0x1_0000_0000),
            ];
            for (field, damage) in damages {
                let mut segments = sound();
                damage(&mut segments[n]);
                let last = n == 4 && field == "p_paddr" && segments[n].phys > 0x1_0000_0000;
                if last {
                    // nothing is behind it that it could be out of order with
                    continue;
                }
                let (found, told) = checked(segments, file.clone());
                assert!(same(&found, &sound()), "{field} of {n}: {found:#x?}");
                assert!(told.len() == 1 && told[0].contains(field), "{told:?}");
            }
        }
    }

    #[test]
    fn two_places_that_are_both_in_order_are_none() {
        let mut segments = sound();
        segments[2].phys += 0x2000;
        let (found, told) = checked(segments, file());
        assert!(!found[2].is_load() && told[0].contains("p_paddr and p_vaddr contradict"), "{told:?}");
        // a virtual address that no memory has: the physical one stands
        let mut segments = sound();
        segments[2].virt ^= 0xff << 56;
        let (found, told) = checked(segments, file());
        assert!(same(&found, &sound()) && told.is_empty(), "{told:?}");
    }

    #[test]
    fn what_nothing_mends_is_left_out() {
        let without = |mut segments: Vec<Segment>| {
            segments.iter_mut().for_each(|s| s.virt = 0);
            segments
        };
        for (phys, word) in [(0x2000_0000, "out of the order"), (0x20_0801, "begins inside a page")] {
            let mut segments = without(sound());
            segments[2].phys = phys;
            let (found, told) = checked(segments, file());
            assert!(told.len() == 1 && told[0].contains(word), "{told:?}");
            assert_eq!(found.iter().filter(|s| s.is_load()).count(), 4);
            assert!(!found[2].is_load());
        }
        // memory that begins inside a page has its data there in the file too
        let mut segments = without(sound());
        segments[2].phys += 0x800;
        segments[2].offset += 0x800;
        (segments[2].file_len, segments[2].mem_len) = (0x7800, 0x7800);
        let want = segments.clone();
        let (found, told) = checked(segments, file());
        assert!(same(&found, &want) && told.is_empty(), "{told:?}");
    }

    /// The kernel's image, mapped at its own distance, is no neighbour of the memory behind it.
    #[test]
    fn an_address_behind_the_kernel_s_image_is_held_against_memory() {
        let mut segments = sound();
        let mut bytes = file();
        let at = bytes.len() as u64;
        bytes.extend(vec![9; 0x4000]);
        segments.insert(0, Segment { virt: 0xffff_ffff_8100_0000, ..load(0xc0_0000, at, 0x4000) });
        let (found, told) = checked(segments.clone(), bytes.clone());
        assert!(same(&found, &segments) && told.is_empty(), "{told:?}");
        segments[1].phys = 0x2_1000;
        let (found, told) = checked(segments, bytes);
        assert!(
            !found[1].is_load() && told.len() == 1 && told[0].contains("contradict each other"),
            "{told:?}"
        );
    }

    #[test]
    fn memory_that_two_have_with_other_bytes_is_not_known() {
        let mut segments = sound();
        segments.iter_mut().for_each(|s| s.virt = 0);
        segments[2].phys = 0x10_1000;
        let (found, told) = checked(segments, file());
        assert!(told.len() == 1 && told[0].contains("has other bytes"), "{told:?}");
        let held: Vec<(u64, u64, u64)> =
            found.iter().filter(|s| s.is_load()).map(|s| (s.phys, s.offset, s.data_len())).collect();
        let mut want: Vec<_> = sound().iter().map(|s| (s.phys, s.offset, s.data_len())).collect();
        want.remove(2);
        want[1].2 = 0x1000;
        want.push((0x10_9000, 0x4000 + 0x9000, 0x3_7000));
        assert_eq!(held, want);
    }

    #[test]
    fn memory_that_is_there_twice_with_the_same_bytes_stays() {
        let mut segments = sound();
        // as /proc/vmcore has the kernel's image, with the bytes copied
        let mut bytes = file();
        let image = bytes[0x4000 + 0x8000..0x4000 + 0xc000].to_vec();
        let at = bytes.len() as u64;
        bytes.extend(image);
        segments.insert(0, Segment { virt: 0xffff_ffff_8100_0000, ..load(0x10_8000, at, 0x4000) });
        let (found, told) = checked(segments.clone(), bytes);
        assert!(same(&found, &segments) && told.is_empty(), "{told:?}");
    }

    #[test]
    fn headers_end_where_data_begin() {
        let table = 64;
        let all = |count: usize| {
            let mut all = sound();
            all.resize(count, load(0x7000, 0x10, 0x1000));
            for segment in &mut all[..5] {
                segment.offset = segment.offset - 0x1000 + table + 5 * 56;
            }
            all
        };
        assert_eq!(count(&all(5), table, 56), 5);
        assert_eq!(count(&all(300), table, 56), 5);
    }

    #[test]
    fn bytes_in_no_segment() {
        assert_eq!(unplaced(&[(0x1000, 0x3000), (0, 0x200), (0x3000, 0x4000)], 0x4000), []);
        assert_eq!(unplaced(&[(0, 0x200), (0x2000, 0x4000)], 0x4000), [(0x200, 0x1e00)]);
        assert_eq!(unplaced(&[(0, 0x4000)], 0x6000), [(0x4000, 0x2000)]);
    }
}
