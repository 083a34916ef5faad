//! Reads of memory. What is not there is a value, not a failure: it travels up to the
//! cell of the report that would have shown it.

use crate::{PAGE_SIZE, PhysAddr, VirtAddr};
use std::fmt;

/// Why the bytes of a physical page are not in the dump.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gap {
    /// The dump's filter (makedumpfile -d) left the page out.
    Excluded,
    /// The page is in a file of a split set, and that file was not given.
    NotGiven,
    /// The address is no RAM that the dump covers.
    Absent,
    /// There is no memory at all: a kernel's log is open, and no dump.
    NotLogged,
    /// The dump says that it has the page, but the file ends before it.
    Truncated,
    /// The dump says that it has the page, but no record of the flattened file has its bytes.
    NoRecord,
    /// The dump has the page, but its packed bytes do not unpack to a page.
    Corrupt,
    /// The file could not be read: a disk, a network, a permission. It says nothing about the dump, and may be
    /// over at the next read. `Other` is a disk's EIO, which has no kind of its own.
    Io(std::io::ErrorKind),
}

impl Gap {
    /// True where the page should be there: the file was cut, damaged or not given, or could not be read. A filter's work
    /// and what is no memory are no loss.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        match self {
            Gap::NotGiven | Gap::Truncated | Gap::NoRecord | Gap::Corrupt | Gap::Io(_) => true,
            Gap::Excluded | Gap::Absent | Gap::NotLogged => false,
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gap::Excluded => "page excluded by the dump filter",
            Gap::NotGiven => "in a file of the split set that was not given",
            Gap::Absent => "not in the dump",
            Gap::NotLogged => "not in a log",
            Gap::Truncated => "dump file is truncated",
            Gap::NoRecord => "in no record of the flattened file",
            Gap::Corrupt => "page data is corrupt",
            Gap::Io(std::io::ErrorKind::UnexpectedEof) => "dump file became shorter while it was open",
            Gap::Io(std::io::ErrorKind::Other) => "dump file cannot be read: input/output error",
            Gap::Io(kind) => return write!(f, "dump file cannot be read: {kind}"),
        })
    }
}

/// The first physical address of a read whose bytes are not there, and why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Missing {
    /// First address that could not be read.
    pub at: PhysAddr,
    /// Why not.
    pub why: Gap,
}

impl Missing {
    /// What is missing, and why.
    #[must_use]
    pub const fn new(at: PhysAddr, why: Gap) -> Self {
        Self { at, why }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "physical address {:#x}: {}", self.at, self.why)
    }
}
impl std::error::Error for Missing {}

/// A run of physical addresses, `start..end`, in bytes. An `end` of `u64::MAX` takes in the last address too, which
/// no number could end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PhysRange {
    /// First address.
    pub start: PhysAddr,
    /// One past the last address.
    pub end: PhysAddr,
}

impl PhysRange {
    /// The range of `len` bytes from `start` on, as many of them as the space has.
    #[must_use]
    pub const fn of(start: PhysAddr, len: u64) -> Self {
        Self { start, end: PhysAddr(start.0.saturating_add(len)) }
    }
    /// The last address; `None` where the range holds nothing.
    #[must_use]
    pub const fn last(&self) -> Option<PhysAddr> {
        match self.end.0 {
            u64::MAX => Some(self.end),
            end if self.start.0 < end => Some(PhysAddr(end - 1)),
            _ => None,
        }
    }
    /// Bytes in the range, at most `u64::MAX`.
    #[must_use]
    pub const fn len(&self) -> u64 {
        match self.last() {
            Some(last) => (last.0 - self.start.0).saturating_add(1),
            None => 0,
        }
    }
    /// True when the range holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.last().is_none()
    }
    /// True when `at` lies in the range.
    #[must_use]
    pub const fn contains(&self, at: PhysAddr) -> bool {
        match self.last() {
            Some(last) => self.start.0 <= at.0 && at.0 <= last.0,
            None => false,
        }
    }
}

/// Physical memory as a dump has it.
pub trait PhysRead: Send + Sync {
    /// Fills `buf` from `at` on. On `Err` the contents of `buf` from the missing address on are
    /// unspecified, before it they are right.
    ///
    /// # Errors
    /// The first address that is missing, and why.
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing>;

