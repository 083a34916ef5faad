//! Logs of kernels before 5.10 by their shape, in the bytes of any machine's memory: the buffer of records (3.5 to 5.9) from
//! the first message on, or wherever records follow each other, and the text before it from the first message on.
//!
//! Source: kernel/printk/printk.c, `struct printk_log` (`struct log` until 3.11): `u64 ts_nsec; u16 len, text_len, dict_len;
//! u8 facility, flags:5, level:3`, since 5.1 with `CONFIG_PRINTK_CALLER` a `u32 caller_id`, then text and dictionary, filled to
//! whole words. Before 3.5 (7ff9554bb578) each line begins with its level in angle brackets, most with their time.
//!
//! **Invariant:** what does not follow this to the byte ends the log.

use crate::log::printk::{LogRecord, text_line};
use dump::Words;
use std::ops::Range;

/// Bytes before a record's text: without and with a caller, and filled to 8 bytes.
pub(crate) const HEADERS: [usize; 3] = [16, 20, 24];
/// What fills a record to its length is shorter than the largest alignment.
const FILL: usize = 8;
/// The smallest alignment of a record.
const ALIGN: usize = 4;
/// Bytes of `<6>[    0.000000] `, with times of more digits.
const STAMP: usize = 32;

/// Records in a row that are no chance.
const MIN_RUN: usize = 12;
/// No message is longer (`LOG_LINE_MAX`).
const MAX_TEXT: usize = 1024;
/// How often each byte is looked at, at most.
const MAX_LOOKS: usize = 64;

/// Numbers of a machine.
#[derive(Clone, Copy)]
struct Numbers<'b> {
    bytes: &'b [u8],
    words: Words,
}

impl Numbers<'_> {
    fn get(&self, at: usize, len: usize) -> Option<u64> {
        Some(self.words.number(self.bytes.get(at..at.checked_add(len)?)?))
    }

    /// The length of what can be a record, and of its text and its dictionary.
    fn head(&self, at: usize, header: usize) -> Option<(usize, usize, usize)> {
        let short = |offset: usize| self.get(at.checked_add(offset)?, 2)?.try_into().ok();
        let [len, text_len, dict_len]: [Option<usize>; 3] = [8, 10, 12].map(short);
        let (len, text_len, dict_len) = (len?, text_len?, dict_len?);
        let own = header.checked_add(text_len)?.checked_add(dict_len)?;
        len.checked_sub(own).is_some_and(|fill| fill < FILL).then_some((len, text_len, dict_len))
    }

    /// The length of what can be a record with text that can be printed.
    fn len_of(&self, at: usize, header: usize) -> Option<usize> {
        let (len, text_len, _) = self.head(at, header)?;
        if text_len == 0 || text_len > MAX_TEXT {
            return None;
        }
        let from = at.checked_add(header)?;
        let text = self.bytes.get(from..from.checked_add(text_len)?)?;
        text.iter().all(|b| is_printed(*b) || *b == 0x1b).then_some(len)
    }

    /// The records that follow each other from a place on, and how many they are.
    fn chain(&self, start: usize, header: usize) -> (Run, usize) {
        let (mut end, mut count) = (start, 0_usize);
        while let Some(next) = self.len_of(end, header).and_then(|len| end.checked_add(len)) {
            end = next;
            count = count.saturating_add(1);
        }
        (Run { start, end, header }, count)
    }

    /// The record at a place, of a buffer whose texts are so far behind their records, and its length.
    fn record(&self, at: usize, header: usize) -> Option<(LogRecord, usize)> {
        let (len, text_len, dict_len) = self.head(at, header)?;
        if text_len == 0 && dict_len == 0 {
            return None;
        }
        let from = at.checked_add(header)?;
        let behind = from.checked_add(text_len)?;
        let text = self.bytes.get(from..behind)?;
        let dict = self.bytes.get(behind..behind.checked_add(dict_len)?)?;
        let bits = *self.bytes.get(at.checked_add(15)?)?;
        // bit-fields begin at the lowest bit, of a big-endian machine at the highest
        let (flags, level) =
            if self.words.big_endian { (bits >> 3, bits & 7) } else { (bits & 0x1f, bits >> 5) };
        let parts = dict.split(|&b| b == 0).filter(|part| !part.is_empty());
        let record = LogRecord {
            seq: None,
            ts_nsec: Some(self.get(at, 8)?),
            level: Some(level),
            facility: *self.bytes.get(at.checked_add(14)?)?,
            flags,
            caller_id: None,
            text: String::from_utf8_lossy(text).into_owned(),
            dict: parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect(),
        };
        Some((record, len))
    }
}

