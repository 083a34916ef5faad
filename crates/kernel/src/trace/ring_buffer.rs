//! The ring buffers of ftrace (kernel/trace/ring_buffer.c): for each CPU a ring of sub-buffers and one beside it, the reader's.
//!
//! What was written first is in the reader's sub-buffer; the ring goes on at its head, which is where the pointer to it has
//! its low bits set, and ends at the commit page. A sub-buffer is a page, or several since 6.8
//! (`subbuf_order`). The struct of the whole is called `trace_buffer` since 5.7 (13292494379f), and `ring_buffer` before; perf had
//! one of that name too, to 5.4.
//!
//! Times: each sub-buffer has one, and each event what has passed since the one before.

use crate::bind::{Binding, Field, Layouts};
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::{Bytes, VirtAddr};
use debuginfo::types::Space;

/// The whole of a buffer.
#[derive(Debug)]
pub(crate) struct RingBuffer {
    buffers: Field,
    cpus: Field,
    order: Field,
}

impl Binding for RingBuffer {
    fn bind(layouts: &Layouts<'_>) -> Self {
        let has = |ty, member| layouts.types.member(ty, member).is_ok_and(|m| m.is_some());
        let named = |name: &&'static str| {
            let all = layouts.types.find(Space::Struct, name).into_iter();
            all.clone().find(|ty| has(*ty, "buffers")).map(|ty| (*name, ty))
        };
        let found = ["ring_buffer", "trace_buffer"].iter().find_map(named);
        let (of, ty) = found.map_or(("trace_buffer", None), |(of, ty)| (of, Some(ty)));
        let field = |member, paths: &[&'static str]| Field::bind(layouts, of, ty, member, paths);
        Self {
            buffers: field("buffers", &["buffers"]),
            cpus: field("cpus", &["cpus"]),
            order: field("subbuf_order", &["subbuf_order"]),
        }
    }
}
bind! {
    /// `struct ring_buffer_per_cpu`
    struct CpuBuffer("ring_buffer_per_cpu") {
        cpu: "cpu",
        count: "nr_pages",
        pages: "pages",
        head: "head_page",
        commit: "commit_page",
        reader: "reader_page",
        overrun: "overrun",
        entries: "entries",
    }
}
bind! {
    /// `struct buffer_page`
    struct BufferPage("buffer_page") {
        list: "list",
        read: "read",
        page: "page",
    }
}
bind! {
    /// `struct buffer_data_page`
    struct DataPage("buffer_data_page") {
        time: "time_stamp",
        commit: "commit",
        data: "data",
    }
}

/// `RB_PAGE_HEAD` and `RB_PAGE_UPDATE`, in a pointer to the head.
const FLAGS: u64 = 3;
/// `RB_MISSED_EVENTS` and `RB_MISSED_STORED`, above the bytes that are written.
const MISSED: u64 = 3 << 30;
/// More sub-buffers than a buffer can have.
const MAX_PAGES: u64 = 1 << 22;
/// The largest sub-buffer: 8 MiB and more are refused (`subbuf_order`).
const MAX_SIZE: u64 = 1 << 24;

/// A sub-buffer, with what it holds.
#[derive(Clone, Debug)]
pub struct SubBuffer {
    /// Its bytes, as `trace_pipe_raw` gives them: the time, how much is written, the events.
    pub bytes: Vec<u8>,
    /// Where the events begin.
    pub data: usize,
    /// How many bytes of events there are.
    pub len: usize,
    /// How many of these were read.
    pub read: usize,
    /// The time.
    pub time: u64,
}

/// The buffer of a CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// The CPU.
    pub cpu: u32,
    /// The sub-buffers that hold something, the oldest first.
    pub pages: Vec<SubBuffer>,
    /// Events that were overwritten before anybody read them.
    pub overrun: Result<u64>,
    /// How many events were written and not overwritten.
    pub entries: Result<u64>,
    /// What could not be read.
    pub problems: Vec<KernelError>,
}

/// An event as it stands in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// When, in the units of the buffer's clock.
    pub time: u64,
    /// What was written.
    pub data: &'a [u8],
}

