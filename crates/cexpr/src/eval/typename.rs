//! From names to types: tags, typedefs, base types.

use crate::ast::{TypeName, TypeSpec};
use crate::error::{ErrorKind, ExprError, Span};
use crate::eval::Evaluator;
use crate::parse;
use crate::scope::Scope;
use base::Nearest;
use debuginfo::types::{Encoding, Scope as TypeScope, Space, Type, TypeRef, Types};

/// Typedefs of the kernel that hold on every 64-bit architecture, for dumps whose types are not
/// there (include/uapi/asm-generic/int-l64.h, int-ll64.h, posix_types.h, include/linux/types.h).
const FALLBACK: &[(&str, &str, u64, Encoding)] = &[
    ("u8", "unsigned char", 1, Encoding::UnsignedChar),
    ("u16", "unsigned short", 2, Encoding::Unsigned),
    ("u32", "unsigned int", 4, Encoding::Unsigned),
    ("u64", "unsigned long long", 8, Encoding::Unsigned),
    ("s8", "signed char", 1, Encoding::SignedChar),
    ("s16", "short", 2, Encoding::Signed),
    ("s32", "int", 4, Encoding::Signed),
    ("s64", "long long", 8, Encoding::Signed),
    ("uint8_t", "unsigned char", 1, Encoding::UnsignedChar),
    ("uint16_t", "unsigned short", 2, Encoding::Unsigned),
    ("uint32_t", "unsigned int", 4, Encoding::Unsigned),
    ("uint64_t", "unsigned long", 8, Encoding::Unsigned),
    ("int8_t", "signed char", 1, Encoding::SignedChar),
    ("int16_t", "short", 2, Encoding::Signed),
    ("int32_t", "int", 4, Encoding::Signed),
    ("int64_t", "long", 8, Encoding::Signed),
    ("size_t", "unsigned long", 8, Encoding::Unsigned),
    ("ssize_t", "long", 8, Encoding::Signed),
    ("uintptr_t", "unsigned long", 8, Encoding::Unsigned),
    ("ulong", "unsigned long", 8, Encoding::Unsigned),
    ("uint", "unsigned int", 4, Encoding::Unsigned),
    ("ushort", "unsigned short", 2, Encoding::Unsigned),
    ("bool", "_Bool", 1, Encoding::Bool),
];

fn fallback(types: &Types, name: &str) -> Option<TypeRef> {
    let &(name, base, size, encoding) = FALLBACK.iter().find(|f| f.0 == name)?;
    let to = types.intern(Type::Int { name: base.into(), size, encoding });
    Some(types.intern(Type::Typedef { name: name.into(), to }))
}

/// True where a plain name is a type: a typedef that no local hides.
pub(crate) fn is_typedef(scope: &dyn Scope, name: &str) -> bool {
    scope.local(name).is_none() && is_typedef_in(scope.types(), name)
}

fn is_typedef_in(types: &Types, name: &str) -> bool {
    FALLBACK.iter().any(|f| f.0 == name) || types.first(None, Space::Typedef, name).is_some()
}

/// The type of a tag or typedef.
pub(crate) fn named(
    types: &Types,
    prefer: Option<&TypeScope>,
    space: Space,
    name: &str,
) -> Result<TypeRef, ErrorKind> {
    if let Some(found) = complete_first(types, prefer, space, name) {
        return Ok(found);
    }
    if let (Space::Typedef, Some(made)) = (space, fallback(types, name)) {
        return Ok(made);
    }
    let near = near_types(types, &[space], name);
    let name = space.keyword().map_or_else(|| name.to_owned(), |word| format!("{word} {name}"));
    Err(ErrorKind::UnknownType { name, near })
}

/// The first definition that is more than a declaration, else the first.
fn complete_first(types: &Types, prefer: Option<&TypeScope>, space: Space, name: &str) -> Option<TypeRef> {
    let first = types.first(prefer, space, name)?;
    let declared = |at| {
        matches!(
            types.get(at).as_deref(),
            Ok(Type::Compound { declaration: true, .. } | Type::Enum { declaration: true, .. }) | Err(_)
        )
    };
    if !declared(first) {
        return Some(first);
    }
    types.find_in(prefer, space, name).into_iter().find(|&at| !declared(at)).or(Some(first))
}

/// Names like one in what is quickly gone through: for each scope, the source that is asked first.
pub(crate) fn near_types(types: &Types, spaces: &[Space], name: &str) -> Vec<String> {
    let mut near = Nearest::new(name);
    for &space in spaces {
        types.first_names(space, &mut |n, _| {
            near.offer(n);
            true
        });
    }
    near.finish()
}

/// What crash takes a bare name for: `struct NAME`, `union NAME`, the typedef, `enum NAME`.
///
/// # Errors
/// No type has this name.
pub fn find_tag_or_typedef(
    types: &Types,
    prefer: Option<&TypeScope>,
    name: &str,
) -> Result<TypeRef, ErrorKind> {
    const SPACES: [Space; 4] = [Space::Struct, Space::Union, Space::Typedef, Space::Enum];
    SPACES
        .iter()
        .find_map(|&space| complete_first(types, prefer, space, name))
        .or_else(|| fallback(types, name))
        .ok_or_else(|| ErrorKind::UnknownType {
            name: name.to_owned(),
            near: near_types(types, &SPACES, name),
        })
}

/// The type that a text names: `struct foo *`, `unsigned long`, `u8 [16]`. A bare tag is taken too,
/// as crash takes it.
///
/// # Errors
/// It names no type that is known; where in the text.
pub fn parse_type_name(scope: &dyn Scope, text: &str) -> Result<TypeRef, ExprError> {
    let plain = text.trim();
    let types = scope.types();
    let bare = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let tagged =
        |n: &str| is_typedef_in(types, n) || find_tag_or_typedef(types, scope.prefer().as_ref(), n).is_ok();
    let name = parse::parse_type(text, &|n| is_typedef_in(types, n))
        .or_else(|e| parse::parse_type(text, &tagged).map_err(|_| e));
    match name {
        Ok(name) => match &name.spec {
            TypeSpec::Named(Space::Typedef, tag) if !is_typedef_in(types, tag) => {
                let heart = find_tag_or_typedef(types, scope.prefer().as_ref(), tag);
                let heart = heart.map_err(|e| e.at(name.heart))?;
                Evaluator::new(scope).derive(heart, &name)
            }
            _ => resolve(scope, &name),
        },
        Err(e) if bare => {
            let all = Span { start: 0, end: text.len() };
            match find_tag_or_typedef(types, scope.prefer().as_ref(), plain) {
                Ok(ty) => Ok(ty),
                Err(kind) if matches!(e.kind, ErrorKind::Expected { .. }) => Err(kind.at(all)),
                Err(_) => Err(e),
            }
        }
        Err(e) => Err(e),
    }
}

/// The type of a parsed type name.
pub(crate) fn resolve(scope: &dyn Scope, name: &TypeName) -> Result<TypeRef, ExprError> {
    Evaluator::new(scope).type_of_name(name)
}
