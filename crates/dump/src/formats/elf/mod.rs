//! ELF cores, of 64 and 32 bits and of either byte order: the kernel's `/proc/vmcore`, QEMU's `dump-guest-memory`, `makedumpfile -E`.
//!
//! Source: ELF specification (`PN_XNUM`: the number of program headers is then in `sh_info` of section
//! header 0); `fs/proc/vmcore.c`; QEMU `dump/dump.c`; `makedumpfile -E` leaves pages out by ending a
//! PT_LOAD's `p_filesz` before its `p_memsz`.

mod beside;
mod cover;
mod evidence;
mod header;
mod padding;
mod places;
mod process;
mod segments;
mod table;

use super::{Format, Start, single};
use crate::dump::{Backend, Hole, Opened, VirtSegment};
use crate::image::Image;
use crate::{Compression, DumpError, Facts, Gap, Warning, notes};
use base::{PAGE_SIZE, Pfn, PhysAddr, PhysRange, RawNote, VirtAddr};
use header::{Header, Segment};
use segments::{Found, Layout};

pub(crate) use header::Kind;
pub(crate) use padding::is_padding;
pub(crate) use process::is_user_program;

/// Notes of a machine of many thousand CPUs are a few MiB; a header that claims more lies.
const MAX_NOTES: u64 = 256 << 20;

/// The row of the table.
pub(crate) struct Elf;

impl Format for Elf {
    fn name(&self) -> &'static str {
        "ELF core"
    }

    fn probe(&self, start: &Start<'_>) -> bool {
        start.bytes.starts_with(header::MAGIC) || header::is_unsigned_core(start.bytes)
    }

    fn open(&self, images: Vec<Image>) -> Result<Opened, DumpError> {
        let image = single(images, "an ELF core")?;
        let header = Header::read(&image)?;
        let mut warnings = header.warnings.clone();
        let notes = read_notes(&image, &header, &mut warnings)?;
        if let Some(foreign) = foreign(&image, &header, &notes) {
            return Err(foreign);
        }
        let layout = Layout::new(&header.segments, image.len());
        let wanted = layout.end_of_data();
        if header.marked_incomplete {
            warnings.push(Warning::MarkedIncomplete);
        }
        if !header.segments.iter().any(|s| s.is_load() && s.mem_len > 0) {
            warnings.push(Warning::NoMemory);
        }
        if wanted > image.len() {
            warnings.push(Warning::FileTruncated { wanted, len: image.len() });
        }
        warnings.extend(unplaced(&header, &image));
        let table = (header.table.0, header.table.1.saturating_sub(header.table.0));
        let noted = header.segments.iter().filter(|s| s.is_note()).map(|s| (s.offset, s.file_len));
        warnings.extend(image.stream_hole(std::iter::once(table).chain(noted).chain(layout.extents())));
        let facts = Facts {
            page_size: PAGE_SIZE,
            file_size: image.file_len(),
            compression: Some(Compression::None),
            machine: Some(header.machine),
            erase_info: notes::erase_info(&notes),
            words: Some(header.words),
            warnings,
            ..Facts::default()
        };
        Ok(Opened {
            format: format!("ELF core ({})", writer(&notes, &header.segments)),
            vmcoreinfo: notes::vmcoreinfo(&notes),
            virt: virt_segments(&header.segments),
            notes,
            facts,
            backend: Box::new(Memory { image, layout }),
        })
    }
}

/// Cores that hold no memory of a machine that can be read: a process's, and Xen's, whose pages are in sections.
fn foreign(image: &Image, header: &Header, notes: &[RawNote]) -> Option<DumpError> {
    let named = |what: String, advice| DumpError::Foreign { path: image.path().into(), what, advice };
    if let Some(what) = process::of_core(notes, &header.segments) {
        let advice = "open it with gdb or coredumpctl; crashlens reads dumps of a whole machine's memory (kdump's vmcore, \
                      QEMU's dump-guest-memory)";
        return Some(named(what, advice));
    }
    let is_xen = !header.segments.iter().any(Segment::is_load) && notes.iter().any(|n| n.is("Xen"));
    is_xen.then(|| named(super::foreign::XEN_CORE.into(), super::foreign::XEN))
}

/// Why an image among several is no part of a dump, where it is the core of a process or such.
pub(crate) fn foreign_core(image: &Image) -> Option<DumpError> {
    let header = Header::read(image).ok()?;
    let notes = read_notes(image, &header, &mut Vec::new()).ok()?;
    foreign(image, &header, &notes)
}

