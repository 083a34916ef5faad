//! The variables in scope at an address.

use super::die::flag;
use super::functions::Scopes;
use super::units::{Context, Unit};
use super::{DwarfFile, Entry};
use crate::types::{SourceId, TypeRef};
use std::sync::Arc;

/// A parameter or local variable in scope.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: TypeRef,
    /// True for a parameter.
    pub is_param: bool,
    /// Which of [`DwarfFile::inline_frames`] it belongs to: 0 is the innermost.
    pub frame: usize,
    /// The line of its declaration; 0 where it is not known.
    pub line: u32,
    /// Where its entry is, for [`DwarfFile::evaluate`].
    pub(super) place: Place,
}

/// What the location of a variable is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The entry that may have the location; 0 where the compiler left none.
    pub(super) entry: u32,
    /// The function that the entry is in.
    pub(super) function: u32,
    /// The address that the location is wanted for, of the file.
    pub(super) addr: u64,
}

/// Gathers the variables of one scope.
struct Gatherer<'q, 'a> {
    context: &'q Context<'a>,
    source: SourceId,
    addr: u64,
    function: u32,
    /// The variables of abstract scopes of which an instance was found.
    instances: Vec<u32>,
    found: Vec<Variable>,
}

impl<'a> Gatherer<'_, 'a> {
    /// The variables of one scope, in the order of the source.
    fn scope(&mut self, unit: &Arc<Unit<'a>>, scope: &Entry<'a>, frame: usize) {
        let start = self.found.len();
        let context = self.context;
        // what breaks off has the variables up to there
        let _ = context.children(unit, scope, |child| {
            if is_variable(child) {
                self.instances.extend(context.origin(unit, child));
                if let Ok(id) = unit.id(child.offset()) {
                    self.add(unit, child, frame, id);
                }
            }
            true
        });
        // those that the compiler optimized away are only in the scope that this one is an instance of
        if let Some(origin) = context.origin(unit, scope)
            && let Ok((unit, scope)) = context.entry(origin)
        {
            let _ = context.children(&unit, &scope, |child| {
                if is_variable(child)
                    && let Ok(id) = unit.id(child.offset())
                    && !self.instances.contains(&id)
                {
                    self.add(&unit, child, frame, 0);
                }
                true
            });
        }
        if let Some(scope) = self.found.get_mut(start..) {
            scope.sort_by_key(|v| !v.is_param);
        }
    }

    fn add(&mut self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>, frame: usize, id: u32) {
        let context = self.context;
        let Some(name) = context.full_name(unit, entry) else { return };
        let ty = context.type_of(unit, entry);
        let ty = if ty == TypeRef::VOID_ID { TypeRef::VOID } else { TypeRef { source: self.source, id: ty } };
        let line = context.through_origins(unit, entry, |_, entry| {
            entry.attr_value(gimli::DW_AT_decl_line).and_then(|v| v.udata_value())
        });
        self.found.push(Variable {
            name,
            ty,
            is_param: entry.tag() == gimli::DW_TAG_formal_parameter,
            frame,
            line: line.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            place: Place { entry: id, function: self.function, addr: self.addr },
        });
    }
}

fn is_variable(entry: &Entry<'_>) -> bool {
    matches!(entry.tag(), gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable)
        && !flag(entry, gimli::DW_AT_declaration)
}

impl DwarfFile {
    /// The parameters and variables in scope at an address, those of inner scopes first; references
    /// to types carry `source`. For a frame that called another, ask with the return address less one.
    #[must_use]
    pub fn variables_at(&self, addr: u64, source: SourceId) -> Vec<Variable> {
        let addr = self.linked(addr);
        self.with(|context| {
            let Some(Scopes { unit, chain }) = context.scopes(addr) else { return Vec::new() };
            let innermost = chain.last().map_or(0, |s| s.level);
            let function = chain.first().and_then(|s| unit.id(s.entry.offset()).ok()).unwrap_or(0);
            let mut gatherer =
                Gatherer { context, source, addr, function, instances: Vec::new(), found: Vec::new() };
            for scope in chain.iter().rev() {
                gatherer.scope(&unit, &scope.entry, innermost.saturating_sub(scope.level));
            }
            gatherer.found
        })
    }
}
