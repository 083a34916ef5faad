//! Units: finding the one that holds an entry or an address, reading it once.
//!
//! An entry is known by a 32-bit id: its offset in `.debug_info`; behind the end of that the
//! offsets of `.debug_types` follow, and behind those the `.debug_info` of a dwz file.

use super::functions::Functions;
use super::lazy::LazyInfo;
use super::lines::{Declared, Lines};
use super::names::{Enumerators, Names};
use super::{Entry, Slice, Value};
use base::MappedFile;
use gimli::{DebugInfoOffset, Section as _, SectionId, UnitOffset, UnitType};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

pub(super) type Result<T> = std::result::Result<T, gimli::Error>;

/// The sections an id can lie in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Info,
    Types,
    /// `.debug_info` of the supplementary file.
    Supplement,
}

/// How much of `.debug_info` a pass leaves behind in memory.
const LEAVE: usize = 4 << 20;

/// A unit with what was read of it.
pub(super) struct Unit<'a> {
    /// Without its line program, which is read when a line is asked for.
    pub(super) inner: gimli::Unit<Slice<'a>>,
    pub(super) part: Part,
    /// The id of the unit itself.
    pub(super) start: u32,
    /// One past the last id in it.
    pub(super) end: u32,
    /// `DW_AT_stmt_list`.
    pub(super) lines_at: Option<gimli::DebugLineOffset>,
    pub(super) names: OnceLock<Names>,
    pub(super) enumerators: OnceLock<Enumerators>,
    pub(super) program: OnceLock<Option<gimli::IncompleteLineProgram<Slice<'a>>>>,
    pub(super) lines: OnceLock<Lines>,
    pub(super) declared: OnceLock<Declared>,
    pub(super) functions: OnceLock<Functions>,
}

/// Everything that was read of a file.
pub(super) struct Context<'a> {
    dwarf: gimli::Dwarf<Slice<'a>>,
    /// The file that `.debug_info` is mapped from, where it is.
    map: &'a MappedFile,
    /// `.debug_info` unit by unit, where its bytes are not yet relocated.
    pub(super) lazy: Option<&'a LazyInfo>,
    info_len: u64,
    types_len: u64,
    units: RwLock<FxHashMap<u32, Arc<Unit<'a>>>>,
    /// The units whose headers were seen: start and end.
    known: RwLock<BTreeMap<u32, u32>>,
    aranges: OnceLock<Aranges>,
    /// Type units by their signature.
    signatures: OnceLock<FxHashMap<u64, u32>>,
    /// The further dimensions of arrays, which have no entry of their own: a subrange entry, and
    /// the array that it belongs to.
    pub(super) dimensions: RwLock<FxHashMap<u32, u32>>,
    pub(super) names: OnceLock<(Names, Enumerators)>,
}

