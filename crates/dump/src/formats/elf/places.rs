//! Where a segment's data lie in the file, and which segments are memory and which notes, held against the other headers
//! and the file.
//!
//! What all writers do (`fs/proc/vmcore.c`, QEMU `dump/dump.c`, makedumpfile `-E`, VirtualBox): the table of headers, the
//! notes, then the data of one PT_LOAD behind the other, each as far from a page's start as the others are; the last one
//! ends the file.

use super::beside::unconfirmed;
use super::evidence::{change, take_out};
use super::header::{Begins, PT_LOAD, PT_NOTE, Segment, get};
use super::padding;
use crate::fields::Words;
use crate::image::Image;
use crate::{Warning, notes};
use base::PAGE_SIZE;
use std::cell::{Cell, LazyCell};
use std::collections::{BTreeMap, BTreeSet};

/// What the headers are held against.
pub(super) struct File<'a> {
    pub(super) image: &'a Image,
    /// The end of the headers at the front: of their table, where that is not behind all data.
    pub(super) table: u64,
    /// All headers are in the file, so that the last one's data end it.
    pub(super) whole: bool,
    /// The headers cover the file, so that all places and lengths are believed.
    pub(super) covers: bool,
    pub(super) words: Words,
    /// Where the file ends, without padding.
    pub(super) end: u64,
    /// Bytes that may still be read to tell notes from memory.
    left: Cell<u64>,
}

impl<'a> File<'a> {
    pub(super) const fn new(
        image: &'a Image,
        table: u64,
        whole: bool,
        covers: bool,
        words: Words,
        end: u64,
    ) -> Self {
        Self { image, table, whole, covers, words, end, left: Cell::new(MAX_LOOKED_AT) }
    }
}

/// Bytes between the notes and the first data that are looked at.
const MAX_BETWEEN: u64 = 64 << 10;
/// Notes that are looked through for what they are: those of some thousand CPUs.
const MAX_NOTES: u64 = 1 << 20;
/// The same of all headers together that tell by themselves neither memory nor notes: a dump has a few such at most.
const MAX_LOOKED_AT: u64 = 8 << 20;
/// The longest name that a note of a dump has.
const NAME_MAX: usize = 16;

/// Mends what contradicts the order of the file; places and lengths only where the headers do not cover it.
pub(super) fn mend(segments: &mut [Segment], file: &File<'_>, warnings: &mut Vec<Warning>) {
    mend_kinds(segments, file, warnings);
    if file.covers {
        mend_notes(segments, file, warnings);
        return;
    }
    // what a wrong place looks like from beside it is a wrong length: places first
    mend_data(segments, file, |around, own| around.place(own), warnings);
    mend_data(segments, file, |around, own| around.length(own), warnings);
    for n in 0..segments.len() {
        let own = get(segments, n);
        if own.has_data() && own.offset < file.table {
            take_out(segments, n, "its data would lie in the headers", warnings);
        }
    }
    let notes = notes_of(segments).count();
    for n in unconfirmed(segments, file, notes) {
        take_out(segments, n, "it or the header beside it does not tell where its data are", warnings);
    }
    let first = segments.iter().position(|s| s.is_load() && has_place(s)).unwrap_or(segments.len());
    if !segments.iter().take(first).any(|s| is_unknown(s, notes, file)) {
        mend_notes(segments, file, warnings);
    }
}

const fn mended(number: usize, field: &'static str, value: u64, taken: u64) -> Warning {
    Warning::HeaderMended { number, field, value, taken }
}

/// Whether data follow other data, as far as they are aligned.
pub(super) const fn follows(end: u64, offset: u64) -> bool {
    offset >= end && offset - end < PAGE_SIZE
}

/// Whether a segment has data in the file. One whose memory was left out as a whole has no place there.
pub(super) const fn has_place(segment: &Segment) -> bool {
    segment.file_len > 0 || segment.offset > 0
}

/// The segments that are notes.
fn notes_of(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    segments.iter().filter(|s| s.is_note())
}

