//! The kernel's log where no symbol leads to it: told by its own shape in the kernel's image.
//!
//! - `struct printk_ringbuffer` (5.10): counts of bits, pointers and ids that fit each other, and descriptors that have
//!   the ids that their places demand. None of its structs is one that a kernel with randomised structs shuffles.
//! - A buffer of records (3.5 to 5.9): the first record, if it is still there, begins "Linux version".
//! - At worst the messages as text, without their times.
//!
//! What is found holds as the log only if records can be read from it.

use crate::error::{KernelError, Result};
use crate::log::old_shape::HEADERS;
use crate::log::printk::{Log, LogRecord, RecordBuffer, buffer, read_records, text_line};
use crate::log::ring::{
    BUFFER_WITHIN, COUNT_BITS, Candidates, Found, Head, ID_MASK, RingArrays, RingOffsets, SIZE_BITS,
    read_arrays, read_ring,
};
use crate::log::text_ring;
use crate::opening::image_scan::pieces;
use crate::opening::open::Opened;
use crate::session::Session;
use arch::BANNER;
use base::{Bytes, VirtAddr, VirtRead};
use std::ops::{ControlFlow, RangeInclusive};

/// How many rings that could be one are looked at.
const MAX_RINGS: usize = 64;
/// How many places that could be the first record.
const MAX_STARTS: usize = 64;
/// How much of a buffer of records is read where its length is not known.
const RECORDS_WITHIN: u64 = 16 << 20;
/// How much text is taken.
const TEXT_WITHIN: usize = 1 << 20;

/// The log where what leads to it cannot be read, for this reason: by the rings that the kernel has beside the one that is
/// in use, by the text's own buffer, and in the image.
pub(crate) fn without_head(s: &Session, why: &KernelError) -> Option<Log> {
    match s.symbol("prb").is_some() || s.symbol("log_buf").is_some() {
        // the buffer is known: text elsewhere in the image is none of the log's
        true => of_rings(s, why).or_else(|| of_buffer(s, why)),
        false => find(s),
    }
}

/// The ring that the pointer `prb` leads to. Where it contradicts itself, its arrays are those that fit each other.
pub(crate) fn ringbuffer(s: &Session, prb: VirtAddr) -> Result<Log> {
    let at = RingOffsets::of(s)?;
    let prb = s.mem().ptr(prb)?;
    let found = read_ring(s.mem(), prb, &at);
    match found {
        Ok(found) if found.is_whole() => Ok(found),
        found => {
            let has = found.as_ref().map_or((0, 0), Found::len);
            mended(s, &at, Some(prb)).filter(|other| other.len() > has).map_or(found, Ok)
        }
    }
    .map(Found::into_log)
}

/// A ring by its arrays, each where the ring says or where symbols do, as they fit each other.
fn mended(s: &Session, at: &RingOffsets, prb: Option<VirtAddr>) -> Option<Found> {
    let mem = s.mem();
    let head = prb.and_then(|prb| Head::read(mem, prb, at).ok());
    let candidates = candidates(s, at, prb, head.map(|head| head.arrays));
    let arrays =
        candidates.fitting(mem, at).filter(|arrays| Some(*arrays) != head.map(|head| head.arrays))?;
    let mut found = read_arrays(mem, at, arrays);
    if let Some(prb) = prb {
        let why = "what it says of its descriptors, infos and text does not fit them".to_owned();
        found.doubt = Some(KernelError::Damaged { what: "printk ring buffer", at: prb, why });
    }
    Some(found)
}

