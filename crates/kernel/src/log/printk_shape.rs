//! The kernel's log where no symbol leads to it: told by its own shape in the kernel's image.
//!
//! - `struct printk_ringbuffer` (5.10): counts of bits, pointers and ids that fit each other, and descriptors that have
//!   the ids that their places demand. None of its structs is one that a kernel with randomised structs shuffles.
//! - A buffer of records (3.5 to 5.9): the first record, if it is still there, begins "Linux version".
//! - At worst the messages as text, without their times.
//!
//! What is found holds as the log only if records can be read from it.

use crate::error::KernelError;
use crate::log::old_shape::HEADERS;
use crate::log::printk::{
    Log, LogRecord, RecordBuffer, RingArrays, RingOffsets, buffer, read_arrays, read_records, read_ring,
};
use crate::opening::image_scan::pieces;
use crate::session::Session;
use arch::BANNER;
use base::{Bytes, VirtAddr, VirtRead};
use dump::Words;
use std::ops::ControlFlow;

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

/// The two rings that a kernel can have: it begins with the static one, and leaves it for a larger one.
fn of_rings(s: &Session, why: &KernelError) -> Option<Log> {
    let mem = s.mem();
    let bytes = |at: VirtAddr| mem.bytes(at, RING_BYTES).ok();
    let read = |at: VirtAddr| read_ring(mem, at, &ring(&bytes(at)?, mem)?).ok();
    let own = |at: VirtAddr| read(at).filter(|log| !log.records.is_empty());
    // where only the types are lost, the pointer is there
    let used = s.symbol("prb").and_then(|at| mem.ptr(at).ok()).and_then(own);
    let larger = s.symbol("printk_rb_dynamic");
    if let Some(log) = used.or_else(|| larger.and_then(own)) {
        return Some(log);
    }
    let mut log = s.symbol("printk_rb_static").and_then(own).or_else(|| of_arrays(s))?;
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

/// The static ring by its arrays, which have symbols of their own.
fn of_arrays(s: &Session) -> Option<Log> {
    let symbols = &s.kernel_symbols().table;
    let of = |name: &str| symbols.find(name);
    let (descs, infos) = (of("_printk_rb_static_descs")?, of("_printk_rb_static_infos")?);
    let at = RingOffsets::of(s).unwrap_or(RingOffsets::USUAL);
    let text = of("__log_buf")?;
    let bits = |bytes: u64| bytes.is_power_of_two().then(|| bytes.trailing_zeros());
    // how long they are tell the symbols behind them, but for what aligns those
    let count = symbols.span(descs.id)? / at.desc_size;
    let size = symbols.span(text.id)?;
    let below = |n: u64| bits(if n.is_power_of_two() { n } else { n.checked_next_power_of_two()? >> 1 });
    let arrays = RingArrays {
        count_bits: below(count)?,
        size_bits: below(size)?,
        descs: descs.addr,
        infos: infos.addr,
        text: text.addr,
    };
    let log = read_arrays(s.mem(), &at, arrays);
    (!log.records.is_empty()).then_some(log)
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
    let blocks = blocks(&bytes, s.opened().machine.image.words());
    let records: Vec<LogRecord> = match blocks.len() > MIN_LINES {
        true => blocks.iter().map(|(_, text)| crate::log::printk::text_line(text)).collect(),
        false => lines_of(&bytes).iter().map(|text| crate::log::printk::text_line(text)).collect(),
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

/// No buffer of messages is longer.
const BUFFER_WITHIN: u64 = 64 << 20;

/// A message without what follows it: where printk took the two bytes of the level from its front (`printk_sprint()`), its
/// last two are still there once more.
fn own_text(text: &str) -> &str {
    let text = text.trim_end_matches('\n');
    match text.as_bytes() {
        [.., a, b, c, d] if [a, b] == [c, d] => text.get(..text.len() - 2).unwrap_or(text),
        _ => text,
    }
}

/// Records without text, whose ids no block has, are few in a row.
const NEAR: i64 = 8;

/// The blocks of a ring's text, in the order of their ids: each begins with the id of its descriptor at a multiple of a
/// `long`. Ids have two bits less than that and begin below 2^32 (of 32 bits 2^20), or below their end (`DESC0_ID`). The end
/// of a text can look like a small one: ids follow each other, from block to block or nearly.
pub(crate) fn blocks(bytes: &[u8], shape: Words) -> Vec<(i64, String)> {
    let size = usize::from(shape.size.max(4));
    let words = || bytes.chunks_exact(size).map(|word| shape.number(word));
    let (unused, small) = if size == 8 { (2, 40) } else { (34, 20) };
    let id = |word: u64| match word >> small {
        high if high == u64::MAX >> unused >> small => Some((word << unused).cast_signed() >> unused),
        0 if word != 0 => Some(word.cast_signed()),
        _ => None,
    };
    let all: Vec<(usize, i64)> =
        words().enumerate().filter_map(|(n, word)| id(word).map(|id| (n * size, id))).collect();
    let follows = |id: i64, next: i64| (1..=NEAR).contains(&next.saturating_sub(id));
    let mut starts: Vec<(usize, i64)> = Vec::new();
    for (n, (at, id)) in all.iter().enumerate() {
        let leads = || all.iter().skip(n + 1).take(NEAR as usize).any(|(_, next)| follows(*id, *next));
        if starts.last().is_some_and(|(_, last)| follows(*last, *id)) || leads() {
            starts.push((*at, *id));
        }
    }
    let mut out = Vec::new();
    for (n, (start, id)) in starts.iter().enumerate() {
        let end = starts.get(n + 1).map_or(bytes.len(), |(next, _)| *next);
        let body = bytes.get(start + size..end).unwrap_or_default();
        let is_text = |b: &u8| (0x20..0x7f).contains(b) || matches!(b, b'\t' | b'\n') || *b >= 0x80;
        let text: Vec<u8> = body.iter().copied().take_while(is_text).collect();
        if !text.is_empty() {
            out.push((*id, own_text(&String::from_utf8_lossy(&text)).to_owned()));
        }
    }
    out.sort_by_key(|(id, _)| *id);
    out
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
    let of_rings = of_rings.filter(|log| !log.records.is_empty()).max_by_key(newest);
    of_rings
        .or_else(|| starts.iter().filter_map(|at| records_from(mem, *at)).max_by_key(newest))
        .or_else(|| starts.iter().filter_map(|at| text_from(mem, *at)).max_by_key(|log| log.records.len()))
}

/// Bytes of `struct printk_ringbuffer` with either of its descriptor rings.
const RING_BYTES: usize = 88;

/// The offsets of a ring that begins with these bytes; `None` where no ring does.
fn ring(bytes: &[u8], mem: &dyn VirtRead) -> Option<RingOffsets> {
    let b = Bytes::new(bytes.get(..RING_BYTES)?);
    let (count_bits, descs, infos) = (b.u64_at(0).ok()?, b.u64_at(8).ok()?, b.u64_at(16).ok()?);
    let is_kernel = |at: u64| VirtAddr(at).in_upper_half() && at.is_multiple_of(8);
    // the number has four bytes, and four of padding
    if !(3..=26).contains(&count_bits) || !is_kernel(descs) || !is_kernel(infos) {
        return None;
    }
    let mask = u64::MAX >> 2;
    let (head, tail) = (b.u64_at(24).ok()? & mask, b.u64_at(32).ok()? & mask);
    if head.wrapping_sub(tail) & mask > 1 << count_bits {
        return None;
    }
    // `last_finalized_id` came behind the ids in 6.1 or so
    let text = [40, 48].into_iter().find(|at| {
        let bits = b.u64_at(*at).unwrap_or(0);
        (8..=30).contains(&bits) && b.u64_at(at + 8).is_ok_and(|data| VirtAddr(data).in_upper_half())
    })?;
    let offsets = RingOffsets { text_ring: text as u64, ..RingOffsets::USUAL };
    // the descriptor of the newest record has its id
    let slot = head & ((1 << count_bits) - 1);
    let state = mem.u64(VirtAddr(descs).add(slot * offsets.desc_size + offsets.state_var)).ok()?;
    (state & mask == head).then_some(offsets)
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
    let records = lines.iter().map(|line| crate::log::printk::text_line(line));
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
            let log = read_ring(&ram, VirtAddr(BASE + 0x80), &offsets).unwrap();
            let texts: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
            assert_eq!(texts, ["Linux version 6.1", "hello", "the end"]);
            assert_eq!((log.records[2].ts_nsec, log.records[2].level, log.lost), (Some(2000), Some(6), 0));
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
        let log = read_arrays(&ram, &RingOffsets::USUAL, arrays);
        let texts: Vec<&str> = log.records.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["Linux version 6.1", "hello", "the end"]);
        assert_eq!((log.records[2].ts_nsec, log.hole), (Some(2000), None));
        assert_eq!(own_text("Zone ranges:s:\n"), "Zone ranges:");
        assert_eq!((own_text("WT    "), own_text("a"), own_text("end\n")), ("WT  ", "a", "end"));
        // the buffer of text alone has the messages in their order
        let texts: Vec<String> =
            blocks(&ram.bytes[0x3000..0x3400], Words::LITTLE_64).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["Linux version 6.1", "hello", "the end"]);
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