/// The places in the table of memory that has data in the file.
pub(super) fn placed(segments: &[Segment]) -> Vec<usize> {
    let is_placed = |s: &Segment| s.is_load() && has_place(s);
    (0..).zip(segments).filter(|(_, s)| is_placed(s)).map(|(n, _)| n).collect()
}

/// The end of what stands before the first data: the table, or the notes behind it.
pub(super) fn front(segments: &[Segment], file: &File<'_>) -> u64 {
    notes_of(segments).map(Segment::file_end).max().unwrap_or(0).max(file.table)
}

/// A note with a name as writers choose them begins at `offset`.
fn is_note_at(file: &File<'_>, offset: u64) -> bool {
    let mut head = [0; 12 + NAME_MAX];
    let read = file.image.read_at(offset, &mut head).unwrap_or(0);
    let number = |at: usize| {
        let bytes = head.get(at..at + 4)?.try_into().ok()?;
        // of either byte order: the smaller one is meant
        Some(u32::from_le_bytes(bytes).min(u32::from_be_bytes(bytes)))
    };
    let (Some(name), Some(desc)) = (number(0), number(4)) else { return false };
    let text = head.get(12..12_usize.saturating_add(name as usize)).and_then(<[u8]>::split_last);
    read >= 12_usize.saturating_add(name as usize)
        && u64::from(desc) < file.image.len()
        && text.is_some_and(|(last, text)| {
            let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            *last == 0 && !text.is_empty() && text.iter().all(is_part)
        })
}

/// What a segment that has no address holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Notes from its front to its end, the first perhaps without a name.
    Notes,
    /// Zeros: memory has them, and room for notes that was not used.
    Zeros,
    Other,
}

fn held(file: &File<'_>, own: &Segment) -> Held {
    if own.phys != 0 || own.virt != 0 { Held::Other } else { looked_at(file, own) }
}

/// The same of one whose address tells nothing.
fn looked_at(file: &File<'_>, own: &Segment) -> Held {
    if own.file_len > MAX_NOTES {
        return Held::Other;
    }
    let len = own.file_len.min(file.image.len());
    let Some(left) = file.left.get().checked_sub(len) else { return Held::Other };
    file.left.set(left);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    if file.image.fill(own.offset, &mut bytes).is_err() {
        return Held::Other;
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Held::Zeros;
    }
    let mut broken = Vec::new();
    let all = notes::parse(&bytes, file.words, &mut broken);
    let is_name = |name: &[u8]| name.len() < NAME_MAX && name.iter().all(|b| (b' '..=b'~').contains(b));
    let are_notes = broken.is_empty() && !all.is_empty() && all.iter().all(|note| is_name(&note.name));
    if are_notes { Held::Notes } else { Held::Other }
}

/// `p_type`: what lies between memory is memory, what begins with a note is notes, and a dump has nothing else.
fn mend_kinds(segments: &mut [Segment], file: &File<'_>, warnings: &mut Vec<Warning>) {
    let count = notes_of(segments).count();
    for n in 0..segments.len() {
        let own = get(segments, n);
        if own.file_len == 0 && own.mem_len == 0 {
            continue;
        }
        let (load, note) = (own.is_load(), own.is_note());
        // read only where it tells: the data of memory lie all over the file
        let named = || own.file_len > 0 && is_note_at(file, own.offset);
        let held = LazyCell::new(|| if own.file_len > 0 { held(file, &own) } else { Held::Other });
        let notes = || named() || *held == Held::Notes;
        let zeros = || *held == Held::Zeros;
        let taken = match (load, note) {
            (true, _) if count == 0 && own.phys == 0 && own.virt == 0 && named() => PT_NOTE,
            (true, _) => continue,
            (_, true) if count == 1 || notes() || zeros() || !is_between(segments, n, file) => continue,
            _ if notes() => PT_NOTE,
            _ if is_between(segments, n, file) => PT_LOAD,
            _ => {
                let why = "p_type is none that a dump has";
                let (phys, len) = (own.phys, own.data_len());
                warnings.push(Warning::HeaderLeftOut { number: n, phys, len, why });
                continue;
            }
        };
        let why = mended(n, "p_type", own.kind.into(), taken.into());
        change(segments, n, warnings, why, Segment { kind: taken, ..own });
    }
}