/// What the arrays of a ring could be: what the ring itself says comes first.
fn candidates(s: &Session, at: &RingOffsets, prb: Option<VirtAddr>, own: Option<RingArrays>) -> Candidates {
    let symbols = &s.kernel_symbols().table;
    // the static ring has symbols of its own; the larger one has not
    let is_static = prb.is_none_or(|prb| s.symbol("printk_rb_static") == Some(prb));
    let of = |name: &str| symbols.find(name).filter(|_| is_static);
    let (descs, text) = (of("_printk_rb_static_descs"), of("__log_buf"));
    // how long they are tell the symbols behind them, but for what aligns those
    let below = |n: u64| n.checked_ilog2();
    let span = |id| symbols.span(id);
    let count = descs.and_then(|of| below(span(of.id)? / at.desc_size.max(1)));
    let size = text.and_then(|of| below(span(of.id)?));
    let buffer = buffer(s).ok();
    let count_bits = own.map(|own| own.count_bits).into_iter().chain(count).chain(COUNT_BITS.rev());
    let count_bits: Vec<u32> = count_bits.filter(|bits| COUNT_BITS.contains(bits)).collect();
    let size_bits = own.map(|own| own.size_bits).into_iter();
    let size_bits =
        size_bits.chain(buffer.and_then(|(_, len)| below(len))).chain(size).chain(SIZE_BITS.rev());
    let size_bits: Vec<u32> = size_bits.filter(|bits| SIZE_BITS.contains(bits)).collect();
    let with = |places: Vec<VirtAddr>, bits: &[u32]| {
        places.into_iter().flat_map(|at| bits.iter().map(move |bits| (at, *bits))).collect()
    };
    let descs = own.map(|own| own.descs).into_iter().chain(descs.map(|of| of.addr)).collect();
    let infos = own.map(|own| own.infos).into_iter();
    let texts = own.map(|own| own.text).into_iter().chain(buffer.map(|(at, _)| at));
    Candidates {
        descs: with(descs, &count_bits),
        infos: infos.chain(of("_printk_rb_static_infos").map(|of| of.addr)).collect(),
        texts: with(texts.chain(text.map(|of| of.addr)).collect(), &size_bits),
    }
}

/// The two rings that a kernel can have: it begins with the static one, and leaves it for a larger one.
fn of_rings(s: &Session, why: &KernelError) -> Option<Log> {
    let mem = s.mem();
    let bytes = |at: VirtAddr| mem.bytes(at, RING_BYTES).ok();
    let read = |at: VirtAddr| read_ring(mem, at, &ring(&bytes(at)?, mem)?).ok();
    let own = |at: VirtAddr| read(at).filter(|found| found.len().0 > 0).map(Found::into_log);
    // where only the types are lost, the pointer is there
    let used = s.symbol("prb").and_then(|at| mem.ptr(at).ok()).and_then(own);
    let larger = s.symbol("printk_rb_dynamic");
    if let Some(log) = used.or_else(|| larger.and_then(own)) {
        return Some(log);
    }
    let at = RingOffsets::of(s).unwrap_or(RingOffsets::USUAL);
    let of_arrays = || mended(s, &at, None).filter(|found| found.len().0 > 0).map(Found::into_log);
    let mut log = s.symbol("printk_rb_static").and_then(own).or_else(of_arrays)?;
    // the other is not in use where it was never filled, or where the buffer is this one's
    let own_buffer = s.symbol("__log_buf").is_some_and(|own| buffer(s).is_ok_and(|(at, _)| at == own));
    let is_empty = |at| bytes(at).is_some_and(|bytes| bytes.iter().all(|b| *b == 0));
    let alone = own_buffer || larger.is_none_or(is_empty);
    if !alone {
        if let Some(text) = of_buffer(s, why) {
            return Some(text);
        }
        log.stop(why.clone());
    }
    Some(log)
}

