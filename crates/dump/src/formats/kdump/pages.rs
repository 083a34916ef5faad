//! The pages of one kdump-compressed file: bitmap to descriptor, descriptor to bytes.

use super::codec;
use super::header::{DESC_LEN, HEADER_LEN, Header};
use super::rank::{BLOCK, Rank};
use crate::cache::PageCache;
use crate::fields::{Fields, Words};
use crate::image::Image;
use crate::{Gap, Warning};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// No file is as long as two to the power of this.
const MAX_FILE_BITS: u32 = 56;
/// Blocks of bitmaps and of descriptors that are kept: 2 MiB.
const META_BLOCKS: usize = 512;
/// A bitmap longer than this (of 32 GiB of memory) is not counted to see whether it fits.
const MAX_CHECKED: u64 = 1 << 20;
/// The fields of the sub header that all versions since the first have.
const SUB_HEADER_FRONT: u64 = 8;
/// Descriptors among which the first data are looked for.
const MAX_LOOKED_AT: u64 = 64;
/// Times a step is made over descriptors that share one place.
const MAX_LOOKED_BACK: u64 = 256;

/// `struct page_desc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Desc {
    pub(crate) offset: u64,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

impl Desc {
    /// One that was not written.
    const NONE: Self = Self { offset: 0, size: 0, flags: 0 };
}

/// What the file knows of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    /// In the file: the number of its descriptor.
    Here(u64),
    /// RAM that the filter left out.
    Excluded,
    /// No RAM.
    Absent,
}

/// One file.
pub(crate) struct File {
    pub(crate) image: Image,
    pub(crate) header: Header,
    ram: Rank,
    pages: Rank,
    meta: PageCache,
    /// Descriptors that the frames before a split file's first would have.
    skipped: OnceLock<u64>,
    /// The bitmap does not fit the descriptors: which page is which cannot be told.
    pub(crate) is_shifted: bool,
    /// The same of a part with a long bitmap, which is counted when a page is first asked for.
    is_misfit: OnceLock<bool>,
    /// Where the data of pages begin, and whether two places say so.
    data: OnceLock<(Option<u64>, Option<u64>)>,
    /// The first frame whose bit in the bitmap of pages no record of a flattened stream has.
    lost_from: Option<u64>,
}

/// Descriptors that were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) count: u64,
    /// The data of the last ones end the file: its writer came to the end, and nothing was cut off.
    pub(crate) ends_file: bool,
}

impl File {
    pub(crate) fn new(image: Image, header: Header) -> Self {
        let ram = Rank::new(header.ram_bitmap);
        let pages = Rank::new(header.page_bitmap);
        let meta = PageCache::of(image.is_stable(), BLOCK as usize, META_BLOCKS);
        let bits = header.page_bitmap;
        let known = if image.is_flattened() { image.known(bits.offset, bits.len) } else { bits.len };
        let lost_from = (known < bits.len).then(|| known.saturating_mul(8));
        Self {
            image,
            header,
            ram,
            pages,
            meta,
            skipped: OnceLock::new(),
            is_shifted: false,
            is_misfit: OnceLock::new(),
            data: OnceLock::new(),
            lost_from,
        }
    }

    /// Sees whether the bitmap fits the descriptors, where it is short.
    pub(crate) fn hold_against_bitmap(&mut self) {
        self.is_shifted |= self.looks_shifted().unwrap_or(false);
    }

    /// The bitmap is not counted at open.
    pub(crate) fn is_long(&self) -> bool {
        self.header.page_bitmap.len > MAX_CHECKED
    }