/// Whether a header's data or, where it has none, its memory lies where that of a PT_LOAD at its place in the table does.
fn is_between(segments: &[Segment], n: usize, file: &File<'_>) -> bool {
    let own = get(segments, n);
    let others = |s: &&Segment| !s.is_note();
    let (before, behind) = (segments.get(..n), segments.get(n.saturating_add(1)..));
    let [before, behind] = [before, behind].map(Option::unwrap_or_default);
    if own.file_len == 0 {
        let low = before.iter().rfind(others).is_none_or(|b| b.phys.saturating_add(b.mem_len) <= own.phys);
        let high = behind.iter().find(others).is_none_or(|b| own.phys.saturating_add(own.mem_len) <= b.phys);
        return low && high && own.phys.is_multiple_of(PAGE_SIZE);
    }
    let placed = |s: &&Segment| others(s) && has_place(s);
    let rest = || segments.iter().zip(0..).filter(|(_, other)| *other != n).map(|(s, _)| *s);
    let start = before.iter().rfind(placed).map(Segment::file_end);
    let start = start.unwrap_or_else(|| front(&rest().collect::<Vec<_>>(), file));
    let next = behind.iter().find(placed).map_or(file.end, |next| next.offset);
    own.file_len <= own.mem_len && follows(start, own.offset) && follows(own.file_end(), next)
}

/// `p_offset`, `p_filesz` and `p_memsz` where the data before and behind contradict them.
fn mend_data(segments: &mut [Segment], file: &File<'_>, way: Way, warnings: &mut Vec<Warning>) {
    let loads = placed(segments);
    let front = front(segments, file);
    let len = file.end;
    let notes = notes_of(segments).count();
    // no address is changed here
    let begins = Begins::of(segments);
    let mut rests = Rests::of(loads.iter().map(|&n| get(segments, n)));
    for (place, &n) in loads.iter().enumerate() {
        let own = get(segments, n);
        let beside = |by: usize| place.checked_add(by).and_then(|p| loads.get(p)).copied();
        let before = place.checked_sub(1).and_then(|p| loads.get(p)).copied();
        // data of a header that tells neither what nor where they are can lie on either side
        let from = before.map_or(0, |before| before.saturating_add(1));
        let to = beside(1).unwrap_or(segments.len());
        if (from..to).any(|other| other != n && is_unknown(&get(segments, other), notes, file)) {
            continue;
        }
        let before = before.map_or(front, |b| get(segments, b).file_end());
        let [next, after] = [beside(1), beside(2)].map(|at| at.map(|at| get(segments, at)));
        // the next one is where it ought to be, by the one behind it
        let next_is_sound = next.is_none_or(|next| match (after, file.whole) {
            (Some(after), _) => follows(next.file_end(), after.offset),
            (None, true) => follows(next.file_end(), len),
            (None, false) => true,
        });
        if !next_is_sound || next.is_none() && !file.whole {
            continue;
        }
        let next_at = next.map_or(len, |next| next.offset);
        let is_known_end = next.is_some() || own.file_end() <= len;
        let (has_next, rest) = (next.is_some(), rests.of_others(&own));
        let is_alone = begins.is_alone(segments, n);
        let around = Around { before, next_at, has_next, is_known_end, is_alone, image: file.image, rest };
        if let Some((field, value, taken, new)) = way(&around, &own) {
            change(segments, n, warnings, mended(n, field, value, taken), new);
            rests.take(&own, false);
            rests.take(&new, true);
        }
    }
}

/// A header that is damaged so that nothing tells whether it is memory or notes, or where its data are.
pub(super) fn is_unknown(own: &Segment, notes: usize, file: &File<'_>) -> bool {
    let are_notes = || own.file_len == 0 || is_note_at(file, own.offset) || held(file, own) != Held::Other;
    !own.is_load() && !(own.is_note() && (notes == 1 || own.offset > file.end || are_notes()))
}

/// Where data begin and end, in the file's order: a writer may have another one than that of the headers.
pub(super) struct InFile {
    starts: BTreeSet<u64>,
    ends: BTreeSet<u64>,
}

