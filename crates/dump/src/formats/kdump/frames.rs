//! Which page frames a file of a split set has. Its header says so once or twice (`start_pfn`, from version 6 on `start_pfn_64`
//! too), and its bitmap, which is the whole dump's, says how many pages lie in a range: as many as the file has descriptors.
//!
//! **Invariant:** with a wrong range all pages of a file would be others'. A range that does not fit is replaced by one that the
//! headers of the set name and that alone fits; where there is none, no page of the file is read.

use super::header::Claims;
use super::pages::{File, Written};
use crate::Warning;
use std::collections::BTreeSet;

/// A range of page frames: the first, and one past the last.
type Range = (u64, u64);

/// The version from which on a header has `start_pfn_64`.
const SINCE_64: u32 = 6;

/// How a range fits a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It has as many pages as the file has descriptors.
    Exact,
    /// It has another number.
    No,
    /// Nothing tells: the file was cut, or its writer did not come to the end.
    Unknown,
}

fn fit(file: &File, written: Option<Written>, (start, end): Range) -> Fit {
    let Some(written) = written else { return Fit::Unknown };
    let pages = file.count_before(end).saturating_sub(file.count_before(start));
    match pages.cmp(&written.count) {
        std::cmp::Ordering::Equal => Fit::Exact,
        std::cmp::Ordering::Greater if !written.ends_file => Fit::Unknown,
        _ => Fit::No,
    }
}

/// Whether a part can have these frames. The last parts have none where the others have all pages.
fn is_range((start, end): Range, max: u64) -> bool {
    start < end && start < max || start == end && (1..=max).contains(&start)
}

/// Gives each file its range, and says what of its header that replaces.
pub(super) fn settle(files: &mut [File], warnings: &mut Vec<Warning>) {
    let of_split = |file: &File| file.header.claims.is_part || ranges(file).next().is_some();
    // a dump that is no part and names no range is whole
    if !files.iter().any(of_split) {
        return;
    }
    let written: Vec<Option<Written>> =
        files.iter().map(|file| if is_counted(file) { file.written() } else { None }).collect();
    let own: Vec<Option<Range>> = files.iter().zip(&written).map(|(file, w)| by_header(file, *w)).collect();
    let mut bounds: BTreeSet<u64> = BTreeSet::new();
    for file in files.iter() {
        bounds.extend([0, file.header.max_mapnr]);
        bounds.extend(ranges(file).flat_map(|(start, end)| [start, end.min(file.header.max_mapnr)]));
    }
    let count = files.len();
    let several = count > 1;
    for (file, (written, own)) in files.iter_mut().zip(written.into_iter().zip(own)) {
        let max = file.header.max_mapnr;
        let found = own.or_else(|| by_others(file, written, &bounds));
        let Some(found) = found else {
            unknown(file, several, warnings);
            continue;
        };
        // the only part of a set is told as such; a dump that is none is whole, also beside others
        let is_named = file.header.claims.is_part && ranges(file).any(|range| range == found);
        let is_whole = found == (0, max) && !is_named;
        let taken = if is_whole { None } else { Some(found) };
        let mut own = Vec::new();
        tell(file, taken, &mut own);
        warnings.extend(own.into_iter().map(|why| file.named(count, why)));
        file.header.split = taken;
    }
    trim(files);
}

/// Whether pages are counted at open: of a long bitmap only where nothing else tells.
fn is_counted(file: &File) -> bool {
    !file.is_long() || ranges(file).next().is_none()
}

/// The ranges that a header names.
fn ranges(file: &File) -> impl Iterator<Item = Range> + use<> {
    let max = file.header.max_mapnr;
    let Claims { new, old, .. } = file.header.claims;
    new.into_iter().chain(old).filter(move |range| is_range(*range, max))
}

/// What the file's own header says, where it fits or nothing contradicts it.
fn by_header(file: &File, written: Option<Written>) -> Option<Range> {
    let whole = (0, file.header.max_mapnr);
    let is_part = file.header.claims.is_part;
    let exact = |range: &Range| fit(file, written, *range) == Fit::Exact;
    let mut fitting = ranges(file).filter(exact);
    if let Some(first) = fitting.next() {
        let place = |range: Range| file.count_before(range.0);
        // two that are not the same: nothing tells which
        return fitting.all(|other| place(other) == place(first)).then_some(first);
    }
    if exact(&whole) {
        return Some(whole);
    }
    let trusted = |range: &Range| fit(file, written, *range) == Fit::Unknown;
    match is_part {
        true => ranges(file).chain([whole]).find(trusted),
        false => Some(whole).filter(trusted),
    }
}

/// The only range between places that the headers of the set name which has the file's number of pages.
fn by_others(file: &File, written: Option<Written>, bounds: &BTreeSet<u64>) -> Option<Range> {
    let wanted = written?.count;
    let places: Vec<(u64, u64)> = bounds.iter().map(|at| (*at, file.count_before(*at))).collect();
    let mut found: Option<(Range, u64)> = None;
    for (n, (start, before)) in places.iter().enumerate() {
        let ends = places.get(n.saturating_add(1)..).unwrap_or_default();
        let Some((end, _)) = ends.iter().find(|(_, rank)| rank.saturating_sub(*before) == wanted) else {
            continue;
        };
        match found {
            Some((_, rank)) if rank != *before => return None,
            // the later of two starts without a page between them
            _ => found = Some(((*start, *end), *before)),
        }
    }
    found.map(|(range, _)| range)
}

/// Of a file whose range nothing tells, no page is read.
fn unknown(file: &mut File, several: bool, warnings: &mut Vec<Warning>) {
    let path = file.image.path().to_path_buf();
    warnings.push(Warning::FramesUnknown { path });
    file.is_shifted = true;
    file.header.split = several.then_some((0, 0));
}

/// Says what of the header is not so.
fn tell(file: &File, taken: Option<Range>, warnings: &mut Vec<Warning>) {
    let Claims { is_part, new, old } = file.header.claims;
    let mut say = |field, value, taken| {
        if value != taken {
            warnings.push(Warning::FieldMended { field, value, taken });
        }
    };
    let Some((start, end)) = taken else {
        if is_part {
            let (start, end) = new.or(old).unwrap_or_default();
            warnings.push(Warning::NoPart { start, end });
        }
        return;
    };
    let new = new.or((file.header.version >= SINCE_64).then_some((0, 0)));
    say("split", u64::from(is_part), 1);
    match (new, old) {
        (Some(new), _) => {
            say("start_pfn_64", new.0, start);
            say("end_pfn_64", new.1, end);
        }
        (None, Some(old)) => {
            say("start_pfn", old.0, start);
            say("end_pfn", old.1, end);
        }
        (None, None) => {}
    }
}

/// Two files that share frames without a page in them: a range that is too long by these is no other one.
fn trim(files: &mut [File]) {
    let all: Vec<Range> =
        files.iter().filter(|file| !file.is_shifted).filter_map(|file| file.header.split).collect();
    for file in files.iter_mut().filter(|file| !file.is_long()) {
        let Some((start, end)) = file.header.split else { continue };
        let holds_none = |from: u64, to: u64| file.count_before(from) == file.count_before(to);
        let next = all.iter().map(|other| other.0).filter(|other| (start + 1..end).contains(other)).min();
        if let Some(next) = next.filter(|next| holds_none(*next, end)) {
            file.header.split = Some((start, next));
        }
    }
}