/// The records from the one on whose text begins at `text`; none where none does.
pub(crate) fn records(bytes: &[u8], text: usize, words: Words) -> Vec<LogRecord> {
    let numbers = Numbers { bytes, words };
    let of = |header: &usize| {
        let mut out = Vec::new();
        let mut at = text.checked_sub(*header);
        while let Some((record, len)) = at.and_then(|at| numbers.record(at, *header)) {
            out.push(record);
            at = at.and_then(|at| at.checked_add(len));
        }
        out
    };
    HEADERS.iter().map(of).max_by_key(Vec::len).unwrap_or_default()
}

/// Records that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// Where the first one is.
    pub(crate) start: usize,
    /// Where there are no more.
    pub(crate) end: usize,
    /// Bytes before each one's text.
    pub(crate) header: usize,
}

/// The runs of records in some bytes, of those that are long enough. One can be cut at either end of the bytes.
pub(crate) fn runs(bytes: &[u8], words: Words) -> Vec<Run> {
    let numbers = Numbers { bytes, words };
    let (mut out, mut at) = (Vec::new(), 0);
    // bytes made so that many chains lead through the same ones
    let mut left = bytes.len().saturating_mul(MAX_LOOKS);
    while at < bytes.len() && left > 0 {
        let chains = HEADERS.map(|header| numbers.chain(at, header));
        let longest = chains.into_iter().max_by_key(|(run, _)| run.end);
        at = match longest {
            Some((run, count)) if count >= MIN_RUN => {
                out.push(run);
                run.end
            }
            _ => at.saturating_add(ALIGN),
        };
        left =
            chains.iter().fold(left, |left, (run, _)| left.saturating_sub(run.end.saturating_sub(run.start)));
    }
    out
}

/// The records of a run, the oldest first where the buffer was written more than once: what stands in front is newest then.
pub(crate) fn in_order(mut records: Vec<LogRecord>) -> Vec<LogRecord> {
    let time = |record: &LogRecord| record.ts_nsec.unwrap_or(0);
    let ends = records.first().zip(records.last());
    if ends.is_some_and(|(first, last)| time(last) < time(first)) {
        let fall = |two: &[LogRecord]| {
            two.first().zip(two.last()).map_or(0, |(a, b)| time(a).saturating_sub(time(b)))
        };
        let falls = records.windows(2).map(fall).enumerate();
        if let Some((newest, _)) = falls.max_by_key(|(_, fall)| *fall) {
            records.rotate_left(newest.saturating_add(1));
        }
    }
    records
}

/// The records of a run, and how many bytes they are.
pub(crate) fn of_run(bytes: &[u8], run: Run, words: Words) -> (Vec<LogRecord>, usize) {
    let numbers = Numbers { bytes: bytes.get(..run.end).unwrap_or(bytes), words };
    let (mut out, mut at) = (Vec::new(), run.start);
    while let Some(next) = numbers.len_of(at, run.header).and_then(|len| at.checked_add(len)) {
        out.extend(numbers.record(at, run.header).map(|(record, _)| record));
        at = next;
    }
    (out, at.saturating_sub(run.start))
}

/// A byte that messages have.
const fn is_printed(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0x80..)
}

/// The stretches of text with lines that begin with a level, where there are enough of them: buffers as before 3.5. One can be
/// cut at either end of the bytes.
pub(crate) fn texts(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut behind = 0;
    for hit in memchr::memmem::find_iter(bytes, b"\n<") {
        if hit < behind {
            continue;
        }
        let before = bytes.get(behind..hit).unwrap_or_default();
        let start = behind.saturating_add(before.iter().rposition(|b| !is_printed(*b)).map_or(0, |n| n + 1));
        let rest = bytes.get(start..).unwrap_or_default();
        let text =
            rest.get(..rest.iter().position(|b| !is_printed(*b)).unwrap_or(rest.len())).unwrap_or(rest);
        behind = start.saturating_add(text.len()).max(hit.saturating_add(1));
        let begins = |line: &&[u8]| matches!(line, [b'<', b'0'..=b'7', b'>', ..]);
        if text.split(|b| *b == b'\n').filter(begins).count() >= MIN_RUN {
            out.push(start..behind);
        }
    }
    out
}

