//! Section headers (`Elf64_Shdr`).

use base::Bytes;

/// `sh_type` values that are read here.
pub(super) const SHT_SYMTAB: u32 = 2;
pub(super) const SHT_RELA: u32 = 4;
pub(super) const SHT_NOTE: u32 = 7;
pub(super) const SHT_NOBITS: u32 = 8;
/// Of packs ([`crate::find::pack`]): the file that was packed has bytes for it, and the pack has not. Of the range that systems
/// use as they like.
pub(crate) const SHT_LEFT_OUT: u32 = 0x6c65_6674;
/// `sh_flags` bits that are read here.
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_COMPRESSED: u64 = 0x800;

/// One section header, with its name.
#[derive(Clone, Debug)]
pub struct Section {
    pub(super) name: Box<str>,
    pub(super) name_offset: u32,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) addr: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) link: u32,
    pub(super) info: u32,
}

impl Section {
    /// Reads the header at `offset` of the file; the name comes later.
    pub(super) fn read(file: Bytes<'_>, offset: usize) -> Result<Self, base::OutOfBounds> {
        let mut b = file;
        b.seek(offset);
        let (name_offset, kind) = (b.u32()?, b.u32()?);
        let (flags, addr, offset, size) = (b.u64()?, b.u64()?, b.u64()?, b.u64()?);
        let (link, info) = (b.u32()?, b.u32()?);
        Ok(Self { name: Box::default(), name_offset, kind, flags, addr, offset, size, link, info })
    }

    /// The name, such as `.debug_info`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The address it was linked at; 0 in a module.
    #[must_use]
    pub const fn addr(&self) -> u64 {
        self.addr
    }
    /// Bytes in memory (of a packed section: bytes in the file).
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// True where it takes up memory at run time.
    #[must_use]
    pub const fn is_alloc(&self) -> bool {
        self.flags & SHF_ALLOC != 0
    }
    /// True for code.
    #[must_use]
    pub const fn is_exec(&self) -> bool {
        self.flags & SHF_EXECINSTR != 0
    }
    /// True for memory that is written to.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        self.flags & SHF_WRITE != 0
    }
    /// True where the file holds no bytes for it (`.bss`; every section of code in a `.debug` file).
    #[must_use]
    pub const fn is_nobits(&self) -> bool {
        self.kind == SHT_NOBITS
    }
    /// True where the file holds no bytes for it, whatever it is in memory.
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self.kind, 0 | SHT_NOBITS | SHT_LEFT_OUT)
    }
    /// True where the file holds it packed.
    #[must_use]
    pub const fn is_packed(&self) -> bool {
        self.flags & SHF_COMPRESSED != 0
    }
}
