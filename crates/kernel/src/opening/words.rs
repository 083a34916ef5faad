//! What the memory of a machine says in plain words, of any machine: the kernel's release, VMCOREINFO's text, the messages of
//! the log. For dumps in which no kernel is found, or whose machine is not read: no page table and no symbol is needed.
//!
//! Goes through physical memory once, and only when it is asked for; ends at Ctrl-C.

use crate::log::old_shape;
use crate::log::printk::{Log, LogRecord};
use crate::log::text_ring;
use crate::opening::image::Image;
use crate::opening::image_scan::is_vmcoreinfo;
use crate::opening::machine::claims;
use arch::NameSearch;
use base::{GRANULE, PhysAddr, PhysRead, VmcoreInfo, cstr};
use debuginfo::find::Watch;
use dump::Words as Shape;
use std::ops::Range;

/// Bytes that are looked at in one go.
const PIECE: usize = 256 << 10;
/// Bytes that two pieces share: VMCOREINFO is not longer (`VMCOREINFO_BYTES` is a page).
const OVERLAP: usize = 4096;
/// No buffer of messages that is read is longer.
const LOG_WITHIN: usize = 1 << 20;
/// Places that could be the first message.
const MAX_STARTS: usize = 64;
/// Fewer messages are no log: the banner lies in the image too.
const MIN_MESSAGES: usize = 4;

/// What memory says.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// VMCOREINFO's text; empty where none is found, or where memory has several that differ.
    pub info: VmcoreInfo,
    /// The kernel's release.
    pub release: Option<String>,
    /// The machine by headers and notes, and what of them says so.
    pub machine: Option<(String, String)>,
    /// The log's messages; those of a ring (5.10 and later) have no times. `None` where none are found.
    pub log: Option<Log>,
}

impl Words {
    pub(crate) fn find(image: &Image, watch: &Watch) -> Self {
        let (mut texts, mut starts, mut names) = (Vec::new(), Vec::new(), NameSearch::default());
        each_piece(image.phys(), watch, &mut |at, bytes| {
            texts.extend(vmcoreinfos(bytes));
            texts.dedup();
            let banners = arch::banners(bytes).map(|n| at.add(n as u64));
            starts.extend(banners.take(MAX_STARTS.saturating_sub(starts.len())));
            names.look(at, bytes, image.phys());
        });
        // a text that is cut where a piece ends, or lacks the line that a crash appends, is the longer one before it
        texts.sort_by(|a, b| b.cmp(a));
        texts.dedup_by(|text, longer| longer.starts_with(text.trim_end()));
        let info = match texts.as_slice() {
            [one] => VmcoreInfo::parse(one.as_bytes()),
            _ => VmcoreInfo::default(),
        };
        let words = image.words();
        let logs = starts.iter().filter_map(|at| log_from(image.phys(), *at, words));
        // a text can be a copy; records are the kernel's own
        let log = logs.max_by_key(|(is_buffer, log)| (*is_buffer, log.records.len())).map(|(_, log)| log);
        let told = info.get("OSRELEASE").map(str::to_owned);
        let machine = claims(image).into_iter().next().map(|claim| (claim.machine, claim.by));
        let own = || names.found().map(|name| name.release).filter(|release| !release.is_empty());
        Self { machine, release: told.or_else(own), info, log }
    }
}

/// Bytes between two runs of records in one buffer: what is left of a record that was partly written over.
const MAX_REST: u64 = 4096;
/// Places at which records begin to follow each other.
const MAX_RUNS: usize = 256;

/// The log where its first message was written over: the largest run of records in memory (3.5 to 5.9), or of blocks of the
/// text of a ring (5.10).
pub(crate) fn log_by_shape(image: &Image, watch: &Watch) -> Option<Log> {
    let shape = image.words();
    let mut runs: Vec<(PhysAddr, old_shape::Run)> = Vec::new();
    let mut rings = Vec::new();
    let mut texts: Vec<Range<u64>> = Vec::new();
    each_piece(image.phys(), watch, &mut |at, bytes| {
        for text in old_shape::texts(bytes).into_iter().take(MAX_RUNS.saturating_sub(texts.len())) {
            let text = at.add(text.start as u64).0..at.add(text.end as u64).0;
            // one that goes on in the next piece is found there again
            match texts.last_mut().filter(|last| text.start <= last.end) {
                Some(last) => last.end = last.end.max(text.end),
                None => texts.push(text),
            }
        }
        let blocks = text_ring::runs(bytes, shape).into_iter();
        let blocks = blocks.map(|run| at.add(run.start as u64).0..at.add(run.end as u64).0);
        rings.extend(blocks.take(MAX_RUNS.saturating_sub(rings.len())));
        let found = old_shape::runs(bytes, shape);
        runs.extend(
            found.into_iter().take(MAX_RUNS.saturating_sub(runs.len())).map(|r| (at.add(r.start as u64), r)),
        );
    });
    let read = |at: u64, bytes: &mut [u8]| image.phys().read_stretch(PhysAddr(at), bytes).unwrap_or(0);
    let logs =
        [of_records(image, runs), text_ring::of_runs(rings, shape, &read, &|at| read(at, &mut [0]) == 0)];
    // `max_by_key` takes the last of equals
    let found = logs.into_iter().flatten().rev().max_by_key(|log| log.records.len());
    found.or_else(|| of_texts(image, &texts))
}

/// The largest buffer of text, as before 3.5. Who reads the log of a later kernel can have such a copy of it.
fn of_texts(image: &Image, texts: &[Range<u64>]) -> Option<Log> {
    let longest = texts.iter().max_by_key(|text| text.end - text.start)?;
    let len = usize::try_from(longest.end - longest.start).ok()?.min(LOG_WITHIN);
    let mut bytes = vec![0; len];
    let read = image.phys().read_stretch(PhysAddr(longest.start), &mut bytes).unwrap_or(0);
    let records = old_shape::of_text(bytes.get(..read).unwrap_or_default());
    // what came before them is not there
    Some(Log { records, hole: Some(0), ..Log::default() })
}