/// Bytes of a whole sub-buffer.
///
/// # Errors
/// The buffer is not in the dump, or has no size that it can have.
pub fn sub_buffer_size(s: &Session, buffer: VirtAddr) -> Result<u64> {
    let order = &s.bind::<RingBuffer>().order;
    if !order.exists() {
        return Ok(s.page_size());
    }
    let order = order.u32(s.mem(), buffer)?;
    let pages = 1_u64.checked_shl(order);
    let whole = pages.and_then(|n| n.checked_mul(s.page_size())).filter(|whole| *whole <= MAX_SIZE);
    whole
        .ok_or_else(|| damaged("ring buffer", buffer, format!("its sub-buffers have pages of order {order}")))
}

fn damaged(what: &'static str, at: VirtAddr, why: String) -> KernelError {
    KernelError::Damaged { what, at, why }
}

/// The buffers of all CPUs that have one.
///
/// # Errors
/// The buffer is not in the dump, or none.
pub fn cpus(s: &Session, buffer: VirtAddr) -> Result<Vec<Cpu>> {
    let (b, mem) = (s.bind::<RingBuffer>(), s.mem());
    let (array, size) = (b.buffers.ptr(mem, buffer)?, sub_buffer_size(s, buffer)?);
    let most = s.cpus().possible.iter().max().map_or(1, |cpu| u64::from(*cpu) + 1);
    // it counts those that are there, or all that there can be; since 6.12 it does not say
    let count = if b.cpus.exists() { u64::from(b.cpus.u32(mem, buffer)?) } else { 0 };
    if count > most.max(1) {
        return Err(damaged("ring buffer", buffer, format!("it is of {count} CPUs, and there are {most}")));
    }
    let mut out = Vec::new();
    for cpu in &s.cpus().possible {
        s.cancel().check().map_err(|_| KernelError::Stopped("reading ring buffers"))?;
        match mem.ptr(array.add(u64::from(*cpu) * 8)) {
            Ok(at) if at.is_null() => {}
            Ok(at) => out.push(of_cpu(s, *cpu, at, size)),
            Err(e) => {
                let unknown = || Err(KernelError::from(e));
                let problems = vec![e.into()];
                out.push(Cpu {
                    cpu: *cpu,
                    pages: Vec::new(),
                    overrun: unknown(),
                    entries: unknown(),
                    problems,
                });
            }
        }
    }
    Ok(out)
}

fn of_cpu(s: &Session, cpu: u32, at: VirtAddr, size: u64) -> Cpu {
    let (b, mem) = (s.bind::<CpuBuffer>(), s.mem());
    let mut out = Cpu {
        cpu,
        pages: Vec::new(),
        overrun: b.overrun.num(mem, at),
        entries: b.entries.num(mem, at),
        problems: Vec::new(),
    };
    match b.cpu.u32(mem, at) {
        Ok(own) if own == cpu => {}
        Ok(own) => {
            let why = format!("it stands in the place of CPU {cpu}, and is of CPU {own}");
            out.problems.push(damaged("ring_buffer_per_cpu", at, why));
            return out;
        }
        Err(e) => {
            out.problems.push(e);
            return out;
        }
    }
    let order = match order(s, at) {
        Ok((order, problem)) => {
            out.problems.extend(problem);
            order
        }
        Err(e) => {
            out.problems.push(e);
            return out;
        }
    };
    for page in order {
        match sub_buffer(s, page, size) {
            Ok(one) if one.len > one.read => out.pages.push(one),
            Ok(_) => {}
            Err(e) => out.problems.push(e),
        }
    }
    out
}

/// The `buffer_page`s of a CPU in the order in which they were written, and why there may be others.
fn order(s: &Session, at: VirtAddr) -> Result<(Vec<VirtAddr>, Option<KernelError>)> {
    let (b, mem) = (s.bind::<CpuBuffer>(), s.mem());
    let (reader, commit) = (b.reader.ptr(mem, at)?, b.commit.ptr(mem, at)?);
    if reader == commit {
        return Ok((vec![reader], None));
    }
    let (ring, head, problem) = ring(s, at)?;
    let told = b.head.ptr(mem, at)?;
    let first = head.unwrap_or(told);
    let Some(from) = ring.iter().position(|page| *page == first) else {
        let why = format!("its head {first:#x} is not in its ring");
        let problem = problem.unwrap_or_else(|| damaged("ring_buffer_per_cpu", at, why));
        return Ok((vec![reader], Some(problem)));
    };
    let mut out = vec![reader];
    for page in ring.iter().cycle().skip(from).take(ring.len()) {
        out.push(*page);
        if *page == commit {
            return Ok((out, problem));
        }
    }
    let why = format!("the page {commit:#x} that was written last is not in its ring");
    Ok((out, problem.or_else(|| Some(damaged("ring_buffer_per_cpu", at, why)))))
}

