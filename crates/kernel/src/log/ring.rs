//! The lockless ring of printk (`printk_ringbuffer`, 5.10): descriptors with ids that ascend, an info and a block of text each.
//!
//! Source: kernel/printk/printk_ringbuffer.{c,h}, Documentation/admin-guide/kdump/vmcoreinfo.rst.
//!
//! **Invariant:** each part of a ring is evidence for the others. A descriptor's place tells its id's lowest bits, so that
//! descriptors decide where `head_id` and `tail_id` do not fit them; an info's number and the id before each text say whose
//! they are, so that a message whose descriptor or info is lost has what the others tell of it.

mod gaps;

use crate::error::{KernelError, Result};
use crate::log::printk::{Log, LogRecord, text_line};
pub(crate) use crate::log::ring_layout::RingOffsets;
use crate::log::text_ring::{self, Block};
use crate::plausible;
use base::{Bytes, VirtAddr, VirtRead, cstr};
use dump::Words;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Longest text of one record that is read.
const MAX_TEXT: usize = 1 << 16;
/// No buffer of texts that is looked through is longer.
pub(crate) const BUFFER_WITHIN: u64 = 64 << 20;
/// No ring has more bits of descriptors; the fewest of any bits.
pub(crate) const COUNT_BITS: std::ops::RangeInclusive<u32> = 3..=26;
/// The same of the bytes of text.
pub(crate) const SIZE_BITS: std::ops::RangeInclusive<u32> = 8..=30;

/// States of a descriptor (`enum desc_state`), the two top bits of its `state_var`.
const DESC_RESERVED: u64 = 0;
const DESC_COMMITTED: u64 = 1;
const DESC_FINALIZED: u64 = 2;
const DESC_REUSABLE: u64 = 3;
/// An lpos with bit 0 set has no data (`BLK_DATALESS`).
const DATALESS: u64 = 1;
/// Both lpos of a record whose text is empty (`NO_LPOS`, later `EMPTY_LINE_LPOS`).
const NO_LPOS: u64 = 3;
/// The same of one whose text had no room.
const FAILED_LPOS: u64 = 1;
/// The top two bits of an id's word are its state; ids wrap below them.
pub(crate) const ID_MASK: u64 = u64::MAX >> 2;

/// Ids have 62 bits and begin below their end: as numbers that ascend with time.
const fn signed(id: u64) -> i64 {
    (id << 2).cast_signed() >> 2
}

/// Where the arrays of a ring are, and how long they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RingArrays {
    pub(crate) count_bits: u32,
    pub(crate) size_bits: u32,
    pub(crate) descs: VirtAddr,
    pub(crate) infos: VirtAddr,
    pub(crate) text: VirtAddr,
}

/// What a ring says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) arrays: RingArrays,
    tail: u64,
    head: u64,
}

impl Head {
    pub(crate) fn read(mem: &dyn VirtRead, prb: VirtAddr, at: &RingOffsets) -> Result<Self> {
        let desc_ring = prb.add(at.desc_ring);
        let text_ring = prb.add(at.text_ring);
        let [count_bits, descs, infos, head_id, tail_id] = at.ring;
        let arrays = RingArrays {
            count_bits: mem.u32(desc_ring.add(count_bits))?,
            size_bits: mem.u32(text_ring.add(at.data[0]))?,
            descs: mem.ptr(desc_ring.add(descs))?,
            infos: mem.ptr(desc_ring.add(infos))?,
            text: mem.ptr(text_ring.add(at.data[1]))?,
        };
        let tail = mem.u64(desc_ring.add(tail_id))? & ID_MASK;
        let head = mem.u64(desc_ring.add(head_id))? & ID_MASK;
        Ok(Self { arrays, tail, head })
    }

    /// Why its numbers can be none of a ring.
    pub(crate) fn problem(&self, prb: VirtAddr) -> Option<KernelError> {
        let RingArrays { count_bits, size_bits, .. } = self.arrays;
        let damaged = |why: String| Some(KernelError::Damaged { what: "printk ring buffer", at: prb, why });
        if !COUNT_BITS.contains(&count_bits) || !SIZE_BITS.contains(&size_bits) {
            return damaged(format!("2^{count_bits} descriptors, 2^{size_bits} bytes of text"));
        }
        None
    }
}

