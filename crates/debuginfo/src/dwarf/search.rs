//! The definitions of a name, without an index of the whole file.
//!
//! A name stands once in `.debug_str`, and entries refer to it by its offset there; names of less than four bytes stand
//! in the entry itself. So a name that is in neither is no entry's, and where those bytes are in `.debug_info` may be an
//! entry. Whether they are is told by the abbreviations of the unit: the code of one that fits stands before them.
//! Only units that may have a definition are then walked; a kernel's types are found in the first of them.

use super::Entry;
use super::names::{Named, is_space};
use super::units::{Context, Unit};
use crate::types::Space;
use gimli::{Section as _, UnitOffset};
use memchr::memmem;
use rustc_hash::FxHashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How many units are walked before the index of the whole file is made.
const MAX_UNITS: usize = 48;
/// Names shorter than this are not in `.debug_str`.
const SHORT: usize = 4;
/// How many abbreviations of a unit are looked at.
const MAX_ABBREVIATIONS: u64 = 1 << 14;
/// How many typedefs and qualifiers stand before an array.
const MAX_STEPS: usize = 8;

/// What a search without the index came to.
enum Search<T> {
    Found(T),
    Absent,
    /// Only the index can tell.
    Unknown,
}

/// What one unit has of a name.
enum InUnit<T> {
    Definition(T),
    Declaration(T),
    Nothing,
}

/// What is looked for.
#[derive(Clone, Copy)]
enum Kind {
    Of(Space),
    Enumerator,
}

impl Kind {
    fn has(self, tag: gimli::DwTag) -> bool {
        match self {
            Self::Of(space) => is_space(tag, space),
            Self::Enumerator => tag == gimli::DW_TAG_enumerator,
        }
    }

    /// True where entries of these attributes only declare.
    fn declares(self, attributes: &[gimli::AttributeSpecification]) -> bool {
        let has = |name| attributes.iter().any(|a| a.name() == name);
        let code = [gimli::DW_AT_low_pc, gimli::DW_AT_ranges, gimli::DW_AT_inline];
        has(gimli::DW_AT_declaration)
            || matches!(self, Self::Of(Space::Function)) && !code.into_iter().any(has)
    }
}

/// What the abbreviations of a unit say about its entries of a kind.
struct Shapes<'a> {
    unit: Unit<'a>,
    kind: Kind,
    /// The bytes between the code of an abbreviation and the name.
    before: Vec<usize>,
    /// Some have attributes of no fixed size before the name.
    unsure: bool,
    /// A variable may be declared first, and get its whole type where it is defined.
    completes: bool,
}

/// What stands before the bytes that lead to a name.
#[derive(Clone, Copy)]
enum Place {
    /// No entry of the kind.
    Nothing,
    Unsure,
    Entry {
        at: UnitOffset,
        declares: bool,
    },
}

impl<'a> Shapes<'a> {
    fn new(unit: Unit<'a>, kind: Kind) -> Self {
        let mut shapes = Self { unit, kind, before: Vec::new(), unsure: false, completes: false };
        for code in 1..MAX_ABBREVIATIONS {
            let abbreviations = Arc::clone(&shapes.unit.inner.abbreviations);
            let Some(one) = abbreviations.get(code) else { break };
            if kind.has(one.tag()) {
                shapes.add(one.attributes());
            }
        }
        shapes
    }

    fn add(&mut self, attributes: &[gimli::AttributeSpecification]) {
        let has = |name| attributes.iter().any(|a| a.name() == name);
        let Some(n) = attributes.iter().position(|a| a.name() == gimli::DW_AT_name) else {
            self.completes |= has(gimli::DW_AT_specification) && has(gimli::DW_AT_type);
            return;
        };
        let sizes = attributes.iter().take(n).map(|a| a.size(&self.unit.inner.header));
        match sizes.sum::<Option<usize>>() {
            Some(size) if !self.before.contains(&size) => self.before.push(size),
            Some(_) => {}
            None => self.unsure = true,
        }
    }

