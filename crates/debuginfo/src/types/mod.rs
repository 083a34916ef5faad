//! One model of C types over BTF and DWARF.
//!
//! A [`TypeRef`] names a type in one source; [`Types`] holds the sources of a session, reads a
//! type when it is asked for and keeps it. Types that no source has (a pointer that an expression
//! makes with `&`) are interned in source 0.

mod decl;
mod layout;
mod registry;

pub use layout::Doubt;
pub use registry::{Proven, Types};

use std::sync::Arc;

/// Which source a type comes from; 0 is the registry's own arena of made types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SourceId(pub u16);

/// A type in a source. BTF: the type id. DWARF: the offset in `.debug_info`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TypeRef {
    /// The source.
    pub source: SourceId,
    /// The id there; [`TypeRef::VOID_ID`] is `void` in every source.
    pub id: u32,
}

impl TypeRef {
    /// The id of `void` in every source (BTF gives it 0; no DWARF entry is at offset 0).
    pub const VOID_ID: u32 = 0;
    /// `void`.
    pub const VOID: TypeRef = TypeRef { source: SourceId(0), id: Self::VOID_ID };
    /// True for `void` of any source.
    #[must_use]
    pub const fn is_void(self) -> bool {
        self.id == Self::VOID_ID
    }
}

/// How the bits of an integer are meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// Two's complement.
    Signed,
    /// Unsigned.
    Unsigned,
    /// `bool`.
    Bool,
    /// `char` and `signed char`.
    SignedChar,
    /// `unsigned char`.
    UnsignedChar,
}

impl Encoding {
    /// True where the top bit is a sign.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Encoding::Signed | Encoding::SignedChar)
    }
    /// True for the character types.
    #[must_use]
    pub const fn is_char(self) -> bool {
        matches!(self, Encoding::SignedChar | Encoding::UnsignedChar)
    }
}

/// `struct` or `union`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CompoundKind {
    /// `struct`
    Struct,
    /// `union`
    Union,
}

/// `const`, `volatile`, `restrict`, `_Atomic`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Qualifier {
    /// `const`
    Const,
    /// `volatile`
    Volatile,
    /// `restrict`
    Restrict,
    /// `_Atomic`
    Atomic,
}

impl Qualifier {
    /// As C writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Const => "const",
            Self::Volatile => "volatile",
            Self::Restrict => "restrict",
            Self::Atomic => "_Atomic",
        }
    }
}

/// A member of a struct or union.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its name; `None` for an anonymous struct or union and for unnamed bit-field padding.
    pub name: Option<Arc<str>>,
    /// Its type.
    pub ty: TypeRef,
    /// Bits from the start of the compound; for a bit-field, of its least significant bit.
    pub bit_offset: u64,
    /// Width in bits where it is a bit-field.
    pub bit_size: Option<u32>,
}

impl Member {
    /// Bytes from the start of the compound (of the byte that holds the first bit).
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.bit_offset / 8
    }
}

/// A parameter of a function type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    /// Its name, where the source keeps it (a prototype behind a pointer has none).
    pub name: Option<Arc<str>>,
    /// Its type.
    pub ty: TypeRef,
}

/// A C type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Type {
    /// `void`
    Void,
    /// An integer type.
    Int {
        /// As the source spells it: `unsigned int`, `long unsigned int`, `_Bool`.
        name: Arc<str>,
        /// Bytes.
        size: u64,
        /// Meaning of the bits.
        encoding: Encoding,
    },
    /// A floating-point type.
    Float {
        /// As the source spells it.
        name: Arc<str>,
        /// Bytes.
        size: u64,
    },
    /// A pointer.
    Pointer {
        /// What it points to.
        to: TypeRef,
    },
    /// An array.
    Array {
        /// The element.
        elem: TypeRef,
        /// How many; `None` for `[]`.
        count: Option<u64>,
    },
    /// A struct or union.
    Compound {
        /// Which.
        kind: CompoundKind,
        /// The tag.
        name: Option<Arc<str>>,
        /// Bytes.
        size: u64,
        /// The members in source order.
        members: Arc<[Member]>,
        /// True where this is `struct x;` only.
        declaration: bool,
    },
    /// An enumeration.
    Enum {
        /// The tag.
        name: Option<Arc<str>>,
        /// Bytes.
        size: u64,
        /// True where an enumerator is negative.
        signed: bool,
        /// The enumerators with their values.
        values: Arc<[(Arc<str>, i128)]>,
        /// True where this is `enum x;` only.
        declaration: bool,
    },
    /// A function.
    Func {
        /// What it returns.
        ret: TypeRef,
        /// Its parameters.
        params: Arc<[Param]>,
        /// True for `...`.
        variadic: bool,
    },
    /// A typedef.
    Typedef {
        /// Its name.
        name: Arc<str>,
        /// What it stands for.
        to: TypeRef,
    },
    /// A qualified type.
    Qualified {
        /// The qualifier.
        qualifier: Qualifier,
        /// What is qualified.
        to: TypeRef,
    },
}

