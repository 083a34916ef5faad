//! Builders of tiny dumps in every format: say what memory holds, then in which file.
//!
//! ```
//! use testkit::dump::{DumpSpec, Packing};
//! let spec = DumpSpec::x86_64().page(0x10, &[1; 4096]).excluded(0x11).vmcoreinfo("OSRELEASE=6.1\n");
//! let elf: Vec<u8> = spec.elf();
//! let kdump: Vec<u8> = spec.kdump(Packing::Zlib);
//! let parts: Vec<Vec<u8>> = spec.split(Packing::Lzo, &[0x11]);
//! # assert!(elf.len() > 4096 && kdump.starts_with(b"KDUMP   ") && parts.len() == 2);
//! ```

#![expect(clippy::indexing_slicing, reason = "builders for tests: a wrong index is a bug of the test")]

mod elf;
mod flattened;
mod kdump;
mod notes;
mod packing;
mod pieces;
mod target;

pub use flattened::flatten;
pub use notes::note;
pub use packing::Packing;
pub use pieces::ElfPieces;
pub use target::Target;

use base::{PhysAddr, PhysRead, RawNote};
use std::collections::BTreeMap;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// What is in a frame of RAM.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Frame {
    Page(Vec<u8>),
    Excluded,
}

/// Memory and identity of a machine, from which dump files are made.
#[derive(Clone, Debug)]
pub struct DumpSpec {
    target: Target,
    frames: BTreeMap<u64, Frame>,
    notes: Vec<u8>,
    vmcoreinfo: Option<String>,
    erase_info: Option<String>,
    release: String,
    version: u32,
    dump_level: u32,
    max_mapnr: Option<u64>,
    incomplete: bool,
    virt: Vec<(u64, u64, u64)>,
    placed: Option<u64>,
    /// Bytes of a page in a kdump.
    block: usize,
}

impl DumpSpec {
    /// A machine without RAM.
    #[must_use]
    pub fn x86_64() -> Self {
        Self::of(Target::X86_64)
    }

    /// What a dump of a machine holds: all whole pages of its memory, and its notes.
    #[must_use]
    pub fn copy_of(target: Target, notes: &[RawNote], memory: &dyn PhysRead) -> Self {
        let mut spec = Self::of(target);
        for note in notes {
            spec = spec.note(&String::from_utf8_lossy(&note.name), note.kind, &note.desc);
        }
        let mut page = vec![0; PAGE];
        let mut next = memory.skip_holes(PhysAddr(0));
        while let Some(at) = next.map(|at| at.pfn().addr()) {
            if memory.read_phys(at, &mut page).is_ok() {
                spec = spec.page(at.pfn().0, &page);
            }
            next = memory.skip_holes(at.add(PAGE as u64));
        }
        spec
    }

    /// Another machine without RAM.
    #[must_use]
    pub fn of(target: Target) -> Self {
        Self {
            target,
            frames: BTreeMap::new(),
            notes: Vec::new(),
            vmcoreinfo: None,
            erase_info: None,
            release: "6.1.0-test".into(),
            version: 6,
            dump_level: 31,
            max_mapnr: None,
            incomplete: false,
            virt: Vec::new(),
            placed: None,
            block: PAGE,
        }
    }

    /// The frame `pfn` is in the dump; `bytes` are at its start, zeros follow.
    #[must_use]
    pub fn page(mut self, pfn: u64, bytes: &[u8]) -> Self {
        let mut page = vec![0; PAGE];
        let n = bytes.len().min(PAGE);
        page[..n].copy_from_slice(&bytes[..n]);
        self.frames.insert(pfn, Frame::Page(page));
        self
    }

    /// Bytes at a physical address, in as many pages as they need; what the pages held stays.
    #[must_use]
    pub fn bytes(mut self, phys: u64, bytes: &[u8]) -> Self {
        for (i, &byte) in bytes.iter().enumerate() {
            let at = phys + i as u64;
            let frame = self.frames.entry(at / PAGE as u64).or_insert(Frame::Excluded);
            if *frame == Frame::Excluded {
                *frame = Frame::Page(vec![0; PAGE]);
            }
            if let Frame::Page(page) = frame {
                page[at as usize % PAGE] = byte;
            }
        }
        self
    }

