//! Raw RAM images: QEMU's `pmemsave 0 N`, a memory-backend file, `/dev/mem`-style tools. The offset in the file is
//! the physical address; with `FILE@ADDR`, as crash has it, the file begins at that address, and several files make
//! one memory. Nothing in a file says so: any file that could be RAM is taken.
//!
//! A memory-backend file holds RAM without holes: a PC's RAM behind the hole below 4 GiB goes on at 4 GiB. That it is
//! such a file is told by the kernel in it ([`Dump::move_above`](crate::Dump::move_above)).

use super::{Format, Start};
use crate::dump::{Backend, Hole, Opened};
use crate::image::Image;
use crate::{Compression, DumpError, Facts, Gap, Warning};
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};

/// No machine that ran Linux had less RAM.
const MIN_LEN: u64 = 1 << 20;

/// The row of the table.
pub(crate) struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw RAM image"
    }

    fn has_magic(&self) -> bool {
        false
    }

    fn probe(&self, start: &Start<'_>) -> bool {
        let whole = start.len.is_multiple_of(PAGE_SIZE);
        let long = start.len >= MIN_LEN && (whole || is_like_memory(start.bytes));
        !start.flattened && (long || (start.placed && start.len > 0))
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let memory = Memory::new(images)?;
        let cut = memory.images.iter().map(Image::len).find(|len| !len.is_multiple_of(PAGE_SIZE));
        let facts = Facts {
            page_size: PAGE_SIZE,
            file_size: memory.images.iter().map(Image::file_len).sum(),
            compression: Some(Compression::None),
            warnings: cut.map(|len| Warning::CutPage { len }).into_iter().collect(),
            ..Facts::default()
        };
        let format = match memory.images.len() {
            1 => "raw RAM image".into(),
            n => format!("raw RAM image ({n} files)"),
        };
        Ok(Opened {
            backend: Box::new(memory),
            format,
            notes: Vec::new(),
            vmcoreinfo: None,
            facts,
            virt: Vec::new(),
        })
    }
}

/// Whether bytes can be the lowest pages of a machine's memory, of which most are unused: for a file that is no whole
/// number of pages, as one is that was copied in part.
fn is_like_memory(start: &[u8]) -> bool {
    let zeros = start.iter().filter(|&&b| b == 0).count();
    zeros < start.len() && 2 * zeros >= start.len()
}

/// Why a file of this length is no RAM image.
pub(crate) fn why_not(start: &Start<'_>) -> String {
    let len = start.len;
    if start.flattened {
        "which no dump in a flattened stream does".into()
    } else if len < MIN_LEN {
        format!("and is no raw RAM image either: only {len} bytes long")
    } else {
        format!(
            "and is no raw RAM image either: {len} bytes are no whole number of 4096-byte pages, and it does not begin like memory"
        )
    }
}

/// A run of a file's bytes that is memory from an address on.
struct Part {
    range: PhysRange,
    /// Which file.
    image: usize,
    /// Where in it.
    offset: u64,
}

/// The files, and what of them is which memory, ascending and disjoint.
struct Memory {
    images: Vec<Image>,
    parts: Vec<Part>,
    ranges: Vec<PhysRange>,
}

impl Memory {
    fn new(mut images: Vec<Image>) -> Result<Self, DumpError> {
        let base = |image: &Image| image.placed_at().unwrap_or(PhysAddr(0));
        for image in &images {
            let base = base(image);
            let last = base.0.checked_add(image.len().saturating_sub(1));
            if last.is_none() || base.page_offset() != 0 {
                return Err(image.bad(
                    "the address behind @",
                    base.0,
                    "a multiple of 4096, and the file has no byte beyond 2^64",
                ));
            }
        }
        images.sort_by_key(base);
        for pair in images.windows(2) {
            if let [first, next] = pair
                && PhysRange::of(base(first), first.len()).contains(base(next))
            {
                return Err(DumpError::NotOneSet {
                    path: next.path().into(),
                    first: first.path().into(),
                    why: format!(
                        "both hold the physical address {:#x}; several raw images are named with the address \
                         that each begins at, as FILE@ADDRESS",
                        base(next).0
                    ),
                });
            }
        }
        let whole = |(n, image): (usize, &Image)| {
            let range = PhysRange::of(base(image), image.len());
            Part { range, image: n, offset: 0 }
        };
        let parts: Vec<Part> = images.iter().enumerate().map(whole).collect();
        let ranges = parts.iter().map(|part| part.range).collect();
        Ok(Self { images, parts, ranges })
    }