    /// The runs of RAM that the dump covers, ascending and disjoint; pages in them may still be
    /// excluded. Costs nothing that grows with the dump.
    fn ranges(&self) -> &[PhysRange];

    /// Whether an address lies in one of the runs.
    fn covers(&self, at: PhysAddr) -> bool {
        let all = self.ranges();
        let next = all.partition_point(|range| range.start <= at);
        next.checked_sub(1).and_then(|n| all.get(n)).is_some_and(|range| range.contains(at))
    }

    /// The first address at or after `from` that the dump may hold and that is no hole of a sparse file: a search
    /// steps over what is not there without asking for each page, however much memory the headers claim. Bytes that
    /// are stepped over are missing, or zeros of which the file has no block.
    fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
        Some(from)
    }

    /// Why the byte at `at` is missing, and how many bytes from it on are for the same reason, one at least; `None` where
    /// it is there.
    fn missing(&self, at: PhysAddr) -> Option<(Gap, u64)> {
        let missing = self.read_phys(at, &mut [0]).err()?;
        Some((missing.why, PAGE_SIZE - at.page_offset()))
    }

    /// Fills the front of `buf` from `at` on and says with how many bytes, one at least: for passes over
    /// all memory, which want many pages at once and none of them kept. Fewer than asked for say only
    /// that no more came in one go.
    ///
    /// # Errors
    /// When the byte at `at` is missing.
    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Missing> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let from = at.add(done as u64);
            let n = rest.len().min((PAGE_SIZE - from.page_offset()) as usize);
            match rest.get_mut(..n).map_or(Ok(()), |part| self.read_phys(from, part)) {
                Ok(()) => done += n,
                Err(missing) if done == 0 => return Err(missing),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// How many reads have failed so far in a way that may be over later ([`Gap::Io`]): what was made of them is not
    /// kept.
    fn failures(&self) -> u64 {
        0
    }

    /// The bytes of `len` from `at` without a copy, where the dump holds them in one piece
    /// uncompressed; `None` says only that they cannot be had this way.
    fn borrow_phys(&self, _at: PhysAddr, _len: usize) -> Option<&[u8]> {
        None
    }
}

/// Why a virtual address could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultKind {
    /// The page tables do not map it; the level of the entry that is not present
    /// ("PGD", "P4D", "PUD", "PMD", "PTE").
    NotMapped(&'static str),
    /// Not an address that the hardware can form (the top bits are not a sign extension).
    NonCanonical,
    /// Its entry names no page: it was swapped out, is being moved, or is broken. What devices there are tells which.
    Swapped,
    /// A page table that the walk needs is itself missing.
    Table(Missing),
    /// Mapped, but the page is missing from the dump.
    Page(Missing),
}

/// The first virtual address of a read that could not be read, and why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Fault {
    /// First address that could not be read.
    pub at: VirtAddr,
    /// Why not.
    pub kind: FaultKind,
}

impl Fault {
    /// What could not be read, and why.
    #[must_use]
    pub const fn new(at: VirtAddr, kind: FaultKind) -> Self {
        Self { at, kind }
    }
    /// True where the dump lacks what would tell, as opposed to an address that leads nowhere.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self.kind, FaultKind::Table(_) | FaultKind::Page(_))
    }
    /// True where what is missing should be there: a filter (makedumpfile's `-d`) leaves out pages of processes, but no page
    /// table and nothing that the kernel keeps.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        match self.kind {
            FaultKind::Table(_) => true,
            FaultKind::Page(m) => self.at.in_upper_half() || m.why.is_loss(),
            FaultKind::NotMapped(_) | FaultKind::NonCanonical | FaultKind::Swapped => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {:#x}: ", self.at)?;
        match self.kind {
            FaultKind::NotMapped(level) => write!(f, "not mapped ({level} entry not present)"),
            FaultKind::NonCanonical => f.write_str("not a canonical address"),
            FaultKind::Swapped => {
                f.write_str("page is not in memory: swapped out, or being moved, or broken")
            }
            FaultKind::Table(m) => write!(f, "page table at {m}"),
            FaultKind::Page(m) => write!(f, "{m}"),
        }
    }
}
impl std::error::Error for Fault {}

