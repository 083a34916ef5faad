//! Segments beside a header that does not tell where its data are. Their own place and length are told by the data on their
//! other side; where those contradict them, nothing tells where their data are either.
//!
//! **Invariant:** what this costs grows with the headers, not with their square.

use super::header::{Begins, Segment};
use super::padding::is_padding;
use super::places::{File, InFile, Rests, follows, front, is_unknown, placed};
use std::cmp::Ordering;

/// From where to where in the file; the end can be before the start.
type Between = (u64, u64);

/// A segment with a place in the file, and what lies beside its data.
struct Beside {
    /// Its place in the table.
    n: usize,
    own: Segment,
    gap_before: Between,
    gap_behind: Between,
    /// Data or notes end where it begins.
    starts: bool,
    /// Data or notes begin where it ends.
    ends: bool,
    /// Its end is behind the start of the next segment's data.
    runs_over: bool,
}

/// The segments that are not confirmed: their places in the table.
pub(super) fn unconfirmed(segments: &[Segment], file: &File<'_>, notes: usize) -> Vec<usize> {
    let all = all(segments, file);
    let owns = || all.iter().map(|at| at.own);
    let view = View {
        segments,
        file,
        notes,
        rests: Rests::of(owns()),
        in_order: InFile::of(owns(), front(segments, file), file.end),
        begins: Begins::of(segments),
        filtered: all.iter().filter(|at| at.own.file_len < at.own.mem_len).count(),
        all: &all,
    };
    (0..).zip(&all).filter(|(place, at)| !view.is_sound(*place, at)).map(|(_, at)| at.n).collect()
}

/// Each segment with a place in the file. Notes may be anywhere between.
fn all(segments: &[Segment], file: &File<'_>) -> Vec<Beside> {
    let noted = || segments.iter().filter(|s| s.is_note() && s.file_len > 0);
    let sorted = |mut all: Vec<u64>| {
        all.sort_unstable();
        all
    };
    let note_ends = sorted(noted().map(Segment::file_end).collect());
    let note_starts = sorted(noted().map(|s| s.offset).collect());
    let places = placed(segments);
    let at = |place: Option<usize>| {
        let n = *places.get(place?)?;
        Some((n, *segments.get(n)?))
    };
    let beside = |place: usize| {
        let (n, own) = at(Some(place))?;
        let before = at(place.checked_sub(1)).map_or(file.table, |(_, before)| before.file_end());
        let next = at(place.checked_add(1)).map(|(_, next)| next.offset);
        let (start, end) = (own.offset, own.file_end());
        let note = note_ends.get(..note_ends.partition_point(|end| *end <= start)).and_then(<[u64]>::last);
        let low = note.filter(|_| before <= start).map_or(before, |note| before.max(*note));
        let note = note_starts.get(note_starts.partition_point(|start| *start < end));
        let high = next.unwrap_or(file.end);
        let high = note.filter(|_| high >= end).map_or(high, |note| high.min(*note));
        Some(Beside {
            n,
            own,
            gap_before: (low, start),
            gap_behind: (end, high),
            starts: follows(low, start),
            ends: next.is_none() && !file.whole || follows(end, high),
            runs_over: next.is_some_and(|next| end > next),
        })
    };
    (0..places.len()).filter_map(beside).collect()
}

/// All that the segments are held against.
struct View<'a> {
    segments: &'a [Segment],
    file: &'a File<'a>,
    notes: usize,
    all: &'a [Beside],
    rests: Rests,
    in_order: InFile,
    begins: Begins,
    /// How many have less data than memory.
    filtered: usize,
}

impl View<'_> {
    fn is_sound(&self, place: usize, at: &Beside) -> bool {
        let own = &at.own;
        let (before, next) = (place.checked_sub(1), place.checked_add(1).filter(|n| *n < self.all.len()));
        let [lost_before, lost_next] = [before, next].map(|place| place.is_some_and(|n| self.is_lost(n)));
        let [before, next] = [before, next].map(|place| place.and_then(|n| self.all.get(n)).map(|at| at.n));
        let unknown = |from: usize, to: usize| {
            let headers = self.segments.get(from..to).unwrap_or_default();
            headers.iter().any(|s| is_unknown(s, self.notes, self.file))
        };
        let no_before = lost_before || unknown(before.map_or(0, |n| n.saturating_add(1)), at.n);
        let no_next = lost_next || unknown(at.n.saturating_add(1), next.unwrap_or(self.segments.len()));
        if !(no_before || no_next) && own.file_len == own.mem_len && self.in_order.has(own) {
            return true;
        }
        if !self.has_length(at, no_next) || no_before && no_next {
            return false;
        }
        if (no_before || no_next) && !self.rests.has_another(own) {
            return false;
        }
        // read only where it tells
        let (before, behind) = (|| self.is_aligned(at.gap_before), || self.is_aligned(at.gap_behind));
        let is_exact = |(from, to): Between| from == to;
        let is_last = next.is_none();
        if no_before {
            let says_twice = own.file_len == own.mem_len || is_exact(at.gap_behind);
            at.ends && behind() && says_twice && (lost_before || at.gap_before.0 <= at.gap_before.1)
        } else if no_next {
            let is_cut = is_last && !self.file.whole;
            at.starts && before() && (lost_next || is_cut || at.gap_behind.0 <= at.gap_behind.1)
        } else if at.starts && at.ends {
            is_exact(at.gap_before) || is_exact(at.gap_behind) || before() && behind()
        } else if at.starts || own.file_len != own.mem_len {
            // of a whole file the last data are not followed by others; what follows says nothing of data whose place the ones
            // before tell, and whose length is said twice
            let is_told =
                || own.file_len == own.mem_len && is_exact(at.gap_before) && self.rests.has_another(own);
            before() && (!is_last || at.gap_behind.0 > at.gap_behind.1 || is_told() || behind())
        } else {
            behind() && (at.ends || before())
        }
    }

    /// Data behind the file's end, with nothing beside them that says so too.
    fn is_lost(&self, place: usize) -> bool {
        self.all.get(place).is_some_and(|at| at.own.offset > self.file.end && !at.starts && !at.ends)
    }

    /// Whether what stands beside a segment does not contradict its length. No writer has more data than memory, and where
    /// both are as many, two fields agree.
    fn has_length(&self, at: &Beside, no_next: bool) -> bool {
        let own = &at.own;
        match own.file_len.cmp(&own.mem_len) {
            Ordering::Equal => !(at.runs_over || no_next) || self.is_alone(at),
            Ordering::Less if at.ends && !no_next => self.begins.is_apart(own, own.file_len),
            // where the writer leaves memory out, one length says nothing of the other
            Ordering::Less => !at.runs_over && self.is_alone(at) && (!no_next || self.filtered > 1),
            Ordering::Greater => at.ends && !no_next && self.is_aligned(at.gap_behind),
        }
    }

    fn is_alone(&self, at: &Beside) -> bool {
        self.begins.is_alone(self.segments, at.n)
    }

    /// A writer may align all data to more than a page: then there is padding before them.
    fn is_aligned(&self, (from, to): Between) -> bool {
        from == to || from < to && is_padding(self.file.image, from, to)
    }
}
