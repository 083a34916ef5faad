//! The kernel's log: the lockless ring buffer (`printk_ringbuffer`, since 5.10), the record buffer
//! before it (`struct printk_log`, called `struct log` until 3.11), and plain text before 3.5.
//!
//! Source: kernel/printk/printk_ringbuffer.{c,h}, kernel/printk/printk.c,
//! Documentation/admin-guide/kdump/vmcoreinfo.rst. Offsets come from types or from VMCOREINFO, so
//! that the log can be read before anything else is known.

use crate::error::{KernelError, Result};
use crate::log::{old_shape, printk_shape};
use crate::session::{Fact, Session};
use base::{VirtAddr, VirtRead};
use std::ops::Range;

pub use crate::log::printk_safe::{SafeBuffer, safe_buffers};

/// Bytes of log buffer that are believed; the kernel allows 2 GiB, nobody has more than this.
const MAX_BUFFER: u64 = 1 << 30;

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Sequence number, where the buffer keeps it.
    pub seq: Option<u64>,
    /// Nanoseconds since boot, on the CPU that logged; a log of plain text may have none.
    pub ts_nsec: Option<u64>,
    /// Syslog level, 0 (emergency) to 7 (debug); plain text may say none.
    pub level: Option<u8>,
    /// Syslog facility; 0 is the kernel.
    pub facility: u8,
    /// `LOG_CONT`, `LOG_NEWLINE` ...: the record's flags.
    pub flags: u8,
    /// Thread or CPU that logged (CONFIG_PRINTK_CALLER), top bit set for a CPU.
    pub caller_id: Option<u32>,
    /// The text, without the trailing newline; may hold several lines.
    pub text: String,
    /// `SUBSYSTEM=…`, `DEVICE=…`, where the record has them.
    pub dict: Vec<String>,
}

/// The log as far as it could be read.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Oldest first.
    pub records: Vec<LogRecord>,
    /// How many records the ring names whose text was overwritten or never committed.
    pub lost: u64,
    /// How many of the messages the ring marks as still being written: their texts are whole.
    pub reserved: u64,
    /// Why some of it could not be read, where it could not.
    pub stopped: Option<KernelError>,
    /// Before which record, by its place in `records`, the first of those that could not be read was.
    pub hole: Option<usize>,
    /// How many of the messages are told by their text alone, as it lies in memory, and why their times and levels are not.
    pub untimed: Option<(usize, KernelError)>,
    /// What the buffer says of itself and its records contradict.
    pub doubt: Option<KernelError>,
    /// True where no buffer could be made out, and these are the messages' texts as they lie in memory: without levels,
    /// mostly without times, and not all of them need be messages.
    pub as_text: bool,
}

impl Log {
    /// Notes that what would come next could not be read.
    pub(crate) fn stop(&mut self, why: KernelError) {
        self.stopped = Some(why);
        self.hole = self.hole.or(Some(self.records.len()));
    }

    /// The lines of all messages, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.records.iter().flat_map(|record| record.text.lines())
    }

    /// True where nothing is lost before this record, so that what comes first there is first in the whole log.
    #[must_use]
    pub fn is_whole_up_to(&self, record: usize) -> bool {
        self.hole.is_none_or(|hole| record < hole)
    }

    /// When the last message was logged, in nanoseconds since boot.
    #[must_use]
    pub fn last_nsec(&self) -> Option<u64> {
        self.records.iter().filter_map(|record| record.ts_nsec).max()
    }
}

bind! {
    /// `struct printk_log`; `struct log` until 3.11 (62e32ac3505a)
    struct OldRecord("printk_log" | "log") {
        ts_nsec: "ts_nsec",
        len: "len",
        text_len: "text_len",
        dict_len: "dict_len",
        facility: "facility",
    }
}

/// The log, or why there is none.
pub(crate) struct Read(Result<Log>);

impl Default for Read {
    fn default() -> Self {
        Self(Ok(Log::default()))
    }
}

impl Read {
    /// A log that is not in memory.
    pub(crate) const fn given(log: Log) -> Self {
        Self(Ok(log))
    }
}

impl Fact for Read {
    fn read(s: &Session) -> Self {
        Self(read_log(s))
    }
}

impl Session {
    /// The kernel's log.
    ///
    /// # Errors
    /// Neither the kernel's own buffer nor one found by its shape can be read.
    pub fn log(&self) -> std::result::Result<&Log, &KernelError> {
        self.fact::<Read>().0.as_ref()
    }
}