/// `.debug_aranges`: which unit has an address.
#[derive(Default)]
struct Aranges {
    /// First address, one past the last, unit; by first address.
    ranges: Vec<(u64, u64, u32)>,
    /// The units that are named, ascending.
    starts: Vec<u32>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        dwarf: gimli::Dwarf<Slice<'a>>,
        map: &'a MappedFile,
        lazy: Option<&'a LazyInfo>,
    ) -> Self {
        Self {
            map,
            lazy,
            info_len: dwarf.debug_info.reader().len() as u64,
            types_len: dwarf.debug_types.reader().len() as u64,
            dwarf,
            units: RwLock::default(),
            known: RwLock::default(),
            aranges: OnceLock::new(),
            signatures: OnceLock::new(),
            dimensions: RwLock::default(),
            names: OnceLock::new(),
        }
    }

    /// The sections that a part's units refer to.
    pub(super) fn dwarf_of(&self, part: Part) -> &gimli::Dwarf<Slice<'a>> {
        match (part, self.dwarf.sup()) {
            (Part::Supplement, Some(other)) => other,
            _ => &self.dwarf,
        }
    }

    /// The sections that a unit refers to.
    pub(super) fn dwarf(&self, unit: &Unit<'a>) -> &gimli::Dwarf<Slice<'a>> {
        self.dwarf_of(unit.part)
    }

    /// The sections of the file itself.
    pub(super) fn main(&self) -> &gimli::Dwarf<Slice<'a>> {
        &self.dwarf
    }

    fn base(&self, part: Part) -> u64 {
        match part {
            Part::Info => 0,
            Part::Types => self.info_len,
            Part::Supplement => self.info_len.saturating_add(self.types_len),
        }
    }

    fn len(&self, part: Part) -> u64 {
        match part {
            Part::Info => self.info_len,
            Part::Types => self.types_len,
            Part::Supplement => self.dwarf.sup().map_or(0, |d| d.debug_info.reader().len() as u64),
        }
    }

    /// The id of an offset in a part.
    pub(super) fn id(&self, part: Part, offset: usize) -> Result<u32> {
        let id = self.base(part).saturating_add(offset as u64);
        u32::try_from(id).map_err(|_| gimli::Error::UnsupportedOffset)
    }

    fn part_of(&self, id: u32) -> Part {
        let id = u64::from(id);
        if id < self.base(Part::Types) {
            Part::Info
        } else if id < self.base(Part::Supplement) {
            Part::Types
        } else {
            Part::Supplement
        }
    }

    /// The header of the unit that begins at an id.
    fn header(&self, part: Part, start: u32) -> Result<gimli::UnitHeader<Slice<'a>>> {
        let offset = u64::from(start).saturating_sub(self.base(part)) as usize;
        let dwarf = self.dwarf_of(part);
        if let (Part::Info, Some(lazy)) = (part, self.lazy) {
            let none = gimli::Error::NoEntryAtGivenOffset(offset as u64);
            let info = gimli::DebugInfo::new(lazy.unit(start).ok_or(none)?, gimli::LittleEndian);
            return moved(&info.units().next()?.ok_or(none)?, SectionId::DebugInfo, offset);
        }
        match part {
            Part::Info | Part::Supplement => dwarf.unit_header(DebugInfoOffset(offset)),
            Part::Types => {
                // gimli has no look-up of type units by offset, so the section is cut instead
                let mut rest = *dwarf.debug_types.reader();
                gimli::Reader::skip(&mut rest, offset)?;
                let cut = gimli::DebugTypes::from(rest);
                let header = cut.units().next()?.ok_or(gimli::Error::NoEntryAtGivenOffset(offset as u64))?;
                moved(&header, SectionId::DebugTypes, offset)
            }
        }
    }

    /// The bytes of the unit that begins at an id, its header included.
    fn unit_len(&self, part: Part, start: u32) -> Result<usize> {
        match self.lazy.filter(|_| part == Part::Info) {
            Some(lazy) => lazy.len_of(start).ok_or(gimli::Error::NoEntryAtGivenOffset(u64::from(start))),
            None => Ok(self.header(part, start)?.length_including_self()),
        }
    }

    /// The unit that begins at an id.
    pub(super) fn unit(&self, start: u32) -> Result<Arc<Unit<'a>>> {
        if let Some(unit) = self.units.read().unwrap_or_else(PoisonError::into_inner).get(&start) {
            return Ok(Arc::clone(unit));
        }
        let unit = Arc::new(self.read_unit(start)?);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(start, unit.end);
        let mut units = self.units.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(units.entry(start).or_insert(unit)))
    }

    /// As [`Self::unit`], without keeping it: for passes over all units.
    pub(super) fn read_unit(&self, start: u32) -> Result<Unit<'a>> {
        let part = self.part_of(start);
        let header = self.header(part, start)?;
        let end = u64::from(start).saturating_add(header.length_including_self() as u64);
        let dwarf = self.dwarf_of(part);
        let abbreviations = dwarf.abbreviations(&header)?;
        let encoding = header.encoding();
        let kind = gimli::DwarfFileType::Main;
        let mut unit = gimli::Unit {
            header,
            abbreviations,
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(encoding, kind),
            addr_base: gimli::DebugAddrBase(0),
            loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(encoding, kind),
            rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, kind),
            line_program: None,
            dwo_id: None,
        };
        let root = unit.entry(unit.header.root_offset())?;
        // bases first: the other attributes are read with them
        for attr in root.attrs() {
            match (attr.name(), attr.value()) {
                (gimli::DW_AT_str_offsets_base, Value::DebugStrOffsetsBase(at)) => unit.str_offsets_base = at,
                (gimli::DW_AT_addr_base | gimli::DW_AT_GNU_addr_base, Value::DebugAddrBase(at)) => {
                    unit.addr_base = at;
                }
                (gimli::DW_AT_loclists_base, Value::DebugLocListsBase(at)) => unit.loclists_base = at,
                (gimli::DW_AT_rnglists_base, Value::DebugRngListsBase(at)) => unit.rnglists_base = at,
                _ => {}
            }
        }
        let mut lines_at = None;
        for attr in root.attrs() {
            match (attr.name(), attr.value()) {
                (gimli::DW_AT_name, v) => unit.name = dwarf.attr_string(&unit, v).ok(),
                (gimli::DW_AT_comp_dir, v) => unit.comp_dir = dwarf.attr_string(&unit, v).ok(),
                (gimli::DW_AT_low_pc, v) => unit.low_pc = dwarf.attr_address(&unit, v)?.unwrap_or(0),
                (gimli::DW_AT_stmt_list, Value::DebugLineRef(at)) => lines_at = Some(at),
                _ => {}
            }
        }
        Ok(Unit {
            inner: unit,
            part,
            start,
            end: u32::try_from(end).unwrap_or(u32::MAX),
            lines_at,
            names: OnceLock::new(),
            enumerators: OnceLock::new(),
            program: OnceLock::new(),
            lines: OnceLock::new(),
            declared: OnceLock::new(),
            functions: OnceLock::new(),
        })
    }

    /// The unit that holds an entry.
    pub(super) fn unit_of(&self, id: u32) -> Result<Arc<Unit<'a>>> {
        self.unit(self.start_of(id)?)
    }

    /// Where the unit that holds an entry begins.
    pub(super) fn start_of(&self, id: u32) -> Result<u32> {
        let part = self.part_of(id);
        let none = gimli::Error::NoEntryAtGivenOffset(u64::from(id));
        if u64::from(id) >= self.base(part).saturating_add(self.len(part)) {
            return Err(none);
        }
        let mut at = u32::try_from(self.base(part)).map_err(|_| none)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((&start, &end)) = known.range(at..=id).next_back() {
            if id < end {
                return Ok(start);
            }
            at = end;
        }
        drop(known);
        if part == Part::Info {
            let starts = &self.aranges().starts;
            let below = starts.partition_point(|s| *s <= id);
            if let Some(&start) = below.checked_sub(1).and_then(|i| starts.get(i)) {
                at = at.max(start);
            }
        }
        // walk on from there; units without code are not in .debug_aranges
        let mut seen = Vec::new();
        let found = loop {
            let length = self.unit_len(part, at)?;
            let end = at.checked_add(u32::try_from(length).map_err(|_| none)?).ok_or(none)?;
            seen.push((at, end));
            if id < end {
                break at;
            }
            at = end;
        };
        self.known.write().unwrap_or_else(PoisonError::into_inner).extend(seen);
        Ok(found)
    }

    /// The starts of all units of all parts. Touches every header.
    pub(super) fn all_units(&self) -> Vec<u32> {
        let mut out = Vec::new();
        let mut kept = 0;
        for part in [Part::Info, Part::Types, Part::Supplement] {
            let end = self.base(part).saturating_add(self.len(part));
            let Ok(mut at) = u32::try_from(self.base(part)) else { break };
            while u64::from(at) < end {
                let Ok(length) = self.unit_len(part, at) else { break };
                out.push(at);
                let length = u32::try_from(length).ok();
                let Some(next) = length.and_then(|n| at.checked_add(n)) else { break };
                at = next;
                if part == Part::Info && (at as usize).saturating_sub(kept) > LEAVE {
                    self.forget(kept..at as usize);
                    kept = at as usize;
                }
            }
        }
        out
    }

    /// Lets go of the memory of some units, which were passed over.
    pub(super) fn forget_units(&self, units: &[u32]) {
        let (Some(&first), Some(&last)) = (units.first(), units.last()) else { return };
        let end = self
            .unit_len(self.part_of(last), last)
            .map_or(last, |length| last.saturating_add(u32::try_from(length).unwrap_or(u32::MAX)));
        self.forget(first as usize..end as usize);
    }

    /// Lets go of the memory of a part of `.debug_info`.
    pub(super) fn forget(&self, range: std::ops::Range<usize>) {
        if let Some(part) = self.dwarf.debug_info.reader().slice().get(range) {
            self.map.forget(part);
        }
    }

    fn aranges(&self) -> &Aranges {
        self.aranges.get_or_init(|| {
            let mut found = Aranges::default();
            let mut headers = self.dwarf.debug_aranges.headers();
            while let Ok(Some(header)) = headers.next() {
                let Ok(unit) = u32::try_from(header.debug_info_offset().0) else { continue };
                found.starts.push(unit);
                let mut entries = header.entries();
                while let Ok(Some(entry)) = entries.next() {
                    let range = entry.range();
                    found.ranges.push((range.begin, range.end, unit));
                }
            }
            found.starts.sort_unstable();
            found.starts.dedup();
            found.starts.retain(|s| u64::from(*s) < self.info_len);
            found.ranges.sort_unstable();
            found
        })
    }

    /// The unit whose code has an address of the file.
    pub(super) fn unit_at(&self, addr: u64) -> Option<Arc<Unit<'a>>> {
        let aranges = self.aranges();
        if aranges.starts.is_empty() {
            return self.unit_by_ranges(addr);
        }
        let below = aranges.ranges.partition_point(|(begin, ..)| *begin <= addr);
        // ranges do not overlap in sane files; a few back are enough for those that nest
        let near = aranges.ranges.get(below.saturating_sub(4)..below).unwrap_or_default();
        let (.., start) = near.iter().rev().find(|(begin, end, _)| *begin <= addr && addr < *end)?;
        self.unit(*start).ok()
    }

    /// As [`Self::unit_at`] for files without `.debug_aranges`.
    fn unit_by_ranges(&self, addr: u64) -> Option<Arc<Unit<'a>>> {
        let mut at = 0;
        while u64::from(at) < self.info_len {
            let unit = self.unit(at).ok()?;
            if unit.part == Part::Info && unit.inner.type_() == UnitType::Compilation {
                let root = unit.inner.entry(unit.inner.header.root_offset()).ok()?;
                if self.ranges(&unit, &root).iter().any(|r| r.contains(&addr)) {
                    return Some(unit);
                }
            }
            at = unit.end;
        }
        None
    }

    /// The type entry of the type unit with a signature.
    fn by_signature(&self, signature: u64) -> Option<u32> {
        let map = self.signatures.get_or_init(|| {
            let mut map = FxHashMap::default();
            for start in self.all_units() {
                if let Ok(header) = self.header(self.part_of(start), start)
                    && let UnitType::Type { type_signature, type_offset } = header.type_()
                    && let Some(id) = u32::try_from(type_offset.0).ok().and_then(|o| start.checked_add(o))
                {
                    map.insert(type_signature.0, id);
                }
            }
            map
        });
        map.get(&signature).copied()
    }

    /// The id that a reference in a unit leads to.
    pub(super) fn target(&self, unit: &Unit<'a>, value: Value<'a>) -> Result<u32> {
        let own = if unit.part == Part::Supplement { Part::Supplement } else { Part::Info };
        match value {
            Value::UnitRef(offset) => unit.id(offset),
            Value::DebugInfoRef(offset) => self.id(own, offset.0),
            Value::DebugInfoRefSup(offset) if self.dwarf.sup().is_some() => {
                self.id(Part::Supplement, offset.0)
            }
            Value::DebugTypesRef(signature) => {
                self.by_signature(signature.0).ok_or(gimli::Error::NoEntryAtGivenOffset(signature.0))
            }
            _ => Err(gimli::Error::UnsupportedOffset),
        }
    }

    /// The unit and the entry of an id.
    pub(super) fn entry(&self, id: u32) -> Result<(Arc<Unit<'a>>, Entry<'a>)> {
        let unit = self.unit_of(id)?;
        let entry = unit.inner.entry(unit.offset(id))?;
        Ok((unit, entry))
    }
}

/// A header that was read at the start of some bytes, as one that stands at an offset of its section.
fn moved<'a>(
    header: &gimli::UnitHeader<Slice<'a>>,
    section: SectionId,
    offset: usize,
) -> Result<gimli::UnitHeader<Slice<'a>>> {
    Ok(gimli::UnitHeader::new(
        header.encoding(),
        header.unit_length(),
        header.type_(),
        header.debug_abbrev_offset(),
        section,
        gimli::UnitSectionOffset(offset),
        header.range_from(header.root_offset()..)?,
    ))
}

impl Unit<'_> {
    /// The id of an offset in this unit.
    pub(super) fn id(&self, offset: UnitOffset) -> Result<u32> {
        let offset = u32::try_from(offset.0).map_err(|_| gimli::Error::UnsupportedOffset)?;
        self.start.checked_add(offset).filter(|id| *id < self.end).ok_or(gimli::Error::UnsupportedOffset)
    }

    /// The offset of an id in this unit.
    pub(super) fn offset(&self, id: u32) -> UnitOffset {
        UnitOffset(id.saturating_sub(self.start) as usize)
    }
}
