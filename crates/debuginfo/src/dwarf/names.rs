//! Names of types, functions, variables and enumerators to entries.
//!
//! [`Names`] and [`Enumerators`] of one unit are made in a millisecond; those of the file in
//! parallel, when first needed. A header's types are repeated in every unit that includes it: of
//! entries with the same name, size and line of declaration one is kept.

use super::die::{Children, flag, unsigned};
use super::units::{Context, Part, Result, Unit};
use super::{Entry, Slice, Value};
use crate::types::Space;
use rustc_hash::{FxHashSet, FxHasher};
use std::hash::Hasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An entry under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Named {
    hash: u32,
    pub(super) id: u32,
    /// Where the name is in `.debug_str`; [`IN_ENTRY`] where only the entry tells.
    string: u32,
    pub(super) space: Space,
    /// A declaration only.
    pub(super) declared: bool,
}

/// The name is not in `.debug_str` of the file.
const IN_ENTRY: u32 = u32::MAX;

/// Names of one unit or of the whole file, by hash; of one hash by id.
#[derive(Default)]
pub(super) struct Names {
    entries: Box<[Named]>,
}

/// Enumerators of one unit or of the whole file: hash of the name, and the enumeration.
#[derive(Default)]
pub(super) struct Enumerators {
    entries: Box<[(u32, u32)]>,
}

fn hash(name: &[u8]) -> u32 {
    let mut h = FxHasher::default();
    h.write(name);
    let wide = h.finish();
    (wide ^ (wide >> 32)) as u32
}

/// The space that a tag's name is in.
fn space(tag: gimli::DwTag) -> Option<Space> {
    Some(match tag {
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => Space::Struct,
        gimli::DW_TAG_union_type => Space::Union,
        gimli::DW_TAG_enumeration_type => Space::Enum,
        gimli::DW_TAG_typedef => Space::Typedef,
        gimli::DW_TAG_base_type => Space::Base,
        gimli::DW_TAG_subprogram => Space::Function,
        gimli::DW_TAG_variable => Space::Variable,
        _ => return None,
    })
}

/// True where the names of a tag are in a space.
pub(super) fn is_space(tag: gimli::DwTag, of: Space) -> bool {
    space(tag) == Some(of)
}

/// What a walk over the entries below a unit finds.
struct Seen<'e, 'a> {
    entry: &'e Entry<'a>,
    space: Space,
    declared: bool,
    print: u64,
}

/// How many units a thread takes at a time.
const CHUNK: usize = 16;
/// How deep namespaces are followed.
const MAX_NAMESPACES: usize = 16;

/// Calls `each` with the named entries of a unit that are not inside functions or types.
fn walk<'a>(unit: &Unit<'a>, each: &mut dyn FnMut(&Seen<'_, 'a>)) -> Result<()> {
    let mut parents = vec![(unit.inner.entry(unit.inner.header.root_offset())?, 0)];
    while let Some((parent, depth)) = parents.pop() {
        let mut children = Children::of(&unit.inner, &parent)?;
        while let Some(entry) = children.next()? {
            if let Some(space) = space(entry.tag()) {
                each(&Seen { entry, space, declared: is_declared(space, entry), print: print(entry) });
            } else if matches!(entry.tag(), gimli::DW_TAG_namespace | gimli::DW_TAG_module)
                && depth < MAX_NAMESPACES
            {
                parents.push((entry.clone(), depth.saturating_add(1)));
            }
        }
    }
    Ok(())
}

/// Calls `each` with the functions of a unit.
pub(super) fn function_entries<'a>(unit: &Unit<'a>, each: &mut dyn FnMut(&Entry<'a>)) -> Result<()> {
    walk(unit, &mut |seen| {
        if seen.space == Space::Function {
            each(seen.entry);
        }
    })
}

/// The name of a variable whose type is complete where it is defined only: `extern int a[]; int a[2];`
fn completed_name<'a>(unit: &Unit<'a>, entry: &Entry<'a>, space: Space) -> Option<Value<'a>> {
    if space != Space::Variable || !entry.has_attr(gimli::DW_AT_type) {
        return None;
    }
    let Value::UnitRef(declaration) = entry.attr_value(gimli::DW_AT_specification)? else { return None };
    unit.inner.entry(declaration).ok()?.attr_value(gimli::DW_AT_name)
}