/// Reads the kernel's log, whichever buffer this kernel has. Where the part of it that leads to the rest is lost, the rest
/// is looked for by its shape.
pub(crate) fn read_log(s: &Session) -> Result<Log> {
    by_symbols(s).or_else(|e| printk_shape::without_head(s, &e).ok_or(e))
}

fn by_symbols(s: &Session) -> Result<Log> {
    if let Some(prb) = s.symbol("prb") {
        return printk_shape::ringbuffer(s, prb);
    }
    if s.symbol("log_first_idx").is_some() {
        return records(s);
    }
    if s.symbol("log_end").is_some() {
        return plain_text(s);
    }
    // variables have no symbols in this kernel, or nothing has
    Err(s.no_symbol("prb (or log_buf)"))
}

pub(crate) fn buffer(s: &Session) -> Result<(VirtAddr, u64)> {
    let mem = s.mem();
    let at = mem.ptr(s.need_symbol("log_buf")?)?;
    let len = u64::from(mem.u32(s.need_symbol("log_buf_len")?)?);
    if len == 0 || len > MAX_BUFFER {
        return Err(KernelError::Damaged { what: "log_buf", at, why: format!("log_buf_len is {len}") });
    }
    Ok((at, len))
}

/// Bytes before a record's text: it never had less.
const OLD_HEADER: u64 = 16;

/// A buffer of records as kernels from 3.5 to 5.9 have it.
#[derive(Clone, Copy, Debug)]
pub struct RecordBuffer {
    /// Where it is.
    pub at: VirtAddr,
    /// Its bytes.
    pub len: u64,
    /// Where in it the oldest record is.
    pub first: u64,
    /// Where in it the next record will be.
    pub next: u64,
    /// Bytes before a record's text.
    pub header: u64,
    /// Where in a record its time, length, text's and dictionary's lengths and facility are.
    pub members: [u64; 5],
}

impl RecordBuffer {
    /// Where its members have been for as long as it existed: what serves where neither types nor VMCOREINFO tell.
    pub const MEMBERS: [u64; 5] = [0, 8, 10, 12, 14];
}

fn records(s: &Session) -> Result<Log> {
    let mem = s.mem();
    let (at, len) = buffer(s)?;
    let r = s.bind::<OldRecord>();
    let mut members = RecordBuffer::MEMBERS;
    for (to, f) in members.iter_mut().zip([&r.ts_nsec, &r.len, &r.text_len, &r.dict_len, &r.facility]) {
        *to = f.offset().unwrap_or(*to);
    }
    let first = u64::from(mem.u32(s.need_symbol("log_first_idx")?)?);
    let next = u64::from(mem.u32(s.need_symbol("log_next_idx")?)?);
    let header = r.size.unwrap_or(OLD_HEADER);
    let log = read_records(mem, &RecordBuffer { at, len, first, next, header, members });
    let [first, next] = ["log_first_seq", "log_next_seq"].map(|name| mem.u64(s.symbol(name)?).ok());
    Ok(numbered(log, at, first, next))
}

/// Gives messages their numbers: that of the oldest is how many were written over. Where the number of messages contradicts those
/// of the oldest and the next one, none has one.
fn numbered(mut log: Log, at: VirtAddr, first: Option<u64>, next: Option<u64>) -> Log {
    let Some(first) = first else { return log };
    let count = log.records.len() as u64;
    let is_whole = log.stopped.is_none();
    let fits = next.is_none_or(|next| match (next.checked_sub(first), is_whole) {
        (Some(wanted), true) => wanted == count,
        (wanted, _) => wanted.is_some_and(|wanted| wanted >= count),
    });
    for record in &mut log.records {
        record.seq = record.seq.filter(|_| fits).map(|seq| seq.saturating_add(first));
    }
    if fits {
        log.lost = first;
    } else {
        let next = next.unwrap_or(0);
        let why =
            format!("log_first_seq is {first} and log_next_seq {next}, and the buffer has {count} messages");
        log.doubt.get_or_insert(KernelError::Damaged { what: "log_buf", at, why });
    }
    log
}

