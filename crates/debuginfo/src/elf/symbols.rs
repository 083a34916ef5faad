//! The symbols of `.symtab` (`Elf64_Sym`).

use super::section::SHT_SYMTAB;
use super::{ObjectFile, Placement};

/// What a symbol stands for (`ELF64_ST_TYPE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SymbolKind {
    /// Said by nobody: assembler labels, linker script symbols.
    NoType,
    /// Data.
    Object,
    /// Code.
    Func,
    /// A section.
    Section,
    /// A source file.
    File,
    /// Another type, by number.
    Other(u8),
}

/// Who sees a symbol (`ELF64_ST_BIND`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// Its own file.
    Local,
    /// Everybody.
    Global,
    /// Everybody, unless there is a global one.
    Weak,
    /// Another binding, by number.
    Other(u8),
}

/// Where a symbol is defined (`st_shndx`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SymbolSection {
    /// Elsewhere.
    Undefined,
    /// Nowhere: the value is a number.
    Absolute,
    /// In the common block.
    Common,
    /// In the section of that index.
    Index(u16),
}

/// One symbol as the file has it.
#[derive(Clone, Copy, Debug)]
pub struct ElfSymbol<'a> {
    /// Offset of the name in the string table.
    pub name_offset: u32,
    /// Address, or offset in its section in a module.
    pub value: u64,
    /// Bytes; 0 where nobody said.
    pub size: u64,
    /// What it stands for.
    pub kind: SymbolKind,
    /// Who sees it.
    pub binding: Binding,
    /// Where it is defined.
    pub section: SymbolSection,
    strings: &'a [u8],
}

impl<'a> ElfSymbol<'a> {
    /// The name; empty where its offset is wrong.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.strings.get(self.name_offset as usize..).map_or(&[], |s| match memchr::memchr(0, s) {
            Some(end) => s.get(..end).unwrap_or_default(),
            None => s,
        })
    }
}

/// The symbols of a file, in its order.
#[derive(Clone, Debug)]
pub struct Symbols<'a> {
    table: &'a [u8],
    strings: &'a [u8],
    /// File offset of the string table, where it is stored plainly.
    strings_at: Option<usize>,
}

const ENTRY: usize = 24;

impl<'a> Symbols<'a> {
    /// How many are left.
    #[must_use]
    pub const fn count_left(&self) -> usize {
        self.table.len() / ENTRY
    }
    /// The string table.
    #[must_use]
    pub const fn strings(&self) -> &'a [u8] {
        self.strings
    }
    pub(crate) const fn strings_at(&self) -> Option<usize> {
        self.strings_at
    }
    /// Takes one symbol by its index, from where the iteration stands.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<ElfSymbol<'a>> {
        let entry = self.table.get(index.checked_mul(ENTRY)?..)?.first_chunk::<ENTRY>()?;
        Some(decode(entry, self.strings))
    }
}

impl<'a> Iterator for Symbols<'a> {
    type Item = ElfSymbol<'a>;
    fn next(&mut self) -> Option<ElfSymbol<'a>> {
        let (entry, rest) = self.table.split_first_chunk::<ENTRY>()?;
        self.table = rest;
        Some(decode(entry, self.strings))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count_left(), Some(self.count_left()))
    }
}

/// `Elf64_Sym`: name u32, info u8, other u8, shndx u16, value u64, size u64.
fn decode<'a>(entry: &[u8; ENTRY], strings: &'a [u8]) -> ElfSymbol<'a> {
    let [n0, n1, n2, n3, info, _other, x0, x1, v @ ..] = *entry;
    let [v0, v1, v2, v3, v4, v5, v6, v7, s0, s1, s2, s3, s4, s5, s6, s7] = v;
    ElfSymbol {
        name_offset: u32::from_le_bytes([n0, n1, n2, n3]),
        value: u64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]),
        size: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        kind: match info & 0xf {
            0 => SymbolKind::NoType,
            1 => SymbolKind::Object,
            2 => SymbolKind::Func,
            3 => SymbolKind::Section,
            4 => SymbolKind::File,
            n => SymbolKind::Other(n),
        },
        binding: match info >> 4 {
            0 => Binding::Local,
            1 => Binding::Global,
            2 => Binding::Weak,
            n => Binding::Other(n),
        },
        section: match u16::from_le_bytes([x0, x1]) {
            0 => SymbolSection::Undefined,
            0xfff1 => SymbolSection::Absolute,
            0xfff2 => SymbolSection::Common,
            n => SymbolSection::Index(n),
        },
        strings,
    }
}

impl ObjectFile {
    /// The symbols of `.symtab`; none where the file was stripped or the table leaves the file.
    #[must_use]
    pub fn symbols(&self) -> Symbols<'_> {
        let none = Symbols { table: &[], strings: &[], strings_at: None };
        let Some(index) = self.sections().iter().position(|s| s.kind == SHT_SYMTAB) else { return none };
        let Ok(Some(table)) = self.section_at(index) else { return none };
        let link = self.sections().get(index).map_or(0, |s| s.link as usize);
        let Ok(Some(strings)) = self.section_at(link) else { return none };
        let plain = self.sections().get(link).filter(|s| !s.is_packed());
        let strings_at = plain.and_then(|s| usize::try_from(s.offset).ok());
        Symbols { table, strings, strings_at }
    }

    /// The address of a symbol at run time: in a module its section's place and its offset in it,
    /// in a linked file its address moved by the placement's slide. `None` for undefined symbols
    /// and for sections that the placement does not know.
    #[must_use]
    pub fn runtime_address(&self, symbol: &ElfSymbol<'_>, place: &Placement) -> Option<u64> {
        match symbol.section {
            SymbolSection::Undefined | SymbolSection::Common => None,
            SymbolSection::Absolute => Some(symbol.value),
            SymbolSection::Index(i) => {
                let base = place.section_base(self, usize::from(i))?;
                Some(base.wrapping_add(symbol.value))
            }
        }
    }

    /// The first symbol of that name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<ElfSymbol<'_>> {
        self.symbols().find(|s| s.name() == name.as_bytes())
    }
}