/// The messages in the log's own buffer, whatever is known of where they begin.
fn of_buffer(s: &Session, why: &KernelError) -> Option<Log> {
    let (at, len) = buffer(s).ok()?;
    let mem = s.mem();
    let mut bytes = vec![0; usize::try_from(len.min(BUFFER_WITHIN)).ok()?];
    // messages are told by their text: of a missing page there are none
    mem.read_what_is_there(at, &mut bytes);
    if s.symbol("prb").is_none() {
        let first = memchr::memmem::find(&bytes, BANNER).map(|n| at.add(n as u64));
        if let Some(log) = first.and_then(|at| records_from(mem, at)) {
            return Some(log);
        }
    }
    let blocks = text_ring::blocks(&bytes, s.opened().machine.image.words());
    let records: Vec<LogRecord> = match blocks.len() > MIN_LINES {
        true => text_ring::texts(&blocks, &bytes, &|n| mem.u8(at.add(n as u64)).is_err()),
        false => lines_of(&bytes).iter().map(|text| text_line(text)).collect(),
    };
    // which are missing is not known
    let stopped = Some(why.clone());
    (records.len() > MIN_LINES).then(|| Log {
        records,
        as_text: true,
        stopped,
        hole: Some(0),
        ..Log::default()
    })
}

/// Looks for the log in the image; the one with the newest message, where several could be it.
pub(crate) fn find(s: &Session) -> Option<Log> {
    let o = s.opened();
    let text = o.machine.boot.text.or_else(|| s.symbol("_text")).or_else(|| s.symbol("_stext"))?;
    let mem = s.mem();
    let mut rings = Vec::new();
    let mut starts = Vec::new();
    let _ = pieces(o, text, &mut |at, bytes| {
        let found =
            (0..bytes.len()).step_by(8).filter_map(|n| Some((at.add(n as u64), ring(bytes.get(n..)?, mem)?)));
        rings.extend(found.take(MAX_RINGS.saturating_sub(rings.len())));
        let places = memchr::memmem::find_iter(bytes, BANNER).map(|n| at.add(n as u64));
        starts.extend(places.take(MAX_STARTS.saturating_sub(starts.len())));
        ControlFlow::Continue(())
    });
    let newest = |log: &Log| (log.last_nsec(), log.records.len());
    let of_rings = rings.iter().filter_map(|(at, offsets)| read_ring(mem, *at, offsets).ok());
    let of_rings = of_rings.map(Found::into_log).filter(|log| !log.records.is_empty()).max_by_key(newest);
    of_rings
        .or_else(|| starts.iter().filter_map(|at| records_from(mem, *at)).max_by_key(newest))
        .or_else(|| of_texts(o, text))
        .or_else(|| starts.iter().filter_map(|at| text_from(mem, *at)).max_by_key(|log| log.records.len()))
}

/// The text of a ring that lies in the image, wherever blocks follow each other.
fn of_texts(o: &Opened, text: VirtAddr) -> Option<Log> {
    let shape = o.machine.image.words();
    let mut runs = Vec::new();
    let _ = pieces(o, text, &mut |at, bytes| {
        let found = text_ring::runs(bytes, shape).into_iter();
        let found = found.map(|run| at.add(run.start as u64).0..at.add(run.end as u64).0);
        runs.extend(found.take(MAX_STARTS.saturating_sub(runs.len())));
        ControlFlow::Continue(())
    });
    let read = |at: u64, bytes: &mut [u8]| {
        o.machine.mem.read_what_is_there(VirtAddr(at), bytes);
        bytes.len()
    };
    text_ring::of_runs(runs, shape, &read, &|at| o.machine.mem.u8(VirtAddr(at)).is_err())
}

/// Bytes of `struct printk_ringbuffer` with either of its descriptor rings.
const RING_BYTES: usize = 88;