impl InFile {
    pub(super) fn of(segments: impl Iterator<Item = Segment>, front: u64, len: u64) -> Self {
        let mut all = Self { starts: BTreeSet::from([len]), ends: BTreeSet::from([front]) };
        for segment in segments.filter(|s| s.data_len() > 0) {
            all.starts.insert(segment.offset);
            all.ends.insert(segment.file_end());
        }
        all
    }

    /// Whether data are between others, exactly.
    pub(super) fn has(&self, own: &Segment) -> bool {
        own.data_len() > 0 && self.ends.contains(&own.offset) && self.starts.contains(&own.file_end())
    }
}

/// How many segments have each distance of their data from the place that their address has in a page.
pub(super) struct Rests(BTreeMap<u64, usize>);

impl Rests {
    pub(super) fn of(segments: impl Iterator<Item = Segment>) -> Self {
        let mut all = Self(BTreeMap::new());
        segments.for_each(|segment| all.take(&segment, true));
        all
    }

    /// Takes a segment in, or out.
    fn take(&mut self, segment: &Segment, is_in: bool) {
        if segment.data_len() > 0 {
            let count = self.0.entry(segment.rest()).or_default();
            *count = if is_in { count.saturating_add(1) } else { count.saturating_sub(1) };
        }
    }

    /// Whether another segment has the same distance, or there is none.
    pub(super) fn has_another(&self, own: &Segment) -> bool {
        let others = self.0.values().sum::<usize>() > 1;
        !others || own.data_len() == 0 || self.0.get(&own.rest()).is_some_and(|count| *count > 1)
    }

    /// The distance that all but this segment have; `None` where they differ.
    fn of_others(&self, own: &Segment) -> Option<u64> {
        let mine = (own.data_len() > 0).then(|| own.rest());
        let has_others = |(rest, count): &(&u64, &usize)| **count > usize::from(mine == Some(**rest));
        let mut others = self.0.iter().filter(has_others);
        let (first, _) = others.next()?;
        others.next().is_none().then_some(*first)
    }
}

