//! Raw RAM images: QEMU's `pmemsave 0 N`, a memory-backend file, `/dev/mem`-style tools. The offset in the file is
//! the physical address; with `FILE@ADDR`, as crash has it, the file begins at that address, and several files make
//! one memory. Nothing in a file says so: any file that could be RAM is taken.

use super::{Format, Start};
use crate::dump::{Backend, Opened};
use crate::image::Image;
use crate::{Compression, DumpError, Facts, Gap};
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange};

/// No machine that ran Linux had less RAM.
const MIN_LEN: u64 = 1 << 20;

/// The row of the table.
pub(crate) struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw RAM image"
    }

    fn probe(&self, start: &Start<'_>) -> bool {
        !start.flattened
            && start.len.is_multiple_of(PAGE_SIZE)
            && (start.len >= MIN_LEN || (start.placed && start.len > 0))
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let memory = Memory::new(images)?;
        let facts = Facts {
            page_size: PAGE_SIZE,
            file_size: memory.parts.iter().map(|(_, image)| image.file_len()).sum(),
            compression: Some(Compression::None),
            ..Facts::default()
        };
        let format = match memory.parts.len() {
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

/// Why a file of this length is no RAM image.
pub(crate) fn why_not(start: &Start<'_>) -> String {
    let len = start.len;
    if start.flattened {
        "which no dump in a flattened stream does".into()
    } else if len < MIN_LEN {
        format!("and is no raw RAM image either: only {len} bytes long")
    } else {
        format!("and is no raw RAM image either: {len} bytes are no whole number of 4096-byte pages")
    }
}

/// The files with the addresses that they begin at, ascending and disjoint.
struct Memory {
    parts: Vec<(PhysAddr, Image)>,
    ranges: Vec<PhysRange>,
}

impl Memory {
    fn new(images: Vec<Image>) -> Result<Self, DumpError> {
        let mut parts = Vec::new();
        for image in images {
            let base = image.placed_at().unwrap_or(PhysAddr(0));
            let end = base.0.checked_add(image.len());
            if end.is_none() || base.page_offset() != 0 {
                return Err(image.bad(
                    "the address behind @",
                    base.0,
                    "a multiple of 4096, and the file ends below 2^64",
                ));
            }
            parts.push((base, image));
        }
        parts.sort_by_key(|(base, _)| *base);
        let ranges: Vec<PhysRange> = parts
            .iter()
            .map(|(base, image)| PhysRange { start: *base, end: base.add(image.len()) })
            .collect();
        for (range, next) in ranges.iter().zip(parts.iter().skip(1)) {
            if next.0 < range.end {
                let first = parts.iter().find(|(base, _)| *base == range.start);
                return Err(DumpError::NotOneSet {
                    path: next.1.path().into(),
                    first: first.map(|(_, i)| i.path().into()).unwrap_or_default(),
                    why: format!(
                        "both hold the physical address {:#x}; several raw images are named with the address \
                         that each begins at, as FILE@ADDRESS",
                        next.0
                    ),
                });
            }
        }
        Ok(Self { parts, ranges })
    }

    /// The file that holds an address, and where in it.
    fn find(&self, at: PhysAddr) -> Option<(&Image, u64)> {
        let next = self.parts.partition_point(|(base, _)| *base <= at);
        let (base, image) = self.parts.get(next.checked_sub(1)?)?;
        let offset = at.0 - base.0;
        (offset < image.len()).then_some((image, offset))
    }
}

impl Backend for Memory {
    fn read_in_page(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Gap> {
        let (image, offset) = self.find(at).ok_or(Gap::Absent)?;
        image.copy(offset, buf)
    }

    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    fn present(&self, pfn: Pfn) -> Option<bool> {
        let at = pfn.0.checked_mul(PAGE_SIZE)?;
        self.find(PhysAddr(at)).map(|_| true)
    }

    fn next_present(&self, from: Pfn) -> Option<Pfn> {
        let at = PhysAddr(from.0.checked_mul(PAGE_SIZE)?);
        let range = self.ranges.iter().find(|r| at < r.end)?;
        Some(Pfn(at.max(range.start).0 / PAGE_SIZE))
    }

    fn borrow(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        let (image, offset) = self.find(at)?;
        image.borrow(offset, len)
    }

    fn count_present(&self) -> u64 {
        self.ranges.iter().map(|r| r.len() / PAGE_SIZE).sum()
    }
}
