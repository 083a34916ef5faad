//! Logs of kernels before 5.10 by their shape, in the bytes of any machine's memory, from the first message on: the buffer
//! of records (3.5 to 5.9) and the text before it.
//!
//! Source: kernel/printk/printk.c, `struct printk_log` (`struct log` until 3.11): `u64 ts_nsec; u16 len, text_len, dict_len;
//! u8 facility, flags:5, level:3`, since 5.1 with `CONFIG_PRINTK_CALLER` a `u32 caller_id`, then text and dictionary, filled to
//! whole words. Before 3.5 (7ff9554bb578) each line begins with its level in angle brackets, most with their time.
//!
//! **Invariant:** what does not follow this to the byte ends the log.

use crate::log::printk::{LogRecord, text_line};
use dump::Words;

/// Bytes before a record's text: without and with a caller, and filled to 8 bytes.
pub(crate) const HEADERS: [usize; 3] = [16, 20, 24];
/// What fills a record to its length is shorter than the largest alignment.
const FILL: usize = 8;
/// Bytes of `<6>[    0.000000] `, with times of more digits.
const STAMP: usize = 32;

/// Numbers of a machine.
#[derive(Clone, Copy)]
struct Numbers<'b> {
    bytes: &'b [u8],
    big_endian: bool,
}

impl Numbers<'_> {
    fn get(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        let byte = |n: u64, b: &u8| n << 8 | u64::from(*b);
        Some(if self.big_endian { bytes.iter().fold(0, byte) } else { bytes.iter().rev().fold(0, byte) })
    }

    /// The record at a place, of a buffer whose texts are so far behind their records, and its length.
    fn record(&self, at: usize, header: usize) -> Option<(LogRecord, usize)> {
        let short = |offset: usize| self.get(at.checked_add(offset)?, 2)?.try_into().ok();
        let [len, text_len, dict_len]: [Option<usize>; 3] = [8, 10, 12].map(short);
        let (len, text_len, dict_len) = (len?, text_len?, dict_len?);
        let own = header.checked_add(text_len)?.checked_add(dict_len)?;
        if text_len.checked_add(dict_len)? == 0 || len.checked_sub(own).is_none_or(|fill| fill >= FILL) {
            return None;
        }
        let from = at.checked_add(header)?;
        let text = self.bytes.get(from..from.checked_add(text_len)?)?;
        let dict =
            self.bytes.get(from.checked_add(text_len)?..from.checked_add(own.checked_sub(header)?)?)?;
        let bits = *self.bytes.get(at.checked_add(15)?)?;
        // bit-fields begin at the lowest bit, of a big-endian machine at the highest
        let (flags, level) = if self.big_endian { (bits >> 3, bits & 7) } else { (bits & 0x1f, bits >> 5) };
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
    let numbers = Numbers { bytes, big_endian: words.big_endian };
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

/// The lines of the text from the one on that has `banner`; none where no level stands before that.
pub(crate) fn lines(bytes: &[u8], banner: usize) -> Vec<LogRecord> {
    let from = banner.saturating_sub(STAMP);
    let before = bytes.get(from..banner).unwrap_or_default();
    let start = memchr::memrchr(b'<', before).filter(|at| is_front(before.get(*at..).unwrap_or_default()));
    let Some(text) = start.and_then(|at| bytes.get(from.checked_add(at)?..)) else { return Vec::new() };
    let is_text = |b: &u8| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0x80..);
    let len = text.iter().take_while(|b| is_text(b)).count();
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
}
