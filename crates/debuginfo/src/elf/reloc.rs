//! Relocations of modules; what each type writes is for their architecture to say.
//!
//! A module's file is not linked: its sections become meaningful once they are placed where the
//! dump says that the kernel put them. Linked files (vmlinux) may still carry `.rela` sections, from
//! `--emit-relocs`; theirs are applied already, so they are never applied here.

use super::section::SHT_RELA;
use super::{ElfError, ObjectFile, ObjectKind, SymbolSection, Symbols};
use arch::RelocatedField;
use base::Bytes;
use rustc_hash::FxHashMap;

/// Where the sections of an object stand at run time.
#[derive(Clone, Default, Debug)]
pub struct Placement {
    sections: FxHashMap<Box<str>, u64>,
    slide: u64,
}

impl Placement {
    /// The sections of a module, by name, with their addresses (from the dump's `sect_attrs`).
    pub fn new<N: Into<Box<str>>>(sections: impl IntoIterator<Item = (N, u64)>) -> Self {
        Self { sections: sections.into_iter().map(|(n, a)| (n.into(), a)).collect(), slide: 0 }
    }

    /// A linked file moved as a whole by `bytes` (KASLR); wraps.
    #[must_use]
    pub fn slid(bytes: u64) -> Self {
        Self { slide: bytes, ..Self::default() }
    }

    /// By how much a linked file was moved.
    #[must_use]
    pub const fn slide(&self) -> u64 {
        self.slide
    }

    /// The address of a section, where it is placed.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<u64> {
        self.sections.get(name).copied()
    }

    /// What to add to a symbol's value to have its address: in a module the section's place, 0 for
    /// sections that take no memory (debug sections refer to one another by offset).
    pub(super) fn section_base(&self, file: &ObjectFile, index: usize) -> Option<u64> {
        let section = file.sections().get(index)?;
        match file.kind() {
            ObjectKind::Rel if section.is_alloc() => self.section(section.name()),
            ObjectKind::Rel => Some(0),
            _ if section.is_alloc() => Some(self.slide),
            _ => Some(0),
        }
    }
}

/// A relocation that was left out, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SkippedRelocation {
    /// Its symbol is in a section that is not placed, or in another object.
    Unplaced {
        /// Offset in the section.
        offset: u64,
    },
    /// It does not fit in the section.
    Outside {
        /// Offset in the section.
        offset: u64,
    },
    /// Its type is not known.
    Unknown {
        /// Offset in the section.
        offset: u64,
        /// `ELF64_R_TYPE`.
        kind: u32,
    },
}

/// `Elf64_Rela`: offset u64, info u64 (symbol << 32 | type), addend i64.
const ENTRY: usize = 24;

impl ObjectFile {
    /// A copy of the section's bytes with its relocations applied for `place`; the plain copy for a
    /// linked file. What cannot be placed becomes an address that no code has (all ones, less one in
    /// `.debug_ranges` and `.debug_loc`, where all ones has a meaning), as linkers do for what they drop.
    ///
    /// # Errors
    /// When the section or its relocations cannot be read. A missing section is an empty one.
    pub fn relocated_section(&self, name: &str, place: &Placement) -> Result<Vec<u8>, ElfError> {
        self.relocated_section_noting(name, place).map(|(bytes, _)| bytes)
    }