/// The messages of a buffer of text, the oldest first where their times tell that it was written more than once: the line
/// that is cut where the newest ends is the oldest, and one that the buffer's end cuts goes on at its start.
pub(crate) fn of_text(text: &[u8]) -> Vec<LogRecord> {
    let (ends, text) = (text.last() == Some(&b'\n'), String::from_utf8_lossy(text));
    let mut records: Vec<LogRecord> = text.lines().map(text_line).collect();
    let timed: Vec<(usize, u64)> =
        records.iter().enumerate().filter_map(|(n, r)| Some((n, r.ts_nsec?))).collect();
    let fall = |two: &[(usize, u64)]| match two {
        [(_, a), (oldest, b)] => a.checked_sub(*b).filter(|by| *by > 0).map(|by| (by, *oldest)),
        _ => None,
    };
    let Some((_, oldest)) = timed.windows(2).filter_map(fall).max() else { return records };
    // what is before the oldest that is whole
    let cut = records.get(oldest.saturating_sub(1)).is_some_and(|r| r.ts_nsec.is_none());
    let first = oldest.saturating_sub(usize::from(cut));
    // a line that begins at the buffer's end goes on at its start
    let leveled = |n: usize| records.get(n).is_some_and(|r| r.level.is_some());
    let is_cut = !ends && !leveled(0) && leveled(1);
    let head = if is_cut && first > 0 { Some(records.remove(0)) } else { None };
    if let (Some(_), Some(last)) = (&head, records.last_mut()) {
        let whole = [text.lines().next_back(), text.lines().next()].into_iter().flatten().collect::<String>();
        *last = text_line(&whole);
    }
    records.rotate_left(first.saturating_sub(usize::from(head.is_some())));
    records
}

/// The lines of the text from the one on that has `banner`; none where no level stands before that.
pub(crate) fn lines(bytes: &[u8], banner: usize) -> Vec<LogRecord> {
    let from = banner.saturating_sub(STAMP);
    let before = bytes.get(from..banner).unwrap_or_default();
    let start = memchr::memrchr(b'<', before).filter(|at| is_front(before.get(*at..).unwrap_or_default()));
    let Some(text) = start.and_then(|at| bytes.get(from.checked_add(at)?..)) else { return Vec::new() };
    let len = text.iter().take_while(|b| is_printed(**b)).count();
    let text = String::from_utf8_lossy(text.get(..len).unwrap_or_default());
    text.lines().map(text_line).collect()
}

