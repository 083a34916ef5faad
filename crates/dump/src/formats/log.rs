//! The text of a kernel's log: what dmesg, a console, netconsole, pstore or a journal wrote. It holds no memory; all that it
//! has is its text ([`Facts::log`]).
//!
//! A text is known by its first lines, or, where firmware and boot loaders had the console before the kernel, by the first
//! of the kernel's messages behind. Lines of noise may be among them.

use super::{Format, Start, single};
use crate::dump::{Backend, Hole, Opened};
use crate::image::Image;
use crate::{Compression, DumpError, Facts, Gap, Warning};
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};

/// The end of a longer text is read: a machine's death stands there.
const MAX_TEXT: u64 = 64 << 20;
/// How far into a text the first message of a kernel is looked for.
const SEARCHED: usize = 1 << 18;
/// Lines at the begin that are enough to know a text by.
const FIRST: usize = 8;

/// The name of this format, which is no memory's.
pub const LOG: &str = "text of a kernel's log";

/// The row of the table.
pub(crate) struct Log;

impl Format for Log {
    fn name(&self) -> &'static str {
        LOG
    }

    fn has_magic(&self) -> bool {
        false
    }

    fn probe(&self, start: &Start<'_>) -> bool {
        !start.flattened && !start.placed && is_log(start)
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let image = single(images, "the text of a log")?;
        let skipped = image.len().saturating_sub(MAX_TEXT);
        let text = text(&image, skipped)?;
        let long = Warning::LongLog { read: MAX_TEXT, len: image.len() };
        let facts = Facts {
            page_size: PAGE_SIZE,
            file_size: image.file_len(),
            compression: Some(Compression::None),
            log: Some(text.into()),
            warnings: if skipped > 0 { vec![long] } else { Vec::new() },
            ..Facts::default()
        };
        Ok(Opened {
            backend: Box::new(Nothing),
            format: self.name().into(),
            notes: Vec::new(),
            vmcoreinfo: None,
            facts,
            virt: Vec::new(),
        })
    }
}

/// The text from an offset on.
fn text(image: &Image, from: u64) -> Result<Vec<u8>, DumpError> {
    let len = usize::try_from(image.len().saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = from.saturating_add(filled as u64);
        let read =
            image.read_at(at, rest).map_err(|source| DumpError::Io { path: image.path().into(), source })?;
        if read == 0 {
            break;
        }
        filled = filled.saturating_add(read);
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The memory of a log.
struct Nothing;

impl Backend for Nothing {
    fn read_front(&self, _at: PhysAddr, _buf: &mut [u8]) -> Result<usize, Hole> {
        Err(Hole { why: Gap::NotLogged, len: u64::MAX })
    }
    fn ranges(&self) -> &[PhysRange] {
        &[]
    }
    fn present(&self, _pfn: Pfn) -> Option<bool> {
        Some(false)
    }
    fn skip_holes(&self, _from: PhysAddr) -> Result<Option<PhysAddr>, Gap> {
        Ok(None)
    }
    fn held_bytes(&self) -> u64 {
        0
    }
}

/// `[    0.000000] Linux version ...`, with what dmesg, a console or a journal put before it.
pub(super) fn is_log(start: &Start<'_>) -> bool {
    if !is_like_text(start.bytes) {
        return false;
    }
    if lines(start.bytes).take(FIRST).any(is_message) || lines(start.bytes).any(is_sure) {
        return true;
    }
    let from = start.bytes.len() as u64;
    if from >= start.len {
        return false;
    }
    let mut more = vec![0; SEARCHED];
    let read = (start.read)(from, &mut more);
    more.truncate(read);
    is_like_text(&more) && lines(&more).any(is_sure)
}

/// Nine of ten bytes are such as texts have: a serial line adds some of its own.
fn is_like_text(bytes: &[u8]) -> bool {
    let printable = |b: &&u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x1b | b' '..=b'~');
    let count = bytes.iter().filter(printable).count();
    !bytes.is_empty() && count.saturating_mul(10) >= bytes.len().saturating_mul(9)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == b'\n')
}

/// True for a line that nothing but a kernel writes.
fn is_sure(line: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [
        b"Linux version ",
        b"--[ cut here ]--",
        b"Kernel panic - not syncing",
        b"BUG: unable to handle",
        b"BUG: kernel NULL pointer",
    ];
    let line = without_colours(line.get(..MAX_LINE).unwrap_or(line));
    is_timed(&line) || WORDS.iter().any(|words| memchr::memmem::find(&line, words).is_some())
}

/// No more of a line is looked at.
const MAX_LINE: usize = 4096;