/// The field that is contradicted, its value, what is taken, and the segment with that.
type Mended = (&'static str, u64, u64, Segment);
/// A look at a segment between others.
type Way = fn(&Around<'_>, &Segment) -> Option<Mended>;

/// What stands beside a segment's data in the file.
struct Around<'a> {
    /// The end of what is before.
    before: u64,
    /// The start of what is behind.
    next_at: u64,
    /// There are other data behind, and not the end of the file.
    has_next: bool,
    /// The file reaches as far as that.
    is_known_end: bool,
    /// No other header contradicts that the memory is the segment's up to `p_memsz`.
    is_alone: bool,
    image: &'a Image,
    rest: Option<u64>,
}

impl Around<'_> {
    fn fills(&self, offset: u64, len: u64) -> bool {
        len > 0 && follows(offset.saturating_add(len), self.next_at)
    }

    fn place(&self, own: &Segment) -> Option<Mended> {
        let taken = self.offset_of(own);
        let fits = |offset: u64| follows(self.before, offset) && self.fills(offset, own.data_len());
        let is_free = own.offset >= self.before && own.file_end() <= self.next_at;
        if taken == own.offset || !fits(taken) || is_free {
            return None;
        }
        // a length that is said once only places nothing but what fits to the byte
        let is_exact = taken == self.before && taken.saturating_add(own.data_len()) == self.next_at;
        if own.file_len != own.mem_len && !(is_exact && self.is_alone) {
            return None;
        }
        // it or the next one is wrong, and nothing tells which
        if self.rest.is_none() && self.has_next && follows(self.before, own.offset) {
            return None;
        }
        let exact = own.offset == self.before || own.file_end() == self.next_at;
        let stands = exact || own.rest() == self.rest.unwrap_or(0) || !own.phys.is_multiple_of(PAGE_SIZE);
        // data that end behind the file's end are cut, where they begin as they ought to
        let is_cut = !self.is_known_end && follows(self.before, own.offset);
        let wrong = !stands || !(is_cut || fits(own.offset));
        wrong.then_some(("p_offset", own.offset, taken, Segment { offset: taken, ..*own }))
    }

    fn length(&self, own: &Segment) -> Option<Mended> {
        // one that ends where the next begins is exact, another may have padding behind it
        let ends = |len: u64| own.offset.saturating_add(len) == self.next_at;
        let is_short =
            own.data_len() > 0 && (ends(own.file_len) || ends(own.mem_len)) && !ends(own.data_len());
        let is_full = self.fills(own.offset, own.data_len()) && !is_short;
        // memory that was left out as a whole has a place without data, and what lies there is nobody's
        if own.file_len == 0 || is_full || !follows(self.before, own.offset) {
            return None;
        }
        let file_len = |taken| ("p_filesz", own.file_len, taken, Segment { file_len: taken, ..*own });
        if own.file_len < own.mem_len && self.fills(own.offset, own.mem_len) {
            // the rest of the memory was left out where padding follows: nothing tells zeros of memory from it
            let is_left_out = padding::are_zeros(self.image, own.file_end(), self.next_at);
            return (!is_left_out).then(|| file_len(own.mem_len));
        }
        if own.mem_len < own.file_len && self.fills(own.offset, own.file_len) {
            return Some(("p_memsz", own.mem_len, own.file_len, Segment { mem_len: own.file_len, ..*own }));
        }
        // what is behind the last data may be padding
        let is_whole = |room: &u64| room.is_multiple_of(PAGE_SIZE) || !own.phys.is_multiple_of(PAGE_SIZE);
        let room = self.next_at.checked_sub(own.offset).filter(|room| self.has_next && *room > 0);
        let room = room.filter(is_whole)?;
        // the memory is not contradicted either
        let is_shown = own.file_end() > self.next_at && self.is_alone;
        is_shown.then(|| file_len(room))
    }

    /// Where the data would lie, by what is before them and by how the others lie in their pages.
    fn offset_of(&self, own: &Segment) -> u64 {
        let Some(rest) = self.rest else {
            let by_next = self.next_at.checked_sub(own.data_len());
            return by_next.filter(|at| follows(self.before, *at)).unwrap_or(self.before);
        };
        let wanted = own.phys.wrapping_add(rest) % PAGE_SIZE;
        self.before.saturating_add(wanted.wrapping_sub(self.before % PAGE_SIZE) % PAGE_SIZE)
    }
}

/// `p_offset` and `p_filesz` of the notes, which fill what is between the table and the first data, but for padding.
fn mend_notes(segments: &mut [Segment], file: &File<'_>, warnings: &mut Vec<Warning>) {
    let mut all = (0..).zip(segments.iter()).filter(|(_, s)| s.is_note());
    let (Some((n, own)), None) = (all.next().map(|(n, s)| (n, *s)), all.next()) else { return };
    let data = segments.iter().filter(|s| s.has_data()).map(|s| s.offset);
    let Some(data) = data.min().filter(|at| *at > file.table && *at < file.image.len()) else { return };
    let mut own = own;
    // the first may have no name
    let stands = [file.table, file.table.next_multiple_of(4), file.table.next_multiple_of(PAGE_SIZE)];
    let are_notes = || is_note_at(file, own.offset) || looked_at(file, &own) == Held::Notes;
    if !stands.contains(&own.offset) && !are_notes() {
        let stop = data.min(file.table.saturating_add(2 * PAGE_SIZE));
        let mut places = (file.table.next_multiple_of(4)..stop).step_by(4);
        let Some(taken) = places.find(|at| is_note_at(file, *at)) else { return };
        let new = Segment { offset: taken, ..own };
        change(segments, n, warnings, mended(n, "p_offset", own.offset, taken), new);
        own = new;
    }
    let Some(room) = data.checked_sub(own.offset).filter(|room| *room < MAX_BETWEEN) else { return };
    let is_short = own.file_len < room && !padding::are_zeros(file.image, own.file_end(), data);
    if own.file_len > room || is_short {
        let new = Segment { file_len: room, ..own };
        change(segments, n, warnings, mended(n, "p_filesz", own.file_len, room), new);
    }
}