/// A virtual address space: the kernel's, or one process's. Little-endian.
pub trait VirtRead: Send + Sync {
    /// Fills `buf` from `at` on. On `Err` the bytes of `buf` before the fault's address are right,
    /// the rest is unspecified.
    ///
    /// # Errors
    /// The first address that cannot be read, and why.
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault>;

    /// One byte.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn u8(&self, at: VirtAddr) -> Result<u8, Fault> {
        let mut b = [0; 1];
        self.read(at, &mut b)?;
        Ok(u8::from_le_bytes(b))
    }
    /// A 16-bit number.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn u16(&self, at: VirtAddr) -> Result<u16, Fault> {
        let mut b = [0; 2];
        self.read(at, &mut b)?;
        Ok(u16::from_le_bytes(b))
    }
    /// A 32-bit number.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn u32(&self, at: VirtAddr) -> Result<u32, Fault> {
        let mut b = [0; 4];
        self.read(at, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }
    /// A 64-bit number.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn u64(&self, at: VirtAddr) -> Result<u64, Fault> {
        let mut b = [0; 8];
        self.read(at, &mut b)?;
        Ok(u64::from_le_bytes(b))
    }
    /// A signed 32-bit number.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn i32(&self, at: VirtAddr) -> Result<i32, Fault> {
        self.u32(at).map(u32::cast_signed)
    }
    /// A pointer.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn ptr(&self, at: VirtAddr) -> Result<VirtAddr, Fault> {
        self.u64(at).map(VirtAddr)
    }
    /// `len` bytes; the caller bounds `len`.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn bytes(&self, at: VirtAddr, len: usize) -> Result<Vec<u8>, Fault> {
        let mut buf = vec![0; len];
        self.read(at, &mut buf)?;
        Ok(buf)
    }
    /// Fills `buf` from `at` on with what is there, and with zeros in place of what is missing: for what is looked for by its
    /// shape, and for tables whose entries are held against each other. True where all of it is there. Zeros are never an
    /// answer: what reads a number asks for the number.
    fn read_what_is_there(&self, at: VirtAddr, buf: &mut [u8]) -> bool {
        if self.read(at, buf).is_ok() {
            return true;
        }
        let first = usize::try_from(PAGE_SIZE - at.page_offset()).unwrap_or(0).min(buf.len());
        let (front, behind) = buf.split_at_mut(first);
        let mut at = at;
        let mut whole = true;
        for part in std::iter::once(front).chain(behind.chunks_mut(PAGE_SIZE as usize)) {
            if self.read(at, part).is_err() {
                part.fill(0);
                whole = false;
            }
            at = at.add(part.len() as u64);
        }
        whole
    }
    /// What is there from `at` on, page by page, up to the first page that is missing: whole pages, until they are `most` bytes.
    fn up_to_a_gap(&self, at: VirtAddr, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let next = at.add(bytes.len() as u64);
            match self.bytes(next, (PAGE_SIZE - next.page_offset()) as usize) {
                Ok(part) => bytes.extend(part),
                Err(_) => break,
            }
        }
        bytes
    }
    /// A NUL-terminated string of at most `max` bytes, without the NUL; cut at `max` where no NUL
    /// comes. A fault behind at least one byte ends the string there only if the NUL came first.
    ///
    /// # Errors
    /// See [`Self::read`].
    fn cstr(&self, at: VirtAddr, max: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let mut at = at;
        let mut chunk = [0; 256];
        while out.len() < max {
            // never across a page: the next page may be unmapped although the string ends before it
            let to_page_end = PAGE_SIZE - at.page_offset();
            let want = (max - out.len()).min(chunk.len()).min(to_page_end as usize);
            let Some(part) = chunk.get_mut(..want) else { break };
            if self.read(at, part).is_err() {
                // a page of which the dump has a part: the text may end in it
                for n in 0..want as u64 {
                    match self.u8(at.add(n))? {
                        0 => return Ok(out),
                        byte => out.push(byte),
                    }
                }
                at = at.add(want as u64);
                continue;
            }
            match part.iter().position(|&b| b == 0) {
                Some(end) => {
                    out.extend(part.iter().take(end));
                    return Ok(out);
                }
                None => out.extend_from_slice(part),
            }
            at = at.add(want as u64);
        }
        Ok(out)
    }
}

