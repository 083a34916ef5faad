//! The ELF header and the program headers (ELF specification; `include/uapi/linux/elf.h`).

use super::cover::is_covered;
use super::places::{File, has_place};
use super::table::{Claim, Table};
use super::{evidence, padding};
use crate::fields::{Fields, Words};
use crate::image::Image;
use crate::magic::is_nearly;
use crate::{DumpError, Warning};
use base::{OutOfBounds, PAGE_SIZE};

pub(super) const MAGIC: &[u8] = b"\x7fELF";
pub(super) const PN_XNUM: u16 = 0xffff;
/// makedumpfile's `DUMP_ELF_INCOMPLETE` in `e_flags`.
const INCOMPLETE: u32 = 1;
pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_NOTE: u32 = 4;
/// Bits of a physical address at most.
pub(super) const MAX_PHYS: u64 = 1 << 52;
/// Notes that dumps have; of other ELF files only the cores of processes have one of them.
const OF_DUMPS: [&[u8]; 4] = [b"CORE\0", b"VMCOREINFO\0", b"QEMU\0", b"VBCORE\0"];

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

/// Whether a note that only dumps have begins in these bytes.
fn has_dump_note(start: &[u8], words: Words) -> bool {
    let f = Fields::new(start, words);
    let is_note = |at: usize| {
        let name_len = f.u32(at).unwrap_or(0) as usize;
        let name = start.get(at + 12..).and_then(|rest| rest.get(..name_len));
        f.u32(at + 4).is_ok_and(|len| len > 0) && name.is_some_and(|name| OF_DUMPS.contains(&name))
    };
    (0..start.len().saturating_sub(16)).step_by(4).any(is_note)
}

/// Whether a file whose magic is damaged begins with the header of a core all the same: class, byte order, version, type and
/// the sizes of headers as those have them.
pub(super) fn is_unsigned_core(start: &[u8]) -> bool {
    let ident = Ident::of(start);
    let Some(words) = ident.told.filter(|told| ident.own == Some(*told)) else { return false };
    let (f, shape) = (Fields::new(start, words), Shape::of(words));
    let size = |at: usize| f.u16(at).map_or(0, u64::from);
    is_nearly(start, MAGIC)
        && f.u16(16).map(Kind::from_number) == Ok(Kind::Core)
        && start.get(6) == Some(&1)
        && size(shape.phentsize) == shape.entry_len
}

/// `EI_CLASS` and `EI_DATA`: as they are, and as the fields behind them have it.
struct Ident {
    class: u8,
    data: u8,
    own: Option<Words>,
    /// The only class and byte order in which the other fields make sense.
    told: Option<Words>,
}

impl Ident {
    fn of(start: &[u8]) -> Self {
        let at = |n: usize| start.get(n).copied().unwrap_or(0);
        let [class, data] = [4, 5].map(at);
        let own = [1, 2].contains(&class) && [1, 2].contains(&data);
        let all =
            [4, 8].into_iter().flat_map(|size| [false, true].map(|big_endian| Words { size, big_endian }));
        let mut fitting = all.filter(|words| {
            let (f, shape) = (Fields::new(start, *words), Shape::of(*words));
            let size = |at: usize| f.u16(at).map_or(0, u64::from);
            // e_version and, behind e_flags, e_ehsize (QEMU has 8 there) or e_phentsize
            f.u32(20) == Ok(1)
                && (size(shape.flags + 4) == shape.header_len || size(shape.phentsize) == shape.entry_len)
        });
        let own = own.then(|| Words { size: 4 * class, big_endian: data == 2 });
        Self { class, data, own, told: fitting.next().filter(|_| fitting.next().is_none()) }
    }

    fn words(&self) -> Words {
        self.told.or(self.own).unwrap_or(Words::LITTLE_64)
    }

    /// The words, and which field is contradicted.
    fn checked(&self, image: &Image, warnings: &mut Vec<Warning>) -> Result<Words, DumpError> {
        let Some(words) = self.told.or(self.own) else {
            return Err(match self.class {
                1 | 2 => image.bad("EI_DATA", self.data.into(), "1 or 2: little or big-endian"),
                class => image.bad("EI_CLASS", class.into(), "1 or 2: ELF32 or ELF64"),
            });
        };
        let (class, data) = (words.size / 4, if words.big_endian { 2 } else { 1 });
        for (field, value, taken) in [("EI_CLASS", self.class, class), ("EI_DATA", self.data, data)] {
            if value != taken {
                warnings.push(Warning::FieldMended { field, value: value.into(), taken: taken.into() });
            }
        }
        Ok(words)
    }
}

