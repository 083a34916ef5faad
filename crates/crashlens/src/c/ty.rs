//! Types of the kernel, as its BTF or debug information has them.

use super::value::Value;
use crate::Error;
use crate::handle::Handle;
use cexpr::{ErrorKind, LayoutOptions};
use debuginfo::types::{self, CompoundKind, Encoding, TypeRef};
use inspect::SessionScope;
use kernel::Session;
use std::fmt;

/// A type.
#[derive(Clone)]
pub struct Type {
    dump: Handle,
    ty: TypeRef,
}

/// What a type is, behind its typedefs and qualifiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// `void`
    Void,
    /// An integer.
    Integer {
        /// Whether it may be negative.
        signed: bool,
    },
    /// `bool`
    Bool,
    /// A floating-point number.
    Float,
    /// A pointer.
    Pointer,
    /// An array.
    Array,
    /// A struct.
    Struct,
    /// A union.
    Union,
    /// An enumeration.
    Enum,
    /// A function.
    Function,
}

/// A member of a struct or union.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its name; `None` for an anonymous struct or union.
    pub name: Option<String>,
    /// Its type.
    pub ty: Type,
    /// Bits from the start of the struct.
    pub bit_offset: u64,
    /// How many bits, of a bit-field.
    pub bit_size: Option<u32>,
}

/// Anonymous structs within one another, at most so deep.
const DEPTH: u32 = 32;

impl Type {
    pub(crate) fn new(dump: &Handle, ty: TypeRef) -> Self {
        Self { dump: dump.clone(), ty }
    }

    pub(crate) fn named(dump: &Handle, text: &str) -> Result<Self, Error> {
        dump.answer(|s| Ok(Self::new(dump, type_named(s, text)?)))
    }

    fn with<T>(&self, ask: impl FnOnce(&Session) -> Result<T, ErrorKind>) -> Result<T, Error> {
        self.dump.answer(|s| ask(s).map_err(|why| Error::expression(s.types().name(self.ty), &why)))
    }

    /// As C writes it.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn name(&self) -> Result<String, Error> {
        self.with(|s| Ok(s.types().name(self.ty)))
    }
    /// What it is.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn kind(&self) -> Result<Kind, Error> {
        self.with(|s| kind(s, self.ty))
    }
    /// Whether its numbers may be negative: those of an integer or an enumeration.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn is_signed(&self) -> Result<bool, Error> {
        self.with(|s| {
            Ok(match &*s.types().resolve(self.ty)?.1 {
                types::Type::Int { encoding, .. } => encoding.is_signed(),
                types::Type::Enum { signed, .. } => *signed,
                _ => false,
            })
        })
    }
    /// Its size in bytes.
    ///
    /// # Errors
    /// It has none (`void`, a function, a struct that is only declared), or it is not known.
    pub fn size(&self) -> Result<u64, Error> {
        self.with(|s| Ok(s.types().size_of(self.ty)?))
    }
    /// The elements of an array; `None` for other types, and for `[]`.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn len(&self) -> Result<Option<u64>, Error> {
        self.with(|s| {
            Ok(match &*s.types().resolve(self.ty)?.1 {
                types::Type::Array { count, .. } => *count,
                _ => None,
            })
        })
    }
    /// What a pointer leads to, what an array holds, what a function returns; `None` for other types.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn inner(&self) -> Result<Option<Self>, Error> {
        self.with(|s| {
            Ok(match &*s.types().resolve(self.ty)?.1 {
                types::Type::Pointer { to } => Some(Self::new(&self.dump, *to)),
                types::Type::Array { elem, .. } => Some(Self::new(&self.dump, *elem)),
                types::Type::Func { ret, .. } => Some(Self::new(&self.dump, *ret)),
                _ => None,
            })
        })
    }
    /// The members of a struct or union, in the order of the source; none of other types.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        self.with(|s| {
            let (_, ty) = s.types().resolve(self.ty)?;
            let types::Type::Compound { members, .. } = &*ty else { return Ok(Vec::new()) };
            let member = |member: &types::Member| Member {
                name: member.name.as_ref().map(ToString::to_string),
                ty: Self::new(&self.dump, member.ty),
                bit_offset: member.bit_offset,
                bit_size: member.bit_size,
            };
            Ok(members.iter().map(member).collect())
        })
    }
    /// Every name that C takes behind `.`, those of anonymous structs included.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn member_names(&self) -> Result<Vec<String>, Error> {
        self.with(|s| {
            let mut out = Vec::new();
            collect(s, self.ty, 0, &mut out)?;
            Ok(out)
        })
    }
    /// Bytes from the start of the struct to a member: `offset("se.exec_start")`.
    ///
    /// # Errors
    /// It has no such member, or the path leads through a pointer.
    pub fn offset(&self, member: &str) -> Result<u64, Error> {
        self.dump.answer(|s| offset(s, self.ty, member))
    }
    /// The names and values of an enumeration; none of other types.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn enumerators(&self) -> Result<Vec<(String, i128)>, Error> {
        self.with(|s| {
            Ok(match &*s.types().resolve(self.ty)?.1 {
                types::Type::Enum { values, .. } => values.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
                _ => Vec::new(),
            })
        })
    }
    /// Its layout as `struct -o` prints it.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn text(&self) -> Result<String, Error> {
        let mut options = LayoutOptions::default();
        options.offsets = true;
        self.with(|s| cexpr::layout_text(s.types(), self.ty, &options))
    }
    /// The object of this type at an address.
    #[must_use]
    pub fn at(&self, address: u64) -> Value {
        Value::new(&self.dump, cexpr::Value::memory(self.ty, base::VirtAddr(address)))
    }
}

