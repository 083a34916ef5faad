//! BTF as a [`TypeSource`].

use super::raw::{Kind, Record};
use super::relocate::relocation;
use super::{Btf, Lower};
use crate::types::{
    CompoundKind, Encoding, Member, Param, Qualifier, Scope, SourceId, Space, Type, TypeError, TypeRef,
    TypeSource,
};
use std::sync::Arc;

/// How many type tags in a row are looked through.
const MAX_TAGS: usize = 32;

/// One blob of BTF as a source of types.
pub struct BtfSource {
    btf: Arc<Btf>,
    id: SourceId,
    base: SourceId,
    scope: Scope,
    description: String,
}

impl Btf {
    /// This blob as a source. `id` is its own, `base` that of the kernel's BTF where this is split
    /// BTF over it. References to the kernel's types carry `base`.
    #[must_use]
    pub fn source(
        self: &Arc<Self>,
        id: SourceId,
        base: Option<SourceId>,
        scope: Scope,
        description: String,
    ) -> Arc<dyn TypeSource> {
        Arc::new(BtfSource::new(self, id, base, scope, description))
    }
}

impl BtfSource {
    /// See [`Btf::source`].
    #[must_use]
    pub fn new(
        btf: &Arc<Btf>,
        id: SourceId,
        base: Option<SourceId>,
        scope: Scope,
        description: String,
    ) -> Self {
        Self { btf: Arc::clone(btf), id, base: base.unwrap_or(id), scope, description }
    }

    /// The blob.
    #[must_use]
    pub fn btf(&self) -> &Arc<Btf> {
        &self.btf
    }

    /// The type behind type tags (`__user`, `__percpu`), which C's types do not show.
    fn behind_tags(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_TAGS {
            match self.btf.record(id) {
                Some((_, record)) if matches!(record.kind, Kind::TYPE_TAG | Kind::DECL_TAG) => {
                    id = record.word;
                }
                _ => break,
            }
        }
        id
    }

    /// A reference to what `id` means in this blob.
    fn reference(&self, id: u32) -> TypeRef {
        let id = self.behind_tags(id);
        if id == TypeRef::VOID_ID {
            return TypeRef::VOID;
        }
        if id >= self.btf.first_id() {
            return TypeRef { source: self.id, id };
        }
        match &self.btf.lower {
            Lower::None => TypeRef { source: self.id, id },
            Lower::Split(_) => TypeRef { source: self.base, id },
            Lower::Distilled { reduced, target, map } => {
                match map.get_or_init(|| relocation(reduced, target)).get(id as usize) {
                    Some(&there) if there != 0 => TypeRef { source: self.base, id: there },
                    _ => TypeRef { source: self.id, id }, // the reduced type is all there is
                }
            }
        }
    }

    fn malformed(&self, id: u32, what: &str) -> TypeError {
        TypeError::Malformed { id, source_name: self.description.clone(), what: what.to_owned() }
    }

    fn compound(&self, owner: &Btf, kind: CompoundKind, record: &Record<'_>) -> Type {
        let members = record.members().map(|m| Member {
            name: text(owner.string(m.name)),
            ty: self.reference(m.ty),
            bit_offset: u64::from(m.bit_offset),
            bit_size: m.bit_size.or_else(|| old_bit_size(owner, m.ty)),
        });
        Type::Compound {
            kind,
            name: text(owner.string(record.name)),
            size: u64::from(record.word),
            members: members.collect(),
            declaration: false,
        }
    }

    fn enumeration(&self, owner: &Btf, record: &Record<'_>) -> Type {
        let signed = is_signed(owner, record);
        let values: Arc<[(Arc<str>, i128)]> =
            record.enumerators(signed).map(|(name, value)| (spelled(owner.string(name)), value)).collect();
        Type::Enum {
            name: text(owner.string(record.name)),
            size: u64::from(record.word),
            signed: record.flag || values.iter().any(|(_, v)| *v < 0),
            declaration: values.is_empty(),
            values,
        }
    }

