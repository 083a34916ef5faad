//! [`Dump`]: one opened dump, whatever its format.

use crate::{Facts, Gap, Warning};
use base::{Missing, PAGE_SIZE, Pfn, PhysAddr, PhysRange, PhysRead, RawNote, VirtAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A run of virtual addresses that the dump's headers place in physical memory (`p_vaddr` and
/// `p_paddr` of an ELF PT_LOAD): in a kernel's `/proc/vmcore`, the kernel image and the direct map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VirtSegment {
    /// First virtual address.
    pub virt: VirtAddr,
    /// The physical address of the same byte.
    pub phys: PhysAddr,
    /// Bytes.
    pub len: u64,
}

/// Reads of so many bytes are read in as large pieces as the format has them.
const LARGE: usize = 64 << 10;

/// Bytes that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hole {
    /// Why not.
    pub(crate) why: Gap,
    /// How many, from the address that was asked for on: one at least. What follows may be missing too.
    pub(crate) len: u64,
}

impl Hole {
    /// Nothing of the page that holds `at` is there.
    pub(crate) fn of_page(at: PhysAddr, why: Gap) -> Self {
        Self { why, len: PAGE_SIZE - at.page_offset() }
    }
}

/// The memory of a dump as its format finds it.
pub(crate) trait Backend: Send + Sync {
    /// Fills the front of `buf`, all of which lies in one page frame, and says with how many bytes, one at least. Fewer
    /// than asked for say only that the rest is elsewhere or missing. `Err`: the byte at `at` is missing.
    fn read_front(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole>;
    /// See [`PhysRead::read_stretch`]; one page at most unless the format can do better.
    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        let n = buf.len().min((PAGE_SIZE - at.page_offset()) as usize);
        self.read_front(at, buf.get_mut(..n).unwrap_or_default())
    }
    /// See [`PhysRead::ranges`].
    fn ranges(&self) -> &[PhysRange];
    /// See [`Dump::present`].
    fn present(&self, pfn: Pfn) -> Option<bool>;
    /// See [`PhysRead::skip_holes`]; the error is why that cannot be told.
    fn skip_holes(&self, from: PhysAddr) -> Result<Option<PhysAddr>, Gap>;
    /// See [`PhysRead::borrow_phys`].
    fn borrow(&self, _at: PhysAddr, _len: usize) -> Option<&[u8]> {
        None
    }
    /// See [`Dump::move_above`].
    fn move_above(&mut self, _from: PhysAddr, _to: PhysAddr) -> bool {
        false
    }
    /// See [`Dump::held_bytes`].
    fn held_bytes(&self) -> u64;
}

/// What a format makes of its file.
pub(crate) struct Opened {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) format: String,
    pub(crate) notes: Vec<RawNote>,
    pub(crate) vmcoreinfo: Option<Vec<u8>>,
    pub(crate) facts: Facts,
    pub(crate) virt: Vec<VirtSegment>,
}

/// An opened dump. Reading is possible from any number of threads.
pub struct Dump {
    pub(crate) opened: Opened,
    /// Pages that the filter left out read as zeros.
    zeros: AtomicBool,
    /// Such a page was.
    zeroed: AtomicBool,
    /// Reads that failed in a way that may be over later.
    failures: AtomicU64,
    /// Why the last of them failed.
    failed: Mutex<Option<Gap>>,
}