/// The type that a text names.
pub(crate) fn type_named(s: &Session, text: &str) -> Result<TypeRef, Error> {
    inspect::type_named(&SessionScope::new(s), text).map_err(|e| Error::expression(text, &e.kind))
}

/// Where a struct has a member.
pub(crate) fn offset(s: &Session, ty: TypeRef, member: &str) -> Result<u64, Error> {
    let path = cexpr::MemberPath::parse(member);
    let found = path.and_then(|path| path.locate(s.types(), ty));
    found.map(|found| found.bit_offset / 8).map_err(|e| Error::expression(member, &e.kind))
}

pub(crate) fn kind(s: &Session, ty: TypeRef) -> Result<Kind, ErrorKind> {
    Ok(match &*s.types().resolve(ty)?.1 {
        types::Type::Int { encoding: Encoding::Bool, .. } => Kind::Bool,
        types::Type::Int { encoding, .. } => Kind::Integer { signed: encoding.is_signed() },
        types::Type::Float { .. } => Kind::Float,
        types::Type::Pointer { .. } => Kind::Pointer,
        types::Type::Array { .. } => Kind::Array,
        types::Type::Compound { kind: CompoundKind::Struct, .. } => Kind::Struct,
        types::Type::Compound { kind: CompoundKind::Union, .. } => Kind::Union,
        types::Type::Enum { .. } => Kind::Enum,
        types::Type::Func { .. } => Kind::Function,
        // what `resolve` gives is behind typedefs and qualifiers
        types::Type::Void | types::Type::Typedef { .. } | types::Type::Qualified { .. } => Kind::Void,
    })
}

fn collect(s: &Session, ty: TypeRef, depth: u32, out: &mut Vec<String>) -> Result<(), ErrorKind> {
    let (_, ty) = s.types().resolve(ty)?;
    let types::Type::Compound { members, .. } = &*ty else { return Ok(()) };
    for member in members.iter() {
        match &member.name {
            Some(name) => out.push(name.to_string()),
            None if depth < DEPTH => collect(s, member.ty, depth.saturating_add(1), out)?,
            None => {}
        }
    }
    Ok(())
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Ok(name) => f.write_str(&name),
            Err(e) => write!(f, "<{e}>"),
        }
    }
}
