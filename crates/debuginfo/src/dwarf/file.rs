//! A file with DWARF in it, opened.

use super::Slice;
use super::lazy::LazyInfo;
use super::supplement::Link;
use super::units::Context;
use crate::elf::{ElfError, ObjectFile, Placement};
use gimli::SectionId;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// DWARF that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DwarfError {
    /// The file itself cannot be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The file was stripped.
    #[error("{0} has no .debug_info section: it carries no debug information")]
    NoDwarf(String),
    /// Its first unit makes no sense, and so nothing behind it does.
    #[error("{file}: its debug information is damaged: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with the first unit.
        why: String,
    },
    /// A dwz file keeps a part of the information, and it was not given.
    #[error(
        "{file} needs the file {wanted} with build id {id}, which dwz made of what debug files have in common, and \
         which is nowhere: put it beside it, or in /usr/lib/debug/.dwz; it is in the same debug package"
    )]
    NoSupplement {
        /// The file that refers to it.
        file: String,
        /// What the file calls it.
        wanted: String,
        /// Its build id.
        id: String,
    },
}

/// The bytes of all sections, relocated where the file is not linked.
pub(super) struct Sections {
    object: Arc<ObjectFile>,
    relocated: Vec<(SectionId, Vec<u8>)>,
    /// `.debug_info`, by far the largest, where it can be relocated unit by unit.
    info: Option<LazyInfo>,
    supplement: Option<Arc<ObjectFile>>,
}

impl Sections {
    /// A section that cannot be read, or does not unpack, is an error when the file is opened, not an empty section
    /// later.
    fn check(object: &Arc<ObjectFile>, supplement: Option<&Arc<ObjectFile>>) -> Result<(), DwarfError> {
        for file in [Some(object), supplement].into_iter().flatten() {
            for id in READ {
                file.section(id.name())?;
                file.section(&format!(".rela{}", id.name()))?;
            }
        }
        Ok(())
    }

    fn load(object: Arc<ObjectFile>, place: &Placement, supplement: Option<Arc<ObjectFile>>) -> Self {
        let mut relocated = Vec::new();
        let info = LazyInfo::new(&object, place);
        if object.has_relocations() {
            for id in READ.into_iter().filter(|id| *id != SectionId::DebugInfo || info.is_none()) {
                // sections without addresses or offsets into other sections stay where they are
                if object.header(&format!(".rela{}", id.name())).is_some() {
                    relocated.push((id, object.relocated_section(id.name(), place).unwrap_or_default()));
                }
            }
        }
        Self { object, relocated, info, supplement }
    }

    fn section(&self, id: SectionId) -> &[u8] {
        match self.relocated.iter().find(|(relocated, _)| *relocated == id) {
            Some((_, bytes)) => bytes,
            None => self.object.section(id.name()).ok().flatten().unwrap_or_default(),
        }
    }

    pub(super) fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        let read = |id: SectionId| Slice::new(self.section(id), gimli::LittleEndian);
        let mut dwarf = gimli::Dwarf::load(|id| Ok::<_, ()>(read(id))).unwrap_or_default();
        if let Some(other) = &self.supplement {
            let read = |id: SectionId| {
                let bytes = other.section(id.name()).ok().flatten().unwrap_or_default();
                Ok::<_, ()>(Slice::new(bytes, gimli::LittleEndian))
            };
            // cannot fail: the closure does not
            let _ = dwarf.load_sup(read);
        }
        dwarf
    }
}

/// The sections that are read.
const READ: [SectionId; 14] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTypes,
    SectionId::DebugNames,
];

self_cell::self_cell!(
    struct Cell {
        owner: Sections,
        #[not_covariant]
        dependent: Context,
    }
);

/// The debug information of vmlinux or of a module.
pub struct DwarfFile {
    /// Read, and relocated where it is not linked, when the first question comes.
    cell: OnceLock<Cell>,
    object: Arc<ObjectFile>,
    supplement: Option<Arc<ObjectFile>>,
    place: Placement,
    name: String,
    /// What to add to the file's addresses to have run-time addresses. 0 in modules, whose
    /// addresses are relocated.
    slide: u64,
}

impl DwarfFile {
    /// The debug information of `object` as it stands at run time: vmlinux with
    /// [`Placement::slid`], a module with the places of its sections. What dwz put into another file is
    /// looked for.
    ///
    /// # Errors
    /// When there is none, or its sections cannot be read, or what dwz took out is nowhere.
    pub fn open(object: Arc<ObjectFile>, place: &Placement) -> Result<Self, DwarfError> {
        Self::open_with(object, place, &|_, _| None)
    }

    /// As [`Self::open`]; `elsewhere` gets what dwz took out, by its name and build id, where it is in none of the
    /// usual places.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(
        object: Arc<ObjectFile>,
        place: &Placement,
        elsewhere: &dyn Fn(&str, &[u8]) -> Option<PathBuf>,
    ) -> Result<Self, DwarfError> {
        let name = object.path().display().to_string();
        if object.section(".debug_info")?.unwrap_or_default().is_empty() {
            return Err(DwarfError::NoDwarf(name));
        }
        let supplement = Link::of(&object).map(|link| link.find(&object, elsewhere)).transpose()?;
        let slide = if object.has_relocations() { 0 } else { place.slide() };
        Sections::check(&object, supplement.as_ref())?;
        Ok(Self { cell: OnceLock::new(), object, supplement, place: place.clone(), name, slide })
    }

    /// Reads the first unit, for a file that the user names: opening reads nothing.
    ///
    /// # Errors
    /// [`DwarfError::Damaged`]
    pub fn check(&self) -> Result<(), DwarfError> {
        self.with(|c| c.read_unit(0).map(drop))
            .map_err(|e| DwarfError::Damaged { file: self.name.clone(), why: e.to_string() })
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An address of the file for a run-time address.
    pub(super) fn linked(&self, addr: u64) -> u64 {
        addr.wrapping_sub(self.slide)
    }

    /// A run-time address for one of the file.
    pub(super) fn placed(&self, addr: u64) -> u64 {
        addr.wrapping_add(self.slide)
    }

    pub(super) fn with<R>(&self, ask: impl for<'q, 'a> FnOnce(&'q Context<'a>) -> R) -> R {
        let cell = self.cell.get_or_init(|| {
            let sections = Sections::load(Arc::clone(&self.object), &self.place, self.supplement.clone());
            Cell::new(sections, |s| Context::new(s.dwarf(), s.object.data(), s.info.as_ref()))
        });
        cell.with_dependent(|_, context| ask(context))
    }
}

impl std::fmt::Debug for DwarfFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DwarfFile({})", self.name)
    }
}