    /// The file that holds an address, where in it, and how many bytes of memory follow there.
    fn find(&self, at: PhysAddr) -> Option<(&Image, u64, u64)> {
        let next = self.parts.partition_point(|part| part.range.start <= at);
        let part = self.parts.get(next.checked_sub(1)?).filter(|part| part.range.contains(at))?;
        let offset = part.offset.checked_add(at.0 - part.range.start.0)?;
        let left = part.range.last()?.0 - at.0;
        Some((self.images.get(part.image)?, offset, left.saturating_add(1)))
    }

    /// The bytes that no file has, up to the next one.
    fn hole(&self, at: PhysAddr) -> Hole {
        let next = self.parts.iter().map(|part| part.range.start).find(|start| *start > at);
        Hole { why: Gap::Absent, len: next.map_or(u64::MAX, |start| start.0).saturating_sub(at.0).max(1) }
    }
}

impl Backend for Memory {
    fn read_front(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        let (image, offset, left) = self.find(at).ok_or_else(|| self.hole(at))?;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        image
            .copy_front(offset, buf.get_mut(..n).unwrap_or_default())
            .map_err(|why| Hole { why, len: image.missing(offset, left) })
    }

    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        let (image, offset, left) = self.find(at).ok_or_else(|| self.hole(at))?;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        image
            .fill_front(offset, buf.get_mut(..n).unwrap_or_default())
            .map_err(|why| Hole { why, len: image.missing(offset, left) })
    }

    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    fn present(&self, pfn: Pfn) -> Option<bool> {
        let at = pfn.0.checked_mul(PAGE_SIZE)?;
        self.find(PhysAddr(at)).map(|_| true)
    }

    fn skip_holes(&self, from: PhysAddr) -> Result<Option<PhysAddr>, Gap> {
        let first = self.parts.partition_point(|part| part.range.last().is_none_or(|last| last < from));
        Ok(self.parts.get(first..).unwrap_or_default().iter().find_map(|part| {
            let at = from.max(part.range.start);
            let offset = part.offset.checked_add(at.0 - part.range.start.0)?;
            let data = self.images.get(part.image)?.next_data(offset)?;
            let at = at.0.checked_add(data.checked_sub(offset)?).map(PhysAddr)?;
            part.range.contains(at).then_some(at)
        }))
    }

    fn borrow(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        let (image, offset, _) = self.find(at).filter(|(.., left)| *left >= len as u64)?;
        image.borrow(offset, len)
    }

    fn move_above(&mut self, from: PhysAddr, to: PhysAddr) -> bool {
        let [part] = self.parts.as_mut_slice() else { return false };
        let PhysRange { start, end } = part.range;
        let Some(moved) = to.0.checked_add(end.0.saturating_sub(from.0)) else { return false };
        let aligned = from.page_offset() == 0 && to.page_offset() == 0;
        if start.0 != 0 || from <= start || from >= end || to < from || !aligned {
            return false;
        }
        part.range.end = from;
        let above = PhysRange { start: to, end: PhysAddr(moved) };
        let above = Part { range: above, image: part.image, offset: from.0 };
        self.parts.push(above);
        self.ranges = self.parts.iter().map(|part| part.range).collect();
        true
    }

    fn held_bytes(&self) -> u64 {
        self.ranges.iter().map(PhysRange::len).sum()
    }
}