/// True for a line that a kernel wrote, or another program in the same way.
fn is_message(line: &[u8]) -> bool {
    let own = without_colours(line.get(..MAX_LINE).unwrap_or(line));
    is_stamped(&own)
        || is_record(&own)
        || memchr::memmem::find(&own, b" kernel: ").is_some()
        || is_levelled(&own)
        || is_sure(line)
}

/// `[    0.000000]`: seconds and microseconds, which no other program writes so.
fn is_timed(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'[', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        let whole = rest.split(|&b| b == b']').next().unwrap_or_default();
        let stamp = without_delta(whole);
        let (seconds, micros) = stamp.split_at_checked(stamp.len().saturating_sub(7)).unwrap_or_default();
        let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        if seconds.len() >= 5
            && whole.len() < rest.len()
            && is_number(seconds.trim_ascii_start())
            && micros.first() == Some(&b'.')
            && is_number(micros.get(1..).unwrap_or_default())
        {
            return true;
        }
    }
    false
}

/// A stamp without the time since the one before: `    1.500000 <    0.000012>` of `dmesg -d`.
fn without_delta(stamp: &[u8]) -> &[u8] {
    memchr::memmem::find(stamp, b" <").and_then(|at| stamp.get(..at)).unwrap_or(stamp)
}

/// `<6>`: a message's level, where no time is shown (pstore of a kernel without times, `dmesg -r`).
fn is_levelled(line: &[u8]) -> bool {
    matches!(line, [b'<', level, b'>', ..] if level.is_ascii_digit())
        || matches!(line, [b'<', tens, level, b'>', ..] if tens.is_ascii_digit() && level.is_ascii_digit())
}

/// Seconds and microseconds in brackets, or what `dmesg -T` makes of them; at the front of the line the time in ISO form
/// of `dmesg --time-format=iso`, with its fraction behind a comma.
fn is_stamped(line: &[u8]) -> bool {
    let open = line.iter().take(64).position(|&b| b == b'[');
    let inside = open.and_then(|at| line.get(at + 1..)).unwrap_or_default();
    let whole = inside.split(|&b| b == b']').next().unwrap_or_default();
    let stamp = without_delta(whole).trim_ascii();
    let number = stamp.split(|&b| b == b'.');
    let seconds = number.clone().count() == 2
        && number.into_iter().all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    let date = stamp.len() == 24 && stamp.iter().filter(|&&b| b == b':').count() == 2;
    let iso = line.get(..32).is_some_and(|time| {
        let form = b"0000-00-00T00:00:00,000000+00:00";
        time.iter().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'+' => matches!(byte, b'+' | b'-'),
            other => byte == other,
        })
    });
    // `[  +0.000012]` and `[Nov30 12:31]` of `dmesg -H`
    let delta = stamp.first() == Some(&b'+') && stamp.contains(&b'.');
    let minute = stamp.len() == 11
        && stamp.iter().take(3).all(u8::is_ascii_alphabetic)
        && stamp.iter().filter(|&&b| b == b':').count() == 1;
    iso || (whole.len() < inside.len() && (seconds || date || delta || minute))
}

/// `6,339,5140900,-;Linux version`: priority, number, microseconds, flags, as /dev/kmsg has it.
fn is_record(line: &[u8]) -> bool {
    let Some(end) = line.iter().take(128).position(|&b| b == b';') else { return false };
    let words: Vec<&[u8]> = line.get(..end).unwrap_or_default().split(|&b| b == b',').collect();
    let number = |word: &&[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    // netconsole can send the release before
    let own = words.get(usize::from(!words.first().is_some_and(number))..).unwrap_or_default();
    own.len() >= 4 && own.iter().take(3).all(number) && own.get(3).is_some_and(|flags| flags.len() == 1)
}

/// A line without what colours it on a terminal: `ESC [ 32 m`.
fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            0x1b => _ = rest.find(|b| b.is_ascii_alphabetic()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_reader_knows_is_known_by_its_lines() {
        for line in [
            "[    1.500000] usb 1-1: new device",
            "[    1.500000 <    0.000012>] usb 1-1: new device",
            "[  +0.000012] usb 1-1: new device",
            "[Nov30 12:31] usb 1-1: new device",
            "[Mon Nov 30 12:31:42 2026] usb 1-1: new device",
            "2026-11-30T12:31:42,123456+00:00 usb 1-1: new device",
            "6,339,5140900,-;usb 1-1: new device",
            "6.4.0,6,339,5140900,-;usb 1-1: new device",
            "Nov 30 12:31:42 host kernel: usb 1-1: new device",
            "<6>usb 1-1: new device",
        ] {
            assert!(is_message(line.as_bytes()), "{line}");
        }
        for line in ["[section]", "[1.5] a", "a,b,c,d;e", "+1.5 a", "[Note: 12:31] a", "<b>bold</b>"] {
            assert_eq!(is_message(line.as_bytes()), line == "[1.5] a", "{line}");
        }
    }
}
