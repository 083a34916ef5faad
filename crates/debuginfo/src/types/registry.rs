//! The types of a session: sources, a cache, and a few made types.

use super::layout::Doubt;
use super::{Found, Member, Scope, SourceId, Space, Type, TypeError, TypeRef, TypeSource};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// How many typedefs, qualifiers or array dimensions are followed before a type is called cyclic.
const MAX_DEPTH: usize = 64;

type Sources = Vec<Option<Arc<dyn TypeSource>>>;

/// All type sources of a session. Shared by reference; sources may be added while it is in use.
pub struct Types {
    /// Index = [`SourceId`]; slot 0 is the arena of made types.
    sources: RwLock<Sources>,
    cache: RwLock<FxHashMap<TypeRef, Arc<Type>>>,
    made: RwLock<Made>,
    corrections: RwLock<FxHashMap<String, Arc<[Proven]>>>,
    /// Structs by what is wrong with single members; see [`Types::doubt`].
    pub(super) doubts: RwLock<FxHashMap<String, Arc<[Doubt]>>>,
    /// Structs whose layout was looked at.
    pub(super) looked_at: RwLock<FxHashSet<TypeRef>>,
}

/// A member of a struct where memory shows it to be, whatever a source says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// Its name.
    pub member: String,
    /// Bytes from the start of the struct.
    pub offset: u64,
}

#[derive(Default)]
struct Made {
    types: Vec<Arc<Type>>,
    ids: FxHashMap<String, u32>,
}

impl Default for Types {
    fn default() -> Self {
        Self::new()
    }
}