impl Dump {
    pub(crate) fn new(opened: Opened) -> Self {
        Self {
            opened,
            zeros: AtomicBool::new(false),
            zeroed: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    /// Reads pages that the filter left out as zeros from now on, as crash's `--zero_excluded`: more can be walked, and
    /// no value marks what is not true ([`Dump::has_zeroed`] does). What a cut file lost was no choice of the writer: it stays missing.
    pub fn read_excluded_as_zeros(&self, on: bool) {
        self.zeros.store(on, Ordering::Relaxed);
    }

    /// Whether memory that the filter left out was read as zeros.
    #[must_use]
    pub fn has_zeroed(&self) -> bool {
        self.zeros.load(Ordering::Relaxed) && self.zeroed.load(Ordering::Relaxed)
    }

    /// Zeros in place of a hole, where they were asked for: as many as are missing, and no byte that is there.
    fn zeros(&self, at: PhysAddr, hole: Hole, buf: &mut [u8]) -> Result<usize, Missing> {
        if hole.why != Gap::Excluded || !self.zeros.load(Ordering::Relaxed) {
            return Err(self.lacks(at, hole.why));
        }
        let n = usize::try_from(hole.len.max(1)).unwrap_or(usize::MAX).min(buf.len());
        buf.get_mut(..n).unwrap_or_default().fill(0);
        self.zeroed.store(true, Ordering::Relaxed);
        Ok(n)
    }

    /// Takes what a raw image has at `from` and behind for the memory from `to` on: an image of RAM that leaves out
    /// the hole that PCs have below 4 GiB. False where the dump is no single raw image that reaches there.
    pub fn move_above(&mut self, from: PhysAddr, to: PhysAddr) -> bool {
        self.opened.backend.move_above(from, to)
    }

    /// The format in words: `ELF core (QEMU)`, `kdump-compressed v6 (zlib), flattened` ...
    #[must_use]
    pub fn format(&self) -> &str {
        &self.opened.format
    }

    /// All ELF notes, in the order of the dump, undecoded.
    #[must_use]
    pub fn notes(&self) -> &[RawNote] {
        &self.opened.notes
    }

    /// The VMCOREINFO text, if the dump has one.
    #[must_use]
    pub fn vmcoreinfo(&self) -> Option<&[u8]> {
        self.opened.vmcoreinfo.as_deref()
    }

    /// What the headers say.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.opened.facts
    }

    /// Takes note that the packed file this dump came out of could not be unpacked to its end.
    pub fn note_shortened(&mut self, packed: &Path, why: String) {
        let warning = Warning::Shortened { packed: packed.to_owned(), why };
        if !self.opened.facts.warnings.contains(&warning) {
            self.opened.facts.warnings.push(warning);
        }
    }

    /// Virtual addresses that the headers place; empty for formats and writers that place none.
    #[must_use]
    pub fn virt_segments(&self) -> &[VirtSegment] {
        &self.opened.virt
    }

    /// `Some(true)`: the dump says that it holds the page (it may still be cut off or corrupt);
    /// `Some(false)`: the filter left it out; `None`: no RAM of this dump.
    #[must_use]
    pub fn present(&self, pfn: Pfn) -> Option<bool> {
        self.opened.backend.present(pfn)
    }

    /// The first page frame at or after `from` that the dump says it holds; skips what is not there
    /// without looking at each frame. For searches through all memory.
    #[must_use]
    pub fn next_present(&self, from: Pfn) -> Option<Pfn> {
        let at = self.skip_holes(PhysAddr(from.0.checked_mul(PAGE_SIZE)?))?;
        Some(at.pfn())
    }

    /// Bytes of memory that the file holds: what a cut file lost is none of them. Reads the whole bitmap of a
    /// kdump-compressed file, and all descriptors of one that was cut: for `info`, not for a session's start.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.opened.backend.held_bytes()
    }

    /// Why the last read failed, of those that [`PhysRead::failures`] counts.
    #[must_use]
    pub fn last_failure(&self) -> Option<Gap> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dump {
    /// What is missing; reads that may succeed later are counted.
    fn lacks(&self, at: PhysAddr, why: Gap) -> Missing {
        if matches!(why, Gap::Io(_)) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
        Missing::new(at, why)
    }
}

impl std::fmt::Debug for Dump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dump")
            .field("format", &self.format())
            .field("facts", self.facts())
            .finish_non_exhaustive()
    }
}

impl PhysRead for Dump {
    fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
        let mut at = at;
        let mut rest = buf;
        while !rest.is_empty() {
            // a table of the kernel's, of megabytes: not page by page
            if rest.len() >= LARGE
                && let Ok(n) = self.opened.backend.read_stretch(at, rest)
                && n > 0
            {
                at = at.add(n as u64);
                rest = rest.get_mut(n..).unwrap_or_default();
                continue;
            }
            let n = rest.len().min((PAGE_SIZE - at.page_offset()) as usize);
            let Some(part) = rest.get_mut(..n) else { break };
            let n = match self.opened.backend.read_front(at, part) {
                // a backend that gives nothing and no reason has nothing
                Ok(0) => return Err(Missing::new(at, Gap::Absent)),
                Ok(n) => n,
                Err(hole) => self.zeros(at, hole, part)?,
            };
            rest = rest.get_mut(n..).unwrap_or_default();
            match at.0.checked_add(n as u64) {
                Some(next) => at = PhysAddr(next),
                // memory ends with the last address, and does not begin again
                None if !rest.is_empty() => return Err(Missing::new(PhysAddr(u64::MAX), Gap::Absent)),
                None => {}
            }
        }
        Ok(())
    }

    fn missing(&self, at: PhysAddr) -> Option<(Gap, u64)> {
        let hole = self.opened.backend.read_front(at, &mut [0]).err()?;
        self.zeros(at, hole, &mut [0]).err().map(|missing| (missing.why, hole.len.max(1)))
    }

    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Missing> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(from) = at.0.checked_add(done as u64).map(PhysAddr) else { break };
            match self.opened.backend.read_stretch(from, rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(hole) => match self.zeros(from, hole, rest) {
                    Ok(n) => done += n,
                    Err(missing) if done == 0 => return Err(missing),
                    Err(_) => break,
                },
            }
        }
        Ok(done)
    }

    fn ranges(&self) -> &[PhysRange] {
        self.opened.backend.ranges()
    }

    fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
        // what cannot be told ends a search: that reads failed is counted
        self.opened.backend.skip_holes(from).map_err(|why| self.lacks(from, why)).ok().flatten()
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn borrow_phys(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        self.opened.backend.borrow(at, len)
    }
}
