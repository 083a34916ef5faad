//! The ELF header and the program headers (ELF specification; `include/uapi/linux/elf.h`).

use crate::DumpError;
use crate::image::Image;
use base::{Bytes, OutOfBounds};

const EHDR_LEN: u64 = 64;
const PHDR_LEN: u64 = 56;
const PN_XNUM: u16 = 0xffff;
/// Offset of `sh_info` in a section header.
const SH_INFO: u64 = 0x2c;
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
        let kind = Bytes::new(start.starts_with(b"\x7fELF").then_some(start)?).u16_at(16).ok()?;
        Some(match kind {
            1 => Self::Object,
            2 | 3 => Self::Program,
            4 => Self::Core,
            other => Self::Other(other),
        })
    }
}

/// The parts of the headers that a dump is read by.
pub(crate) struct Header {
    pub(crate) machine: u16,
    /// The writer ran out of space and said so.
    pub(crate) marked_incomplete: bool,
    pub(crate) segments: Vec<Segment>,
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

    fn parse(raw: &[u8]) -> Result<Self, OutOfBounds> {
        let b = Bytes::new(raw);
        Ok(Self {
            kind: b.u32_at(0)?,
            offset: b.u64_at(8)?,
            virt: b.u64_at(16)?,
            phys: b.u64_at(24)?,
            file_len: b.u64_at(32)?,
            mem_len: b.u64_at(40)?,
        })
    }
}

impl Header {
    /// Reads and checks the headers of a core file.
    pub(crate) fn read(image: &Image) -> Result<Self, DumpError> {
        let raw = image.header("the ELF header", 0, EHDR_LEN)?;
        let cut = |_: OutOfBounds| DumpError::Truncated {
            path: image.path().into(),
            what: "the ELF header",
            offset: 0,
            wanted: EHDR_LEN,
            len: image.len(),
        };
        let b = Bytes::new(&raw);
        check_ident(image, &raw)?;
        let machine = b.u16_at(18).map_err(cut)?;
        let marked_incomplete = b.u32_at(48).map_err(cut)? & INCOMPLETE != 0;
        let phoff = b.u64_at(32).map_err(cut)?;
        let entry_len = b.u16_at(54).map_err(cut)?;
        let short_count = b.u16_at(56).map_err(cut)?;
        if short_count == 0 {
            return Err(image.bad("e_phnum", 0, "a core file has program headers"));
        }
        if u64::from(entry_len) != PHDR_LEN {
            return Err(image.bad("e_phentsize", entry_len.into(), "56 in ELF64"));
        }
        let count = if short_count == PN_XNUM {
            long_count(image, b.u64_at(40).map_err(cut)?)?
        } else {
            u64::from(short_count)
        };
        let table = image.header("the table of program headers", phoff, count * PHDR_LEN)?;
        let segments = table
            .chunks_exact(PHDR_LEN as usize)
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()
            .map_err(cut)?;
        Ok(Self { machine, marked_incomplete, segments })
    }
}

/// The number of program headers where it does not fit in 16 bits; at most `u32::MAX`.
fn long_count(image: &Image, shoff: u64) -> Result<u64, DumpError> {
    let at = shoff.checked_add(SH_INFO).filter(|_| shoff >= EHDR_LEN).ok_or_else(|| {
        image.bad("e_shoff", shoff, "with e_phnum 0xffff, section header 0 has the count of program headers")
    })?;
    let raw = image.header("section header 0 (count of program headers)", at, 4)?;
    Ok(Bytes::new(&raw).u32_at(0).map_or(0, u64::from))
}

fn check_ident(image: &Image, raw: &[u8]) -> Result<(), DumpError> {
    let at = |i: usize| raw.get(i).copied().unwrap_or(0);
    if at(4) != 2 {
        let expected = match at(4) {
            1 => {
                "2, ELF64: neither dumps of 32-bit kernels nor the 32-bit headers that kexec's --elf32-core-headers \
                 makes are read; load the capture kernel with --elf64-core-headers"
            }
            _ => "2: only ELF64 dumps are read",
        };
        return Err(image.bad("EI_CLASS", at(4).into(), expected));
    }
    if at(5) != 1 {
        return Err(image.bad("EI_DATA", at(5).into(), "1: only little-endian dumps are read"));
    }
    let foreign =
        |what: &str, advice| DumpError::Foreign { path: image.path().into(), what: what.into(), advice };
    match Kind::of(raw) {
        Some(Kind::Core) => Ok(()),
        Some(Kind::Program) => Err(foreign(
            "an ELF program or kernel image (e_type is not ET_CORE)",
            "name a dump; vmlinux goes beside it as the second argument",
        )),
        Some(Kind::Object) => {
            Err(foreign("an ELF object file or kernel module (e_type is ET_REL)", "name a dump"))
        }
        Some(Kind::Other(n)) => Err(image.bad("e_type", n.into(), "4: ET_CORE")),
        None => Err(image.bad("e_type", 0, "4: ET_CORE")),
    }
}
