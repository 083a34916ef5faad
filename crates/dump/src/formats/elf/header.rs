//! The ELF header and the program headers (ELF specification; `include/uapi/linux/elf.h`).

use super::evidence;
use crate::fields::{Fields, Words};
use crate::image::Image;
use crate::{DumpError, Warning};
use base::OutOfBounds;

const PN_XNUM: u16 = 0xffff;
/// makedumpfile's `DUMP_ELF_INCOMPLETE` in `e_flags`.
const INCOMPLETE: u32 = 1;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// `e_type`, as far as it tells a dump from a kernel image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `ET_REL`: an object file or a kernel module.
    Object,
    /// `ET_EXEC` or `ET_DYN`: a program, or vmlinux.
    Program,
    /// `ET_CORE`: a dump.
    Core,
    /// Any other value.
    Other(u16),
}

impl Kind {
    /// The kind of the ELF file that starts with these bytes; `None` where they are no ELF header.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        let start = start.starts_with(b"\x7fELF").then_some(start)?;
        let words = Words { big_endian: start.get(5) == Some(&2), ..Words::LITTLE_64 };
        Fields::new(start, words).u16(16).ok().map(Self::from_number)
    }

    const fn from_number(kind: u16) -> Self {
        match kind {
            1 => Self::Object,
            2 | 3 => Self::Program,
            4 => Self::Core,
            other => Self::Other(other),
        }
    }
}

/// The parts of the headers that a dump is read by.
pub(crate) struct Header {
    pub(crate) machine: u16,
    pub(crate) words: Words,
    /// The writer ran out of space and said so.
    pub(crate) marked_incomplete: bool,
    pub(crate) segments: Vec<Segment>,
    /// The table of program headers: offset and end.
    pub(crate) table: (u64, u64),
    /// What is wrong with the headers.
    pub(crate) warnings: Vec<Warning>,
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    /// `p_offset`
    pub(crate) offset: u64,
    /// `p_vaddr`
    pub(crate) virt: u64,
    /// `p_paddr`
    pub(crate) phys: u64,
    /// `p_filesz`
    pub(crate) file_len: u64,
    /// `p_memsz`
    pub(crate) mem_len: u64,
}

impl Segment {
    /// Memory at a physical address, all of it in the file.
    pub(crate) const fn load(phys: u64, offset: u64, len: u64) -> Self {
        Self { kind: PT_LOAD, offset, virt: 0, phys, file_len: len, mem_len: len }
    }

    /// Bytes of memory that the file has, by the header.
    pub(crate) fn data_len(&self) -> u64 {
        self.file_len.min(self.mem_len)
    }

    pub(crate) fn is_load(&self) -> bool {
        self.kind == PT_LOAD
    }

    pub(crate) fn is_note(&self) -> bool {
        self.kind == PT_NOTE
    }

    fn parse(raw: &[u8], words: Words) -> Result<Self, OutOfBounds> {
        let f = Fields::new(raw, words);
        let wide = words.size == 8;
        // the two classes have the fields in the same order, but for p_flags
        let at = |n: usize| if wide { 8 + 8 * n } else { 4 + 4 * n };
        Ok(Self {
            kind: f.u32(0)?,
            offset: f.long(at(0))?,
            virt: f.long(at(1))?,
            phys: f.long(at(2))?,
            file_len: f.long(at(3))?,
            mem_len: f.long(at(4))?,
        })
    }
}

/// Where the fields of the ELF header are, by class.
struct Shape {
    words: Words,
    header_len: u64,
    entry_len: u64,
    phoff: usize,
    shoff: usize,
    flags: usize,
    phentsize: usize,
    phnum: usize,
    /// Of `sh_info` in a section header.
    sh_info: u64,
}

impl Shape {
    const fn of(words: Words) -> Self {
        if words.size == 8 {
            Self {
                words,
                header_len: 64,
                entry_len: 56,
                phoff: 32,
                shoff: 40,
                flags: 48,
                phentsize: 54,
                phnum: 56,
                sh_info: 0x2c,
            }
        } else {
            Self {
                words,
                header_len: 52,
                entry_len: 32,
                phoff: 28,
                shoff: 32,
                flags: 36,
                phentsize: 42,
                phnum: 44,
                sh_info: 0x1c,
            }
        }
    }
}