/// The records of a ring by their ids, and what of it is not known.
#[derive(Debug, Default)]
pub(crate) struct Found {
    records: BTreeMap<i64, LogRecord>,
    /// The messages that are in the ring and could not be read.
    gone: BTreeSet<i64>,
    /// Messages of which the text alone is there.
    untimed: usize,
    /// Those that are marked as still being written, and whose text is not whole.
    unwritten: BTreeSet<i64>,
    /// The id that the ring gave last, where its own word for it holds.
    newest: Option<i64>,
    /// By how much the numbers of messages differ from their ids.
    base: Option<i64>,
    /// True where it is not known which messages could not be read.
    unknown: bool,
    /// Messages between others that are not there: they had no room, were being written, or were written over.
    lost: u64,
    /// A descriptor between messages is damaged.
    is_damaged: bool,
    /// Messages that are marked as still being written, and whose text is whole all the same.
    reserved: u64,
    /// Why some of it could not be read.
    why: Option<KernelError>,
    /// What the ring says of itself and its descriptors contradict.
    pub(crate) doubt: Option<KernelError>,
}

/// What printk leaves behind a text: a newline, the two bytes of the level or more, and what fills a word.
const MAX_REST: usize = 16;

/// Whether a block can have a text of this length: a character ends it, and little is behind it.
fn is_length(body: &[u8], text_len: u64) -> bool {
    let Some((text, rest)) = usize::try_from(text_len).ok().and_then(|len| body.split_at_checked(len)) else {
        return false;
    };
    let left = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
    text.last() != Some(&0) && left <= MAX_REST
}

impl Found {
    pub(crate) fn is_whole(&self) -> bool {
        self.why.is_none() && self.doubt.is_none()
    }

    /// How many records there are, and how many of them have their times.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.records.len(), self.records.len().saturating_sub(self.untimed))
    }

    fn fail(&mut self, id: i64, why: KernelError) {
        self.gone.insert(id);
        self.why.get_or_insert(why);
    }

    fn take(&mut self, id: i64, slot: Result<Slot>) {
        match slot {
            Ok(Slot::Record(record)) => _ = self.records.insert(id, record),
            Ok(Slot::Reserved(Some(record))) => {
                self.reserved = self.reserved.saturating_add(1);
                self.records.insert(id, record);
            }
            Ok(Slot::Reserved(None)) => _ = self.unwritten.insert(id),
            Ok(Slot::Lost) => {}
            Err(e) => self.fail(id, e),
        }
    }

    /// The id of the oldest message that is kept, or should be.
    fn first(&self) -> Option<i64> {
        self.records.keys().next().into_iter().chain(self.gone.first()).min().copied()
    }

    /// The same of the newest one.
    fn last(&self) -> Option<i64> {
        let known = self.records.keys().next_back().into_iter().chain(self.gone.last());
        known.chain(&self.newest).max().copied()
    }

    /// How many messages were written over before the oldest one, by its number.
    fn written_over(&self) -> u64 {
        let first = self.first().zip(self.base).filter(|_| !self.unknown);
        first.and_then(|(first, base)| u64::try_from(first.saturating_add(base)).ok()).unwrap_or(0)
    }

    pub(crate) fn into_log(self) -> Log {
        let first = self.gone.first().map(|gone| self.records.range(..gone).count());
        let hole = if self.unknown { Some(0) } else { first };
        let as_text = self.untimed > 0 && self.untimed == self.records.len();
        // where nothing is missing in the end, only what is damaged is worth a word
        let is_lost = hole.is_some() || self.untimed > 0 || self.is_damaged;
        let damage = self.why.clone().filter(|why| !is_lost && matches!(why, KernelError::Damaged { .. }));
        Log {
            hole,
            as_text,
            lost: self.lost.saturating_add(self.written_over()),
            reserved: self.reserved,
            stopped: self.why.clone().filter(|_| hole.is_some() || as_text || self.is_damaged),
            untimed: self.why.filter(|_| self.untimed > 0).map(|why| (self.untimed, why)),
            doubt: self.doubt.or(damage),
            records: self.records.into_values().collect(),
        }
    }
}