/// Which names to look in: C keeps tags apart from ordinary identifiers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Space {
    /// `struct NAME`
    Struct,
    /// `union NAME`
    Union,
    /// `enum NAME`
    Enum,
    /// a typedef
    Typedef,
    /// `int`, `long unsigned int`, `float` ...: the canonical spelling of the source
    Base,
    /// a function: its type
    Function,
    /// a variable: its type
    Variable,
}

impl Space {
    /// The keyword that C writes before such a name.
    #[must_use]
    pub const fn keyword(self) -> Option<&'static str> {
        match self {
            Self::Struct => Some("struct"),
            Self::Union => Some("union"),
            Self::Enum => Some("enum"),
            Self::Typedef | Self::Base | Self::Function | Self::Variable => None,
        }
    }
}

/// A type that cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The reference leads out of its source.
    #[error("type id {id:#x} is not in {source_name}")]
    NoSuchId {
        /// The id.
        id: u32,
        /// The source's description.
        source_name: String,
    },
    /// The source's bytes contradict themselves.
    #[error("{source_name}: type {id:#x}: {what}")]
    Malformed {
        /// The id.
        id: u32,
        /// The source's description.
        source_name: String,
        /// What is wrong.
        what: String,
    },
    /// The type has no size (void, a function, a declaration without a definition).
    #[error("{0} has no size")]
    NoSize(String),
    /// Only some members are known ([`TypeSource::is_guess`]).
    #[error(
        "the size of {0} is not known: its members are inferred from the kernel's data; a vmlinux tells it"
    )]
    Inferred(String),
    /// Memory contradicts the source ([`Types::correct`]).
    #[error("the size of {0} is not known: memory contradicts its debug information")]
    Contradicted(String),
    /// A member is not where the source says ([`Types::doubt`]).
    #[error(
        "where {of} has member {member} is not known: its debug information is wrong, as memory or other members show"
    )]
    Misplaced {
        /// The struct.
        of: String,
        /// The member.
        member: String,
    },
    /// Typedefs or arrays nested without end.
    #[error("type nests deeper than {0} levels")]
    TooDeep(usize),
}

/// Where a source's types belong, so that the module's own definition can be preferred.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The kernel image.
    Kernel,
    /// A module, by its name in the kernel (`virtio_ring`).
    Module(Arc<str>),
}

/// A reader of types: BTF of the kernel or a module, DWARF of a file.
pub trait TypeSource: Send + Sync {
    /// For messages: `BTF in the dump`, `DWARF of /usr/lib/debug/...`.
    fn describe(&self) -> String;
    /// Whose types these are.
    fn scope(&self) -> Scope;
    /// True where a type is a guess: of the struct only some members are known, and its size is not.
    fn is_guess(&self, _id: u32) -> bool {
        false
    }
    /// Reads the type with this id. The source was told its own [`SourceId`] when it was made and
    /// puts it into the references it returns (split BTF puts its base's).
    ///
    /// # Errors
    /// There is no such type, or what describes it is damaged.
    fn get(&self, id: u32) -> Result<Type, TypeError>;
    /// The ids of the definitions of a name, complete ones only where there is one; empty where
    /// the name is unknown here.
    fn find(&self, space: Space, name: &str) -> Vec<TypeRef>;
    /// The first of [`Self::find`], where a source can tell it sooner.
    fn first(&self, space: Space, name: &str) -> Option<TypeRef> {
        self.find(space, name).first().copied()
    }
    /// True where the source has all types of its scope that have tags or typedef names: what it does not know, no
    /// other source of the scope does.
    fn is_complete(&self) -> bool {
        false
    }
    /// The values of an enumeration constant, with the enumerations they belong to. Where one name
    /// has several, a source may be content with those it finds first.
    fn find_enumerator(&self, name: &str) -> Vec<(TypeRef, i128)>;
    /// Calls `each` with every name of a space until it returns false: for completion, near-name
    /// suggestions and `whatis -r`. May be slow the first time.
    fn names(&self, space: Space, each: &mut dyn FnMut(&str, TypeRef) -> bool);
}

/// A member found by name, through anonymous members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its type.
    pub ty: TypeRef,
    /// Bits from the start of the outermost compound.
    pub bit_offset: u64,
    /// Width in bits where it is a bit-field.
    pub bit_size: Option<u32>,
}

impl Found {
    /// Bytes from the start of the outermost compound.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.bit_offset / 8
    }
}
