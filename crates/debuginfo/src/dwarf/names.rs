//! Names of types, functions, variables and enumerators to entries.
//!
//! [`UnitNames`] is the index of one unit, made in a millisecond; [`Names`] that of the file, made
//! in parallel on first need. A header's types are repeated in every unit that includes it: of
//! entries with the same name, size and line of declaration one is kept.

use super::die::{Children, flag, unsigned};
use super::units::{Context, Result, Unit};
use super::{Entry, Value};
use crate::types::Space;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::Hasher as _;

/// An entry under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Named {
    pub(super) id: u32,
    pub(super) space: Space,
    /// A declaration only.
    pub(super) declared: bool,
    /// Tells definitions of one name apart: size and line.
    print: u64,
}

/// The names of one unit: their hashes, ascending.
pub(super) struct UnitNames {
    entries: Box<[(u32, Named)]>,
}

/// The names of a file.
#[derive(Default)]
pub(super) struct Names {
    map: FxHashMap<Box<str>, Vec<Named>>,
    /// The enumerations that have an enumerator of this name.
    enumerators: FxHashMap<Box<str>, Vec<u32>>,
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

/// What a walk over the entries below a unit finds.
struct Seen<'e, 'a> {
    entry: &'e Entry<'a>,
    space: Space,
    declared: bool,
    print: u64,
}

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

fn print(entry: &Entry<'_>) -> u64 {
    let size = unsigned(entry, gimli::DW_AT_byte_size).unwrap_or(0);
    let line = unsigned(entry, gimli::DW_AT_decl_line).unwrap_or(0);
    (size << 24) ^ line
}

impl UnitNames {
    /// The entries whose names have this hash; the caller compares the names.
    pub(super) fn of(&self, space: Space, name: &str) -> impl Iterator<Item = Named> {
        let hash = hash(name.as_bytes());
        let from = self.entries.partition_point(|(h, _)| *h < hash);
        let rest = self.entries.get(from..).unwrap_or_default();
        rest.iter().take_while(move |(h, _)| *h == hash).map(|(_, n)| *n).filter(move |n| n.space == space)
    }
}

impl Names {
    /// The definitions of a name; declarations where there is no definition.
    pub(super) fn find(&self, space: Space, name: &str) -> Vec<u32> {
        let all = self.map.get(name).map(Vec::as_slice).unwrap_or_default();
        let of = |declared: bool| {
            all.iter().filter(move |n| n.space == space && n.declared == declared).map(|n| n.id)
        };
        let complete: Vec<u32> = of(false).collect();
        if complete.is_empty() { of(true).take(1).collect() } else { complete }
    }