impl<T: VirtRead + ?Sized> VirtRead for &T {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        (**self).read(at, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One mapped page at 0x1000, nothing else.
    struct OnePage([u8; 4096]);
    impl VirtRead for OnePage {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            for (i, b) in buf.iter_mut().enumerate() {
                let a = at.add(i as u64);
                let fault = Fault { at: a, kind: FaultKind::NotMapped("PTE") };
                let off = a.0.checked_sub(0x1000).ok_or(fault)?;
                *b = *self.0.get(off as usize).ok_or(fault)?;
            }
            Ok(())
        }
    }

    #[test]
    fn a_string_that_ends_with_its_page_is_read() {
        let mut page = [b'x'; 4096];
        page[4095] = 0;
        let mem = OnePage(page);
        assert_eq!(mem.cstr(VirtAddr(0x1ffd), 64).unwrap(), b"xx");
    }

    #[test]
    fn a_string_that_runs_off_the_page_is_a_fault_at_the_next() {
        let mem = OnePage([b'x'; 4096]);
        let fault = mem.cstr(VirtAddr(0x1ffd), 64).unwrap_err();
        assert_eq!(fault.at, VirtAddr(0x2000));
        assert_eq!(fault.to_string(), "address 0x2000: not mapped (PTE entry not present)");
    }

    /// The first bytes of a page at 0x1000.
    struct Part(&'static [u8]);
    impl VirtRead for Part {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            let from = at.0.checked_sub(0x1000).map(|from| from as usize);
            let there = from.and_then(|from| self.0.get(from..from + buf.len()));
            let there = there.ok_or(Fault { at, kind: FaultKind::NotMapped("PTE") })?;
            buf.copy_from_slice(there);
            Ok(())
        }
    }

    #[test]
    fn a_string_that_ends_in_what_is_there_of_a_page_is_read() {
        assert_eq!(Part(b"abc\0d").cstr(VirtAddr(0x1000), 64).unwrap(), b"abc");
        assert_eq!(Part(b"abc").cstr(VirtAddr(0x1001), 2).unwrap(), b"bc");
        assert_eq!(Part(b"abc").cstr(VirtAddr(0x1001), 64).unwrap_err().at, VirtAddr(0x1003));
    }

    #[test]
    fn a_string_without_nul_is_cut_at_max() {
        let mem = OnePage([b'x'; 4096]);
        assert_eq!(mem.cstr(VirtAddr(0x1000), 300).unwrap().len(), 300);
    }

    #[test]
    fn numbers_are_little_endian() {
        let mut page = [0; 4096];
        page[..8].copy_from_slice(&0x1122_3344_5566_7788_u64.to_le_bytes());
        let mem = OnePage(page);
        assert_eq!(mem.u16(VirtAddr(0x1000)).unwrap(), 0x7788);
        assert_eq!(mem.u64(VirtAddr(0x1000)).unwrap(), 0x1122_3344_5566_7788);
    }

    #[test]
    fn what_is_there_is_read_around_what_is_missing() {
        let mem = OnePage([b'x'; 4096]);
        let mut buf = [0xaa; 3 * 4096];
        assert!(!mem.read_what_is_there(VirtAddr(0x800), &mut buf));
        let there = |n: usize| (0x800..0x1800).contains(&n);
        assert!((0..buf.len()).all(|n| buf[n] == if there(n) { b'x' } else { 0 }));
        assert!(mem.read_what_is_there(VirtAddr(0x1ff0), &mut buf[..16]), "all of it is there");
        assert!(!mem.read_what_is_there(VirtAddr(0x1ff0), &mut buf[..17]));
        assert_eq!(buf[..17], [&[b'x'; 16][..], &[0]].concat());
        assert!(mem.read_what_is_there(VirtAddr(0), &mut []), "nothing was asked for");
    }
}