    /// The frame `pfn` is RAM that the filter left out.
    #[must_use]
    pub fn excluded(mut self, pfn: u64) -> Self {
        self.frames.insert(pfn, Frame::Excluded);
        self
    }

    /// Adds an ELF note.
    #[must_use]
    pub fn note(mut self, name: &str, kind: u32, desc: &[u8]) -> Self {
        self.notes.extend(notes::note_of(self.target, name, kind, desc));
        self
    }

    /// Adds the VMCOREINFO note.
    #[must_use]
    pub fn vmcoreinfo(mut self, text: &str) -> Self {
        self.vmcoreinfo = Some(text.into());
        self.note("VMCOREINFO", 0, text.as_bytes())
    }

    /// Adds the ERASEINFO note.
    #[must_use]
    pub fn erase_info(mut self, text: &str) -> Self {
        self.erase_info = Some(text.into());
        self.note("ERASEINFO", 0, text.as_bytes())
    }

    /// Without any note and VMCOREINFO.
    #[must_use]
    pub fn without_notes(mut self) -> Self {
        self.notes.clear();
        self.vmcoreinfo = None;
        self
    }

    /// The kernel's release in `utsname`.
    #[must_use]
    pub fn release(mut self, release: &str) -> Self {
        self.release = release.into();
        self
    }

    /// `header_version` of kdump files: 1 to 6.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// One past the highest frame, where it is not that of the last frame said.
    #[must_use]
    pub fn max_mapnr(mut self, max: u64) -> Self {
        self.max_mapnr = Some(max);
        self
    }

    /// Marks the file as incomplete.
    #[must_use]
    pub fn incomplete(mut self) -> Self {
        self.incomplete = true;
        self
    }

    /// ELF headers with virtual addresses, this far from the physical ones: `PAGE_OFFSET` in `/proc/vmcore`, 0 in QEMU's.
    #[must_use]
    pub fn placed(mut self, distance: u64) -> Self {
        self.placed = Some(distance);
        self
    }

    /// An additional ELF segment: frames that the file also places at a virtual address, as the
    /// kernel's `/proc/vmcore` does with the kernel image.
    #[must_use]
    pub fn also_at(mut self, virt: u64, pfn: u64, frames: u64) -> Self {
        self.virt.push((virt, pfn, frames));
        self
    }

    /// A raw RAM image: zeros where the dump has no page; at least `min_len` bytes.
    #[must_use]
    pub fn raw(&self, min_len: usize) -> Vec<u8> {
        let mut out = vec![0; min_len.max(self.end() as usize * PAGE)];
        for (pfn, frame) in &self.frames {
            if let Frame::Page(page) = frame {
                let at = *pfn as usize * PAGE;
                out[at..at + PAGE].copy_from_slice(page);
            }
        }
        out
    }

    /// A LiME image: a header before each run of frames that the dump has.
    #[must_use]
    pub fn lime(&self) -> Vec<u8> {
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for (pfn, frame) in &self.frames {
            let Frame::Page(page) = frame else { continue };
            match runs.last_mut() {
                Some((start, bytes)) if *start + (bytes.len() / PAGE) as u64 == *pfn => bytes.extend(page),
                _ => runs.push((*pfn, page.clone())),
            }
        }
        let mut out = Vec::new();
        for (pfn, bytes) in runs {
            let start = pfn * PAGE as u64;
            out.extend(b"EMiL");
            out.extend(1_u32.to_le_bytes());
            out.extend(start.to_le_bytes());
            out.extend((start + bytes.len() as u64 - 1).to_le_bytes());
            out.extend([0; 8]);
            out.extend(bytes);
        }
        out
    }

    /// One past the last frame.
    fn end(&self) -> u64 {
        self.max_mapnr.unwrap_or_else(|| self.frames.keys().next_back().map_or(0, |p| p + 1))
    }

    /// The bytes of a frame that is in the dump.
    fn data(&self, pfn: u64) -> Option<&[u8]> {
        match self.frames.get(&pfn) {
            Some(Frame::Page(page)) => Some(page),
            _ => None,
        }
    }
}