    /// The enumerations that have an enumerator.
    pub(super) fn enumerations(&self, name: &str) -> &[u32] {
        self.enumerators.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All names of a space, each with one entry.
    pub(super) fn all(&self, space: Space) -> impl Iterator<Item = (&str, u32)> {
        self.map.iter().filter_map(move |(name, named)| {
            let mut of_space = named.iter().filter(|n| n.space == space);
            let first = of_space.next()?;
            let best = if first.declared { of_space.find(|n| !n.declared).unwrap_or(first) } else { first };
            Some((&**name, best.id))
        })
    }

    fn add(&mut self, name: &str, named: Named) {
        match self.map.get_mut(name) {
            Some(list) => {
                let same = |n: &Named| {
                    n.space == named.space
                        && n.declared == named.declared
                        && (n.declared || n.print == named.print)
                };
                match list.iter_mut().find(|n| same(n)) {
                    Some(there) => there.id = there.id.min(named.id), // whatever thread came first
                    None => list.push(named),
                }
            }
            None => {
                self.map.insert(name.into(), vec![named]);
            }
        }
    }

    fn join(mut self, other: Names) -> Names {
        if self.map.len() < other.map.len() {
            return other.join(self);
        }
        for (name, list) in other.map {
            for named in list {
                self.add(&name, named);
            }
        }
        for (name, ids) in other.enumerators {
            let mine = self.enumerators.entry(name).or_default();
            mine.extend(ids);
        }
        self
    }

    fn sort(mut self) -> Names {
        for list in self.map.values_mut() {
            list.sort_unstable_by_key(|n| n.id);
        }
        for list in self.enumerators.values_mut() {
            list.sort_unstable();
        }
        self
    }
}

/// What one thread gathers.
#[derive(Default)]
struct Gatherer {
    names: Names,
    /// What was seen before: space, name (its place in `.debug_str`, or hash) and print.
    seen: FxHashSet<(u8, u64, u64)>,
}

impl Gatherer {
    fn unit<'a>(&mut self, context: &Context<'a>, unit: &Unit<'a>) {
        // a unit that breaks off has the names up to there
        let _ = walk(unit, &mut |seen| {
            let Some(value) = seen.entry.attr_value(gimli::DW_AT_name) else {
                self.nameless(context, unit, seen);
                return;
            };
            let key = match value {
                Value::DebugStrRef(at) if u32::try_from(at.0).is_ok() => at.0 as u64,
                other => {
                    let Some(name) = context.string(unit, other) else { return };
                    (1 << 32) | u64::from(hash(&name))
                }
            };
            let print = if seen.declared { 0 } else { seen.print };
            if !self.seen.insert((seen.space as u8 | (u8::from(seen.declared) << 7), key, print)) {
                return;
            }
            let Some(name) = context.string(unit, value) else { return };
            let (Ok(name), Ok(id)) = (std::str::from_utf8(&name), unit.id(seen.entry.offset())) else {
                return;
            };
            self.names.add(name, Named { id, space: seen.space, declared: seen.declared, print });
            if seen.space == Space::Enum && !seen.declared {
                self.enumeration(context, unit, seen.entry, id);
            }
        });
    }

    /// An enumeration without a tag, whose enumerators count all the same: known by its first one.
    fn nameless<'a>(&mut self, context: &Context<'a>, unit: &Unit<'a>, seen: &Seen<'_, 'a>) {
        if seen.space != Space::Enum {
            return;
        }
        let mut first = 0;
        let _ = context.children(unit, seen.entry, |child| {
            first = context.own_name(unit, child).map_or(0, |name| u64::from(hash(&name)));
            false
        });
        if let Ok(id) = unit.id(seen.entry.offset())
            && self.seen.insert((Space::Enum as u8, (1 << 33) | first, seen.print))
        {
            self.enumeration(context, unit, seen.entry, id);
        }
    }

    fn enumeration<'a>(&mut self, context: &Context<'a>, unit: &Unit<'a>, entry: &Entry<'a>, id: u32) {
        let _ = context.children(unit, entry, |child| {
            if let Some(name) = context.own_name(unit, child)
                && let Ok(name) = std::str::from_utf8(&name)
            {
                match self.names.enumerators.get_mut(name) {
                    Some(ids) => ids.push(id),
                    None => {
                        self.names.enumerators.insert(name.into(), vec![id]);
                    }
                }
            }
            true
        });
    }
}

impl<'a> Context<'a> {
    /// The index of one unit.
    pub(super) fn unit_names<'u>(&self, unit: &'u Unit<'a>) -> &'u UnitNames {
        unit.names.get_or_init(|| {
            let mut entries = Vec::new();
            // a unit that breaks off has the names up to there
            let _ = walk(unit, &mut |seen| {
                if let Some(name) = self.own_name(unit, seen.entry)
                    && let Ok(id) = unit.id(seen.entry.offset())
                {
                    let named = Named { id, space: seen.space, declared: seen.declared, print: seen.print };
                    entries.push((hash(&name), named));
                }
            });
            entries.sort_unstable_by_key(|(hash, named)| (*hash, named.id));
            UnitNames { entries: entries.into_boxed_slice() }
        })
    }

    /// The index of the file; reads all of `.debug_info` the first time.
    pub(super) fn all_names(&self) -> &Names {
        self.names.get_or_init(|| {
            let units = self.all_units();
            let gathered = units.par_chunks(64).fold(Gatherer::default, |mut gatherer, chunk| {
                for start in chunk {
                    if let Ok(unit) = self.read_unit(*start) {
                        gatherer.unit(self, &unit);
                    }
                }
                gatherer
            });
            gathered.map(|g| g.names).reduce(Names::default, Names::join).sort()
        })
    }
}