    /// How many descriptors were written, where the file has all of them.
    pub(crate) fn written(&self) -> Option<Written> {
        let room = self.data_start()?.checked_sub(self.header.descriptors)? / DESC_LEN;
        if self.desc_offset(room).ok()? > self.image.len() {
            return None;
        }
        // a part of a split set has room for the descriptors of the whole dump: behind its own they are zeros
        let (mut low, mut high) = (0, room);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.raw_desc(middle).ok()? == Desc::NONE {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        let last = (low.saturating_sub(MAX_LOOKED_AT)..low).filter_map(|n| self.raw_desc(n).ok());
        let end = last.filter(|d| self.plausible(d)).map(|d| d.offset.saturating_add(d.size.into())).max();
        let ends_file = end == Some(self.image.len()) && !self.header.incomplete;
        (low > 0).then_some(Written { count: low, ends_file })
    }

    /// A warning about this file, with its name where it is one of several.
    pub(super) fn named(&self, several: usize, why: Warning) -> Warning {
        match several {
            0 | 1 => why,
            _ => Warning::OfFile { path: self.image.path().into(), why: Box::new(why) },
        }
    }

    /// What a flattened stream lacks.
    pub(crate) fn stream_hole(&self) -> Option<Warning> {
        if !self.image.is_flattened() {
            return None;
        }
        let Header { ram_bitmap, page_bitmap, descriptors, max_mapnr, split, .. } = self.header;
        let Header { notes, vmcoreinfo, erase_info, block_size, .. } = self.header;
        let parts = [ram_bitmap, page_bitmap, notes, vmcoreinfo, erase_info].map(|at| (at.offset, at.len));
        let headers = [(0, HEADER_LEN), (block_size, SUB_HEADER_FRONT)];
        let is_counted = !self.is_long() && split.is_none() && self.lost_from.is_none();
        let table = is_counted.then(|| (descriptors, self.count_before(max_mapnr).saturating_mul(DESC_LEN)));
        let data = self.confirmed_start().map(|start| (start, self.image.len().saturating_sub(start)));
        self.image.stream_hole(headers.into_iter().chain(parts).chain(table).chain(data))
    }

    /// Whether a part with a long bitmap has another number of pages than of descriptors.
    fn is_misfit(&self) -> bool {
        let Some((start, end)) = self.header.split.filter(|_| self.is_long()) else { return false };
        *self.is_misfit.get_or_init(|| {
            let pages = self.count_before(end).saturating_sub(self.count_before(start));
            self.written().is_some_and(|own| pages < own.count || pages > own.count && own.ends_file)
        })
    }

    /// What the bitmaps say of a frame (in units of the dump's own page size).
    pub(crate) fn frame(&self, pfn: u64) -> Result<Frame, Gap> {
        if pfn >= self.header.max_mapnr {
            return Ok(Frame::Absent);
        }
        if self.lost_from.is_some_and(|lost| pfn >= lost) {
            return Err(Gap::NoRecord);
        }
        if let (rank, true) = self.pages.rank(&self.image, &self.meta, pfn)? {
            return Ok(Frame::Here(rank));
        }
        Ok(if self.ram.get(&self.image, &self.meta, pfn)? { Frame::Excluded } else { Frame::Absent })
    }

    /// Like [`File::frame`] without the cost of the descriptor's number.
    pub(crate) fn present(&self, pfn: u64) -> Option<bool> {
        if pfn >= self.header.max_mapnr {
            return None;
        }
        if self.pages.get(&self.image, &self.meta, pfn).ok()? {
            return Some(true);
        }
        self.ram.get(&self.image, &self.meta, pfn).ok()?.then_some(false)
    }

    /// The first frame in the file at or after `pfn`.
    pub(crate) fn next_present(&self, pfn: u64) -> Result<Option<u64>, Gap> {
        let next = self.pages.next_set(&self.image, &self.meta, pfn)?;
        Ok(next.filter(|&p| p < self.header.max_mapnr))
    }

    /// How many of the file's pages are whole in it: a cut file has more descriptors than pages. Reads them all.
    pub(crate) fn count_whole(&self) -> u64 {
        const AT_ONCE: u64 = 64 << 10;
        let step = AT_ONCE / DESC_LEN * DESC_LEN;
        let (mut at, mut whole) = (self.header.descriptors, 0);
        let end = self.data_start().unwrap_or(0).min(self.image.len());
        let mut buf = vec![0; step as usize];
        while at < end {
            let n = (end - at).min(step) / DESC_LEN * DESC_LEN;
            let Some(raw) = buf.get_mut(..n as usize).filter(|raw| !raw.is_empty()) else { break };
            if self.image.fill_table(at, raw).is_err() {
                break;
            }
            let good = |raw: &&[u8]| {
                let desc = parse(raw, self.header.layout.words).and_then(|desc| self.checked(desc));
                desc.is_ok_and(|desc| {
                    self.image.covered(desc.offset, desc.size.into()) == u64::from(desc.size)
                })
            };
            whole += raw.chunks_exact(DESC_LEN as usize).filter(good).count() as u64;
            at += n;
        }
        whole
    }

    /// Frames in the file below `pfn`.
    pub(crate) fn count_before(&self, pfn: u64) -> u64 {
        let pfn = pfn.min(self.header.max_mapnr);
        self.pages.count_before(&self.image, &self.meta, pfn).unwrap_or(0)
    }

    /// The descriptor of a frame, checked.
    pub(crate) fn desc(&self, pfn: u64) -> Result<Desc, Gap> {
        self.checked(self.raw_desc(self.number(pfn)?)?)
    }

    /// The descriptors of a frame and of those after it, as many of `count` as are there in a row; one at least.
    pub(crate) fn descs(&self, pfn: u64, count: u64) -> Result<Vec<Desc>, Gap> {
        let number = self.number(pfn)?;
        let count = count.min(self.header.max_mapnr.saturating_sub(pfn)).max(1);
        let count = self.pages.run(&self.image, &self.meta, pfn, count)?.max(1);
        let mut raw = vec![0; (count * DESC_LEN) as usize];
        let at = self.desc_offset(number)?;
        if self.read_meta(at, &mut raw).is_err() {
            // the last ones are cut off
            return Ok(vec![self.checked(self.raw_desc(number)?)?]);
        }
        let mut descs = Vec::with_capacity(count as usize);
        for raw in raw.chunks_exact(DESC_LEN as usize) {
            match parse(raw, self.header.layout.words).and_then(|desc| self.checked(desc)) {
                Ok(desc) => descs.push(desc),
                Err(why) if descs.is_empty() => return Err(why),
                Err(_) => break,
            }
        }
        Ok(descs)
    }

    /// The number of a frame's descriptor.
    fn number(&self, pfn: u64) -> Result<u64, Gap> {
        match self.frame(pfn)? {
            Frame::Here(_) if self.is_shifted || self.is_misfit() => Err(Gap::Corrupt),
            Frame::Here(rank) => rank.checked_sub(self.skipped()?).ok_or(Gap::Absent),
            Frame::Excluded => Err(Gap::Excluded),
            Frame::Absent => Err(Gap::Absent),
        }
    }

    fn checked(&self, desc: Desc) -> Result<Desc, Gap> {
        if desc.offset == 0 {
            // an incomplete dump: its writer got as far as the bitmap, not as far as this page
            return Err(Gap::Truncated);
        }
        let max = self.header.block_size;
        let packed = desc.flags & codec::PACKED != 0;
        let size = u64::from(desc.size);
        if size == 0 || size > max || (!packed && size != max) || desc.offset < self.header.descriptors {
            return Err(Gap::Corrupt);
        }
        match desc.offset.checked_add(size) {
            Some(end) if end <= self.image.len() => Ok(desc),
            Some(end) if end <= i64::MAX as u64 => Err(Gap::Truncated),
            _ => Err(Gap::Corrupt),
        }
    }

    /// A page that is stored plainly and that the file ends in: where it begins, and how many bytes there are.
    pub(crate) fn cut_page(&self, pfn: u64) -> Option<(u64, u64)> {
        let desc = self.raw_desc(self.number(pfn).ok()?).ok()?;
        let plain = desc.flags & codec::PACKED == 0 && u64::from(desc.size) == self.header.block_size;
        let have = self.image.len().checked_sub(desc.offset).filter(|&have| have > 0)?;
        (plain && desc.offset >= self.header.descriptors && have < desc.size.into())
            .then_some((desc.offset, have))
    }

    /// Unpacks the page of a descriptor.
    pub(crate) fn unpack(&self, desc: Desc, page: &mut [u8]) -> Result<(), Gap> {
        if desc.flags & codec::PACKED == 0 {
            return self.image.fill(desc.offset, page);
        }
        codec::unpack(desc.flags, desc.size as usize, page, |packed| self.image.fill(desc.offset, packed))
    }

    /// The descriptor with the given number, unchecked.
    pub(crate) fn raw_desc(&self, number: u64) -> Result<Desc, Gap> {
        let mut raw = [0; DESC_LEN as usize];
        let at = self.desc_offset(number)?;
        self.read_meta(at, &mut raw)?;
        let desc = parse(&raw, self.header.layout.words)?;
        if desc == Desc::NONE && self.image.is_flattened() && self.image.covered(at, DESC_LEN) < DESC_LEN {
            return Err(Gap::NoRecord);
        }
        Ok(desc)
    }

    fn desc_offset(&self, number: u64) -> Result<u64, Gap> {
        let offset = number.checked_mul(DESC_LEN).and_then(|o| o.checked_add(self.header.descriptors));
        offset.ok_or(Gap::Truncated)
    }

    /// The end of the file's data by its last descriptor, if that can be found at once.
    ///
    /// A page of zeros that no descriptor has can come before the first data: then zeros are stepped over.
    pub(crate) fn end_of_data(&self) -> Option<u64> {
        let first = self.raw_desc(0);
        if first == Err(Gap::Truncated) && self.next_present(0).is_ok_and(|page| page.is_some()) {
            return self.desc_offset(1).ok();
        }
        let start = self.data_start()?;
        let end = start.min(self.image.len());
        let count = end.checked_sub(self.header.descriptors)? / DESC_LEN;
        let end_of = |desc: Desc| desc.offset.saturating_add(desc.size.into());
        let last = self.last_end(count).or_else(|| self.last_written(count).map(end_of))?;
        // where the descriptors themselves are cut, the first page is already past the end
        let first = first.ok().filter(|d| self.plausible(d));
        Some(last.max(first.map_or(start, end_of)))
    }

    /// The end of the data that the last descriptors have. Pages of zeros share one place near the file's begin: a run of
    /// them at the end tells nothing, so that it is stepped over. One damaged descriptor is not believed: data that begin
    /// where other data end are.
    fn last_end(&self, count: u64) -> Option<u64> {
        let step = 2 * self.header.block_size / DESC_LEN;
        let mut above = count;
        let mut all: Vec<(u64, u64)> = Vec::new();
        for _ in 0..MAX_LOOKED_BACK {
            let from = above.saturating_sub(step);
            let descs = (from..above).filter_map(|n| self.raw_desc(n).ok()).filter(|d| self.plausible(d));
            all.extend(descs.map(|d| (d.offset, d.offset.saturating_add(d.size.into()))));
            all.sort_unstable();
            all.dedup();
            above = from;
            if all.len() != 1 || above == 0 {
                break;
            }
        }
        let ends: BTreeSet<u64> = all.iter().map(|(_, end)| *end).collect();
        let follows = all.iter().filter(|(start, _)| ends.contains(start)).map(|(_, end)| *end);
        follows.max().or_else(|| all.iter().map(|(_, end)| *end).max())
    }

    /// The last descriptor before those that are zeros: a part of a split set has room for those of the whole dump.
    fn last_written(&self, count: u64) -> Option<Desc> {
        let (mut written, mut zeros) = (0, count);
        while zeros - written > 1 {
            let middle = written + (zeros - written) / 2;
            match self.raw_desc(middle).is_ok_and(|d| self.plausible(&d)) {
                true => written = middle,
                false => zeros = middle,
            }
        }
        self.raw_desc(written).ok().filter(|d| self.plausible(d))
    }

    /// Where the data of pages begin, which is where the descriptors end: the first offset that a second descriptor has too,
    /// or that another page or the file's end follows. Else what the first descriptor says.
    fn data_start(&self) -> Option<u64> {
        self.starts().0
    }

    /// Of [`File::data_start`] what two places say. One damaged descriptor does not move it.
    fn confirmed_start(&self) -> Option<u64> {
        self.starts().1
    }

    fn starts(&self) -> (Option<u64>, Option<u64>) {
        *self.data.get_or_init(|| {
            let first = || self.raw_desc(0).ok().filter(|d| self.plausible(d)).map(|d| d.offset);
            let confirmed = self.find_start();
            (confirmed.or_else(first), confirmed)
        })
    }

    fn find_start(&self) -> Option<u64> {
        let mut seen: Vec<Desc> = Vec::new();
        let mut start: Option<u64> = None;
        for number in 0..MAX_LOOKED_AT {
            let end = self.desc_offset(number + 1).ok()?;
            if start.is_some_and(|start| end > start) {
                break;
            }
            let Ok(desc) = self.raw_desc(number) else { break };
            if !self.plausible(&desc) {
                continue;
            }
            let ends = |d: &Desc| d.offset.saturating_add(d.size.into());
            let is_confirmed = |d: &&Desc| d.offset == desc.offset || ends(d) == desc.offset;
            let at_end = (ends(&desc) == self.image.len()).then_some(desc.offset);
            start = seen.iter().filter(is_confirmed).map(|d| d.offset).chain(at_end).chain(start).min();
            seen.push(desc);
        }
        start
    }

    /// Whether the bitmap has more or fewer bits than there are descriptors, so that a page's descriptor would be another's.
    /// Two places must say so, or one damaged descriptor would cost all pages: the data begin behind another number of
    /// descriptors than that of the bits, and the last bit's descriptor is none or another one follows it. `None` where it is
    /// not known: the bitmap is long, or the file was cut, or its writer did not come to the end.
    fn looks_shifted(&self) -> Option<bool> {
        if self.is_long() || self.lost_from.is_some() {
            return None;
        }
        let max = self.header.max_mapnr;
        let bits = |end: u64| self.pages.count_before(&self.image, &self.meta, end).ok();
        let count = bits(self.header.split.map_or(max, |(_, end)| end.min(max)))?;
        let count = count.checked_sub(self.skipped().ok()?)?;
        let data = self.confirmed_start()?;
        let room = data.checked_sub(self.header.descriptors)?;
        let whole = |room: u64| room.is_multiple_of(DESC_LEN).then_some(room / DESC_LEN);
        // makedumpfile writes a page of zeros first, which no descriptor needs to have
        let told = [whole(room), room.checked_sub(self.header.block_size).and_then(whole)];
        if told == [None; 2] || told.contains(&Some(count)) {
            return Some(false);
        }
        let next_is_one = self.desc_offset(count.checked_add(1)?).ok()? <= data
            && self.raw_desc(count).is_ok_and(|next| self.plausible(&next));
        // each part of a split set has room for the descriptors of the whole dump
        if next_is_one || self.header.split.is_some() && told.contains(&Some(bits(max)?)) {
            return Some(next_is_one);
        }
        let last = self.raw_desc(count.checked_sub(1)?).ok()?;
        // zeros are one that the writer did not come to, or they are the data already
        let is_behind = told.iter().flatten().all(|all| count > *all);
        Some((is_behind || last != Desc::NONE) && !self.plausible(&last))
    }

    /// The packing flags of the first packed page among the first few.
    pub(crate) fn first_packing(&self) -> Option<u32> {
        let count = self.data_start()?.checked_sub(self.header.descriptors)? / DESC_LEN;
        let descs = (0..count.min(64)).map_while(|n| self.raw_desc(n).ok()).take_while(|d| self.plausible(d));
        descs.map(|d| d.flags).find(|f| f & codec::PACKED != 0)
    }

    /// Whether these can be the fields of a descriptor, whatever the length of the file.
    fn plausible(&self, desc: &Desc) -> bool {
        let size = u64::from(desc.size);
        desc.flags & !codec::PACKED == 0
            && (1..=self.header.block_size).contains(&size)
            && (self.header.descriptors..1 << MAX_FILE_BITS).contains(&desc.offset)
    }

    /// Reads through the cache of blocks, so that neighbouring descriptors cost one read.
    fn read_meta(&self, at: u64, out: &mut [u8]) -> Result<(), Gap> {
        let mut at = at;
        let mut rest = out;
        while !rest.is_empty() {
            let (block, within) = (at / BLOCK * BLOCK, (at % BLOCK) as usize);
            let n = rest.len().min(BLOCK as usize - within);
            let Some((part, next)) = rest.split_at_mut_checked(n) else { break };
            // the last block of a file can be short: what is asked for must be in it, all else not
            let have = self.image.len().saturating_sub(block).min(BLOCK) as usize;
            if within + n > have {
                return Err(Gap::Truncated);
            }
            let fill = |buf: &mut [u8]| self.image.fill_table(block, buf.get_mut(..have).unwrap_or(&mut []));
            self.meta.with(block, fill, |buf| {
                if let Some(from) = buf.get(within..within + n) {
                    part.copy_from_slice(from);
                }
            })?;
            at = at.saturating_add(n as u64);
            rest = next;
        }
        Ok(())
    }

    fn skipped(&self) -> Result<u64, Gap> {
        let Some((start, _)) = self.header.split else { return Ok(0) };
        if let Some(&known) = self.skipped.get() {
            return Ok(known);
        }
        let count = self.pages.count_before(&self.image, &self.meta, start.min(self.header.max_mapnr))?;
        Ok(*self.skipped.get_or_init(|| count))
    }
}

fn parse(raw: &[u8], words: Words) -> Result<Desc, Gap> {
    let f = Fields::new(raw, words);
    let desc = || Ok::<_, base::OutOfBounds>(Desc { offset: f.u64(0)?, size: f.u32(8)?, flags: f.u32(12)? });
    desc().map_err(|_| Gap::Truncated)
}