/// All `buffer_page`s of a ring, the one that a pointer marks as head, and why there may be others.
type Ring = (Vec<VirtAddr>, Option<VirtAddr>, Option<KernelError>);

fn ring(s: &Session, at: VirtAddr) -> Result<Ring> {
    let (b, own, mem) = (s.bind::<CpuBuffer>(), s.bind::<BufferPage>(), s.mem());
    let count = b.count.num(mem, at)?;
    if count == 0 || count > MAX_PAGES {
        return Err(damaged("ring_buffer_per_cpu", at, format!("it has {count} pages")));
    }
    let first = b.pages.ptr(mem, at)?;
    let (mut out, mut head, mut link) = (Vec::new(), None, first);
    loop {
        out.push(own.list.container(link)?);
        let raw = match mem.ptr(link) {
            Ok(raw) => raw.0,
            Err(e) => return Ok((out, head, Some(e.into()))),
        };
        link = VirtAddr(raw & !FLAGS);
        if raw & FLAGS != 0 {
            head = Some(own.list.container(link)?);
        }
        if link == first {
            break;
        }
        if out.len() as u64 >= count {
            let why = format!("its ring goes on behind {count} pages");
            return Ok((out, head, Some(damaged("ring_buffer_per_cpu", at, why))));
        }
    }
    let found = out.len();
    let problem = (found as u64 != count).then(|| {
        damaged("ring_buffer_per_cpu", at, format!("it says that it has {count} pages, and its ring {found}"))
    });
    Ok((out, head, problem))
}

fn sub_buffer(s: &Session, page: VirtAddr, size: u64) -> Result<SubBuffer> {
    let (b, own, mem) = (s.bind::<BufferPage>(), s.bind::<DataPage>(), s.mem());
    let (at, read) = (b.page.ptr(mem, page)?, b.read.u32(mem, page)?);
    let (time, commit, data) =
        (own.time.u64(mem, at)?, own.commit.num(mem, at)? & !MISSED, own.data.offset()?);
    if data.checked_add(commit).is_none_or(|end| end > size) {
        return Err(damaged("buffer_data_page", at, format!("{commit} bytes are written of {size}")));
    }
    let bytes = mem.bytes(at, usize::try_from(size).unwrap_or(0))?;
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(SubBuffer {
        bytes,
        data: number(data),
        len: number(commit),
        read: number(u64::from(read).min(commit)),
        time,
    })
}

/// `RINGBUF_TYPE_…` (include/linux/ring_buffer.h): up to 28 the length in words of four bytes.
const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;
/// Bits of a type, of a time, and of an absolute time (`TS_MASK`).
const TYPE_BITS: u32 = 5;
const DELTA_BITS: u32 = 27;
const ABSOLUTE: u64 = (1 << 59) - 1;

impl SubBuffer {
    /// The whole sub-buffer as it would be given to who reads it: without what was read, with the time up to which that went.
    #[must_use]
    pub fn unread(&self) -> Vec<u8> {
        let mut out = self.bytes.clone();
        if self.read == 0 {
            return out;
        }
        let mut time = self.time;
        self.walk(&mut |raw, at| {
            if at < self.read {
                time = raw.time;
            }
        });
        let rest = self.bytes.get(self.data.saturating_add(self.read)..).unwrap_or_default();
        let place = |out: &mut [u8], at: usize, bytes: &[u8]| {
            if let Some(part) = out.get_mut(at..at.saturating_add(bytes.len())) {
                part.copy_from_slice(bytes);
            }
        };
        place(&mut out, self.data, rest);
        place(&mut out, 0, &time.to_le_bytes());
        place(&mut out, 8, &(self.len.saturating_sub(self.read) as u64).to_le_bytes());
        out
    }

    /// Gives the events that nobody has read, and says what is wrong where one is none.
    pub fn events<'a>(&'a self, each: &mut dyn FnMut(Raw<'a>)) -> Option<String> {
        self.walk(&mut |raw, at| {
            if at >= self.read {
                each(raw);
            }
        })
    }

