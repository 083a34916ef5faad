//! The kernel's log: the lockless ring buffer (`printk_ringbuffer`, since 5.10), the record buffer
//! before it (`struct printk_log`, called `struct log` until 3.11), and plain text before 3.5.
//!
//! Source: kernel/printk/printk_ringbuffer.{c,h}, kernel/printk/printk.c,
//! Documentation/admin-guide/kdump/vmcoreinfo.rst. Offsets come from types or from VMCOREINFO, so
//! that the log can be read before anything else is known.

use crate::error::{KernelError, Result};
use crate::plausible;
use crate::session::{Fact, Session};
use base::{Bytes, VirtAddr, VirtRead, cstr};

pub use crate::log::printk_safe::{SafeBuffer, safe_buffers};

/// Bytes of log buffer that are believed; the kernel allows 2 GiB, nobody has more than this.
const MAX_BUFFER: u64 = 1 << 30;
/// Longest text of one record that is read.
const MAX_TEXT: usize = 1 << 16;

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
    /// Why some of it could not be read, where it could not.
    pub stopped: Option<KernelError>,
    /// Before which record, by its place in `records`, the first of those that could not be read was.
    pub hole: Option<usize>,
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
    /// `struct printk_ringbuffer`
    struct Ringbuffer("printk_ringbuffer") { desc_ring: "desc_ring", text_data_ring: "text_data_ring" }
}
bind! {
    /// `struct prb_desc_ring`
    struct DescRing("prb_desc_ring") {
        count_bits: "count_bits",
        descs: "descs",
        infos: "infos",
        head_id: "head_id",
        tail_id: "tail_id",
    }
}
bind! {
    /// `struct prb_desc`
    struct Desc("prb_desc") { state_var: "state_var", text_blk_lpos: "text_blk_lpos" }
}
bind! {
    /// `struct prb_data_blk_lpos`
    struct BlkLpos("prb_data_blk_lpos") { begin: "begin", next: "next" }
}
bind! {
    /// `struct prb_data_ring`
    struct DataRing("prb_data_ring") { size_bits: "size_bits", data: "data" }
}
bind! {
    /// `struct printk_info`
    struct Info("printk_info") {
        seq: "seq",
        ts_nsec: "ts_nsec",
        text_len: "text_len",
        facility: "facility",
        caller_id: "caller_id",
        dev_info: "dev_info",
    }
}
impl Info {
    /// Where the facility is, which flags and level follow. Where no type tells, it is what fills the two bytes between
    /// the text's length and the caller, whose places VMCOREINFO has.
    fn facility_at(&self, record: VirtAddr) -> Result<VirtAddr> {
        self.facility.at(record).or_else(|e| {
            let behind = self.text_len.offset()?.saturating_add(2);
            match self.caller_id.offset()? == behind.saturating_add(2) {
                true => Ok(record.add(behind)),
                false => Err(e),
            }
        })
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
struct Read(Result<Log>);

impl Default for Read {
    fn default() -> Self {
        Self(Ok(Log::default()))
    }
}

impl Fact for Read {
    fn read(s: &Session) -> Self {
        Self(read_log(s))
    }
}

impl Session {
    /// The kernel's log.
    pub fn log(&self) -> std::result::Result<&Log, &KernelError> {
        self.fact::<Read>().0.as_ref()
    }
}

/// Reads the kernel's log, whichever buffer this kernel has. Where the part of it that leads to the rest is lost, the rest
/// is looked for by its shape.
pub(crate) fn read_log(s: &Session) -> Result<Log> {
    by_symbols(s).or_else(|e| crate::log::printk_shape::without_head(s, &e).ok_or(e))
}

fn by_symbols(s: &Session) -> Result<Log> {
    if let Some(prb) = s.symbol("prb") {
        return ringbuffer(s, s.mem().ptr(prb)?);
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

/// States of a descriptor (`enum desc_state`), the two top bits of its `state_var`.
const DESC_COMMITTED: u64 = 1;
const DESC_FINALIZED: u64 = 2;
const DESC_REUSABLE: u64 = 3;
/// An lpos with bit 0 set has no data (`BLK_DATALESS`).
const DATALESS: u64 = 1;

fn ringbuffer(s: &Session, prb: VirtAddr) -> Result<Log> {
    let at = RingOffsets::of(s)?;
    read_ring(s.mem(), prb, &at)
}

/// Where the structs of the ring have what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RingOffsets {
    /// In `printk_ringbuffer`.
    pub(crate) desc_ring: u64,
    pub(crate) text_ring: u64,
    /// In `prb_desc_ring`: `count_bits`, `descs`, `infos`, `head_id`, `tail_id`.
    pub(crate) ring: [u64; 5],
    /// In `prb_data_ring`: `size_bits`, `data`.
    pub(crate) data: [u64; 2],
    /// `prb_desc`
    pub(crate) desc_size: u64,
    pub(crate) state_var: u64,
    /// `begin` and `next` of its block.
    pub(crate) block: [u64; 2],
    /// `printk_info`: `seq`, `ts_nsec`, `text_len`; what follows is not in all kernels.
    pub(crate) info_size: u64,
    pub(crate) info: [u64; 3],
    pub(crate) facility: u64,
    pub(crate) caller_id: Option<u64>,
    pub(crate) dev_info: Option<u64>,
}

impl RingOffsets {
    /// Where they have been since 5.10, but for `text_ring`.
    pub(crate) const USUAL: Self = Self {
        desc_ring: 0,
        text_ring: 40,
        ring: [0, 8, 16, 24, 32],
        data: [0, 8],
        desc_size: 24,
        state_var: 0,
        block: [8, 16],
        info_size: 88,
        info: [0, 8, 16],
        facility: 18,
        caller_id: Some(20),
        dev_info: Some(24),
    };

    /// As types or VMCOREINFO tell.
    pub(crate) fn of(s: &Session) -> Result<Self> {
        let rb = s.bind::<Ringbuffer>();
        let ring = s.bind::<DescRing>();
        let desc = s.bind::<Desc>();
        let lpos = s.bind::<BlkLpos>();
        let data = s.bind::<DataRing>();
        let info = s.bind::<Info>();
        let block = desc.text_blk_lpos.offset()?;
        Ok(Self {
            desc_ring: rb.desc_ring.offset()?,
            text_ring: rb.text_data_ring.offset()?,
            ring: [
                ring.count_bits.offset()?,
                ring.descs.offset()?,
                ring.infos.offset()?,
                ring.head_id.offset()?,
                ring.tail_id.offset()?,
            ],
            data: [data.size_bits.offset()?, data.data.offset()?],
            desc_size: desc.size.ok_or(KernelError::NoType("prb_desc"))?,
            state_var: desc.state_var.offset()?,
            block: [block.saturating_add(lpos.begin.offset()?), block.saturating_add(lpos.next.offset()?)],
            info_size: info.size.ok_or(KernelError::NoType("printk_info"))?,
            info: [info.seq.offset()?, info.ts_nsec.offset()?, info.text_len.offset()?],
            facility: info.facility_at(VirtAddr(0))?.0,
            caller_id: info.caller_id.offset().ok(),
            dev_info: info.dev_info.offset().ok(),
        })
    }
}

/// Reads a ring of records.
pub(crate) fn read_ring(mem: &dyn VirtRead, prb: VirtAddr, at: &RingOffsets) -> Result<Log> {
    let desc_ring = prb.add(at.desc_ring);
    let text_ring = prb.add(at.text_ring);
    let [count_bits, descs, infos, head_id, tail_id] = at.ring;
    let damaged = |why: String| KernelError::Damaged { what: "printk ring buffer", at: prb, why };
    let count_bits = mem.u32(desc_ring.add(count_bits))?;
    let size_bits = mem.u32(text_ring.add(at.data[0]))?;
    if count_bits > 26 || size_bits > 30 {
        return Err(damaged(format!("2^{count_bits} descriptors, 2^{size_bits} bytes of text")));
    }
    let ring = Ring {
        mem,
        at,
        count_bits,
        size_bits,
        descs: mem.ptr(desc_ring.add(descs))?,
        infos: mem.ptr(desc_ring.add(infos))?,
        text: mem.ptr(text_ring.add(at.data[1]))?,
    };
    let tail = mem.u64(desc_ring.add(tail_id))? & ID_MASK;
    let head = mem.u64(desc_ring.add(head_id))? & ID_MASK;
    let count = head.wrapping_sub(tail) & ID_MASK;
    if count > 1 << count_bits {
        return Err(damaged(format!("{count} records between tail {tail:#x} and head {head:#x}")));
    }
    let mut log = Log::default();
    for n in 0..=count {
        let mut lost = 0;
        match ring.record(tail.wrapping_add(n) & ID_MASK, n, &mut lost) {
            Ok(Some(r)) => log.records.push(r),
            Ok(None) => log.lost = log.lost.saturating_add(lost),
            Err(e) => log.stop(e), // a page of the ring is missing: the others may be there
        }
    }
    Ok(log)
}

/// Where the arrays of a ring are, for one whose head is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingArrays {
    pub(crate) count_bits: u32,
    pub(crate) size_bits: u32,
    pub(crate) descs: VirtAddr,
    pub(crate) infos: VirtAddr,
    pub(crate) text: VirtAddr,
}

/// Reads a ring by its descriptors alone: each has its id, and ids ascend with time.
pub(crate) fn read_arrays(mem: &dyn VirtRead, at: &RingOffsets, arrays: RingArrays) -> Log {
    let RingArrays { count_bits, size_bits, descs, infos, text } = arrays;
    let ring = Ring { mem, at, count_bits, size_bits, descs, infos, text };
    let mut ids = Vec::new();
    let mut log = Log::default();
    for slot in 0..1_u64 << count_bits.min(26) {
        match mem.u64(descs.add(slot.wrapping_mul(at.desc_size)).add(at.state_var)) {
            Ok(state) if state & ((1 << count_bits) - 1) == slot => ids.push(state & ID_MASK),
            Ok(_) => {}
            Err(e) => log.stop(e.into()),
        }
    }
    // ids have 62 bits and begin below their end
    ids.sort_by_key(|id| (id << 2).cast_signed());
    for id in ids {
        match ring.record(id, 0, &mut 0) {
            Ok(Some(record)) => log.records.push(record),
            Ok(None) => {}
            Err(e) => log.stop(e),
        }
    }
    log
}

/// The top two bits of an id's word are its state; ids wrap below them.
const ID_MASK: u64 = u64::MAX >> 2;

/// A ring whose head was read.
struct Ring<'a> {
    mem: &'a dyn VirtRead,
    at: &'a RingOffsets,
    count_bits: u32,
    size_bits: u32,
    descs: VirtAddr,
    infos: VirtAddr,
    text: VirtAddr,
}

impl Ring<'_> {
    /// The record with this id, the `n`-th from the tail.
    fn record(&self, id: u64, n: u64, lost: &mut u64) -> Result<Option<LogRecord>> {
        let (mem, at) = (self.mem, self.at);
        let slot = id & ((1 << self.count_bits) - 1);
        let desc = self.descs.add(slot.wrapping_mul(at.desc_size));
        let state = mem.u64(desc.add(at.state_var))?;
        let in_use = matches!(state >> 62, DESC_COMMITTED | DESC_FINALIZED);
        if state & ID_MASK != id || !in_use {
            // a reusable descriptor at the tail is one that never held a record
            *lost = u64::from(n != 0 || state >> 62 != DESC_REUSABLE);
            return Ok(None);
        }
        let begin = mem.u64(desc.add(at.block[0]))?;
        let next = mem.u64(desc.add(at.block[1]))?;
        let info = self.infos.add(slot.wrapping_mul(at.info_size));
        let [seq, ts_nsec, text_len] = at.info;
        let text_len = u64::from(mem.u16(info.add(text_len))?);
        let number = mem.u64(info.add(seq))?;
        // numbers go round as descriptors do, so that a page of zeros is none of theirs
        let is_cut = text_len == 0 && plausible::is_zero_page(mem, info.add(at.info[2]));
        if is_cut || (number ^ slot) & ((1 << self.count_bits) - 1) != 0 {
            let why = format!("record {slot} has the number {number}");
            return Err(KernelError::Damaged { what: "printk_info", at: info, why });
        }
        let body = self.body(id, begin, next, text_len)?;
        let fl = mem.u16(info.add(at.facility))?;
        Ok(Some(LogRecord {
            seq: Some(number),
            ts_nsec: Some(mem.u64(info.add(ts_nsec))?),
            facility: (fl & 0xff) as u8,
            // u8 flags:5, level:3 follow the facility
            flags: (fl >> 8) as u8 & 0x1f,
            level: Some((fl >> 13) as u8),
            caller_id: at.caller_id.map(|o| mem.u32(info.add(o))).transpose()?,
            text: String::from_utf8_lossy(&body).trim_end_matches('\n').to_owned(),
            dict: at.dev_info.map_or_else(|| Ok(Vec::new()), |o| dev_info(mem, info.add(o)))?,
        }))
    }