    /// What stands before offset `hit` of the section.
    fn place(&self, info: &[u8], hit: u32) -> Place {
        let Some(hit) = hit.checked_sub(self.unit.start) else { return Place::Nothing };
        let unit = info.get(self.unit.start as usize..self.unit.end as usize).unwrap_or_default();
        for before in &self.before {
            let Some(end) = (hit as usize).checked_sub(*before) else { continue };
            let ends = (1..=3).filter_map(|len| Some((end.checked_sub(len)?, end)));
            for (at, end) in ends {
                let Some(code) = unit.get(at..end).and_then(leb128) else { continue };
                let Some(one) = self.unit.inner.abbreviations.get(code) else { continue };
                if self.kind.has(one.tag()) && self.size_before(one) == Some(*before) {
                    let declares = self.kind.declares(one.attributes());
                    return Place::Entry { at: UnitOffset(at), declares };
                }
            }
        }
        if self.unsure { Place::Unsure } else { Place::Nothing }
    }

    fn size_before(&self, one: &gimli::Abbreviation) -> Option<usize> {
        let n = one.attributes().iter().position(|a| a.name() == gimli::DW_AT_name)?;
        one.attributes().iter().take(n).map(|a| a.size(&self.unit.inner.header)).sum()
    }
}

/// The number that these bytes are as a whole.
fn leb128(bytes: &[u8]) -> Option<u64> {
    let (last, lead) = bytes.split_last()?;
    if *last >= 0x80 || lead.iter().any(|b| *b < 0x80) {
        return None;
    }
    Some(bytes.iter().rev().fold(0, |sum, b| (sum << 7) | u64::from(b & 0x7f)))
}

impl<'a> Context<'a> {
    /// The first definition of a name; a declaration where there is no definition.
    pub(super) fn first(&self, space: Space, name: &str) -> Option<u32> {
        let search = self.search(name, Kind::Of(space), |unit| {
            match self.unit_names(unit).find(self, space, name).first() {
                Some(named) if named.declared && !self.is_enough(space, named.id) => {
                    InUnit::Declaration(named.id)
                }
                Some(named) => InUnit::Definition(named.id),
                None => InUnit::Nothing,
            }
        });
        match search {
            Search::Found(id) => Some(id),
            Search::Absent => None,
            Search::Unknown => self.all_names().0.find(self, space, name).first().map(|n| n.id),
        }
    }

    /// All definitions of a name, as the index has them: of those with the same size and line the first.
    pub(super) fn all(&self, space: Space, name: &str) -> Vec<Named> {
        self.all_searched(space, name).unwrap_or_else(|| self.all_names().0.find(self, space, name))
    }

    /// `None` where only the index can tell.
    fn all_searched(&self, space: Space, name: &str) -> Option<Vec<Named>> {
        let (mut out, mut seen, mut walked) = (Vec::new(), FxHashSet::default(), 0);
        let print =
            |entry: &Entry<'a>, declared| (declared, if declared { 0 } else { super::names::print(entry) });
        let whole = self.places(name, Kind::Of(space), |shapes, place| {
            if let Place::Entry { at, declares } = place
                && let Ok(entry) = shapes.unit.inner.entry(at)
                && seen.contains(&print(&entry, declares))
                && !(declares && shapes.completes)
            {
                return ControlFlow::Continue(false);
            }
            walked += 1;
            let unit = self.unit(shapes.unit.start).ok().filter(|_| walked <= MAX_UNITS);
            let Some(unit) = unit else { return ControlFlow::Break(()) };
            for named in self.unit_names(&unit).find(self, space, name) {
                let Ok((_, entry)) = self.entry(named.id) else { continue };
                if seen.insert(print(&entry, named.declared)) {
                    out.push(named);
                }
            }
            ControlFlow::Continue(true)
        })?;
        if whole.is_break() || (name.len() < SHORT && out.is_empty()) {
            return None;
        }
        out.sort_by_key(|n| (n.declared, n.id));
        Some(out)
    }

    /// The enumerations that may have an enumerator: those of the first unit that has any.
    pub(super) fn enumerations(&self, name: &str) -> Vec<u32> {
        let search = self.search(name, Kind::Enumerator, |unit| {
            let found: Vec<u32> = self.unit_enumerators(unit).find(name).collect();
            if found.is_empty() { InUnit::Nothing } else { InUnit::Definition(found) }
        });
        match search {
            Search::Found(ids) => ids,
            Search::Absent => Vec::new(),
            Search::Unknown => self.all_names().1.find(name).collect(),
        }
    }