    /// As [`Self::relocated_section`], with what was left out (at most the first 1000).
    ///
    /// # Errors
    /// As [`Self::relocated_section`].
    pub fn relocated_section_noting(
        &self,
        name: &str,
        place: &Placement,
    ) -> Result<(Vec<u8>, Vec<SkippedRelocation>), ElfError> {
        let mut skipped = Vec::new();
        let Some(index) = self.sections().iter().position(|s| s.name() == name) else {
            return Ok((Vec::new(), skipped));
        };
        let mut bytes = self.section_at(index)?.unwrap_or_default().to_vec();
        if !self.has_relocations() {
            return Ok((bytes, skipped));
        }
        let tombstone = match name {
            ".debug_ranges" | ".debug_loc" => u64::MAX - 1,
            _ => u64::MAX,
        };
        let here = place.section_base(self, index).unwrap_or(0);
        let known = Vec::new();
        let mut job = Job {
            file: self,
            symbols: self.symbols(),
            here,
            from: 0,
            place,
            types: self.relocation_types(),
            tombstone,
            known,
        };
        let tables = self.sections().iter().enumerate();
        for (i, _) in tables.filter(|(_, s)| s.kind == SHT_RELA && s.info as usize == index) {
            let table = self.section_at(i)?.unwrap_or_default();
            for rela in table.chunks_exact(ENTRY) {
                if let Err(why) = job.apply(&mut bytes, rela)
                    && skipped.len() < 1000
                {
                    skipped.push(why);
                }
            }
            self.data().forget(table); // half as large again as what it relocates, and done with
        }
        Ok((bytes, skipped))
    }

    /// The index of the one table of relocations of a section, where it can be searched: ascending offsets. `None`
    /// where it is not so. Touches the whole table.
    #[must_use]
    pub(crate) fn sorted_relocations(&self, name: &str) -> Option<usize> {
        let index = self.sections().iter().position(|s| s.name() == name)?;
        let tables = self.sections().iter().enumerate();
        let mut tables =
            tables.filter(|(_, s)| s.kind == SHT_RELA && s.info as usize == index).map(|(i, _)| i);
        let (one, None) = (tables.next()?, tables.next()) else { return None };
        let table = self.section_at(one).ok()??;
        let mut last = 0;
        let ascending = table.chunks_exact(ENTRY).all(|rela| {
            let before = std::mem::replace(&mut last, offset_of(rela));
            before <= last
        });
        self.data().forget(table); // it is large, and a few units need little of it
        ascending.then_some(one)
    }

    /// A table of relocations.
    fn relocations(&self, table: usize) -> &[[u8; ENTRY]] {
        self.section_at(table).ok().flatten().unwrap_or_default().as_chunks().0
    }

    /// A part of a section with its relocations applied, of the table that [`Self::sorted_relocations`] gave.
    #[must_use]
    pub(crate) fn relocated_part(
        &self,
        name: &str,
        range: std::ops::Range<usize>,
        table: usize,
        place: &Placement,
    ) -> Option<Vec<u8>> {
        let index = self.sections().iter().position(|s| s.name() == name)?;
        let from = range.start as u64;
        let mut bytes = self.section_at(index).ok()??.get(range)?.to_vec();
        let end = from.saturating_add(bytes.len() as u64);
        let here = place.section_base(self, index).unwrap_or(0);
        let (symbols, known) = (self.symbols(), Vec::new());
        let mut job = Job {
            file: self,
            symbols,
            here,
            from,
            place,
            types: self.relocation_types(),
            tombstone: u64::MAX,
            known,
        };
        let entries = self.relocations(table);
        let first = entries.partition_point(|rela| offset_of(rela) < from);
        for rela in entries.get(first..)?.iter().take_while(|rela| offset_of(*rela) < end) {
            // what cannot be placed is marked in the bytes
            let _ = job.apply(&mut bytes, rela);
        }
        Some(bytes)
    }

    /// The offsets in a section, ascending, where relocations of a table refer to one of some offsets in the section
    /// `to`.
    pub(crate) fn references(&self, table: usize, to: &str, offsets: &[u32]) -> Vec<usize> {
        let symbols = self.symbols();
        let is = |rela: &&[u8; ENTRY]| {
            let b = Bytes::new(*rela);
            let addend = b.u64_at(16).unwrap_or(0);
            if !offsets.iter().any(|o| u64::from(*o) == addend) {
                return false;
            }
            let symbol = symbols.get((b.u64_at(8).unwrap_or(0) >> 32) as usize);
            let section = symbol.and_then(|s| match s.section {
                SymbolSection::Index(i) if s.value == 0 => self.sections().get(usize::from(i)),
                _ => None,
            });
            section.is_some_and(|s| s.name() == to)
        };
        let found = self.relocations(table).iter().filter(is);
        found.filter_map(|rela| usize::try_from(offset_of(rela)).ok()).collect()
    }