impl Header {
    /// Reads and checks the headers of a core file.
    pub(crate) fn read(image: &Image) -> Result<Self, DumpError> {
        let words = words(image)?;
        let shape = Shape::of(words);
        let raw = image.header("the ELF header", 0, shape.header_len)?;
        let cut = |_: OutOfBounds| DumpError::Truncated {
            path: image.path().into(),
            what: "the ELF header",
            offset: 0,
            wanted: shape.header_len,
            len: image.len(),
        };
        let f = Fields::new(&raw, words);
        check_kind(image, f.u16(16).map_err(cut)?)?;
        let machine = f.u16(18).map_err(cut)?;
        let marked_incomplete = f.u32(shape.flags).map_err(cut)? & INCOMPLETE != 0;
        let phoff = f.long(shape.phoff).map_err(cut)?;
        let entry_len = f.u16(shape.phentsize).map_err(cut)?;
        let short_count = f.u16(shape.phnum).map_err(cut)?;
        if short_count == 0 {
            return Err(image.bad("e_phnum", 0, "a core file has program headers"));
        }
        if u64::from(entry_len) != shape.entry_len {
            let expected = if words.size == 8 { "56 in ELF64" } else { "32 in ELF32" };
            return Err(image.bad("e_phentsize", entry_len.into(), expected));
        }
        let count = if short_count == PN_XNUM {
            long_count(image, &shape, f.long(shape.shoff).map_err(cut)?)?
        } else {
            u64::from(short_count)
        };
        let table = image.header("the table of program headers", phoff, count * shape.entry_len)?;
        let mut segments = table
            .chunks_exact(shape.entry_len as usize)
            .map(|raw| Segment::parse(raw, words))
            .collect::<Result<Vec<_>, _>>()
            .map_err(cut)?;
        let found = evidence::count(&segments, phoff, shape.entry_len);
        let mut warnings = Vec::new();
        if found < segments.len() {
            warnings.push(Warning::HeaderCount { claimed: count, found });
            segments.truncate(found);
        }
        evidence::check(&mut segments, image, &mut warnings);
        let end = phoff.saturating_add(segments.len() as u64 * shape.entry_len);
        Ok(Self { machine, words, marked_incomplete, segments, table: (phoff, end), warnings })
    }
}

/// The number of program headers where it does not fit in 16 bits; at most `u32::MAX`.
fn long_count(image: &Image, shape: &Shape, shoff: u64) -> Result<u64, DumpError> {
    let at = shoff.checked_add(shape.sh_info).filter(|_| shoff >= shape.header_len).ok_or_else(|| {
        image.bad("e_shoff", shoff, "with e_phnum 0xffff, section header 0 has the count of program headers")
    })?;
    let raw = image.header("section header 0 (count of program headers)", at, 4)?;
    Ok(Fields::new(&raw, shape.words).u32(0).map_or(0, u64::from))
}

/// Word size and byte order, from the bytes that are the same in all ELF files.
fn words(image: &Image) -> Result<Words, DumpError> {
    let raw = image.header("the ELF header", 0, 16)?;
    let at = |i: usize| raw.get(i).copied().unwrap_or(0);
    let size = match at(4) {
        1 => 4,
        2 => 8,
        other => return Err(image.bad("EI_CLASS", other.into(), "1 or 2: ELF32 or ELF64")),
    };
    let big_endian = match at(5) {
        1 => false,
        2 => true,
        other => return Err(image.bad("EI_DATA", other.into(), "1 or 2: little or big-endian")),
    };
    Ok(Words { size, big_endian })
}

fn check_kind(image: &Image, kind: u16) -> Result<(), DumpError> {
    let foreign =
        |what: &str, advice| DumpError::Foreign { path: image.path().into(), what: what.into(), advice };
    match Kind::from_number(kind) {
        Kind::Core => Ok(()),
        Kind::Program => Err(foreign(
            "an ELF program or kernel image (e_type is not ET_CORE)",
            "name a dump; vmlinux goes beside it as the second argument",
        )),
        Kind::Object => Err(foreign("an ELF object file or kernel module (e_type is ET_REL)", "name a dump")),
        Kind::Other(n) => Err(image.bad("e_type", n.into(), "4: ET_CORE")),
    }
}