    fn search<T>(
        &self,
        name: &str,
        kind: Kind,
        mut look: impl FnMut(&Arc<Unit<'a>>) -> InUnit<T>,
    ) -> Search<T> {
        let (mut found, mut declared, mut walked) = (None, None, 0);
        let whole = self.places(name, kind, |shapes, place| {
            if matches!(place, Place::Entry { declares: true, .. }) && declared.is_some() && !shapes.completes
            {
                return ControlFlow::Continue(false);
            }
            walked += 1;
            let unit = self.unit(shapes.unit.start).ok().filter(|_| walked <= MAX_UNITS);
            let Some(unit) = unit else { return ControlFlow::Break(()) };
            match look(&unit) {
                InUnit::Definition(one) => {
                    found = Some(one);
                    return ControlFlow::Break(());
                }
                InUnit::Declaration(one) => declared = declared.take().or(Some(one)),
                InUnit::Nothing => {}
            }
            ControlFlow::Continue(true)
        });
        match (found, whole, declared) {
            (Some(found), ..) => Search::Found(found),
            (None, Some(ControlFlow::Continue(())), Some(declared)) => Search::Found(declared),
            (None, Some(ControlFlow::Continue(())), None) if name.len() >= SHORT => Search::Absent,
            _ => Search::Unknown,
        }
    }

    /// Calls `each` with the places that may be entries of a kind and a name, front to back; it says whether the rest
    /// of the unit is of no interest. `None` where names are not found like this.
    fn places(
        &self,
        name: &str,
        kind: Kind,
        mut each: impl FnMut(&Shapes<'a>, Place) -> ControlFlow<(), bool>,
    ) -> Option<ControlFlow<()>> {
        if self.names.get().is_some() || !self.is_plain() {
            return None;
        }
        let info: &[u8] = self.main().debug_info.reader().slice();
        let mut hits = match self.lazy {
            _ if name.len() < SHORT => Hits::new(info, vec![[name.as_bytes(), &[0]].concat()]),
            Some(lazy) => Hits::of(lazy.references(&self.string_offsets(name))),
            None => {
                let offsets = self.string_offsets(name);
                Hits::new(info, offsets.into_iter().map(|at| at.to_le_bytes().to_vec()).collect())
            }
        };
        let mut shapes: Option<Shapes<'a>> = None;
        while let Some(hit) = hits.next(|passed| self.forget(passed)) {
            let hit = u32::try_from(hit).ok()?;
            let now = match shapes.take().filter(|s| (s.unit.start..s.unit.end).contains(&hit)) {
                Some(same) => same,
                None => Shapes::new(self.start_of(hit).and_then(|start| self.read_unit(start)).ok()?, kind),
            };
            let now = shapes.insert(now);
            let place = now.place(info, hit);
            if matches!(place, Place::Nothing) {
                continue;
            }
            match each(now, place) {
                ControlFlow::Break(()) => return Some(ControlFlow::Break(())),
                ControlFlow::Continue(true) => hits.skip_to(now.unit.end as usize),
                ControlFlow::Continue(false) => {}
            }
        }
        Some(ControlFlow::Continue(()))
    }

    /// True where a declaration says all: `extern int a[];` does not.
    fn is_enough(&self, space: Space, id: u32) -> bool {
        let variable = || {
            let (unit, entry) = self.entry(id).ok()?;
            let mut at = self.type_of(&unit, &entry);
            for _ in 0..MAX_STEPS {
                let (unit, entry) = self.entry(at).ok()?;
                match entry.tag() {
                    gimli::DW_TAG_array_type => return Some(self.has_length(&unit, &entry)),
                    gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type => {
                        at = self.referred(&unit, &entry, gimli::DW_AT_type)?;
                    }
                    _ => return Some(true),
                }
            }
            None
        };
        space == Space::Variable && variable() == Some(true)
    }

    fn has_length(&self, unit: &Unit<'a>, array: &Entry<'a>) -> bool {
        let mut known = false;
        let _ = self.children(unit, array, |child| {
            known = [gimli::DW_AT_upper_bound, gimli::DW_AT_count].into_iter().any(|a| child.has_attr(a));
            false
        });
        known
    }

    /// Where `.debug_str` has this name: as a string of its own, or the end of a longer one.
    fn string_offsets(&self, name: &str) -> Vec<u32> {
        let strings: &[u8] = self.main().debug_str.reader().slice();
        let mut wanted = name.as_bytes().to_vec();
        wanted.push(0);
        let mut found: Vec<usize> = memmem::find_iter(strings, &wanted).collect();
        // whole strings first: linkers merge ends rarely
        found.sort_by_key(|at| at.checked_sub(1).and_then(|before| strings.get(before)) != Some(&0));
        found.into_iter().filter_map(|at| u32::try_from(at).ok()).collect()
    }

    /// True where names are found by their offset in `.debug_str`, in `.debug_info` alone.
    fn is_plain(&self) -> bool {
        let main = self.main();
        main.debug_str_offsets.reader().is_empty()
            && main.debug_types.reader().is_empty()
            && main.sup().is_none()
            && !main.debug_str.reader().is_empty()
    }
}

/// The places in `.debug_info` where one of some texts stands, roughly ascending: in windows that
/// grow, so that a name near the front costs little and one at the back is not searched in vain.
struct Hits<'a> {
    info: &'a [u8],
    patterns: Vec<Vec<u8>>,
    window: std::ops::Range<usize>,
    /// Hits in the window, descending.
    found: Vec<usize>,
}

impl<'a> Hits<'a> {
    const FIRST_WINDOW: usize = 64 << 10;
    const LAST_WINDOW: usize = 8 << 20;