    /// True where relocations are still to be applied: objects that are not linked, of a machine that is known.
    #[must_use]
    pub fn has_relocations(&self) -> bool {
        self.kind() == ObjectKind::Rel && self.relocation_types().is_some()
    }

    fn relocation_types(&self) -> Option<&'static dyn arch::capability::Relocations> {
        arch::by_machine(self.machine()).map(arch::Arch::relocs)
    }
}

fn offset_of(rela: &[u8]) -> u64 {
    Bytes::new(rela).u64_at(0).unwrap_or(0)
}

/// The relocating of one section, or a part of it.
struct Job<'a> {
    file: &'a ObjectFile,
    symbols: Symbols<'a>,
    /// Where the section itself stands.
    here: u64,
    /// Where in the section the bytes begin.
    from: u64,
    place: &'a Placement,
    /// What each type writes.
    types: Option<&'static dyn arch::capability::Relocations>,
    tombstone: u64,
    /// The addresses of symbols that were looked up, by index: debug sections refer to few.
    known: Vec<Option<Option<u64>>>,
}

/// Symbols of a higher index are not remembered.
const MAX_KNOWN: usize = 1 << 16;

impl Job<'_> {
    fn apply(&mut self, bytes: &mut [u8], rela: &[u8]) -> Result<(), SkippedRelocation> {
        let b = Bytes::new(rela);
        let (offset, info, addend) =
            (b.u64_at(0).unwrap_or(0), b.u64_at(8).unwrap_or(0), b.u64_at(16).unwrap_or(0));
        let kind = (info & 0xffff_ffff) as u32;
        let field = self.types.and_then(|types| types.field(kind));
        let field = field.ok_or(SkippedRelocation::Unknown { offset, kind })?;
        let target = self.target((info >> 32) as usize);
        // P: where the relocated field itself stands
        let here = self.here.wrapping_add(offset);
        let sum = target.map(|s| s.wrapping_add(addend));
        let (width, value) = match field {
            RelocatedField::None => return Ok(()),
            RelocatedField::Sum(width) => (width, sum),
            RelocatedField::Distance(width) => (width, sum.map(|s| s.wrapping_sub(here))),
        };
        let raw = value.unwrap_or(self.tombstone).to_le_bytes();
        let at = offset.checked_sub(self.from).and_then(|at| usize::try_from(at).ok());
        let field = at.and_then(|at| bytes.get_mut(at..at.checked_add(width)?));
        let (Some(field), Some(raw)) = (field, raw.get(..width)) else {
            return Err(SkippedRelocation::Outside { offset });
        };
        field.copy_from_slice(raw);
        value.map(|_| ()).ok_or(SkippedRelocation::Unplaced { offset })
    }

    /// S: the address of the symbol with that index.
    fn target(&mut self, index: usize) -> Option<u64> {
        if let Some(Some(known)) = self.known.get(index) {
            return *known;
        }
        let target = self.look_up(index);
        if index < MAX_KNOWN {
            if self.known.len() <= index {
                self.known.resize(index.saturating_add(1), None);
            }
            if let Some(slot) = self.known.get_mut(index) {
                *slot = Some(target);
            }
        }
        target
    }

    fn look_up(&self, index: usize) -> Option<u64> {
        let symbol = self.symbols.get(index)?;
        match symbol.section {
            SymbolSection::Undefined if symbol.name_offset == 0 => Some(0), // no symbol: the addend alone
            _ => self.file.runtime_address(&symbol, self.place),
        }
    }
}