fn is_declared(space: Space, entry: &Entry<'_>) -> bool {
    match space {
        // a function is defined where it has code, or a body to inline
        Space::Function => {
            flag(entry, gimli::DW_AT_declaration)
                || !(entry.has_attr(gimli::DW_AT_low_pc)
                    || entry.has_attr(gimli::DW_AT_ranges)
                    || entry.has_attr(gimli::DW_AT_inline))
        }
        _ => flag(entry, gimli::DW_AT_declaration),
    }
}

/// What entries of one declaration in a header have in common: size and line.
pub(super) fn print(entry: &Entry<'_>) -> u64 {
    let size = unsigned(entry, gimli::DW_AT_byte_size).unwrap_or(0);
    let line = unsigned(entry, gimli::DW_AT_decl_line).unwrap_or(0);
    (size << 24) ^ line
}

impl Names {
    fn new(mut entries: Vec<Named>) -> Self {
        entries.sort_unstable_by_key(|n| (n.hash, n.id));
        Self { entries: entries.into_boxed_slice() }
    }

    /// The entries with a name, definitions first.
    pub(super) fn find(&self, context: &Context<'_>, space: Space, name: &str) -> Vec<Named> {
        let hash = hash(name.as_bytes());
        let from = self.entries.partition_point(|n| n.hash < hash);
        let rest = self.entries.get(from..).unwrap_or_default();
        let same = rest.iter().take_while(|n| n.hash == hash).filter(|n| n.space == space);
        let mut found: Vec<Named> = same.filter(|n| context.is_named(n, name.as_bytes())).copied().collect();
        found.sort_by_key(|n| n.declared);
        found
    }

    /// Calls `each` with all names of a space until it returns false; a name may come repeatedly.
    pub(super) fn each(&self, context: &Context<'_>, space: Space, each: &mut dyn FnMut(&str, u32) -> bool) {
        for named in self.entries.iter().filter(|n| n.space == space) {
            let Some(name) = context.spelled(named) else { continue };
            if let Ok(name) = std::str::from_utf8(&name)
                && !each(name, named.id)
            {
                return;
            }
        }
    }
}

impl Enumerators {
    fn new(mut entries: Vec<(u32, u32)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        Self { entries: entries.into_boxed_slice() }
    }

    /// The enumerations that may have an enumerator; the caller compares the names.
    pub(super) fn find(&self, name: &str) -> impl Iterator<Item = u32> {
        let hash = hash(name.as_bytes());
        let from = self.entries.partition_point(|(h, _)| *h < hash);
        let rest = self.entries.get(from..).unwrap_or_default();
        rest.iter().take_while(move |(h, _)| *h == hash).map(|(_, id)| *id)
    }
}

/// What one thread gathers.
#[derive(Default)]
struct Gatherer {
    names: Vec<(Named, u64)>,
    enumerators: Vec<(u32, u32)>,
    /// What was seen before: space, name (its place in `.debug_str`, or hash) and print.
    seen: FxHashSet<(u8, u64, u64)>,
}

impl Gatherer {
    fn unit<'a>(&mut self, context: &Context<'a>, unit: &Unit<'a>) {
        // a unit that breaks off has the names up to there
        let _ = walk(unit, &mut |seen| {
            let Some(named) = context.named(unit, seen) else {
                self.nameless(context, unit, seen);
                return;
            };
            let key = if named.string == IN_ENTRY {
                (1 << 32) | u64::from(named.hash)
            } else {
                u64::from(named.string)
            };
            let print = if seen.declared { 0 } else { seen.print };
            if self.seen.insert((seen.space as u8 | (u8::from(seen.declared) << 7), key, print)) {
                self.names.push((named, print));
                if seen.space == Space::Enum {
                    context.enumerators_of(unit, seen.entry, named.id, &mut self.enumerators);
                }
            }
        });
    }

    /// An enumeration without a tag, whose enumerators count all the same: known by its first one.
    fn nameless<'a>(&mut self, context: &Context<'a>, unit: &Unit<'a>, seen: &Seen<'_, 'a>) {
        let (Space::Enum, Ok(id)) = (seen.space, unit.id(seen.entry.offset())) else { return };
        let mut first = 0;
        let _ = context.children(unit, seen.entry, |child| {
            first = context.own_name(unit, child).map_or(0, |name| u64::from(hash(&name)));
            false
        });
        if self.seen.insert((Space::Enum as u8, (1 << 33) | first, seen.print)) {
            context.enumerators_of(unit, seen.entry, id, &mut self.enumerators);
        }
    }

    fn join(mut self, other: Gatherer) -> Gatherer {
        self.names.extend(other.names);
        self.enumerators.extend(other.enumerators);
        self
    }

    fn finish(mut self) -> (Names, Enumerators) {
        // threads saw the same headers: of what is the same the first in the file is kept
        let key = |(n, print): &(Named, u64)| (n.hash, n.space as u8, n.declared, *print);
        self.names.sort_unstable_by_key(|n| (key(n), n.0.id));
        self.names.dedup_by_key(|n| key(n));
        let names = self.names.into_iter().map(|(n, _)| n).collect();
        (Names::new(names), Enumerators::new(self.enumerators))
    }
}