/// Bytes of the file that no header leads to, where none is known to be lost: one of them is damaged, or something else stands
/// behind the dump. The first data may be aligned to more than a page.
fn unplaced(header: &Header, image: &Image) -> Option<Warning> {
    if !header.whole {
        return None;
    }
    // headers that cover the file leave nothing between
    let last = header.segments.iter().map(Segment::file_end).max().unwrap_or(0).max(header.table.1);
    let from = if header.covers { last } else { 0 };
    let known = |s: &&Segment| s.is_load() || s.is_note();
    let mut known: Vec<(u64, u64)> =
        header.segments.iter().filter(known).map(|s| (s.offset, s.file_end())).collect();
    known.extend([(0, PAGE_SIZE), header.table]);
    let data = header.segments.iter().filter(|s| s.has_data()).map(|s| s.offset).min();
    let notes = header.segments.iter().filter(|s| s.is_note()).map(|s| s.offset).min();
    let aligns = |offset: u64, len: u64| {
        let end = offset.saturating_add(len);
        let is_front = Some(end) == data || Some(end) == notes && data.is_none_or(|data| end < data);
        let is_left_out = header.segments.iter().any(|s| s.file_len < s.mem_len && s.file_end() == offset);
        (is_front || is_left_out) && padding::is_padding(image, offset, end)
    };
    let all = evidence::unplaced(&known, header.end);
    let (offset, len) = all.into_iter().find(|(offset, len)| *offset >= from && !aligns(*offset, *len))?;
    Some(Warning::Unplaced { offset, len })
}

/// Who wrote the file, by what only that writer leaves in it.
fn writer(notes: &[RawNote], segments: &[Segment]) -> &'static str {
    if notes.iter().any(|n| n.is("QEMU")) {
        "QEMU"
    } else if notes.iter().any(|n| n.is("VBCORE")) {
        "VirtualBox"
    } else if notes.iter().any(|n| n.is("Xen")) {
        "kdump of a Xen host"
    } else if segments.iter().any(|s| s.is_load() && s.file_len < s.mem_len) {
        "makedumpfile"
    } else if notes::vmcoreinfo(notes).is_some() {
        "kdump"
    } else {
        "unknown writer"
    }
}

fn read_notes(
    image: &Image,
    header: &Header,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<RawNote>, DumpError> {
    let mut all = Vec::new();
    let mut left = MAX_NOTES.min(image.len());
    for seg in header.segments.iter().filter(|s| s.is_note()) {
        let have = seg.file_len.min(image.len().saturating_sub(seg.offset)).min(left);
        if have < seg.file_len {
            warnings.push(Warning::NotesTruncated {
                what: "ELF notes",
                offset: seg.offset,
                wanted: seg.file_len,
                len: image.len(),
            });
        }
        if have == 0 {
            continue;
        }
        left = left.saturating_sub(have);
        all.extend(notes::parse(&image.header("ELF notes", seg.offset, have)?, header.words, warnings));
    }
    Ok(all)
}

fn virt_segments(segments: &[Segment]) -> Vec<VirtSegment> {
    // QEMU without paging writes the physical address in both fields: that places nothing
    let placed = |s: &&Segment| s.is_load() && s.virt != 0 && s.virt != s.phys && s.mem_len != 0;
    segments
        .iter()
        .filter(placed)
        .map(|s| VirtSegment { virt: VirtAddr(s.virt), phys: PhysAddr(s.phys), len: s.mem_len })
        .collect()
}

/// A run of memory in a file: physical address, offset in the file, length.
pub(crate) type Piece = (PhysAddr, u64, u64);

/// The memory of a file that consists of such pieces.
pub(crate) fn pieces(image: Image, pieces: &[Piece]) -> Box<dyn Backend> {
    let segments: Vec<Segment> =
        pieces.iter().map(|&(phys, offset, len)| Segment::load(phys.0, offset, len)).collect();
    let layout = Layout::new(&segments, image.len());
    Box::new(Memory { image, layout })
}

struct Memory {
    image: Image,
    layout: Layout,
}

impl Backend for Memory {
    fn read_front(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        match self.layout.find(at) {
            Found::Data { offset, left } => {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                self.image
                    .copy_front(offset, buf.get_mut(..n).unwrap_or_default())
                    .map_err(|why| Hole { why, len: self.image.missing(offset, left) })
            }
            Found::Hole(hole) => Err(hole),
        }
    }

    fn read_stretch(&self, at: PhysAddr, buf: &mut [u8]) -> Result<usize, Hole> {
        match self.layout.find(at) {
            Found::Data { offset, left } => {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                self.image
                    .fill_front(offset, buf.get_mut(..n).unwrap_or_default())
                    .map_err(|why| Hole { why, len: self.image.missing(offset, left) })
            }
            Found::Hole(hole) => Err(hole),
        }
    }

    fn ranges(&self) -> &[PhysRange] {
        self.layout.ranges()
    }

    fn present(&self, pfn: Pfn) -> Option<bool> {
        self.layout.present(pfn)
    }

    fn skip_holes(&self, from: PhysAddr) -> Result<Option<PhysAddr>, Gap> {
        let mut from = from;
        while let Some((at, offset, left)) = self.layout.next_data(from) {
            match self.image.next_data(offset).and_then(|data| data.checked_sub(offset)) {
                Some(skip) if skip < left => return Ok(Some(at.add(skip))),
                // nothing but a hole of the file up to the end of the piece
                _ => match at.0.checked_add(left) {
                    Some(next) => from = PhysAddr(next),
                    None => break,
                },
            }
        }
        Ok(None)
    }

    fn borrow(&self, at: PhysAddr, len: usize) -> Option<&[u8]> {
        match self.layout.find(at) {
            Found::Data { offset, left } if left >= len as u64 => self.image.borrow(offset, len),
            _ => None,
        }
    }

    fn held_bytes(&self) -> u64 {
        let held = self.layout.extents().map(|(offset, len)| self.image.covered(offset, len));
        held.fold(0, u64::saturating_add)
    }
}
