//! Functions at addresses, and the calls that were inlined into them.

use super::lines::SourceLine;
use super::names::function_entries;
use super::units::{Context, Unit};
use super::{DwarfFile, Entry, Value};
use crate::types::{SourceId, TypeRef};
use gimli::UnitOffset;
use std::ops::Range;
use std::sync::Arc;

/// How deep blocks and inlined calls nest before the rest is left out.
const MAX_NESTING: usize = 128;
/// How many ranges of one entry are read.
const MAX_RANGES: usize = 4096;

/// The functions of a unit that have code, by address: ranges and entries.
pub(super) struct Functions {
    ranges: Box<[(Range<u64>, UnitOffset)]>,
}

/// A function, or a call that was inlined, at an address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CodeFrame {
    /// The name in the source; empty where the unit has lines and no functions, as assembler may.
    pub function: Arc<str>,
    /// True where this is a call that was inlined into the next one.
    pub inlined: bool,
    /// The line that is executed: of the innermost the line at the address, of the others the line
    /// of the call to the one before.
    pub line: Option<SourceLine>,
}

/// A function with code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionDie {
    /// The name in the source.
    pub name: Arc<str>,
    /// Where it is entered.
    pub low_pc: u64,
    /// All of its code; more than one range where a part of it is elsewhere (`.cold`).
    pub ranges: Vec<Range<u64>>,
    /// Where it is declared.
    pub declared: Option<SourceLine>,
    /// The parameters in order: names and types.
    pub params: Vec<(Option<Arc<str>>, TypeRef)>,
    /// The result's type.
    pub result: TypeRef,
}

/// An entry whose code covers an address: the function, a block in it, an inlined call.
pub(super) struct ScopeAt<'a> {
    pub(super) entry: Entry<'a>,
    /// Which frame it belongs to: 0 is the function; each inlined call counts one up.
    pub(super) level: usize,
}

/// The function at an address and what is nested in it there, outermost first. Never empty.
pub(super) struct Scopes<'a> {
    pub(super) unit: Arc<Unit<'a>>,
    pub(super) chain: Vec<ScopeAt<'a>>,
}

impl<'a> Context<'a> {
    /// The code of an entry, in addresses of the file.
    pub(super) fn ranges(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Vec<Range<u64>> {
        let dwarf = self.dwarf(unit);
        let address = |value| dwarf.attr_address(&unit.inner, value).ok().flatten();
        if let Some(list) = entry.attr_value(gimli::DW_AT_ranges)
            && let Ok(Some(mut list)) = dwarf.attr_ranges(&unit.inner, list)
        {
            let mut out = Vec::new();
            while let Ok(Some(range)) = list.next() {
                if range.begin < range.end && out.len() < MAX_RANGES {
                    out.push(range.begin..range.end);
                }
            }
            return out;
        }
        let Some(low) = entry.attr_value(gimli::DW_AT_low_pc).and_then(address) else { return Vec::new() };
        let high = match entry.attr_value(gimli::DW_AT_high_pc) {
            Some(Value::Udata(size)) => low.checked_add(size),
            Some(value) => address(value),
            None => None,
        };
        high.filter(|high| low < *high).map(|high| low..high).into_iter().collect()
    }

    fn functions<'u>(&self, unit: &'u Unit<'a>) -> &'u Functions {
        unit.functions.get_or_init(|| {
            let mut ranges = Vec::new();
            // a unit that breaks off has the functions up to there
            let _ = function_entries(unit, &mut |entry| {
                ranges.extend(self.ranges(unit, entry).into_iter().map(|range| (range, entry.offset())));
            });
            ranges.sort_unstable_by_key(|(range, offset)| (range.start, *offset));
            Functions { ranges: ranges.into_boxed_slice() }
        })
    }

    /// The function at an address of the file.
    pub(super) fn function(&self, addr: u64) -> Option<(Arc<Unit<'a>>, Entry<'a>)> {
        let unit = self.unit_at(addr)?;
        let ranges = &self.functions(&unit).ranges;
        let after = ranges.partition_point(|(range, _)| range.start <= addr);
        let (range, offset) = ranges.get(after.checked_sub(1)?)?;
        let entry = range.contains(&addr).then(|| unit.inner.entry(*offset).ok())??;
        Some((unit, entry))
    }

    /// The function at an address of the file, and the blocks and inlined calls around the address.
    pub(super) fn scopes(&self, addr: u64) -> Option<Scopes<'a>> {
        let (unit, function) = self.function(addr)?;
        let mut chain = vec![ScopeAt { entry: function, level: 0 }];
        while let Some(last) = chain.last()
            && chain.len() < MAX_NESTING
        {
            let level = last.level;
            let mut inner = None;
            let read = self.children(&unit, &last.entry, |child| {
                let inlined = child.tag() == gimli::DW_TAG_inlined_subroutine;
                if (inlined || child.tag() == gimli::DW_TAG_lexical_block)
                    && self.ranges(&unit, child).iter().any(|r| r.contains(&addr))
                {
                    let level = level.saturating_add(usize::from(inlined));
                    inner = Some(ScopeAt { entry: child.clone(), level });
                }
                inner.is_none()
            });
            match (read, inner) {
                (Ok(()), Some(inner)) => chain.push(inner),
                _ => break,
            }
        }
        Some(Scopes { unit, chain })
    }
}