    /// Gives all events, each with where it stands.
    fn walk<'a>(&'a self, each: &mut dyn FnMut(Raw<'a>, usize)) -> Option<String> {
        let all = self.bytes.get(self.data..self.data.saturating_add(self.len)).unwrap_or_default();
        let (mut at, mut time) = (0, self.time);
        while at < all.len() {
            let mut event = Bytes::new(all.get(at..).unwrap_or_default());
            let Ok(head) = event.u32() else { return Some(cut(at)) };
            let (kind, delta) = (head & ((1 << TYPE_BITS) - 1), u64::from(head >> TYPE_BITS));
            let first = event.u32().ok();
            let len = match (kind, first) {
                // nothing follows
                (PADDING, _) if delta == 0 => return None,
                (PADDING, Some(len)) => 4 + len as usize,
                (TIME_EXTEND, Some(high)) => {
                    time = time.wrapping_add((u64::from(high) << DELTA_BITS).wrapping_add(delta));
                    8
                }
                (TIME_STAMP, Some(high)) => {
                    let stamp = (u64::from(high) << DELTA_BITS | delta) & ABSOLUTE;
                    time = stamp | time & !ABSOLUTE;
                    8
                }
                (0, Some(len)) if len >= 4 => 4 + len as usize,
                (1..PADDING, _) => 4 + kind as usize * 4,
                _ => return Some(cut(at)),
            };
            let end = at.saturating_add(len);
            if kind < PADDING {
                time = time.wrapping_add(delta);
                let begin = at + if kind == 0 { 8 } else { 4 };
                let Some(data) = all.get(begin..end) else { return Some(cut(at)) };
                each(Raw { time, data }, at);
            }
            at = end;
        }
        None
    }
}

fn cut(at: usize) -> String {
    format!("at byte {at} of its events no event begins")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(words: &[u32], len: usize, read: usize) -> SubBuffer {
        let mut bytes = vec![0; 16];
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.resize(256, 0);
        SubBuffer { bytes, data: 16, len, read, time: 1000 }
    }

    fn events(page: &SubBuffer) -> (Vec<(u64, Vec<u8>)>, Option<String>) {
        let mut out = Vec::new();
        let problem = page.events(&mut |raw| out.push((raw.time, raw.data.to_vec())));
        (out, problem)
    }

    #[test]
    fn each_kind_of_event() {
        let word = |n: u8| [n; 4].to_vec();
        let words = [
            // two words after 10; an extension of 2^27 + 5; a long one of 4 bytes after 1
            2 | 10 << 5,
            0x0101_0101,
            0x0202_0202,
            TIME_EXTEND | 5 << 5,
            1,
            1 << 5,
            8,
            0x0303_0303,
            // one that was taken back; an absolute time; one word
            PADDING | 3 << 5,
            4,
            TIME_STAMP | 7 << 5,
            0,
            1 | 2 << 5,
            0x0404_0404,
            // the rest is empty
            PADDING,
            0xffff_ffff,
        ];
        let long = 1010 + (1 << 27) + 5 + 1;
        let wanted = vec![(1010, [word(1), word(2)].concat()), (long, word(3)), (9, word(4))];
        assert_eq!(events(&page(&words, words.len() * 4, 0)), (wanted.clone(), None));
        // what was read counts for the times
        assert_eq!(events(&page(&words, words.len() * 4, 12)).0, wanted[1..]);
        let rest = page(&words, words.len() * 4, 12);
        let unread = rest.unread();
        assert_eq!((&unread[..8], unread.len()), (&1010_u64.to_le_bytes()[..], rest.bytes.len()));
        let again = SubBuffer { time: 1010, len: rest.len - 12, read: 0, bytes: unread, ..rest };
        assert_eq!(events(&again).0, wanted[1..]);
        assert_eq!(events(&page(&words, 12, 0)).0, wanted[..1]);
        let (found, problem) = events(&page(&words, 8, 0));
        assert!(found.is_empty() && problem.is_some_and(|why| why.contains("at byte 0 of its events")));
        // a long one that has no length
        assert!(events(&page(&[0, 0, 0], 12, 0)).1.is_some());
    }
}
