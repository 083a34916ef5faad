//! A raw RAM image: QEMU's `pmemsave 0 N`, a memory-backend file, `/dev/mem`-style tools. The offset
//! in the file is the physical address. Nothing says so in the file: any file that could be RAM is taken.

use super::{Format, Start, single};
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
        !start.flattened && start.len >= MIN_LEN && start.len.is_multiple_of(PAGE_SIZE)
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let image = single(images, "a raw RAM image")?;
        let len = image.len();
        let facts = Facts {
            page_size: PAGE_SIZE,
            file_size: image.file_len(),
            compression: Some(Compression::None),
            ..Facts::default()
        };
        let ranges = [PhysRange { start: PhysAddr(0), end: PhysAddr(len) }];
        Ok(Opened {
            backend: Box::new(Memory { image, ranges }),
            format: "raw RAM image".into(),
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

struct Memory {
    image: Image,
    ranges: [PhysRange; 1],
}

impl Backend for Memory {
    fn read_in_page(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Gap> {
        if at.0 >= self.image.len() {
            return Err(Gap::Absent);
        }
        self.image.copy(at.0, buf)
    }

    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    fn present(&self, pfn: Pfn) -> Option<bool> {
        (pfn.0 < self.image.len() / PAGE_SIZE).then_some(true)
    }

    fn next_present(&self, from: Pfn) -> Option<Pfn> {
        (from.0 < self.image.len() / PAGE_SIZE).then_some(from)
    }

    fn borrow(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        self.image.borrow(at.0, len)
    }

    fn count_present(&self) -> u64 {
        self.image.len() / PAGE_SIZE
    }
}