impl Types {
    /// No sources yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sources: RwLock::new(vec![None]),
            cache: RwLock::default(),
            made: RwLock::default(),
            corrections: RwLock::default(),
            doubts: RwLock::default(),
            looked_at: RwLock::default(),
        }
    }

    /// Adds the source that `make` builds for the id it is given. Sources added first are asked first.
    ///
    /// # Errors
    /// That of `make`.
    pub fn add<E>(
        &self,
        make: impl FnOnce(SourceId) -> Result<Arc<dyn TypeSource>, E>,
    ) -> Result<SourceId, E> {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        let id = SourceId(u16::try_from(sources.len()).unwrap_or(u16::MAX));
        let source = make(id)?;
        sources.push(Some(source));
        Ok(id)
    }

    /// The source with this id.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<Arc<dyn TypeSource>> {
        self.sources
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(usize::from(id.0))
            .and_then(Clone::clone)
    }

    /// What the sources are, in the order in which they are asked.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        self.all().iter().map(|source| source.describe()).collect()
    }

    fn all(&self) -> Vec<Arc<dyn TypeSource>> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect()
    }

    /// All sources, those of `prefer` first.
    fn all_from(&self, prefer: Option<&Scope>) -> Vec<Arc<dyn TypeSource>> {
        let mut sources = self.all();
        if let Some(scope) = prefer {
            sources.sort_by_key(|s| s.scope() != *scope); // stable: the rest keeps its order
        }
        sources
    }

    /// Those of [`Self::all_from`] that a name of a space is looked up in: behind a source that has all types of its
    /// scope the others of that scope are left out.
    fn asked(&self, prefer: Option<&Scope>, space: Space) -> Vec<Arc<dyn TypeSource>> {
        let mut sources = self.all_from(prefer);
        if matches!(space, Space::Struct | Space::Union | Space::Enum | Space::Typedef) {
            let mut told: Vec<Scope> = Vec::new();
            sources.retain(|source| {
                let scope = source.scope();
                let asked = !told.contains(&scope);
                if source.is_complete() {
                    told.push(scope);
                }
                asked
            });
        }
        sources
    }

    /// True where no source was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).len() <= 1
    }

    /// Takes a type made by an expression; equal types get equal references.
    pub fn intern(&self, ty: Type) -> TypeRef {
        if ty == Type::Void {
            return TypeRef::VOID;
        }
        let key = format!("{ty:?}");
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = made.ids.get(&key) {
            return TypeRef { source: SourceId(0), id };
        }
        made.types.push(Arc::new(ty));
        let id = u32::try_from(made.types.len()).unwrap_or(u32::MAX); // ids from 1: 0 is void
        made.ids.insert(key, id);
        TypeRef { source: SourceId(0), id }
    }

    /// `T *`
    pub fn pointer_to(&self, to: TypeRef) -> TypeRef {
        self.intern(Type::Pointer { to })
    }

    /// `T[count]`
    pub fn array_of(&self, elem: TypeRef, count: Option<u64>) -> TypeRef {
        self.intern(Type::Array { elem, count })
    }

    /// The type itself.
    ///
    /// # Errors
    /// The source cannot read it.
    pub fn get(&self, at: TypeRef) -> Result<Arc<Type>, TypeError> {
        if at.is_void() {
            return Ok(Arc::new(Type::Void));
        }
        if at.source == SourceId(0) {
            let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
            return (at.id as usize)
                .checked_sub(1)
                .and_then(|i| made.types.get(i))
                .cloned()
                .ok_or_else(|| TypeError::NoSuchId { id: at.id, source_name: "made types".into() });
        }
        if let Some(hit) = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(&at) {
            return Ok(Arc::clone(hit));
        }
        let source = self.source(at.source).ok_or_else(|| TypeError::NoSuchId {
            id: at.id,
            source_name: format!("source {}", at.source.0),
        })?;
        let ty = Arc::new(self.corrected(source.get(at.id)?)?);
        self.cache.write().unwrap_or_else(PoisonError::into_inner).insert(at, Arc::clone(&ty));
        Ok(ty)
    }

    /// True where only some members of a struct are known, and its size is not.
    #[must_use]
    pub fn is_guess(&self, at: TypeRef) -> bool {
        self.source(at.source).is_some_and(|source| source.is_guess(at.id)) || self.is_corrected(at)
    }

    /// Takes the layout of a struct from memory: of its members only these count from now on, at these offsets, with the
    /// types that the sources give them. What was read before is read again.
    pub fn correct(&self, name: &str, proven: Vec<Proven>) {
        let mut corrections = self.corrections.write().unwrap_or_else(PoisonError::into_inner);
        corrections.insert(name.to_owned(), proven.into());
        self.cache.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn correction(&self, ty: &Type) -> Option<Arc<[Proven]>> {
        let Type::Compound { name: Some(name), declaration: false, .. } = ty else { return None };
        self.corrections.read().unwrap_or_else(PoisonError::into_inner).get(&**name).cloned()
    }

    /// True for a struct whose layout is not what its source says.
    #[must_use]
    pub fn is_corrected(&self, at: TypeRef) -> bool {
        let none = self.corrections.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        !none && self.get(at).is_ok_and(|ty| self.correction(&ty).is_some())
    }

    /// A type as memory shows it.
    fn corrected(&self, ty: Type) -> Result<Type, TypeError> {
        let Some(proven) = self.correction(&ty) else { return Ok(ty) };
        let Type::Compound { kind, name, size, members, declaration } = ty else { return Ok(ty) };
        let mut kept = Vec::new();
        for one in proven.iter() {
            if let Some(found) = self.named_among(&members, &one.member, 0)? {
                kept.push(Member {
                    name: Some(one.member.as_str().into()),
                    ty: found.ty,
                    bit_offset: one.offset.saturating_mul(8),
                    bit_size: None,
                });
            }
        }
        kept.sort_by_key(|member| member.bit_offset);
        Ok(Type::Compound { kind, name, size, members: kept.into(), declaration })
    }

    /// The type behind typedefs and qualifiers; a bare declaration gives way to its definition in
    /// any source that has one.
    ///
    /// # Errors
    /// A type on the way cannot be read, or leads back to itself.
    pub fn resolve(&self, at: TypeRef) -> Result<(TypeRef, Arc<Type>), TypeError> {
        let mut at = at;
        for _ in 0..MAX_DEPTH {
            let ty = self.get(at)?;
            match &*ty {
                Type::Typedef { to, .. } | Type::Qualified { to, .. } => at = *to,
                Type::Compound { kind, name: Some(name), declaration: true, .. } => {
                    let space = match kind {
                        super::CompoundKind::Struct => Space::Struct,
                        super::CompoundKind::Union => Space::Union,
                    };
                    return self.definition(at, &ty, space, name);
                }
                Type::Enum { name: Some(name), declaration: true, .. } => {
                    return self.definition(at, &ty, Space::Enum, name);
                }
                _ => return Ok((at, ty)),
            }
        }
        Err(TypeError::TooDeep(MAX_DEPTH))
    }

    fn definition(
        &self,
        at: TypeRef,
        ty: &Arc<Type>,
        space: Space,
        name: &str,
    ) -> Result<(TypeRef, Arc<Type>), TypeError> {
        let own = self.source(at.source).map(|s| s.scope());
        for source in self.asked(own.as_ref(), space) {
            let Some(found) = source.first(space, name) else { continue };
            let full = self.get(found)?;
            match &*full {
                Type::Compound { declaration: false, .. } | Type::Enum { declaration: false, .. } => {
                    return Ok((found, full));
                }
                _ => {}
            }
        }
        Ok((at, Arc::clone(ty)))
    }

    /// All definitions of a name, the sources in the order they were added.
    #[must_use]
    pub fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
        self.find_in(None, space, name)
    }

    /// All definitions of a name, those of `prefer` first. Of several sources for one scope (the
    /// kernel's BTF and its DWARF) the first that knows the name answers: they describe the same
    /// build, and the later one may be slow to search.
    #[must_use]
    pub fn find_in(&self, prefer: Option<&Scope>, space: Space, name: &str) -> Vec<TypeRef> {
        let mut out = Vec::new();
        let mut answered: Vec<Scope> = Vec::new();
        for s in self.asked(prefer, space) {
            let scope = s.scope();
            if answered.contains(&scope) {
                continue;
            }
            let all = s.find(space, name);
            if !all.is_empty() {
                answered.push(scope);
            }
            for found in all {
                if !out.contains(&found) {
                    out.push(found);
                }
            }
        }
        out
    }

    /// The first definition of a name. Asks no further source once one knows it.
    #[must_use]
    pub fn first(&self, prefer: Option<&Scope>, space: Space, name: &str) -> Option<TypeRef> {
        self.asked(prefer, space).iter().find_map(|s| s.first(space, name))
    }

    /// The values of an enumeration constant, in the first source that knows it.
    #[must_use]
    pub fn find_enumerator(&self, name: &str) -> Vec<(TypeRef, i128)> {
        self.asked(None, Space::Enum)
            .iter()
            .map(|s| s.find_enumerator(name))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// Calls `each` with every name of a space, in every source, until it returns false.
    pub fn names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool) {
        let mut go = true;
        for s in self.all() {
            s.names(space, &mut |name, at| {
                go = each(name, at);
                go
            });
            if !go {
                return;
            }
        }
    }

    /// [`Self::names`] of the first source of each scope: for suggestions, which need not be all and must be quick.
    pub fn first_names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool) {
        let mut told: Vec<Scope> = Vec::new();
        for s in self.all() {
            let scope = s.scope();
            if told.contains(&scope) {
                continue;
            }
            told.push(scope);
            s.names(space, each);
        }
    }

    /// Size in bytes, behind typedefs; an array of unknown length has size 0, as in `sizeof` of a
    /// struct that ends in one.
    ///
    /// # Errors
    /// Its size is not known, or a type on the way cannot be read.
    pub fn size_of(&self, at: TypeRef) -> Result<u64, TypeError> {
        self.size_at(at, 0)
    }

    /// The size for arithmetic: that of a struct of which only some members are known is an error.
    ///
    /// # Errors
    /// Its size is not known, or only some of its members are.
    pub fn exact_size_of(&self, at: TypeRef) -> Result<u64, TypeError> {
        let (resolved, ty) = self.resolve(at)?;
        if self.is_corrected(resolved) {
            return Err(TypeError::Contradicted(self.name(resolved)));
        }
        if self.is_guess(resolved) && matches!(&*ty, Type::Compound { .. }) {
            return Err(TypeError::Inferred(self.name(resolved)));
        }
        self.size_of(at)
    }

    fn size_at(&self, at: TypeRef, depth: usize) -> Result<u64, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(MAX_DEPTH));
        }
        let (at, ty) = self.resolve(at)?;
        match &*ty {
            Type::Int { size, .. } | Type::Float { size, .. } => Ok(*size),
            Type::Enum { size, declaration: false, .. } => Ok(*size),
            Type::Compound { size, declaration: false, .. } => Ok(*size),
            Type::Pointer { .. } => Ok(8),
            Type::Array { elem, count } => {
                Ok(self.size_at(*elem, depth + 1)?.saturating_mul(count.unwrap_or(0)))
            }
            _ => Err(TypeError::NoSize(self.name(at))),
        }
    }

    /// The member of a struct or union, searched through its anonymous members. One that cannot be where its source says
    /// is where something else shows it ([`Types::doubt`]), or not known.
    ///
    /// # Errors
    /// It is no struct or union, or cannot be read.
    pub fn member(&self, at: TypeRef, name: &str) -> Result<Option<Found>, TypeError> {
        let found = self.member_at(at, name, 0)?;
        if found.is_none() {
            return Ok(None);
        }
        self.look_at_layout(at)?;
        Ok(match self.doubted(at, name) {
            None => found,
            Some(doubt) => found
                .and_then(|f| Some(Found { bit_offset: doubt.bit_offset(f.bit_offset, f.bit_size)?, ..f })),
        })
    }

    pub(super) fn member_at(
        &self,
        at: TypeRef,
        name: &str,
        depth: usize,
    ) -> Result<Option<Found>, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(MAX_DEPTH));
        }
        let (_, ty) = self.resolve(at)?;
        let Type::Compound { members, .. } = &*ty else { return Ok(None) };
        self.named_among(members, name, depth)
    }

    pub(super) fn named_among(
        &self,
        members: &[Member],
        name: &str,
        depth: usize,
    ) -> Result<Option<Found>, TypeError> {
        for m in members.iter() {
            if m.name.as_deref() == Some(name) {
                return Ok(Some(Found { ty: m.ty, bit_offset: m.bit_offset, bit_size: m.bit_size }));
            }
        }
        for m in members.iter().filter(|m| m.name.is_none()) {
            if let Some(mut found) = self.member_at(m.ty, name, depth + 1)? {
                found.bit_offset = found.bit_offset.saturating_add(m.bit_offset);
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CompoundKind, TypeSource};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// One struct, or its declaration; and how often it was looked up by name.
    struct One {
        id: SourceId,
        scope: Scope,
        declaration: bool,
        complete: bool,
        asked: Arc<AtomicUsize>,
    }

    impl TypeSource for One {
        fn describe(&self) -> String {
            "one".into()
        }
        fn scope(&self) -> Scope {
            self.scope.clone()
        }
        fn is_complete(&self) -> bool {
            self.complete
        }
        fn get(&self, _id: u32) -> Result<Type, TypeError> {
            Ok(Type::Compound {
                kind: CompoundKind::Struct,
                name: Some("hidden".into()),
                size: if self.declaration { 0 } else { 24 },
                members: [].into(),
                declaration: self.declaration,
            })
        }
        fn find(&self, _space: Space, _name: &str) -> Vec<TypeRef> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            vec![TypeRef { source: self.id, id: 1 }]
        }
        fn find_enumerator(&self, _name: &str) -> Vec<(TypeRef, i128)> {
            Vec::new()
        }
        fn names(&self, _space: Space, _each: &mut dyn FnMut(&str, TypeRef) -> bool) {}
    }

    /// `struct task { int a; struct { long b; int c; }; }`
    struct Task(SourceId);
    impl TypeSource for Task {
        fn describe(&self) -> String {
            "task".into()
        }
        fn scope(&self) -> Scope {
            Scope::Kernel
        }
        fn get(&self, id: u32) -> Result<Type, TypeError> {
            let at = |id| TypeRef { source: self.0, id };
            let member = |name: Option<&str>, id, bit_offset| Member {
                name: name.map(Into::into),
                ty: at(id),
                bit_offset,
                bit_size: None,
            };
            let compound = |name: Option<&str>, size, members: Vec<Member>| Type::Compound {
                kind: CompoundKind::Struct,
                name: name.map(Into::into),
                size,
                members: members.into(),
                declaration: false,
            };
            let int = |name: &str, size| Type::Int {
                name: name.into(),
                size,
                encoding: crate::types::Encoding::Signed,
            };
            Ok(match id {
                1 => int("int", 4),
                2 => int("long", 8),
                3 => compound(None, 16, vec![member(Some("b"), 2, 0), member(Some("c"), 1, 64)]),
                _ => compound(Some("task"), 24, vec![member(Some("a"), 1, 0), member(None, 3, 64)]),
            })
        }
        fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
            (space == Space::Struct && name == "task")
                .then_some(TypeRef { source: self.0, id: 4 })
                .into_iter()
                .collect()
        }
        fn find_enumerator(&self, _name: &str) -> Vec<(TypeRef, i128)> {
            Vec::new()
        }
        fn names(&self, _space: Space, _each: &mut dyn FnMut(&str, TypeRef) -> bool) {}
    }

    #[test]
    fn a_layout_that_memory_shows_takes_the_place_of_the_sources() {
        let types = Types::new();
        types.add(|id| Ok::<_, TypeError>(Arc::new(Task(id)) as Arc<dyn TypeSource>)).unwrap();
        let at = types.find(Space::Struct, "task")[0];
        let offset = |name: &str| types.member(at, name).unwrap().map(|found| found.offset());
        assert_eq!((offset("a"), offset("b"), offset("c")), (Some(0), Some(8), Some(16)));
        assert!(!types.is_guess(at));
        types.correct(
            "task",
            vec![Proven { member: "c".into(), offset: 2 }, Proven { member: "a".into(), offset: 12 }],
        );
        // what was not proven is not known
        assert_eq!((offset("a"), offset("b"), offset("c")), (Some(12), None, Some(2)));
        assert_eq!(types.size_of(types.member(at, "c").unwrap().unwrap().ty).unwrap(), 4);
        assert!(types.is_guess(at) && types.is_corrected(at) && types.exact_size_of(at).is_err());
    }

    /// Two sources of the kernel, the first of which only declares the struct, and one of a module that defines it.
    fn declared(complete: bool) -> (Types, TypeRef, Arc<AtomicUsize>) {
        let types = Types::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let add = |scope: Scope, declaration, complete, asked: Arc<AtomicUsize>| {
            let make = |id| -> Result<Arc<dyn TypeSource>, TypeError> {
                Ok(Arc::new(One { id, scope, declaration, complete, asked }))
            };
            types.add(make).unwrap()
        };
        let first = add(Scope::Kernel, true, complete, Arc::default());
        add(Scope::Kernel, false, false, Arc::clone(&asked));
        add(Scope::Module("m".into()), false, false, Arc::default());
        (types, TypeRef { source: first, id: 1 }, asked)
    }

    #[test]
    fn a_declaration_gives_way_to_a_definition_and_slow_sources_are_asked_only_where_they_may_know_more() {
        let (types, at, slow) = declared(true);
        let (found, full) = types.resolve(at).unwrap();
        assert!(matches!(&*full, Type::Compound { size: 24, declaration: false, .. }));
        assert_eq!(
            (types.source(found.source).unwrap().scope(), slow.load(Ordering::Relaxed)),
            (Scope::Module("m".into()), 0)
        );
        let (types, at, slow) = declared(false);
        let (found, _) = types.resolve(at).unwrap();
        assert_eq!(
            (types.source(found.source).unwrap().scope(), slow.load(Ordering::Relaxed)),
            (Scope::Kernel, 1)
        );
    }
}