/// What a descriptor that is read has.
enum Slot {
    Record(LogRecord),
    /// It is marked as still being written; with what is written, where that is whole.
    Reserved(Option<LogRecord>),
    /// Its text was overwritten, or had no room; or it never held a record.
    Lost,
}

/// What the descriptors say of themselves.
#[derive(Default)]
struct Own {
    /// The ids of those that are in use.
    ids: BTreeSet<i64>,
    /// The places of those that could not be read, and the first reason.
    unread: Vec<Range<u64>>,
    why: Option<KernelError>,
}

impl Own {
    fn add_unread(&mut self, slots: Range<u64>) {
        match self.unread.last_mut() {
            Some(last) if last.end == slots.start => last.end = slots.end,
            _ => self.unread.push(slots),
        }
    }
}

/// Reads a ring of records: from `tail_id` to `head_id`, or what the descriptors say where those do not fit them.
pub(crate) fn read_ring(mem: &dyn VirtRead, prb: VirtAddr, at: &RingOffsets) -> Result<Found> {
    let head = Head::read(mem, prb, at)?;
    if let Some(why) = head.problem(prb) {
        return Err(why);
    }
    let own = Ring { mem, at, arrays: head.arrays };
    let doubt = |why| Some(KernelError::Damaged { what: "printk ring buffer", at: prb, why });
    let Head { tail, head, .. } = head;
    let why = own.contradicted(tail, head);
    // of descriptors that cannot be read nothing is known
    let unread = || own.state(head).is_err() || own.state(tail).is_err();
    let other = if why.is_some() || unread() { own.with_other_bits(tail, head) } else { None };
    let (ring, mut found) = match (why, other) {
        (_, Some(ring)) => {
            let bits = [own, ring].map(|ring| ring.arrays.count_bits);
            let why = format!("count_bits is {}, and by the descriptors {}", bits[0], bits[1]);
            (ring, Found { doubt: doubt(why), ..ring.between(tail, head) })
        }
        (None, None) => (own, own.between(tail, head)),
        (why @ Some(_), None) => (own, Found { doubt: why.and_then(doubt), ..own.by_descriptors() }),
    };
    ring.account(&mut found);
    if !found.is_whole() {
        ring.add_texts(&mut found);
    }
    Ok(found)
}

/// Reads a ring by its arrays alone.
pub(crate) fn read_arrays(mem: &dyn VirtRead, at: &RingOffsets, arrays: RingArrays) -> Found {
    let ring = Ring { mem, at, arrays };
    let mut found = ring.by_descriptors();
    ring.account(&mut found);
    ring.add_texts(&mut found);
    found
}

/// Of the descriptors that cannot be read so many are told as messages: of those that no ids bound, the last before the newest.
const UNREAD_WITHIN: u64 = 1 << 20;
/// Descriptors that are looked at to find out what fits a ring.
const SAMPLE: u64 = 1024;
/// Beside the first ones.
const SAMPLE_FURTHER: u64 = 64;

/// What the arrays of a ring could be, the most credible first of each.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Descriptors, and bits of their count.
    pub(crate) descs: Vec<(VirtAddr, u32)>,
    pub(crate) infos: Vec<VirtAddr>,
    /// Texts, and bits of their length.
    pub(crate) texts: Vec<(VirtAddr, u32)>,
}