impl DwarfFile {
    /// The function at an address with the calls inlined there, innermost first; empty where neither a
    /// function nor a line has the address. For a frame that called another, ask with the return address less one.
    #[must_use]
    pub fn inline_frames(&self, addr: u64) -> Vec<CodeFrame> {
        let addr = self.linked(addr);
        self.with(|c| {
            let Some(scopes) = c.scopes(addr) else {
                let line = c.line_at(addr).filter(|line| line.line != 0);
                let frame = line.map(|line| CodeFrame { line: Some(line), ..CodeFrame::default() });
                return frame.into_iter().collect();
            };
            let unit = &scopes.unit;
            let mut line = c.line(unit, addr);
            let mut out = Vec::new();
            for scope in scopes.chain.iter().rev() {
                let inlined = scope.entry.tag() == gimli::DW_TAG_inlined_subroutine;
                if scope.entry.tag() == gimli::DW_TAG_lexical_block {
                    continue;
                }
                let function = c.full_name(unit, &scope.entry).unwrap_or_else(|| "?".into());
                out.push(CodeFrame { function, inlined, line });
                line = c.place_of(unit, &scope.entry, CALL);
            }
            out
        })
    }

    /// The function at an address; references to types carry `source`.
    #[must_use]
    pub fn function_at(&self, addr: u64, source: SourceId) -> Option<FunctionDie> {
        let addr = self.linked(addr);
        let reference = |id: u32| if id == TypeRef::VOID_ID { TypeRef::VOID } else { TypeRef { source, id } };
        self.with(|c| {
            let (unit, entry) = c.function(addr)?;
            let ranges: Vec<Range<u64>> = c.ranges(&unit, &entry);
            let mut params = Vec::new();
            // what breaks off has the parameters up to there
            let _ = c.children(&unit, &entry, |child| {
                if child.tag() == gimli::DW_TAG_formal_parameter {
                    params.push((c.full_name(&unit, child), reference(c.type_of(&unit, child))));
                }
                true
            });
            let low_pc = entry.attr_value(gimli::DW_AT_entry_pc).or(entry.attr_value(gimli::DW_AT_low_pc));
            let low_pc = low_pc
                .and_then(|value| c.dwarf(&unit).attr_address(&unit.inner, value).ok().flatten())
                .or_else(|| ranges.first().map(|r| r.start))?;
            Some(FunctionDie {
                name: c.full_name(&unit, &entry)?,
                low_pc: self.placed(low_pc),
                ranges: ranges.iter().map(|r| self.placed(r.start)..self.placed(r.end)).collect(),
                declared: c.through_origins(&unit, &entry, |unit, entry| c.place_of(unit, entry, DECLARED)),
                params,
                result: reference(c.type_of(&unit, &entry)),
            })
        })
    }
}

/// The attributes that say where an inlined call was.
const CALL: [gimli::DwAt; 3] = [gimli::DW_AT_call_file, gimli::DW_AT_call_line, gimli::DW_AT_call_column];
/// The attributes that say where something was declared.
const DECLARED: [gimli::DwAt; 3] = [gimli::DW_AT_decl_file, gimli::DW_AT_decl_line, gimli::DW_AT_decl_column];