    fn function(&self, owner: &Btf, record: &Record<'_>) -> Type {
        let mut params: Vec<Param> = record
            .params()
            .map(|p| Param { name: text(owner.string(p.name)), ty: self.reference(p.ty) })
            .collect();
        // `...` is a last parameter of type void without a name
        let variadic = params.pop_if(|p| p.ty.is_void() && p.name.is_none()).is_some();
        Type::Func { ret: self.reference(record.word), params: params.into(), variadic }
    }

    /// The references by which a record with a wanted name is found.
    fn found(&self, space: Space, id: u32) -> Option<(TypeRef, bool)> {
        let (_, record) = self.btf.record(id)?;
        let own = TypeRef { source: self.id, id };
        let complete = match (space, record.kind) {
            (Space::Struct, Kind::STRUCT) | (Space::Union, Kind::UNION) => true,
            (Space::Struct, Kind::FWD) if !record.flag => false,
            (Space::Union, Kind::FWD) if record.flag => false,
            (Space::Enum, Kind::ENUM | Kind::ENUM64) => record.vlen != 0,
            (Space::Typedef, Kind::TYPEDEF) | (Space::Base, Kind::INT | Kind::FLOAT) => true,
            (Space::Function, Kind::FUNC) | (Space::Variable, Kind::VAR) => {
                return Some((self.reference(record.word), true));
            }
            _ => return None,
        };
        Some((own, complete))
    }
}

impl TypeSource for BtfSource {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn scope(&self) -> Scope {
        self.scope.clone()
    }

    /// BTF is made of the DWARF of all units of the kernel or module (scripts/Makefile.btf).
    fn is_complete(&self) -> bool {
        true
    }

    fn get(&self, id: u32) -> Result<Type, TypeError> {
        if id == TypeRef::VOID_ID {
            return Ok(Type::Void);
        }
        let Some((owner, record)) = self.btf.record(id) else {
            return Err(TypeError::NoSuchId { id, source_name: self.description.clone() });
        };
        let to = || self.reference(record.word);
        let qualified = |qualifier| Type::Qualified { qualifier, to: to() };
        Ok(match record.kind {
            Kind::INT => integer(owner, &record).ok_or_else(|| self.malformed(id, "integer is cut off"))?,
            Kind::FLOAT => {
                Type::Float { name: spelled(owner.string(record.name)), size: u64::from(record.word) }
            }
            Kind::PTR => Type::Pointer { to: to() },
            Kind::ARRAY => match (record.extra(0), record.extra(2)) {
                (Some(elem), Some(count)) => Type::Array {
                    elem: self.reference(elem),
                    count: (count != 0).then_some(u64::from(count)), // BTF has one spelling for [] and [0]
                },
                _ => return Err(self.malformed(id, "array is cut off")),
            },
            Kind::STRUCT => self.compound(owner, CompoundKind::Struct, &record),
            Kind::UNION => self.compound(owner, CompoundKind::Union, &record),
            Kind::ENUM | Kind::ENUM64 => self.enumeration(owner, &record),
            Kind::FWD => Type::Compound {
                kind: if record.flag { CompoundKind::Union } else { CompoundKind::Struct },
                name: text(owner.string(record.name)),
                size: 0,
                members: Arc::new([]),
                declaration: true,
            },
            Kind::TYPEDEF => Type::Typedef { name: spelled(owner.string(record.name)), to: to() },
            Kind::VOLATILE => qualified(Qualifier::Volatile),
            Kind::CONST => qualified(Qualifier::Const),
            Kind::RESTRICT => qualified(Qualifier::Restrict),
            Kind::FUNC_PROTO => self.function(owner, &record),
            Kind::FUNC => match owner.record(record.word) {
                Some((owner, proto)) if proto.kind == Kind::FUNC_PROTO => self.function(owner, &proto),
                _ => return Err(self.malformed(id, "function without a prototype")),
            },
            Kind::VAR | Kind::TYPE_TAG | Kind::DECL_TAG => {
                let target = self.behind_tags(record.word);
                match self.btf.record(target) {
                    None if target == TypeRef::VOID_ID => Type::Void,
                    Some((_, r)) if !matches!(r.kind, Kind::VAR | Kind::TYPE_TAG | Kind::DECL_TAG) => {
                        self.get(target)?
                    }
                    _ => return Err(self.malformed(id, "tag or variable of nothing")),
                }
            }
            Kind::DATASEC => return Err(self.malformed(id, "a data section is no type")),
            Kind(other) => return Err(self.malformed(id, &format!("kind {other} is not known"))),
        })
    }

