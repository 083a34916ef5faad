//! Pages that lie side by side, unpacked together: what a pass over all memory wants.
//!
//! The bitmap is counted once for all of them, their descriptors are read in one piece and so are their packed
//! bytes, which stand in the file one behind the other. Nothing is kept.

use super::codec;
use super::pages::{Desc, File};
use crate::Gap;
use std::cell::RefCell;

/// Packed bytes that are read at once.
const WINDOW: u64 = 128 << 10;
/// Pages that are unpacked at once at most.
const PAGES: u64 = 64;

thread_local! {
    static PACKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Fills the pages of `buf` with those from `pfn` on, up to `end`; how many could be, one at least.
pub(super) fn unpack(file: &File, pfn: u64, end: u64, page_len: usize, buf: &mut [u8]) -> Result<usize, Gap> {
    let wanted = (buf.len() / page_len) as u64;
    let descs = file.descs(pfn, wanted.min(end.saturating_sub(pfn)).min(PAGES))?;
    PACKED.with_borrow_mut(|packed| {
        let mut window = Window { file, at: 0, bytes: packed };
        window.bytes.clear();
        for (n, desc) in descs.iter().enumerate() {
            let start = n * page_len;
            let done = window.page(&descs, n, start, page_len, buf, *desc);
            match done {
                Ok(()) => {}
                Err(why) if n == 0 => return Err(why),
                Err(_) => return Ok(n),
            }
        }
        Ok(descs.len())
    })
}

/// The bytes of the file that were read last.
struct Window<'a> {
    file: &'a File,
    at: u64,
    bytes: &'a mut Vec<u8>,
}

impl Window<'_> {
    fn page(
        &mut self,
        descs: &[Desc],
        n: usize,
        start: usize,
        page_len: usize,
        buf: &mut [u8],
        desc: Desc,
    ) -> Result<(), Gap> {
        // one page of zeros stands for all of them
        let same = descs.get(..n).and_then(|before| before.iter().rposition(|d| *d == desc));
        if let Some(same) = same {
            buf.copy_within(same * page_len..(same + 1) * page_len, start);
            return Ok(());
        }
        let page = buf.get_mut(start..start + page_len).ok_or(Gap::Corrupt)?;
        let own = self.holds(desc);
        if own.is_none() {
            self.read(descs.get(n..).unwrap_or_default(), desc)?;
        }
        let packed = self.holds(desc).ok_or(Gap::Truncated)?;
        if desc.flags & codec::PACKED == 0 {
            page.copy_from_slice(packed);
            return Ok(());
        }
        codec::unpack_bytes(desc.flags, packed, page)
    }

    /// The bytes of a page, where they were read.
    fn holds(&self, desc: Desc) -> Option<&[u8]> {
        let from = usize::try_from(desc.offset.checked_sub(self.at)?).ok()?;
        self.bytes.get(from..from.checked_add(desc.size as usize)?)
    }

    /// Reads the bytes of a page and of those after it that stand close behind.
    fn read(&mut self, descs: &[Desc], desc: Desc) -> Result<(), Gap> {
        let end = |d: &Desc| d.offset.saturating_add(d.size.into());
        let limit = desc.offset.saturating_add(WINDOW);
        let close = |d: &&Desc| d.offset >= desc.offset && end(d) <= limit;
        let last = descs.iter().filter(close).map(end).max().unwrap_or(end(&desc)).max(end(&desc));
        self.at = desc.offset;
        self.bytes.resize((last - desc.offset) as usize, 0);
        let read = self.file.image.fill(self.at, self.bytes);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}