    fn body(&self, id: u64, begin: u64, next: u64, text_len: u64) -> Result<Vec<u8>> {
        if begin & DATALESS != 0 && next & DATALESS != 0 {
            return Ok(Vec::new());
        }
        let text_size = 1_u64 << self.size_bits;
        // a block that does not fit before the end of the ring starts at its beginning
        let wraps = begin >> self.size_bits != next.wrapping_sub(1) >> self.size_bits;
        let from = if wraps { 0 } else { begin & (text_size - 1) };
        let blk_len = if wraps { next & (text_size - 1) } else { next.wrapping_sub(begin) };
        let room = blk_len.saturating_sub(8); // the block begins with its descriptor's id
        let len = text_len.min(room).min(MAX_TEXT as u64);
        let at = self.text.add(from);
        let mut block = self.mem.bytes(at, usize::try_from(len.saturating_add(8)).unwrap_or(8))?;
        let owner = Bytes::new(&block).u64_at(0).ok();
        let text = block.split_off(block.len().min(8));
        let zero = text.iter().position(|b| *b == 0).map(|n| at.add(n as u64 + 8));
        if owner != Some(id) || zero.is_some_and(|zero| plausible::is_zero_page(self.mem, zero)) {
            let why = format!("the text of record {id:#x} is not there");
            return Err(KernelError::Damaged { what: "text of the log", at, why });
        }
        Ok(text)
    }
}