/// The offsets of a ring that begins with these bytes; `None` where no ring does.
fn ring(bytes: &[u8], mem: &dyn VirtRead) -> Option<RingOffsets> {
    let b = Bytes::new(bytes.get(..RING_BYTES)?);
    let (count_bits, descs, infos) = (b.u64_at(0).ok()?, b.u64_at(8).ok()?, b.u64_at(16).ok()?);
    let is_kernel = |at: u64| VirtAddr(at).in_upper_half() && at.is_multiple_of(8);
    // the number has four bytes, and four of padding
    let is_of =
        |bits: u64, range: &RangeInclusive<u32>| u32::try_from(bits).is_ok_and(|b| range.contains(&b));
    if !is_of(count_bits, &COUNT_BITS) || !is_kernel(descs) || !is_kernel(infos) {
        return None;
    }
    // one of them can be damaged
    let (head, tail) = (b.u64_at(24).ok()? & ID_MASK, b.u64_at(32).ok()? & ID_MASK);
    // `last_finalized_id` came behind the ids in 6.1 or so
    let text = [40, 48].into_iter().find(|at| {
        let bits = b.u64_at(*at).unwrap_or(0);
        is_of(bits, &SIZE_BITS) && b.u64_at(at + 8).is_ok_and(|data| VirtAddr(data).in_upper_half())
    })?;
    let offsets = RingOffsets { text_ring: text as u64, ..RingOffsets::USUAL };
    // the descriptor of the newest record has its id, or that of the oldest where the newest is not what the ring says
    let has_id = |id: u64| {
        let slot = id & ((1 << count_bits) - 1);
        let at = VirtAddr(descs).add(slot.wrapping_mul(offsets.desc_size)).add(offsets.state_var);
        id != 0 && mem.u64(at).is_ok_and(|state| state & ID_MASK == id)
    };
    (has_id(head) || has_id(tail)).then_some(offsets)
}

/// The records from the one whose text begins at `text`.
fn records_from(mem: &dyn VirtRead, text: VirtAddr) -> Option<Log> {
    HEADERS.iter().find_map(|header| records_behind(mem, text, *header as u64))
}

fn records_behind(mem: &dyn VirtRead, text: VirtAddr, header: u64) -> Option<Log> {
    let usual = RecordBuffer {
        at: text,
        len: RECORDS_WITHIN,
        first: 0,
        next: u64::MAX,
        header,
        members: RecordBuffer::MEMBERS,
    };
    let at = text.sub(usual.header);
    let text_len = u64::from(mem.u16(at.add(usual.members[2])).ok()?);
    let len = u64::from(mem.u16(at.add(usual.members[1])).ok()?);
    let fits = text_len > BANNER.len() as u64
        && len >= usual.header + text_len
        && len < usual.header + text_len + 512;
    if !fits {
        return None;
    }
    // up to what is no record: there is none yet, or the buffer ends
    let mut next = 0;
    while next < RECORDS_WITHIN {
        match mem.u16(at.add(next + usual.members[1])) {
            Ok(step) if u64::from(step) >= usual.header => next += u64::from(step),
            _ => break,
        }
    }
    let log = read_records(mem, &RecordBuffer { at, next, ..usual });
    (log.records.len() > 1).then_some(log)
}

/// Messages as text from the first on, whatever lies between them; their times where they are part of the text.
fn text_from(mem: &dyn VirtRead, at: VirtAddr) -> Option<Log> {
    // a stamp before the first message: plain text, as before 3.5
    let before = mem.bytes(at.sub(STAMP as u64), STAMP).ok();
    let stamped = before.as_deref().and_then(|b| memchr::memrchr(b'[', b)).map(|n| (STAMP - n) as u64);
    let mut bytes = Vec::new();
    let mut next = at.sub(stamped.unwrap_or(0));
    while bytes.len() < TEXT_WITHIN {
        let len = (base::GRANULE - next.page_offset()) as usize;
        let Ok(part) = mem.bytes(next, len) else { break };
        next = next.add(len as u64);
        let blank = part.iter().all(|b| *b == 0);
        bytes.extend(part);
        if blank {
            break;
        }
    }
    let lines = lines_of(&bytes);
    let records = lines.iter().map(|line| text_line(line));
    let records: Vec<LogRecord> = records.collect();
    // the banner alone is no log
    (records.len() > MIN_LINES).then(|| Log { records, as_text: true, ..Log::default() })
}