impl Candidates {
    /// The ones whose parts fit each other best; of equals the first.
    pub(crate) fn fitting(&self, mem: &dyn VirtRead, at: &RingOffsets) -> Option<RingArrays> {
        let (infos, (text, size_bits)) = (*self.infos.first()?, *self.texts.first()?);
        let arrays = |(descs, count_bits)| RingArrays { count_bits, descs, size_bits, infos, text };
        let ring = |of| Ring { mem, at, arrays: arrays(of) };
        // `max_by_key` takes the last of equals
        let descs = self.descs.iter().rev().max_by_key(|of| ring(**of).fit())?;
        let ring = ring(*descs);
        let used = ring.sample_in_use();
        let of_info = |infos: &&VirtAddr| {
            let ring = Ring { arrays: RingArrays { infos: **infos, ..ring.arrays }, ..ring };
            used.iter().filter(|(id, _)| ring.info(*id).is_ok()).count()
        };
        let infos = *self.infos.iter().rev().max_by_key(of_info)?;
        let of_text = |(text, size_bits): &&(VirtAddr, u32)| {
            let at = |begin: u64| text.add(begin & ((1 << size_bits) - 1));
            used.iter().filter(|(id, begin)| mem.u64(at(*begin)).is_ok_and(|owner| owner == *id)).count()
        };
        let (text, size_bits) = *self.texts.iter().rev().max_by_key(of_text)?;
        Some(RingArrays { infos, text, size_bits, ..ring.arrays })
    }
}

/// A ring whose arrays are known.
#[derive(Clone, Copy)]
struct Ring<'a> {
    mem: &'a dyn VirtRead,
    at: &'a RingOffsets,
    arrays: RingArrays,
}

