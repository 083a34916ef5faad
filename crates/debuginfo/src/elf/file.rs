//! An object file and its sections.

use super::section::{SHT_NOTE, Section};
use super::{ElfError, unpack};
use base::{Bytes, MappedFile};
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `e_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    /// Linked at its addresses: vmlinux.
    Exec,
    /// Linked, movable: a vDSO, some kernels.
    Dyn,
    /// Not linked: a module.
    Rel,
    /// Another type, by number.
    Other(u16),
}

/// An ELF64 file whose parts are read when they are asked for.
#[derive(Debug)]
pub struct ObjectFile {
    path: PathBuf,
    data: MappedFile,
    kind: ObjectKind,
    machine: u16,
    phdrs: (u64, u16, u16),
    sections: Vec<Section>,
    by_name: FxHashMap<Box<str>, usize>,
    unpacked: Vec<OnceLock<Vec<u8>>>,
}

impl ObjectFile {
    /// Opens the file at `path`; `.xz`, `.zst` and `.gz` files (told by their bytes, not by their
    /// name) are unpacked into memory first.
    ///
    /// # Errors
    /// When the system refuses the file, or it is no ELF64 little-endian object.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let mut data = MappedFile::open(path)?;
        if let Some(bytes) = unpack::unpack_bytes(&data, &path.display().to_string())? {
            data = bytes.into();
        }
        let mut file = Self::from_bytes(data)?;
        path.clone_into(&mut file.path);
        Ok(file)
    }

    /// Reads an object from bytes in memory.
    ///
    /// # Errors
    /// When it is no ELF64 little-endian object, or its section headers are not in it.
    pub fn from_bytes(data: MappedFile) -> Result<Self, ElfError> {
        let b = Bytes::new(&data);
        let magic = b.u32_at(0).unwrap_or(0).to_le_bytes();
        if magic != *b"\x7fELF" {
            return Err(ElfError::NotElf { magic });
        }
        let (class, order) = (b.u8_at(4).unwrap_or(0), b.u8_at(5).unwrap_or(0));
        if (class, order) != (2, 1) {
            return Err(ElfError::Unsupported { class, order });
        }
        let header = Header::read(b).map_err(|_| ElfError::OutOfFile {
            what: "ELF header".into(),
            offset: 0,
            size: 64,
            len: data.len() as u64,
        })?;
        let sections = header.sections(b)?;
        // the first section of a name is the one that is meant
        let mut by_name = FxHashMap::default();
        for (i, s) in sections.iter().enumerate() {
            by_name.entry(s.name.clone()).or_insert(i);
        }
        Ok(Self {
            path: PathBuf::new(),
            kind: header.kind,
            machine: header.machine,
            phdrs: (header.phoff, header.phentsize, header.phnum),
            unpacked: sections.iter().map(|_| OnceLock::new()).collect(),
            by_name,
            sections,
            data,
        })
    }

    /// Where it was opened from; empty for bytes in memory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Linked or not.
    #[must_use]
    pub const fn kind(&self) -> ObjectKind {
        self.kind
    }
    /// `e_machine`; 62 is x86-64.
    #[must_use]
    pub const fn machine(&self) -> u16 {
        self.machine
    }
    /// The whole file (unpacked, where it was packed as a whole).
    #[must_use]
    pub const fn data(&self) -> &MappedFile {
        &self.data
    }
    /// All section headers, the null section included, by index.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }
    /// The first section header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Section> {
        self.sections.get(*self.by_name.get(name)?)
    }

    /// The bytes of the first section called `name`, unpacked where they are packed; `None` where
    /// there is no such section or the file holds no bytes for it (`.bss`).
    ///
    /// # Errors
    /// When the section leaves the file or does not unpack.
    pub fn section(&self, name: &str) -> Result<Option<&[u8]>, ElfError> {
        self.by_name.get(name).map_or(Ok(None), |&i| self.section_at(i))
    }

    /// The bytes of the section with that index; as [`Self::section`].
    ///
    /// # Errors
    /// When the section leaves the file or does not unpack.
    pub fn section_at(&self, index: usize) -> Result<Option<&[u8]>, ElfError> {
        let Some(section) = self.sections.get(index) else { return Ok(None) };
        if section.is_empty() {
            return Ok(None);
        }
        let raw = self.raw(section)?;
        if !section.is_packed() {
            return Ok(Some(raw));
        }
        let Some(cell) = self.unpacked.get(index) else { return Ok(None) };
        if let Some(done) = cell.get() {
            return Ok(Some(done));
        }
        // two threads may both unpack; one result is kept
        let bytes = unpack::unpack_section(raw, &section.name)?;
        Ok(Some(cell.get_or_init(|| bytes)))
    }

    /// The section's bytes as the file has them.
    fn raw(&self, section: &Section) -> Result<&[u8], ElfError> {
        file_range(&self.data, section.offset, section.size, &section.name)
    }

    /// The build-id: the descriptor of the `GNU` note of type 3, from `.note.gnu.build-id`, another
    /// note section, or a `PT_NOTE` segment.
    #[must_use]
    pub fn build_id(&self) -> Option<&[u8]> {
        if let Ok(Some(notes)) = self.section(".note.gnu.build-id")
            && let Some(id) = build_id_of_notes(notes)
        {
            return Some(id);
        }
        let mut notes = self.sections.iter().filter(|s| s.kind == SHT_NOTE);
        notes.find_map(|s| build_id_of_notes(self.raw(s).ok()?)).or_else(|| self.segment_build_id())
    }

    fn segment_build_id(&self) -> Option<&[u8]> {
        const PT_NOTE: u32 = 4;
        let (phoff, entsize, count) = self.phdrs;
        let b = Bytes::new(&self.data);
        (0..u64::from(count)).find_map(|i| {
            let at = usize::try_from(phoff.checked_add(i * u64::from(entsize))?).ok()?;
            (b.u32_at(at).ok()? == PT_NOTE).then_some(())?;
            let (offset, size) = (b.u64_at(at.checked_add(8)?).ok()?, b.u64_at(at.checked_add(32)?).ok()?);
            build_id_of_notes(file_range(&self.data, offset, size, "PT_NOTE").ok()?)
        })
    }

    /// The bytes that stand at a linked address, to the end of their section; for kernels' own data.
    #[must_use]
    pub fn bytes_at(&self, addr: u64) -> Option<&[u8]> {
        let holds = |s: &&Section| {
            s.is_alloc() && !s.is_empty() && s.addr <= addr && addr - s.addr < s.size && s.addr != 0
        };
        let section = self.sections.iter().find(holds)?;
        self.raw(section).ok()?.get(usize::try_from(addr - section.addr).ok()?..)
    }
}

/// The parts of `Elf64_Ehdr` that are used.
struct Header {
    kind: ObjectKind,
    machine: u16,
    phoff: u64,
    phentsize: u16,
    phnum: u16,
    shoff: u64,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
}

impl Header {
    fn read(b: Bytes<'_>) -> Result<Self, base::OutOfBounds> {
        let kind = match b.u16_at(16)? {
            1 => ObjectKind::Rel,
            2 => ObjectKind::Exec,
            3 => ObjectKind::Dyn,
            n => ObjectKind::Other(n),
        };
        Ok(Self {
            kind,
            machine: b.u16_at(18)?,
            phoff: b.u64_at(32)?,
            shoff: b.u64_at(40)?,
            phentsize: b.u16_at(54)?,
            phnum: b.u16_at(56)?,
            shentsize: b.u16_at(58)?,
            shnum: b.u16_at(60)?,
            shstrndx: b.u16_at(62)?,
        })
    }

    fn sections(&self, b: Bytes<'_>) -> Result<Vec<Section>, ElfError> {
        if self.shoff == 0 {
            return Ok(Vec::new());
        }
        let entsize = u64::from(self.shentsize.max(64));
        let out_of_file = |size| ElfError::OutOfFile {
            what: "section header table".into(),
            offset: self.shoff,
            size,
            len: b.all().len() as u64,
        };
        let at = |i: u64| {
            let offset = i.checked_mul(entsize).and_then(|o| o.checked_add(self.shoff));
            offset.and_then(|o| usize::try_from(o).ok()).and_then(|o| Section::read(b, o).ok())
        };
        let first = at(0).ok_or_else(|| out_of_file(entsize))?;
        // more sections than fit in e_shnum: the count is the null section's size, and likewise the index
        let count = if self.shnum == 0 { first.size } else { u64::from(self.shnum) };
        let names = if self.shstrndx == 0xffff { u64::from(first.link) } else { u64::from(self.shstrndx) };
        let table = count.saturating_mul(entsize);
        if self.shoff.saturating_add(table) > b.all().len() as u64 {
            return Err(out_of_file(table));
        }
        let mut sections = (0..count).map_while(at).collect::<Vec<_>>();
        let names = usize::try_from(names).ok().and_then(|i| sections.get(i));
        let names = match names {
            Some(s) => file_range(b.all(), s.offset, s.size, "section names")?,
            None => &[],
        };
        let names = Bytes::new(names);
        for section in &mut sections {
            let name = names.cstr_at(section.name_offset as usize).unwrap_or_default();
            section.name = String::from_utf8_lossy(name).into();
        }
        Ok(sections)
    }
}

/// `offset..offset+size` of the file.
fn file_range<'a>(data: &'a [u8], offset: u64, size: u64, what: &str) -> Result<&'a [u8], ElfError> {
    let range = (|| {
        let start = usize::try_from(offset).ok()?;
        data.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    })();
    range.ok_or_else(|| ElfError::OutOfFile { what: what.into(), offset, size, len: data.len() as u64 })
}

/// The build-id in a run of ELF notes (name size, descriptor size, type; each part padded to 4).
/// The GNU build id (`NT_GNU_BUILD_ID`) among the notes of a section or segment.
#[must_use]
pub fn build_id_of_notes(notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let mut b = Bytes::new(notes);
    while b.left() >= 12 {
        let (namesz, descsz, kind) = (b.u32().ok()?, b.u32().ok()?, b.u32().ok()?);
        let name = b.take(namesz as usize).ok()?;
        b.align(4);
        let desc = b.take(descsz as usize).ok()?;
        b.align(4);
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" && !desc.is_empty() {
            return Some(desc);
        }
    }
    None
}
