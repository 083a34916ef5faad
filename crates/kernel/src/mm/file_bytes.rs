//! A file's bytes as the page cache has them ([`crate::mm::filemap`]): what is not cached is an error.

use crate::error::{KernelError, Result};
use crate::fs::inode::Inode;
use crate::mm::filemap::{self, Cached, CachedBytes};
use crate::session::Session;
use base::{PhysAddr, VirtAddr};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Files are read up to here where all of one is read: no program is larger.
const MAX_LENGTH: u64 = 1 << 29;

/// A file of which pages are in memory.
#[derive(Clone)]
pub struct FileBytes<'s> {
    s: &'s Session,
    /// Its pages, by their place in the file. Where their bytes are is asked of those that are read: a program of gigabytes
    /// has many.
    pages: Arc<Vec<Cached>>,
    cached: Arc<CachedBytes<'s>>,
    /// Why there may be other pages.
    lost: Option<KernelError>,
    length: u64,
    at: u64,
}

impl std::fmt::Debug for FileBytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBytes").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

impl<'s> FileBytes<'s> {
    /// The file of an inode.
    ///
    /// # Errors
    /// The inode is not in the dump, or no inode.
    pub fn of(s: &'s Session, inode: VirtAddr) -> Result<Self> {
        let found = filemap::pages(s, inode)?;
        let length = s.bind::<Inode>().length.u64(s.mem(), inode)?;
        let mut pages = found.pages;
        pages.sort_unstable_by_key(|one| one.index);
        let lost = found.problems.into_iter().find(KernelError::is_loss);
        let cached = Arc::new(CachedBytes::of(s));
        Ok(Self { s, pages: Arc::new(pages), cached, lost, length, at: 0 })
    }

    /// Fills `buf` with the file's bytes from `offset` on; behind its end, on its last page, they are zeros, as they are where
    /// it is mapped.
    ///
    /// # Errors
    /// A page is not in the cache or not in the dump.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let page = self.s.page_size().max(1);
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let inside = at % page;
            let len = usize::try_from(page - inside).unwrap_or(usize::MAX).min(rest.len());
            let Some((part, after)) = rest.split_at_mut_checked(len) else { break };
            let missing =
                |missing| KernelError::Fault(base::Fault::new(VirtAddr(at), base::FaultKind::Page(missing)));
            self.s.phys().read_phys(self.place(at / page)?.add(inside), part).map_err(missing)?;
            at = at.saturating_add(len as u64);
            rest = after;
        }
        Ok(())
    }

    /// Where the bytes of a page of the file are.
    fn place(&self, index: u64) -> Result<PhysAddr> {
        let found = self.pages.binary_search_by_key(&index, |one| one.index).ok();
        let Some(one) = found.and_then(|at| self.pages.get(at)) else {
            let unknown = || KernelError::Open(format!("its page {index} is not in memory"));
            return Err(self.lost.clone().unwrap_or_else(unknown));
        };
        self.cached.place(one).map_err(|e| KernelError::Open(format!("its page {index} is {}", e.why)))
    }

    fn end(&self) -> u64 {
        self.length.min(MAX_LENGTH)
    }
}

impl Read for FileBytes<'_> {
    /// Within one page: the next one need not be in memory.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let page = self.s.page_size().max(1);
        let left = self.end().saturating_sub(self.at).min(page - self.at % page);
        let len = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = buf.get_mut(..len).unwrap_or_default();
        self.read_at(self.at, part).map_err(|e| io::Error::other(e.to_string()))?;
        self.at = self.at.saturating_add(len as u64);
        Ok(len)
    }
}

impl Seek for FileBytes<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.end().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::{Files, Kernel};

    #[test]
    fn bytes_are_those_of_the_pages_that_are_cached() {
        let mut k = Kernel::new();
        let more = [("fs", 96, "*fs_struct"), ("files", 104, "*files_struct"), ("nsproxy", 112, "*nsproxy")];
        let (tasks, _) = k.tasks(2, 4096, 256, &more);
        let made = k.files(tasks[0], true);
        let s = session(&k);
        let mut file = FileBytes::of(&s, VirtAddr(made.inodes[3])).unwrap();
        let mut part = [0; 4];
        file.read_at(4094, &mut part[..2]).unwrap();
        assert_eq!(&part[..2], b"aa");
        // page 1 is not in memory, page 2 is the last
        let e = file.read_at(4094, &mut part).unwrap_err();
        assert!(e.to_string().contains("its page 1 is not in memory"), "{e}");
        assert_eq!(file.seek(SeekFrom::End(-2)).unwrap(), Files::LENGTH - 2);
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"bb");
        // of a page behind the file's end a process has nothing either
        let e = file.read_at(3 * 4096, &mut part).unwrap_err();
        assert!(e.to_string().contains("its page 3 is not in memory"), "{e}");
    }
}