impl<'a> Context<'a> {
    /// What the index keeps of an entry.
    fn named(&self, unit: &Unit<'a>, seen: &Seen<'_, 'a>) -> Option<Named> {
        let value = seen
            .entry
            .attr_value(gimli::DW_AT_name)
            .or_else(|| completed_name(unit, seen.entry, seen.space))?;
        let string = match value {
            Value::DebugStrRef(at) if unit.part != Part::Supplement => {
                u32::try_from(at.0).unwrap_or(IN_ENTRY)
            }
            _ => IN_ENTRY,
        };
        Some(Named {
            hash: hash(&self.string(unit, value)?),
            id: unit.id(seen.entry.offset()).ok()?,
            string,
            space: seen.space,
            declared: seen.declared,
        })
    }

    fn enumerators_of(&self, unit: &Unit<'a>, entry: &Entry<'a>, id: u32, out: &mut Vec<(u32, u32)>) {
        let _ = self.children(unit, entry, |child| {
            if let Some(name) = self.own_name(unit, child) {
                out.push((hash(&name), id));
            }
            true
        });
    }

    fn spelled(&self, named: &Named) -> Option<Slice<'a>> {
        if named.string == IN_ENTRY {
            let (unit, entry) = self.entry(named.id).ok()?;
            return self.through_origins(&unit, &entry, |unit, entry| self.own_name(unit, entry));
        }
        self.main().string(gimli::DebugStrOffset(named.string as usize)).ok()
    }

    fn is_named(&self, named: &Named, name: &[u8]) -> bool {
        self.spelled(named).is_some_and(|own| own.slice() == name)
    }

    /// The names of one unit.
    pub(super) fn unit_names<'u>(&self, unit: &'u Unit<'a>) -> &'u Names {
        unit.names.get_or_init(|| {
            let mut entries = Vec::new();
            // a unit that breaks off has the names up to there
            let _ = walk(unit, &mut |seen| entries.extend(self.named(unit, seen)));
            Names::new(entries)
        })
    }

    /// The enumerators of one unit.
    pub(super) fn unit_enumerators<'u>(&self, unit: &'u Unit<'a>) -> &'u Enumerators {
        unit.enumerators.get_or_init(|| {
            let mut entries = Vec::new();
            let _ = walk(unit, &mut |seen| {
                if let (Space::Enum, Ok(id)) = (seen.space, unit.id(seen.entry.offset())) {
                    self.enumerators_of(unit, seen.entry, id, &mut entries);
                }
            });
            Enumerators::new(entries)
        })
    }

    /// The index of the file; reads all of `.debug_info` the first time.
    pub(super) fn all_names(&self) -> &(Names, Enumerators) {
        self.names.get_or_init(|| {
            let units = self.all_units();
            let next = AtomicUsize::new(0);
            let gathered = rayon::broadcast(|_| {
                let mut gatherer = Gatherer::default();
                let mut chunks = units.chunks(CHUNK);
                let mut taken = 0;
                loop {
                    // chunks are handed out in order; each thread goes on from its last
                    let mine = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.nth(mine.saturating_sub(taken)) else { break gatherer };
                    taken = mine.saturating_add(1);
                    for start in chunk {
                        if let Ok(unit) = self.read_unit(*start) {
                            gatherer.unit(self, &unit);
                        }
                    }
                    self.forget_units(chunk);
                }
            });
            gathered.into_iter().reduce(Gatherer::join).unwrap_or_default().finish()
        })
    }
}