    fn find(&self, space: Space, name: &str) -> Vec<TypeRef> {
        let index = match space {
            Space::Function | Space::Variable => self.btf.functions(),
            _ => self.btf.names(),
        };
        let mut complete = Vec::new();
        let mut declared = Vec::new();
        for (at, is_complete) in index.ids(&self.btf, name).filter_map(|id| self.found(space, id)) {
            let list = if is_complete { &mut complete } else { &mut declared };
            if !list.contains(&at) {
                list.push(at);
            }
        }
        if complete.is_empty() { declared } else { complete }
    }

    fn find_enumerator(&self, name: &str) -> Vec<(TypeRef, i128)> {
        let mut out = Vec::new();
        for (id, which) in self.btf.enumerators().enumerators(name) {
            let Some((owner, record)) = self.btf.record(id) else { continue };
            let value = record.enumerators(is_signed(owner, &record)).nth(which as usize);
            if let Some((at, value)) = value
                && owner.string(at) == name.as_bytes()
            {
                out.push((TypeRef { source: self.id, id }, value));
            }
        }
        out
    }

    fn names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool) {
        for (id, record) in self.btf.own_records() {
            if record.name == 0 {
                continue;
            }
            if let Some((at, _)) = self.found(space, id)
                && let Ok(name) = std::str::from_utf8(self.btf.string(record.name))
                && !each(name, at)
            {
                return;
            }
        }
    }
}

fn spelled(bytes: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}

fn text(bytes: &[u8]) -> Option<Arc<str>> {
    (!bytes.is_empty()).then(|| spelled(bytes))
}

/// Whether the values are meant as signed, where the enumeration itself says so or never could.
fn is_signed(owner: &Btf, record: &Record<'_>) -> bool {
    record.flag || (record.kind == Kind::ENUM && !owner.table().enums_say_signed)
}

fn integer(owner: &Btf, record: &Record<'_>) -> Option<Type> {
    let name = spelled(owner.string(record.name));
    let bits = record.extra(0)? >> 24;
    let (signed, character, boolean) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
    // compilers and pahole leave the character bit out; the spelling tells
    let character =
        character || (record.word == 1 && matches!(&*name, "char" | "signed char" | "unsigned char"));
    let encoding = match (boolean, character, signed || &*name == "signed char") {
        (true, ..) => Encoding::Bool,
        (_, true, false) if &*name == "char" || &*name == "signed char" => Encoding::SignedChar,
        (_, true, true) => Encoding::SignedChar,
        (_, true, false) => Encoding::UnsignedChar,
        (_, false, true) => Encoding::Signed,
        (_, false, false) => Encoding::Unsigned,
    };
    Some(Type::Int { name, size: u64::from(record.word), encoding })
}

/// The width of a bit-field as BTF without `kind_flag` gives it: an integer narrower than its bytes.
fn old_bit_size(owner: &Btf, ty: u32) -> Option<u32> {
    let (_, record) = owner.record(ty).filter(|(_, r)| r.kind == Kind::INT)?;
    let bits = record.extra(0)? & 0xff;
    (bits != 0 && u64::from(bits) < u64::from(record.word).saturating_mul(8)).then_some(bits)
}