/// Reads a buffer of records.
#[must_use]
pub fn read_records(mem: &dyn VirtRead, buffer: &RecordBuffer) -> Log {
    let RecordBuffer { at: buf, len, first, next: end, members, .. } = *buffer;
    let [ts, rec_len, text_len, dict_len, facility] = members;
    let header = buffer.header.max(OLD_HEADER);
    let mut log = Log::default();
    let mut idx = first;
    let mut seen = 0_u64;
    let mut wrapped = false;
    while idx != end || (seen == 0 && first == end && !wrapped) {
        let one = || -> Result<Option<(LogRecord, u64)>> {
            let at = buf.add(idx);
            let step = u64::from(mem.u16(at.add(rec_len))?);
            if step == 0 {
                return Ok(None); // the rest of the buffer is unused: the next record is at its start
            }
            let n = u64::from(mem.u16(at.add(text_len))?);
            let d = u64::from(mem.u16(at.add(dict_len))?);
            if header.saturating_add(n).saturating_add(d) > step || idx.saturating_add(step) > len {
                return Err(KernelError::Damaged {
                    what: "log record",
                    at,
                    why: format!("{step} bytes at {idx:#x} of {len:#x}, {n} of text, {d} of dictionary"),
                });
            }
            let text = mem.bytes(at.add(header), n as usize)?;
            let dict = mem.bytes(at.add(header).add(n), d as usize)?;
            let fl = mem.u16(at.add(facility))?;
            let record = LogRecord {
                seq: Some(seen),
                ts_nsec: Some(mem.u64(at.add(ts))?),
                facility: (fl & 0xff) as u8,
                flags: (fl >> 8) as u8 & 0x1f,
                level: Some((fl >> 13) as u8),
                caller_id: None,
                text: String::from_utf8_lossy(&text).into_owned(),
                dict: dict
                    .split(|&b| b == 0)
                    .filter(|d| !d.is_empty())
                    .map(|d| String::from_utf8_lossy(d).into_owned())
                    .collect(),
            };
            Ok(Some((record, step)))
        };
        match one() {
            Ok(Some((record, step))) => {
                log.records.push(record);
                idx = idx.saturating_add(step);
            }
            Ok(None) if !wrapped => {
                wrapped = true;
                idx = 0;
            }
            Ok(None) => break,
            Err(e) => {
                log.stop(e);
                break;
            }
        }
        seen = seen.saturating_add(1);
        if seen > len {
            break;
        }
    }
    log
}

/// The text that lies in the buffer of a kernel before 3.5: `log_end` counts all bytes that were ever written, and
/// `logged_chars` those that nobody cleared (`dmesg -c`), which are there all the same.
fn plain_text(s: &Session) -> Result<Log> {
    let (buf, len) = buffer(s)?;
    let end = u64::from(s.mem().u32(s.need_symbol("log_end")?)?);
    let all = s.mem().bytes(buf, len as usize)?;
    let at = s.symbol("log_end").unwrap_or_default();
    Ok(text_buffer(&all, end, at))
}

/// The messages in such a buffer, whose `log_end` stands at `at`.
fn text_buffer(all: &[u8], end: u64, at: VirtAddr) -> Log {
    let len = all.len() as u64;
    let have = usize::try_from(end.min(len)).unwrap_or(0);
    let start = if end > len { usize::try_from(end % len.max(1)).unwrap_or(0) } else { 0 };
    let (before, behind) = all.get(..have).and_then(|all| all.split_at_checked(start)).unwrap_or_default();
    let ordered = [behind, before].concat();
    let text = String::from_utf8_lossy(&ordered);
    let mut records: Vec<LogRecord> = text.lines().map(text_line).collect();
    // where the end of the newest message is not where it says, times fall elsewhere
    let by_shape = old_shape::texts(all).into_iter().max_by_key(Range::len);
    let shown =
        by_shape.map(|text| old_shape::of_text(all.get(text).unwrap_or_default())).unwrap_or_default();
    let lacks = records.len().saturating_add(MIN_LACK) < shown.len();
    let why = || format!("log_end is {end}, and the buffer has {} messages", shown.len());
    let doubt = (lacks || !is_in_order(&records) && is_in_order(&shown)).then(|| KernelError::Damaged {
        what: "log_buf",
        at,
        why: why(),
    });
    if doubt.is_some() {
        records = shown;
    }
    Log { records, doubt, ..Log::default() }
}

/// More messages than a shape can find by chance.
const MIN_LACK: usize = 12;

/// True where the times of messages do not fall, but by what CPUs differ in.
fn is_in_order(records: &[LogRecord]) -> bool {
    const APART: u64 = 1_000_000_000;
    let times: Vec<u64> = records.iter().filter_map(|r| r.ts_nsec).collect();
    times.windows(2).all(|two| matches!(two, [a, b] if a.saturating_sub(*b) < APART))
}