/// `struct dev_printk_info { char subsystem[16]; char device[48]; }`
fn dev_info(mem: &dyn VirtRead, at: VirtAddr) -> Result<Vec<String>> {
    let raw = mem.bytes(at, 64)?;
    let part = |range: std::ops::Range<usize>, key: &str| {
        let text = String::from_utf8_lossy(cstr(raw.get(range).unwrap_or_default())).into_owned();
        (!text.is_empty()).then(|| format!("{key}={text}"))
    };
    Ok([part(0..16, "SUBSYSTEM"), part(16..64, "DEVICE")].into_iter().flatten().collect())
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
    Ok(read_records(mem, &RecordBuffer { at, len, first, next, header, members }))
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

fn plain_text(s: &Session) -> Result<Log> {
    let mem = s.mem();
    let (buf, len) = buffer(s)?;
    let end = u64::from(mem.u32(s.need_symbol("log_end")?)?);
    let chars = s.symbol("logged_chars").and_then(|at| mem.u32(at).ok()).map_or(end, u64::from);
    let have = chars.min(len).min(end);
    let start = end.wrapping_sub(have) & len.wrapping_sub(1);
    let first = mem.bytes(buf.add(start), (len.saturating_sub(start)).min(have) as usize)?;
    let rest = mem.bytes(buf, have.saturating_sub(first.len() as u64) as usize)?;
    let all = [first, rest].concat();
    let text = String::from_utf8_lossy(&all);
    Ok(Log { records: text.lines().map(text_line).collect(), ..Log::default() })
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

    #[test]
    fn a_text_line_gives_level_time_and_text() {
        let r = text_line("<6>[    1.000002] hello: world");
        assert_eq!((r.level, r.ts_nsec, r.text.as_str()), (Some(6), Some(1_000_002_000), "hello: world"));
        let r = text_line("no stamp");
        assert_eq!((r.level, r.ts_nsec, r.text.as_str()), (None, None, "no stamp"));
    }
}