impl Kind {
    /// The kind of the ELF file that starts with these bytes; `None` where they are no ELF header. A file with the notes
    /// of a dump is one, whatever `e_type` says.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        if is_unsigned_core(start) {
            return Some(Self::Core);
        }
        let start = start.starts_with(MAGIC).then_some(start)?;
        let words = Ident::of(start).words();
        let own = Fields::new(start, words).u16(16).ok().map(Self::from_number)?;
        Some(if own != Self::Core && has_dump_note(start, words) { Self::Core } else { own })
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
    /// All headers that the file told of are in it.
    pub(crate) whole: bool,
    /// They cover the file, each part of it once.
    pub(crate) covers: bool,
    /// Where the file ends, without padding.
    pub(crate) end: u64,
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
    /// How far its data are from the place that its address has in a page.
    pub(super) const fn rest(&self) -> u64 {
        self.offset.wrapping_sub(self.phys) % PAGE_SIZE
    }

    /// What `p_vaddr` is from `p_paddr`.
    pub(super) const fn distance(&self) -> u64 {
        self.virt.wrapping_sub(self.phys)
    }

    /// Memory that is in the file, or a part of it.
    pub(super) fn has_data(&self) -> bool {
        self.is_load() && self.data_len() > 0
    }

    /// One past its last byte in the file.
    pub(super) fn file_end(&self) -> u64 {
        let len = if self.is_note() { self.file_len } else { self.data_len() };
        self.offset.saturating_add(len)
    }

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

    /// Whether this can be a header of memory or notes.
    pub(super) fn is_sound(&self) -> bool {
        let notes = self.is_note() && self.file_len > 0;
        let memory =
            self.is_load() && self.mem_len > 0 && self.file_len <= self.mem_len && self.phys < MAX_PHYS;
        (notes || memory) && (self.offset >= 64 || self.file_len == 0) && self.offset < 1 << 60
    }

    pub(super) fn parse(raw: &[u8], words: Words) -> Result<Self, OutOfBounds> {
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

/// Where memory begins, by how far its virtual address is from it: the kernel's image can be there twice, at two distances.
pub(super) struct Begins(Vec<(u64, u64)>);

impl Begins {
    pub(super) fn of(segments: &[Segment]) -> Self {
        let loads = segments.iter().filter(|s| s.is_load());
        let mut all: Vec<(u64, u64)> = loads.map(|s| (s.distance(), s.phys)).collect();
        all.sort_unstable();
        Self(all)
    }

    /// Whether no other memory begins in so many bytes of a segment's.
    pub(super) fn is_apart(&self, own: &Segment, len: u64) -> bool {
        let behind = self.0.partition_point(|at| *at <= (own.distance(), own.phys));
        let next = self.0.get(behind).filter(|(distance, _)| *distance == own.distance());
        next.is_none_or(|(_, next)| *next >= own.phys.saturating_add(len))
    }

    /// Whether the memory that a header tells of is in no other header of the same kind of address, and all headers between it
    /// and the next data have some: bytes that lie behind its data can be its own only.
    pub(super) fn is_alone(&self, segments: &[Segment], n: usize) -> bool {
        let own = get(segments, n);
        let next = segments.get(n.saturating_add(1)).filter(|next| next.is_load());
        self.is_apart(&own, own.mem_len) && next.is_none_or(has_place)
    }
}

/// A segment by its place in the table; one of nothing where there is none.
pub(super) fn get(segments: &[Segment], n: usize) -> Segment {
    segments.get(n).copied().unwrap_or(Segment::load(0, 0, 0))
}

/// Where the fields of the ELF header are, by class.
pub(super) struct Shape {
    pub(super) words: Words,
    pub(super) header_len: u64,
    pub(super) entry_len: u64,
    phoff: usize,
    shoff: usize,
    flags: usize,
    phentsize: usize,
    phnum: usize,
    /// Of `sh_info` in a section header.
    pub(super) sh_info: u64,
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
        let mut warnings = Vec::new();
        let start = crate::formats::start(image)?;
        if !start.starts_with(MAGIC) {
            warnings.push(Warning::MagicDamaged { format: "ELF", offset: 0 });
        }
        let words = Ident::of(&start).checked(image, &mut warnings)?;
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
        let kind = f.u16(16).map_err(cut)?;
        if Kind::of(&start) == Some(Kind::Core) && Kind::from_number(kind) != Kind::Core {
            warnings.push(Warning::FieldMended { field: "e_type", value: kind.into(), taken: 4 });
        } else {
            check_kind(image, kind)?;
        }
        let machine = f.u16(18).map_err(cut)?;
        let marked_incomplete = f.u32(shape.flags).map_err(cut)? & INCOMPLETE != 0;
        let short_count = f.u16(shape.phnum).map_err(cut)?;
        let count = if short_count == PN_XNUM {
            Claim::long_count(image, &shape, f.long(shape.shoff).map_err(cut)?)
        } else {
            Ok(u64::from(short_count))
        };
        let at = f.long(shape.phoff).map_err(cut)?;
        let claim = Claim { at, entry_len: f.u16(shape.phentsize).map_err(cut)?, count };
        let Table { mut segments, at, whole } = Table::read(image, &shape, claim, &mut warnings)?;
        let table_end = at.saturating_add(segments.len() as u64 * shape.entry_len);
        // a table behind all data, which the specification allows: nothing of the front is its, and data do not end the file
        let mut data = segments.iter().filter(|s| s.has_data()).peekable();
        let last = data.peek().is_some() && data.all(|s| s.file_end() <= at);
        let (front, ends) = if last { (shape.header_len, false) } else { (table_end, whole) };
        let end = padding::end_without(&segments, table_end, image);
        let table = (at, table_end);
        let covers = whole && is_covered(&segments, [(0, shape.header_len), table], end, image);
        let file = File::new(image, front, ends, covers, words, end);
        evidence::check(&mut segments, &file, &mut warnings);
        Ok(Self { machine, words, marked_incomplete, segments, table, whole, covers, end, warnings })
    }
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