/// `<6>[    1.234567] text`
pub(crate) fn text_line(line: &str) -> LogRecord {
    let (level, rest) = match line.strip_prefix('<').and_then(|l| l.split_once('>')) {
        Some((n, rest)) => (n.parse::<u32>().ok().map(|n| (n & 7) as u8), rest),
        None => (None, line),
    };
    let stamp = rest.strip_prefix('[').and_then(|l| l.split_once(']')).and_then(|(t, rest)| {
        let (sec, frac) = t.trim().split_once('.')?;
        let nsec = sec.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
        let micros = frac.parse::<u64>().ok()?;
        Some((nsec.checked_add(micros.checked_mul(1000)?)?, rest.strip_prefix(' ').unwrap_or(rest)))
    });
    let (ts_nsec, text) = stamp.map_or((None, rest), |(nsec, text)| (Some(nsec), text));
    LogRecord {
        seq: None,
        ts_nsec,
        level,
        facility: 0,
        flags: 0,
        caller_id: None,
        text: text.to_owned(),
        dict: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer of text that was written once or more often, whose end counts right or not.
    #[test]
    fn a_buffer_of_text_by_its_end_or_by_its_times() {
        let line = |n: usize| format!("<6>[{n:5}.000000] message {n}\n");
        let all: Vec<u8> = (0..40).flat_map(|n| line(n).into_bytes()).collect();
        let len = all.len() as u64;
        let texts = |log: &Log| log.records.iter().map(|r| r.text.clone()).collect::<Vec<_>>();
        let wanted: Vec<String> = (0..40).map(|n| format!("message {n}")).collect();
        let mut unfilled = all.clone();
        unfilled.resize(all.len() + 500, 0);
        let log = text_buffer(&unfilled, len, VirtAddr(1));
        assert_eq!((texts(&log), log.doubt.is_none()), (wanted.clone(), true));
        let mut twice = all.clone();
        twice.rotate_left(line(0).len() * 5);
        let end = len - line(0).len() as u64 * 5;
        let log = text_buffer(&twice, len + end, VirtAddr(1));
        assert_eq!((texts(&log), log.doubt.is_none()), (wanted.clone(), true));
        // a count that is damaged hides no message, and breaks no order
        for wrong in [0, 100, len + 30] {
            let log = text_buffer(&twice, wrong, VirtAddr(1));
            assert_eq!((texts(&log), log.doubt.is_some()), (wanted.clone(), true), "{wrong}");
        }
        let log = text_buffer(&[], 7, VirtAddr(1));
        assert!(log.records.is_empty() && log.doubt.is_none());
    }

    #[test]
    fn the_number_of_the_oldest_record_is_how_many_were_written_over() {
        let line = |seq: u64| LogRecord { seq: Some(seq), ..text_line("<6>[    1.000002] hello") };
        let log = |stopped: bool| {
            let mut log = Log { records: (0..3).map(line).collect(), ..Log::default() };
            if stopped {
                log.stop(KernelError::NoType("log"));
            }
            log
        };
        let of = |stopped, first, next| {
            let log = numbered(log(stopped), VirtAddr(1), first, next);
            (log.records[2].seq, log.lost, log.doubt.is_some())
        };
        assert_eq!(of(false, None, Some(9)), (Some(2), 0, false));
        assert_eq!(of(false, Some(0), Some(3)), (Some(2), 0, false));
        assert_eq!(of(false, Some(700), Some(703)), (Some(702), 700, false));
        assert_eq!(of(false, Some(700), None), (Some(702), 700, false));
        assert_eq!(of(true, Some(700), Some(720)), (Some(702), 700, false));
        assert_eq!(of(false, Some(700), Some(720)), (None, 0, true));
        assert_eq!(of(true, Some(700), Some(701)), (None, 0, true));
        assert_eq!(of(false, Some(700), Some(3)), (None, 0, true));
    }

    #[test]
    fn a_text_line_gives_level_time_and_text() {
        let r = text_line("<6>[    1.000002] hello: world");
        assert_eq!((r.level, r.ts_nsec, r.text.as_str()), (Some(6), Some(1_000_002_000), "hello: world"));
        let r = text_line("no stamp");
        assert_eq!((r.level, r.ts_nsec, r.text.as_str()), (None, None, "no stamp"));
    }
}