/// The largest buffer of records that these runs are of.
fn of_records(image: &Image, runs: Vec<(PhysAddr, old_shape::Run)>) -> Option<Log> {
    let shape = image.words();
    // one that goes on in the next piece is found there again
    let mut buffers: Vec<(PhysAddr, Vec<LogRecord>)> = Vec::new();
    let mut bytes = vec![0; LOG_WITHIN];
    for (start, run) in runs {
        let end = buffers.last().map(|(end, _)| *end);
        if end.is_some_and(|end| start < end) {
            continue;
        }
        let read = image.phys().read_stretch(start, &mut bytes).unwrap_or(0);
        let whole = old_shape::Run { start: 0, end: read, ..run };
        let (records, len) = old_shape::of_run(&bytes, whole, shape);
        let next = start.add(len as u64);
        match buffers.last_mut() {
            Some((end, before)) if start.0 - end.0 <= MAX_REST => {
                before.extend(records);
                *end = next;
            }
            _ => buffers.push((next, records)),
        }
    }
    let records = buffers.into_iter().map(|(_, records)| records).max_by_key(Vec::len)?;
    // what came before them is not there
    Some(Log { records: old_shape::in_order(records), hole: Some(0), ..Log::default() })
}

/// Calls `each` with all memory that is there, piece by piece, each with its address. A piece begins with the last bytes of
/// the one before.
fn each_piece(phys: &dyn PhysRead, watch: &Watch, each: &mut dyn FnMut(PhysAddr, &[u8])) {
    let end = phys.ranges().last().map_or(0, |range| range.end.0);
    let mut buf = vec![0; PIECE];
    let mut next = phys.skip_holes(PhysAddr(0));
    while let Some(at) = next {
        if watch.cancel.is_cancelled() {
            break;
        }
        watch.progress.step("looking through memory", at.0, end);
        let read = phys.read_stretch(at, &mut buf).unwrap_or(0);
        each(at, buf.get(..read).unwrap_or_default());
        let step = if read == PIECE { PIECE - OVERLAP } else { read };
        next = match at.0.checked_add((step as u64).max(1)) {
            // what cannot be read is stepped over by the page
            Some(from) if read == 0 => from.checked_next_multiple_of(GRANULE).map(PhysAddr),
            Some(from) => Some(PhysAddr(from)),
            None => None,
        };
        next = next.and_then(|from| phys.skip_holes(from));
    }
    watch.progress.finish();
}

/// The texts of VMCOREINFO that lie whole in these bytes.
fn vmcoreinfos(bytes: &[u8]) -> impl Iterator<Item = String> {
    let places = memchr::memmem::find_iter(bytes, b"OSRELEASE=");
    let texts = places.filter_map(|n| bytes.get(n..)).filter_map(|rest| {
        let rest = rest.get(..OVERLAP).unwrap_or(rest);
        let plain = |b: &u8| matches!(b, b' '..=b'~' | b'\n');
        let text = cstr(rest);
        let len = text.iter().take_while(|b| plain(b)).count();
        text.get(..len).filter(|text| is_vmcoreinfo(text))
    });
    texts.map(|text| String::from_utf8_lossy(text).into_owned())
}

/// Bytes before the first message that belong to it.
const BEFORE: u64 = 64;

/// The messages from the first on, whose text is at `banner`, in whichever buffer they lie; true where it is one of records.
fn log_from(phys: &dyn PhysRead, banner: PhysAddr, shape: Shape) -> Option<(bool, Log)> {
    // the page before it can be missing
    let lengths = [BEFORE.min(banner.0), banner.page_offset().min(BEFORE)];
    let (bytes, text) = lengths.into_iter().find_map(|before| {
        let mut bytes = vec![0; LOG_WITHIN];
        let read = phys.read_stretch(PhysAddr(banner.0 - before), &mut bytes).ok()?;
        bytes.truncate(read);
        (read as u64 > before).then_some((bytes, before as usize))
    })?;
    if let Some(log) = text.checked_sub(shape.size.into()).and_then(|at| of_ring(bytes.get(at..)?, shape)) {
        return Some((true, log));
    }
    let log =
        |records: Vec<LogRecord>| (records.len() >= MIN_MESSAGES).then(|| Log { records, ..Log::default() });
    let records = log(old_shape::records(&bytes, text, shape)).map(|log| (true, log));
    records.or_else(|| log(old_shape::lines(&bytes, text)).map(|log| (false, log)))
}

/// The messages of printk's ring (5.10): each stands behind the id of its descriptor, a `long`.
fn of_ring(bytes: &[u8], shape: Shape) -> Option<Log> {
    let mut blocks = text_ring::blocks(bytes, shape);
    // from the first message on
    let first = blocks.iter().position(|(_, body)| body.starts_with(arch::BANNER))?;
    blocks.drain(..first);
    // ids follow each other: behind a gap there is other memory
    let ids: Vec<i64> = blocks.iter().map(|(id, _)| *id).collect();
    let gap = ids.windows(2).position(|two| two.first().zip(two.last()).is_some_and(|(a, b)| b - a > 64));
    blocks.truncate(gap.map_or(blocks.len(), |n| n.saturating_add(1)));
    let records = text_ring::texts(&blocks, bytes, &|n| n >= bytes.len());
    (records.len() >= MIN_MESSAGES).then(|| Log { records, as_text: true, ..Log::default() })
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