    fn new(info: &'a [u8], patterns: Vec<Vec<u8>>) -> Self {
        Self { info, patterns, window: 0..0, found: Vec::new() }
    }

    /// Hits that are known, ascending.
    fn of(mut found: Vec<usize>) -> Self {
        found.reverse();
        Self { info: &[], patterns: Vec::new(), window: 0..0, found }
    }

    /// The next hit; `leave` is told of the windows that were passed without one.
    fn next(&mut self, leave: impl Fn(std::ops::Range<usize>)) -> Option<usize> {
        while self.found.is_empty() {
            if self.window.len() == Self::LAST_WINDOW {
                leave(self.window.clone());
            }
            let size = self.window.len().saturating_mul(2).clamp(Self::FIRST_WINDOW, Self::LAST_WINDOW);
            let start = self.window.end;
            if start >= self.info.len() || self.patterns.is_empty() {
                return None;
            }
            self.window = start..start.saturating_add(size).min(self.info.len());
            for pattern in &self.patterns {
                // a little more, for a text across the border
                let over = pattern.len().saturating_sub(1);
                let end = self.window.end.saturating_add(over).min(self.info.len());
                let bytes = self.info.get(start..end)?;
                self.found.extend(memmem::find_iter(bytes, pattern).map(|at| start.saturating_add(at)));
            }
            self.found.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.found.pop()
    }

    /// Nothing below `at` any more.
    fn skip_to(&mut self, at: usize) {
        self.found.retain(|hit| *hit >= at);
        if at > self.window.end {
            self.window.end = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dwarf::DwarfFile;
    use crate::dwarf::tests::elf;
    use crate::elf::{ObjectFile, Placement};
    use gimli::constants::*;
    use gimli::write::{self, AttributeValue as A, EndianVec, Sections, UnitEntryId};
    use gimli::{Encoding, Format, LittleEndian};

    /// More units than are walked.
    const UNITS: usize = 2 * MAX_UNITS;

    /// Units that all declare `struct thing;`, `extern int count;` and `extern int table[];`, have a member `rq` and a
    /// variable `thing` within a function; the last defines the structs `thing` and `rq`, and `int table[7]`.
    fn file() -> Arc<DwarfFile> {
        let mut dwarf = write::Dwarf::new();
        let encoding = Encoding { format: Format::Dwarf32, version: 5, address_size: 8 };
        for n in 0..UNITS {
            let id = dwarf.units.add(write::Unit::new(encoding, write::LineProgram::none()));
            let strings = &mut dwarf.strings;
            let mut text = |s: &str| A::StringRef(strings.add(s));
            let (int, thing, count, table) = (text("int"), text("thing"), text("count"), text("table"));
            let unit = dwarf.units.get_mut(id);
            let root = unit.root();
            let mut add = |parent: UnitEntryId, tag, attrs: Vec<(gimli::DwAt, A)>| {
                let id = unit.add(parent, tag);
                for (name, value) in attrs {
                    unit.get_mut(id).set(name, value);
                }
                id
            };
            let size = |n| (DW_AT_byte_size, A::Udata(n));
            let int = add(root, DW_TAG_base_type, vec![(DW_AT_name, int), size(4)]);
            let of = |id| (DW_AT_type, A::UnitRef(id));
            let declared = || (DW_AT_declaration, A::FlagPresent);
            add(root, DW_TAG_structure_type, vec![(DW_AT_name, thing.clone()), declared()]);
            let holder = add(root, DW_TAG_structure_type, vec![size(4)]);
            let short = || (DW_AT_name, A::String(b"rq".to_vec()));
            add(holder, DW_TAG_member, vec![short(), of(int)]);
            let function = add(root, DW_TAG_subprogram, vec![(DW_AT_inline, A::Udata(1))]);
            add(function, DW_TAG_variable, vec![(DW_AT_name, thing.clone()), of(int)]);
            add(root, DW_TAG_variable, vec![(DW_AT_name, count), of(int), declared()]);
            let open = add(root, DW_TAG_array_type, vec![of(int)]);
            add(open, DW_TAG_subrange_type, vec![of(int)]);
            let table = add(root, DW_TAG_variable, vec![(DW_AT_name, table), of(open), declared()]);
            if n + 1 == UNITS {
                add(root, DW_TAG_structure_type, vec![(DW_AT_name, thing), size(24)]);
                // what stands before the name has no fixed size
                add(root, DW_TAG_structure_type, vec![(DW_AT_decl_line, A::Udata(300)), short(), size(40)]);
                let array = add(root, DW_TAG_array_type, vec![of(int)]);
                add(array, DW_TAG_subrange_type, vec![of(int), (DW_AT_upper_bound, A::Udata(6))]);
                add(root, DW_TAG_variable, vec![(DW_AT_specification, A::UnitRef(table)), of(array)]);
            }
        }
        let mut sections = Sections::new(EndianVec::new(LittleEndian));
        dwarf.write(&mut sections).unwrap();
        let mut all = Vec::new();
        let mut keep = |id: gimli::SectionId, bytes: &EndianVec<LittleEndian>| {
            all.push((id.name(), bytes.slice().to_vec()));
            Ok::<_, ()>(())
        };
        sections.for_each(&mut keep).unwrap();
        all.retain(|(_, bytes)| !bytes.is_empty());
        let object = Arc::new(ObjectFile::from_bytes(elf(2, &all).into()).unwrap());
        Arc::new(DwarfFile::open(object, &Placement::slid(0)).unwrap())
    }

    fn unsigned(c: &Context<'_>, id: u32, name: gimli::DwAt) -> Option<u64> {
        crate::dwarf::die::unsigned(&c.entry(id).unwrap().1, name)
    }

    #[test]
    fn definitions_are_found_behind_many_declarations_without_the_index() {
        file().with(|c| {
            let size = |id: u32| unsigned(c, id, DW_AT_byte_size);
            assert_eq!(c.first(Space::Struct, "thing").and_then(size), Some(24));
            assert_eq!(c.first(Space::Struct, "rq").and_then(size), Some(40), "a short name");
            assert_eq!(c.first(Space::Struct, "count"), None);
            assert!(c.first(Space::Variable, "count").is_some(), "a declaration is enough");
            assert_eq!(c.all(Space::Struct, "thing").len(), 2, "the declaration, and the definition first");
            assert_eq!(c.all(Space::Struct, "thing").first().and_then(|n| size(n.id)), Some(24));
            assert!(c.names.get().is_none(), "no index was made");
            // a variable of a function is none of the file, in however many units it is
            assert_eq!(c.first(Space::Variable, "thing"), None);
        });
    }

    #[test]
    fn an_array_has_its_length_from_where_it_is_defined() {
        file().with(|c| {
            let length = |id: u32| {
                let (unit, entry) = c.entry(id).unwrap();
                let (unit, array) = c.entry(c.type_of(&unit, &entry)).unwrap();
                c.has_length(&unit, &array)
            };
            let table = c.first(Space::Variable, "table").unwrap();
            assert!(length(table) && c.names.get().is_none());
            let all = c.all(Space::Variable, "table");
            assert_eq!(all.iter().map(|n| length(n.id)).collect::<Vec<_>>(), [true, false]);
            assert!(c.names.get().is_none());
            // and with the index the same
            assert_eq!(c.all_names().0.find(c, Space::Variable, "table").len(), 2);
            assert_eq!(c.first(Space::Variable, "table"), Some(table));
        });
    }

    #[test]
    fn codes_are_whole_numbers() {
        assert_eq!(leb128(&[0x7f]), Some(0x7f));
        assert_eq!(leb128(&[0x81, 0x01]), Some(0x81));
        assert_eq!(leb128(&[0x01, 0x01]), None, "two numbers");
        assert_eq!(leb128(&[0x81]), None, "cut");
        assert_eq!(leb128(&[]), None);
    }
}