/// Bytes of `<6>[    0.000000] `
const STAMP: usize = 20;
/// Fewer messages are no log: the banner lies in the image too.
const MIN_LINES: usize = 8;
/// Shorter runs of printable bytes are no message.
const MIN_TEXT: usize = 6;
/// So many bytes without a message are its end.
const MAX_GAP: usize = 1 << 10;

/// Runs of printable text, up to where none follows for long.
fn lines_of(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut gap = 0;
    for run in bytes.split(|b| !(0x20..0x7f).contains(b) && *b != b'\t') {
        if run.len() >= MIN_TEXT {
            lines.push(String::from_utf8_lossy(run).into_owned());
            gap = 0;
        } else {
            gap += run.len() + 1;
        }
        if gap > MAX_GAP {
            break;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Ram;
    use dump::Words;

    const BASE: u64 = 0xffff_ffff_8200_0000;
    /// A ring of 8 descriptors and 1 KiB of text, with three records; `text_ring` is where its data ring begins.
    fn ring_of_three(text_ring: u64) -> Ram {
        let mut ram = Ram::new(BASE, 0x4000);
        let (descs, infos, data) = (0x1000, 0x2000, 0x3000);
        let id = |n: u64| (u64::MAX >> 2).wrapping_sub(6).wrapping_add(n);
        ram.word(BASE + 0x80, 3);
        ram.word(BASE + 0x88, BASE + descs);
        ram.word(BASE + 0x90, BASE + infos);
        ram.word(BASE + 0x98, id(2));
        ram.word(BASE + 0xa0, id(0));
        ram.word(BASE + 0x80 + text_ring, 10);
        ram.word(BASE + 0x88 + text_ring, BASE + data);
        let mut lpos = 0;
        for (n, text) in [(0, "Linux version 6.1"), (1, "hello"), (2, "the end")] {
            let slot = id(n) & 7;
            ram.word(BASE + descs + slot * 24, id(n) | 2 << 62);
            let block = 8 + (text.len() as u64).next_multiple_of(8);
            ram.word(BASE + descs + slot * 24 + 8, lpos);
            ram.word(BASE + descs + slot * 24 + 16, lpos + block);
            ram.word(BASE + data + lpos, id(n));
            ram.put(BASE + data + lpos + 8, text.as_bytes());
            ram.word(BASE + infos + slot * 88, slot);
            ram.word(BASE + infos + slot * 88 + 8, n * 1000);
            ram.put(BASE + infos + slot * 88 + 16, &[text.len() as u8, 0, 0, 6 << 5]);
            lpos += block;
        }
        ram
    }

    #[test]
    fn a_ring_is_told_by_numbers_that_fit_each_other() {
        for text_ring in [40, 48] {
            let ram = ring_of_three(text_ring);
            let offsets = ring(&ram.bytes[0x80..], &ram).unwrap();
            assert_eq!(offsets.text_ring, text_ring);
            let log = read_ring(&ram, VirtAddr(BASE + 0x80), &offsets).unwrap().into_log();
            let texts: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
            assert_eq!(texts, ["Linux version 6.1", "hello", "the end"]);
            // the first one has the number 1
            assert_eq!((log.records[2].ts_nsec, log.records[2].level, log.lost), (Some(2000), Some(6), 1));
            assert!(
                (0..0x1000).step_by(8).filter(|n| *n != 0x80).all(|n| ring(&ram.bytes[n..], &ram).is_none())
            );
        }
        // the arrays alone have all that they tell
        let ram = ring_of_three(40);
        let arrays = RingArrays {
            count_bits: 3,
            size_bits: 10,
            descs: VirtAddr(BASE + 0x1000),
            infos: VirtAddr(BASE + 0x2000),
            text: VirtAddr(BASE + 0x3000),
        };
        let log = read_arrays(&ram, &RingOffsets::USUAL, arrays).into_log();
        let texts: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["Linux version 6.1", "hello", "the end"]);
        assert_eq!((log.records[2].ts_nsec, log.hole), (Some(2000), None));
        // the buffer of text alone has the messages in their order
        let blocks = text_ring::blocks(&ram.bytes[0x3000..0x3400], Words::LITTLE_64);
        let texts: Vec<String> = text_ring::texts(&blocks, &ram.bytes[0x3000..0x3400], &|_| false)
            .into_iter()
            .map(|r| r.text)
            .collect();
        assert_eq!(texts, ["Linux version 6.1", "hello", "the end"]);
        // an id of the two that is damaged hides no ring
        for place in [0x98, 0xa0] {
            let mut ram = ring_of_three(40);
            ram.word(BASE + place, 0x1234_5678);
            let offsets = ring(&ram.bytes[0x80..], &ram).unwrap();
            let log = read_ring(&ram, VirtAddr(BASE + 0x80), &offsets).unwrap().into_log();
            assert_eq!((log.records.len(), log.doubt.is_some()), (3, true), "{place:x}");
        }
        // descriptors that are of another ring
        let mut ram = ring_of_three(40);
        ram.bytes[0x1000..0x1100].fill(0);
        assert_eq!(ring(&ram.bytes[0x80..], &ram), None);
    }

    #[test]
    fn records_are_told_by_the_first() {
        let mut ram = Ram::new(BASE, 0x2000);
        let mut at;
        for header in [16, 20, 24] {
            ram.bytes.fill(0);
            at = 0x100;
            for (n, text) in ["Linux version 4.19.0", "Command line: quiet", "done"].iter().enumerate() {
                let len = (header + text.len() as u64).next_multiple_of(8);
                ram.word(BASE + at, n as u64 * 5000);
                let [lo, hi] = (len as u16).to_le_bytes();
                ram.put(BASE + at + 8, &[lo, hi, text.len() as u8, 0, 0, 0, 0, 5 << 5]);
                ram.put(BASE + at + header, text.as_bytes());
                at += len;
            }
            let log = records_from(&ram, VirtAddr(BASE + 0x100 + header)).unwrap();
            let texts: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
            assert_eq!(texts, ["Linux version 4.19.0", "Command line: quiet", "done"]);
            assert_eq!((log.records[1].ts_nsec, log.stopped.is_none()), (Some(5000), true));
        }
        // the banner in read-only data has no header
        ram.put(BASE + 0x1800, b"%s version %s\0Linux version 4.19.0 (gcc)\n");
        assert!(records_from(&ram, VirtAddr(BASE + 0x180e)).is_none());
    }

    #[test]
    fn text_is_the_last_resort() {
        let mut ram = Ram::new(BASE, 0x4000);
        let mut at = 0x40;
        for n in 0..20 {
            let text = format!("<6>[    {n}.500000] message {n}\n")
                .replace("<6>[    0.500000] message 0", "<5>[    0.000000] Linux version 2.6.32");
            ram.put(BASE + at, text.as_bytes());
            at += text.len() as u64;
        }
        let first = memchr::memmem::find(&ram.bytes, BANNER).unwrap() as u64;
        let log = text_from(&ram, VirtAddr(BASE + first)).unwrap();
        assert_eq!(log.records.len(), 20);
        assert_eq!(
            (log.records[0].text.as_str(), log.records[3].ts_nsec),
            ("Linux version 2.6.32", Some(3_500_000_000))
        );
        assert!(log.as_text);
        // the banner and what lies beside it
        let mut ram = Ram::new(BASE, 0x4000);
        ram.put(BASE + 0x40, b"Linux version 6.1 (gcc) #1\n\0Linux\0other string\0");
        assert!(text_from(&ram, VirtAddr(BASE + 0x40)).is_none());
    }
}