/// `<5>`, and a time in brackets perhaps.
fn is_front(text: &[u8]) -> bool {
    let Some([b'<', level, b'>', rest @ ..]) = Some(text) else { return false };
    let time = rest.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"] "));
    let is_time = |time: &[u8]| time.iter().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'.'));
    level.is_ascii_digit() && (rest.is_empty() || time.is_some_and(is_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] =
        ["Linux version 4.19.0-test", "Command line: quiet", "a", "usb 1-1: new", "the end"];

    fn words(big_endian: bool) -> Words {
        Words { size: 8, big_endian }
    }

    /// A buffer of such records behind so many other bytes.
    fn buffer(header: usize, align: usize, big_endian: bool) -> Vec<u8> {
        let mut out = vec![0x11; 64];
        for (n, text) in (0_u64..).zip(TEXTS) {
            let dict = if n == 3 { "SUBSYSTEM=usb\0DEVICE=c189:1" } else { "" };
            let own = header + text.len() + dict.len();
            let len = own.next_multiple_of(align);
            let number = |n: u64, size: usize| match big_endian {
                true => n.to_be_bytes()[8 - size..].to_vec(),
                false => n.to_le_bytes()[..size].to_vec(),
            };
            let at = out.len();
            out.extend(number(n * 1_000_000, 8));
            for part in [len, text.len(), dict.len()] {
                out.extend(number(part as u64, 2));
            }
            out.extend([0, if big_endian { 2 << 3 | 6 } else { 6 << 5 | 2 }]);
            out.resize(at + header, 0);
            out.extend(text.bytes().chain(dict.bytes()));
            out.resize(at + len, 0);
        }
        out.extend([0; 64]);
        out
    }

    #[test]
    fn a_buffer_of_records_of_any_machine() {
        for (header, align) in [(16, 4), (16, 8), (20, 4), (24, 8)] {
            for big_endian in [false, true] {
                let bytes = buffer(header, align, big_endian);
                let found = records(&bytes, 64 + header, words(big_endian));
                let texts: Vec<&str> = found.iter().map(|r| r.text.as_str()).collect();
                assert_eq!(texts, TEXTS, "{header} {align} {big_endian}");
                assert_eq!((found[4].ts_nsec, found[4].level, found[4].flags), (Some(4_000_000), Some(6), 2));
                assert_eq!(found[3].dict, ["SUBSYSTEM=usb", "DEVICE=c189:1"]);
                assert!(records(&bytes, 64 + header, words(!big_endian)).is_empty());
                for cut in 0..bytes.len() {
                    let found = records(&bytes[..cut], 64 + header, words(big_endian));
                    assert!(found.iter().zip(TEXTS).all(|(r, text)| r.text == text), "{cut}");
                }
            }
        }
        // the banner as it lies in the image
        let image = [&[0; 40][..], b"Linux version 4.19.0 (gcc) #1\n\0%s version %s\0"].concat();
        assert!(records(&image, 40, words(false)).is_empty() && lines(&image, 40).is_empty());
    }

    #[test]
    fn a_buffer_of_text() {
        let all = [
            (
                "<5>[    0.000000] Linux version 2.6.32\n<6>[    0.000000] Command line: x\n<4>a\nmore\n",
                Some(0),
            ),
            ("<5>Linux version 2.6.18\n<6>Command line: x\n<4>a\nmore\n", None),
        ];
        for (text, time) in all {
            let bytes = [&[0; 50][..], text.as_bytes(), &[0; 50]].concat();
            let banner = 50 + text.find("Linux").unwrap();
            let found = lines(&bytes, banner);
            let levels: Vec<Option<u8>> = found.iter().map(|r| r.level).collect();
            assert_eq!(levels, [Some(5), Some(6), Some(4), None], "{text}");
            assert_eq!((found[0].ts_nsec, found[3].text.as_str()), (time, "more"));
        }
        // a file of messages in the page cache has no levels, and a word before the banner is none
        for text in ["[    0.000000] Linux version 3.2\nb\nc\nd\n", "a <b> c Linux version 3.2\nb\nc\nd\n"] {
            assert!(lines(text.as_bytes(), text.find("Linux").unwrap()).is_empty(), "{text}");
        }
    }

    /// A buffer of text that was written more than once: `cut` bytes of the newest lines stand at its end.
    fn wrapped(times: bool, cut: usize) -> (Vec<u8>, Vec<String>) {
        let line = |n: usize| match times {
            true => format!("<6>[{:5}.{:06}] message {n}\n", n / 3, n),
            false => format!("<6>message {n}\n"),
        };
        let all: String = (10..40).map(line).collect();
        let mut bytes = all.clone().into_bytes();
        bytes.rotate_left(cut);
        // the newest has written over the beginning of the oldest
        let seam = bytes.len() - cut;
        bytes[seam..seam + 4].copy_from_slice(b"+++\n");
        (bytes, (10..40).map(|n| format!("message {n}")).collect())
    }

    #[test]
    fn a_buffer_of_text_without_a_banner() {
        // where a line begins, and inside of one
        for cut in [300, 309, 317] {
            let (text, wanted) = wrapped(true, cut);
            let bytes = [&[0; 50][..], &text, &[1; 50]].concat();
            let found = texts(&bytes);
            assert_eq!((found.len(), found[0].start, found[0].end), (1, 50, 50 + text.len()), "{cut}");
            let records = of_text(&bytes[found[0].clone()]);
            let told: Vec<&str> = records.iter().map(|r| r.text.as_str()).collect();
            let whole = wanted.iter().filter(|line| told.contains(&line.as_str())).count();
            assert!(whole >= wanted.len() - 2, "{cut}: {told:?}");
            let times: Vec<u64> = records.iter().filter_map(|r| r.ts_nsec).collect();
            assert!(times.is_sorted() && times.len() + 2 >= wanted.len(), "{cut}: {times:?}");
        }
        // nothing tells which line is the oldest: they stay as they lie
        let (text, _) = wrapped(false, 40);
        assert!(texts(&text).len() == 1 && of_text(&text).len() >= 29);
        // text without levels, and too few lines with one
        assert!(texts(&b"a line\n".repeat(50)).is_empty() && texts(&b"<6>a line\n".repeat(5)).is_empty());
        assert!(texts(&b"\n<9>a line".repeat(50)).is_empty());
    }
}
