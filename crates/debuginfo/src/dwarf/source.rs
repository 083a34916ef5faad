//! DWARF as a [`TypeSource`].

use super::DwarfFile;
use super::types::{Bad, TypeReader};
use crate::types::{Scope, SourceId, Space, Type, TypeError, TypeRef, TypeSource};
use std::sync::Arc;

/// The types of one file's DWARF.
pub struct DwarfTypes {
    file: Arc<DwarfFile>,
    id: SourceId,
    scope: Scope,
    description: String,
}

impl DwarfFile {
    /// This file as a source of types, which knows itself as `id`.
    #[must_use]
    pub fn source(self: &Arc<Self>, id: SourceId, scope: Scope) -> Arc<dyn TypeSource> {
        let description = format!("DWARF of {}", self.name());
        Arc::new(DwarfTypes { file: Arc::clone(self), id, scope, description })
    }
}

impl DwarfTypes {
    /// A reference for an entry: the type of a variable, itself for all else.
    fn reference(&self, space: Space, id: u32) -> TypeRef {
        let id = if space == Space::Variable {
            self.file.with(|c| c.entry(id).map_or(id, |(unit, entry)| c.type_of(&unit, &entry)))
        } else {
            id
        };
        if id == TypeRef::VOID_ID { TypeRef::VOID } else { TypeRef { source: self.id, id } }
    }
}

impl TypeSource for DwarfTypes {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn scope(&self) -> Scope {
        self.scope.clone()
    }

    fn get(&self, id: u32) -> Result<Type, TypeError> {
        if id == TypeRef::VOID_ID {
            return Ok(Type::Void);
        }
        self.file.with(|context| TypeReader { context, source: self.id }.get(id)).map_err(|bad| match bad {
            Bad::NoEntry => TypeError::NoSuchId { id, source_name: self.description.clone() },
            Bad::Malformed(what) => TypeError::Malformed { id, source_name: self.description.clone(), what },
        })
    }

    fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
        let named = self.file.with(|c| c.all(space, name));
        let only_declared = named.iter().all(|n| n.declared);
        let mut found = Vec::new();
        for named in named.into_iter().filter(|n| only_declared || !n.declared) {
            let at = self.reference(space, named.id);
            if !found.contains(&at) {
                found.push(at);
            }
        }
        found
    }

    fn first(&self, space: Space, name: &str) -> Option<TypeRef> {
        self.file.with(|c| c.first(space, name)).map(|id| self.reference(space, id))
    }

    fn find_enumerator(&self, name: &str) -> Vec<(TypeRef, i128)> {
        let ids = self.file.with(|c| c.enumerations(name));
        let mut found: Vec<(TypeRef, i128)> = Vec::new();
        for id in ids {
            let Ok(Type::Enum { values, .. }) = self.get(id) else { continue };
            let value = values.iter().find(|(n, _)| &**n == name).map(|(_, v)| *v);
            // one enumeration of a header, seen by many units, is one answer
            if let Some(value) = value
                && !found.iter().any(|(_, v)| *v == value)
            {
                found.push((TypeRef { source: self.id, id }, value));
            }
        }
        found
    }

    fn names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool) {
        self.file.with(|c| {
            c.all_names().0.each(c, space, &mut |name, id| each(name, self.reference(space, id)));
        });
    }
}
