//! [`Dump`]: one opened dump, whatever its format.

use crate::{Facts, Gap};
use base::{Missing, PAGE_SIZE, Pfn, PhysAddr, PhysRange, PhysRead, RawNote, VirtAddr};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// The memory of a dump as its format finds it.
pub(crate) trait Backend: Send + Sync {
    /// Fills `buf` with bytes of one page frame: `at` and the last byte lie in the same frame.
    fn read_in_page(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Gap>;
    /// See [`PhysRead::read_stretch`]; one page at most unless the format can do better.
    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Gap> {
        let n = buf.len().min((PAGE_SIZE - at.page_offset()) as usize);
        self.read_in_page(at, buf.get_mut(..n).unwrap_or_default())?;
        Ok(n)
    }
    /// See [`PhysRead::ranges`].
    fn ranges(&self) -> &[PhysRange];
    /// See [`Dump::present`].
    fn present(&self, pfn: Pfn) -> Option<bool>;
    /// See [`Dump::next_present`].
    fn next_present(&self, from: Pfn) -> Option<Pfn>;
    /// See [`PhysRead::borrow_phys`].
    fn borrow(&self, _at: PhysAddr, _len: usize) -> Option<&[u8]> {
        None
    }
    /// See [`Dump::move_above`].
    fn move_above(&mut self, _from: PhysAddr, _to: PhysAddr) -> bool {
        false
    }
    /// See [`Dump::count_present`].
    fn count_present(&self) -> u64;
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
    /// Pages left out or cut off read as zeros.
    zeros: AtomicBool,
}

impl Dump {
    pub(crate) fn new(opened: Opened) -> Self {
        Self { opened, zeros: AtomicBool::new(false) }
    }

    /// Reads pages that the filter left out or that a truncated file lost as zeros from now on, as
    /// crash's `--zero_excluded`: more can be walked, and nothing marks what is not true.
    pub fn read_missing_as_zeros(&self, on: bool) {
        self.zeros.store(on, Ordering::Relaxed);
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
        self.opened.backend.next_present(from)
    }

    /// How many page frames the dump holds. Reads the whole bitmap of a kdump-compressed file: for
    /// `info`, not for a session's start.
    #[must_use]
    pub fn count_present(&self) -> u64 {
        self.opened.backend.count_present()
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
            let n = rest.len().min((PAGE_SIZE - at.page_offset()) as usize);
            let Some((part, next)) = rest.split_at_mut_checked(n) else { break };
            match self.opened.backend.read_in_page(at, part) {
                Err(Gap::Excluded | Gap::Truncated) if self.zeros.load(Ordering::Relaxed) => part.fill(0),
                read => read.map_err(|why| Missing { at, why })?,
            }
            at = at.add(n as u64);
            rest = next;
        }
        Ok(())
    }

    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Missing> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let from = at.add(done as u64);
            match self.opened.backend.read_stretch(from, rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Gap::Excluded | Gap::Truncated) if self.zeros.load(Ordering::Relaxed) => {
                    let n = rest.len().min((PAGE_SIZE - from.page_offset()) as usize);
                    rest.get_mut(..n).unwrap_or_default().fill(0);
                    done += n;
                }
                Err(why) if done == 0 => return Err(Missing { at, why }),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn ranges(&self) -> &[PhysRange] {
        self.opened.backend.ranges()
    }

    fn skip_holes(&self, from: PhysAddr) -> Option<PhysAddr> {
        let found = self.next_present(Pfn(from.0 / PAGE_SIZE))?.0.checked_mul(PAGE_SIZE)?;
        Some(PhysAddr(found.max(from.0)))
    }

    fn borrow_phys(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        self.opened.backend.borrow(at, len)
    }
}