impl Ring<'_> {
    const fn count(&self) -> u64 {
        1 << self.arrays.count_bits
    }

    const fn slot(&self, id: u64) -> u64 {
        id & (self.count() - 1)
    }

    fn desc(&self, id: u64) -> VirtAddr {
        self.arrays.descs.add(self.slot(id).wrapping_mul(self.at.desc_size))
    }

    /// The state and the id of the descriptor at an id's place.
    fn state(&self, id: u64) -> Result<(u64, u64)> {
        let word = self.mem.u64(self.desc(id).add(self.at.state_var))?;
        Ok((word >> 62, word & ID_MASK))
    }

    /// The same; on a page of zeros, which a lost page can be, it is not known.
    fn state_unless_zeros(&self, id: u64) -> Result<(u64, u64)> {
        let state = self.state(id)?;
        if state == (0, 0) && plausible::is_zero_page(self.mem, self.desc(id)) {
            let (at, why) = (self.desc(id), "its whole page holds zeros".to_owned());
            return Err(KernelError::Damaged { what: "printk descriptors", at, why });
        }
        Ok(state)
    }

    /// What of the descriptors contradicts the ids of the oldest and the newest. One that cannot be read contradicts nothing.
    fn contradicted(&self, tail: u64, head: u64) -> Option<String> {
        let count = head.wrapping_sub(tail) & ID_MASK;
        if count > self.count() {
            return Some(format!("{count} records between tail_id {tail:#x} and head_id {head:#x}"));
        }
        let of = |id: u64| self.state(id).ok();
        let near = |n: u64| (head.wrapping_sub(n) & ID_MASK, head.wrapping_add(n) & ID_MASK);
        // a CPU takes an id before it marks the descriptor
        let newest: Vec<_> = (0..=count.min(3)).filter_map(|n| Some((near(n).0, of(near(n).0)?.1))).collect();
        if !newest.is_empty() && newest.iter().all(|(id, own)| id != own) {
            return Some(format!("no descriptor has the id {head:#x} that head_id has"));
        }
        if (1..=4).any(|n| of(near(n).1).is_some_and(|(_, own)| own == near(n).1)) {
            return Some(format!("there are descriptors of newer messages than head_id {head:#x}"));
        }
        if of(tail).is_some_and(|(_, own)| own != tail) {
            return Some(format!("no descriptor has the id {tail:#x} that tail_id has"));
        }
        // many from the tail on can have been given up: a full ring of texts gives up the descriptors of the oldest, and
        // tail_id goes on only once their places are needed
        let before = tail.wrapping_sub(1) & ID_MASK;
        let is_used = of(before).is_some_and(|(state, own)| own == before && in_use(state));
        is_used.then(|| format!("there are descriptors of older messages than tail_id {tail:#x}"))
    }

    /// The records from the one id to the other.
    fn between(&self, tail: u64, head: u64) -> Found {
        let mut found = Found { newest: Some(signed(head)), ..Found::default() };
        for n in 0..=head.wrapping_sub(tail) & ID_MASK {
            let id = tail.wrapping_add(n) & ID_MASK;
            found.take(signed(id), self.record(id));
            if found.gone.len() as u64 >= UNREAD_WITHIN {
                found.unknown = true;
                break;
            }
        }
        found
    }

    /// The records that the descriptors alone tell: each has its id, and ids ascend with time.
    fn by_descriptors(&self) -> Found {
        let mut found = Found::default();
        let Own { ids, unread, why } = self.own_ids();
        for id in &ids {
            found.take(*id, self.record(id.cast_unsigned() & ID_MASK));
        }
        let Some(why) = why else { return found };
        // the id that such a descriptor has if it was used since the oldest that is there
        let Some((first, last)) = ids.first().zip(ids.last()) else {
            found.why.get_or_insert(why);
            found.unknown = true;
            return found;
        };
        for slot in unread.into_iter().flatten() {
            let back = self.slot(last.cast_unsigned()).wrapping_sub(slot) & (self.count() - 1);
            let id = last.saturating_sub(back.cast_signed());
            // infos of places that were never used hold nothing
            if back < UNREAD_WITHIN && (id > *first || self.info(id.cast_unsigned() & ID_MASK).is_ok()) {
                found.fail(id, why.clone());
            }
        }
        found
    }

    /// The ids that the descriptors have. Where the first ones have none that their places demand, all others are not asked:
    /// the number of descriptors is damaged then, and a ring can be said to have millions.
    fn own_ids(&self) -> Own {
        let mut own = Own::default();
        if self.fit() < 0 {
            let why = "they have not the ids that their places demand".to_owned();
            let what = "printk descriptors";
            own.why = Some(KernelError::Damaged { what, at: self.arrays.descs, why });
            return own;
        }
        let (mut slot, mut strange) = (0, 0);
        while slot < self.count() && strange < SAMPLE {
            match self.state_unless_zeros(slot) {
                Ok((_, 0)) => {}
                Ok((_, id)) if self.slot(id) != slot => strange = strange.saturating_add(1),
                Ok((state, id)) => {
                    strange = 0;
                    if in_use(state) || state == DESC_RESERVED {
                        own.ids.insert(signed(id));
                    }
                }
                Err(e) => {
                    // the others on its page are no better
                    let next = slot.saturating_add(self.left_on_page(slot)).min(self.count());
                    own.add_unread(slot..next);
                    own.why.get_or_insert(e);
                    slot = next;
                    continue;
                }
            }
            slot = slot.saturating_add(1);
        }
        own
    }

    /// How many descriptors have their states on the same page, this one and those behind it.
    fn left_on_page(&self, slot: u64) -> u64 {
        let at = self.desc(slot).add(self.at.state_var);
        base::GRANULE.saturating_sub(at.page_offset()).div_ceil(self.at.desc_size.max(1)).max(1)
    }

    /// What the descriptor of this id holds.
    fn record(&self, id: u64) -> Result<Slot> {
        let (state, own) = self.state_unless_zeros(id)?;
        match (own == id, state) {
            (true, DESC_COMMITTED | DESC_FINALIZED) => self.written(id),
            // a CPU stopped while it wrote, or the mark is damaged: a text that is whole tells
            (true, DESC_RESERVED) => Ok(match self.written(id) {
                Ok(Slot::Record(record)) if !record.text.is_empty() => Slot::Reserved(Some(record)),
                _ => Slot::Reserved(None),
            }),
            _ => Ok(Slot::Lost),
        }
    }

    /// The same of one that was written.
    fn written(&self, id: u64) -> Result<Slot> {
        let [begin, next] = self.block(id)?;
        if begin & next & DATALESS != 0 && [begin, next] != [NO_LPOS; 2] {
            return Ok(Slot::Lost);
        }
        let (record, text_len) = self.info(id)?;
        let body = match [begin, next] == [NO_LPOS; 2] {
            true => Vec::new(),
            false => self.body(id, begin, next, text_len)?,
        };
        Ok(Slot::Record(with_text(record, &body)))
    }

    /// Where a descriptor's text begins and ends.
    fn block(&self, id: u64) -> Result<[u64; 2]> {
        let [begin, next] = self.at.block;
        let desc = self.desc(id);
        Ok([self.mem.u64(desc.add(begin))?, self.mem.u64(desc.add(next))?])
    }

    fn info_at(&self, id: u64) -> VirtAddr {
        self.arrays.infos.add(self.slot(id).wrapping_mul(self.at.info_size))
    }

    /// What the info at this id's place says, without the text, and the text's length. Numbers go round as descriptors do, so
    /// that a page of zeros is none of theirs.
    fn info(&self, id: u64) -> Result<(LogRecord, u64)> {
        let (mem, at) = (self.mem, self.at);
        let (slot, info) = (self.slot(id), self.info_at(id));
        let [seq, ts_nsec, text_len] = at.info;
        let text_len = u64::from(mem.u16(info.add(text_len))?);
        let number = mem.u64(info.add(seq))?;
        let is_cut = text_len == 0 && plausible::is_zero_page(mem, info.add(at.info[2]));
        if is_cut || self.slot(number) != slot {
            let why = format!("record {slot} has the number {number}");
            return Err(KernelError::Damaged { what: "printk_info", at: info, why });
        }
        let fl = mem.u16(info.add(at.facility))?;
        let record = LogRecord {
            seq: Some(number),
            ts_nsec: Some(mem.u64(info.add(ts_nsec))?),
            facility: (fl & 0xff) as u8,
            // u8 flags:5, level:3 follow the facility
            flags: (fl >> 8) as u8 & 0x1f,
            level: Some((fl >> 13) as u8),
            caller_id: at.caller_id.map(|o| mem.u32(info.add(o))).transpose()?,
            text: String::new(),
            dict: at.dev_info.map_or_else(|| Ok(Vec::new()), |o| dev_info(mem, info.add(o)))?,
        };
        Ok((record, text_len))
    }

    fn body(&self, id: u64, begin: u64, next: u64, text_len: u64) -> Result<Vec<u8>> {
        let size_bits = self.arrays.size_bits;
        let text_size = 1_u64 << size_bits;
        // a block that does not fit before the end of the ring starts at its beginning
        let wraps = begin >> size_bits != next.wrapping_sub(1) >> size_bits;
        let from = if wraps { 0 } else { begin & (text_size - 1) };
        let blk_len = if wraps { next & (text_size - 1) } else { next.wrapping_sub(begin) };
        let room = blk_len.saturating_sub(8); // the block begins with its descriptor's id
        let at = self.arrays.text.add(from);
        let len = room.min(MAX_TEXT as u64);
        let mut block = self.mem.bytes(at, usize::try_from(len.saturating_add(8)).unwrap_or(8))?;
        let owner = Bytes::new(&block).u64_at(0).ok();
        let mut text = block.split_off(block.len().min(8));
        let is_sound = is_length(&text, text_len);
        text.truncate(usize::try_from(text_len).unwrap_or(text.len()));
        let zero = text.iter().position(|b| *b == 0).map(|n| at.add(n as u64 + 8));
        if owner != Some(id) || zero.is_some_and(|zero| plausible::is_zero_page(self.mem, zero)) {
            let why = format!("the text of record {id:#x} is not there");
            return Err(KernelError::Damaged { what: "text of the log", at, why });
        }
        if !is_sound {
            let why = format!("record {id:#x} has text_len {text_len} in a block of {room} bytes");
            return Err(KernelError::Damaged { what: "printk_info", at, why });
        }
        Ok(text)
    }

    /// Adds what the ring of texts has of the messages that could not be read otherwise.
    fn add_texts(&self, found: &mut Found) {
        let len = (1_u64 << self.arrays.size_bits).min(BUFFER_WITHIN);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        // messages are told by their text: of a missing page there are none
        self.mem.read_what_is_there(self.arrays.text, &mut bytes);
        let blocks = text_ring::blocks(&bytes, Words::LITTLE_64);
        let known = found.records.keys().chain(&found.gone).copied();
        let Some(newest) = known.chain(blocks.iter().map(|(id, _)| *id)).max() else { return };
        let oldest = newest.saturating_sub(self.count().cast_signed());
        let rests = text_ring::leaves_rests(&blocks);
        let end = bytes.as_ptr_range().end;
        for block in blocks.into_iter().filter(|(id, _)| *id > oldest) {
            // a text that goes on behind the buffer's end is not all there
            let id = block.0.cast_unsigned() & ID_MASK;
            let len = || self.info(id).ok().and_then(|(_, len)| usize::try_from(len).ok());
            if block.1.as_ptr_range().end == end && len().is_some_and(|len| len > block.1.len()) {
                continue;
            }
            let may_hold = || found.gone.contains(&block.0) || self.may_hold(id);
            if !found.records.contains_key(&block.0) && may_hold() {
                let behind = self.arrays.text.add(text_ring::end_in(&bytes, block.1) as u64);
                let is_cut = self.mem.u8(behind).is_err();
                self.add_text(found, block, rests, is_cut);
            }
        }
    }

    /// True unless the descriptor says that there is no such record.
    fn may_hold(&self, id: u64) -> bool {
        self.state_unless_zeros(id).map_or(true, |(state, own)| own == id && in_use(state))
    }

    fn add_text(&self, found: &mut Found, (id, body): Block<'_>, rests: bool, is_cut: bool) {
        let own = self.info(id.cast_unsigned() & ID_MASK).ok();
        let len = own.as_ref().map_or(0, |(_, len)| *len);
        let text = usize::try_from(len).ok().and_then(|len| body.get(..len));
        let record = match (own, text) {
            // what is missing reads as zeros here
            (Some((record, _)), Some(text)) if is_length(body, len) && !text.contains(&0) => {
                with_text(record, text)
            }
            // the length alone is damaged: it is too long or too short
            (Some((record, _)), text) if text.is_none_or(|text| !text.contains(&0)) => {
                with_text(record, text_ring::printed(body, rests, is_cut).as_bytes())
            }
            _ => {
                found.untimed = found.untimed.saturating_add(1);
                text_line(&text_ring::printed(body, rests, is_cut))
            }
        };
        found.gone.remove(&id);
        found.records.insert(id, record);
    }

    /// How many descriptors have the ids that their places demand, less those that have others.
    fn fit(&self) -> i64 {
        let of = |slot: u64| match self.state(slot) {
            Ok((_, 0)) | Err(_) => 0,
            Ok((_, id)) if self.slot(id) == slot => 1,
            Ok(_) => -4,
        };
        self.sample().map(of).sum()
    }

    /// The first places, some in the middle, and the last ones.
    fn sample(&self) -> impl Iterator<Item = u64> {
        let count = self.count();
        let further = |from: u64| from.max(SAMPLE)..from.saturating_add(SAMPLE_FURTHER).min(count);
        let first = 0..SAMPLE.min(count);
        first.chain(further(count / 2)).chain(further(count.saturating_sub(SAMPLE_FURTHER)))
    }

    /// Of those the ones with a text: the id, and where that begins.
    fn sample_in_use(&self) -> Vec<(u64, u64)> {
        let of = |slot: u64| {
            let (state, id) = self.state(slot).ok()?;
            let [begin, next] = self.block(slot).ok()?;
            let is_one = in_use(state) && self.slot(id) == slot && (begin | next) & DATALESS == 0;
            is_one.then_some((id, begin))
        };
        self.sample().filter_map(of).collect()
    }
}

const fn in_use(state: u64) -> bool {
    matches!(state, DESC_COMMITTED | DESC_FINALIZED)
}

fn with_text(record: LogRecord, text: &[u8]) -> LogRecord {
    let text = String::from_utf8_lossy(text).trim_end_matches('\n').to_owned();
    LogRecord { text, ..record }
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

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
