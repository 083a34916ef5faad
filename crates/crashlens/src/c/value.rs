//! Values of C expressions.

use super::ty::{self, Kind, Type};
use super::walk::Walk;
use crate::Error;
use crate::handle::Handle;
use base::VirtAddr;
use cexpr::{ErrorKind, FormatOptions, Number, Scope as _};
use debuginfo::types;
use inspect::SessionScope;
use kernel::Session;
use std::fmt;

/// The longest text that [`Value::string`] reads.
const MAX_TEXT: usize = 1 << 20;

/// A value: a type and a place. Its memory is read when its bits are asked for.
#[derive(Clone)]
pub struct Value {
    dump: Handle,
    value: cexpr::Value,
}

/// The number in a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar {
    /// Of an integer, an enumeration, a bool, a pointer; of an array or function its address.
    Int(i128),
    /// Of a floating-point type.
    Float(f64),
}

impl Value {
    pub(crate) fn new(dump: &Handle, value: cexpr::Value) -> Self {
        Self { dump: dump.clone(), value }
    }

    pub(crate) fn eval(dump: &Handle, text: &str) -> Result<Self, Error> {
        dump.answer(|s| {
            let value = inspect::eval(&SessionScope::new(s), text);
            Ok(Self::new(dump, value.map_err(|why| Error::expression(text, &why.kind))?))
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&Session) -> Result<T, ErrorKind>) -> Result<T, Error> {
        self.dump.answer(|s| ask(s).map_err(|why| Error::expression(s.types().name(self.value.ty), &why)))
    }

    fn derived(&self, ask: impl FnOnce(&Session) -> Result<cexpr::Value, ErrorKind>) -> Result<Self, Error> {
        self.with(ask).map(|value| Self::new(&self.dump, value))
    }

    /// The name of its type.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn type_name(&self) -> Result<String, Error> {
        self.with(|s| Ok(s.types().name(self.value.ty)))
    }
    /// Where it lies, for a value in memory.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        self.value.address().map(|at| at.0)
    }
    /// Its number: of an integer, an enumerator, a pointer.
    ///
    /// # Errors
    /// It is none, or its memory is missing.
    pub fn number(&self) -> Result<i128, Error> {
        self.with(|s| self.value.to_int(s.types(), s.mem()))
    }
    /// A member of a struct, or of what a pointer leads to.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn member(&self, name: &str) -> Result<Self, Error> {
        self.derived(|s| {
            let types = s.types();
            if self.value.is_pointer(types)? {
                return self.value.deref(types, s.mem())?.member(types, name);
            }
            self.value.member(types, name)
        })
    }
    /// What a pointer leads to.
    ///
    /// # Errors
    /// It is no pointer, or its own memory is missing.
    pub fn deref(&self) -> Result<Self, Error> {
        self.derived(|s| self.value.deref(s.types(), s.mem()))
    }
    /// An element of an array, or behind a pointer.
    ///
    /// # Errors
    /// It is neither, or its own memory is missing.
    pub fn index(&self, at: i128) -> Result<Self, Error> {
        self.derived(|s| self.value.index(s.types(), s.mem(), at))
    }
    /// Its type.
    #[must_use]
    pub fn ty(&self) -> Type {
        Type::new(&self.dump, self.value.ty)
    }
    /// What its type is.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn kind(&self) -> Result<Kind, Error> {
        self.with(|s| ty::kind(s, self.value.ty))
    }
    /// Its number, as its type has it.
    ///
    /// # Errors
    /// It is none, or its memory is missing.
    pub fn scalar(&self) -> Result<Scalar, Error> {
        self.with(|s| {
            Ok(match self.value.number(s.types(), s.mem())? {
                Number::Int(n) => Scalar::Int(n),
                Number::Float(n) => Scalar::Float(n),
            })
        })
    }
    /// The name of its number, of an enumeration; `None` where the number has no name.
    ///
    /// # Errors
    /// Its memory is missing.
    pub fn enumerator(&self) -> Result<Option<String>, Error> {
        self.with(|s| {
            let (_, ty) = s.types().resolve(self.value.ty)?;
            let types::Type::Enum { values, .. } = &*ty else { return Ok(None) };
            let number = self.value.to_int(s.types(), s.mem())?;
            Ok(values.iter().find(|(_, value)| *value == number).map(|(name, _)| name.to_string()))
        })
    }
    /// A pointer to it.
    ///
    /// # Errors
    /// It lies in no memory, or is a bit-field.
    pub fn address_of(&self) -> Result<Self, Error> {
        self.derived(|s| self.value.address_of(s.types()))
    }
    /// It as another type, by C's rules: `cast("struct list_head *")`.
    ///
    /// # Errors
    /// There is no such type, or C knows no such cast.
    pub fn cast(&self, to: &str) -> Result<Self, Error> {
        let ty = self.dump.answer(|s| ty::type_named(s, to))?;
        self.derived(|s| self.value.cast(s.types(), s.mem(), ty))
    }
    /// A pointer to the struct whose member it points to, as C's macro of this name has it.
    ///
    /// # Errors
    /// It is no address, or the struct has no such member.
    pub fn container_of(&self, of: &str, member: &str) -> Result<Self, Error> {
        let (ty, offset) = self.dump.answer(|s| {
            let ty = ty::type_named(s, of)?;
            Ok((ty, ty::offset(s, ty, member)?))
        })?;
        self.derived(|s| self.value.container_of(s.types(), s.mem(), ty, offset))
    }
    /// The copy of a per-CPU variable that a CPU has, or where a per-CPU pointer leads to on it (a pointer).
    ///
    /// # Errors
    /// It is neither in memory nor a pointer, or there is no such CPU.
    pub fn per_cpu(&self, cpu: u32) -> Result<Self, Error> {
        self.derived(|s| {
            let offset = SessionScope::new(s).per_cpu_offset(u64::from(cpu));
            let offset = offset.map_err(|why| cexpr::Absent::Because(why.into()))?;
            let moved = |at: VirtAddr| VirtAddr(at.0.wrapping_add(offset));
            match self.value.place {
                cexpr::Place::Memory(at) if s.is_per_cpu(at) => {
                    Ok(cexpr::Value::memory(self.value.ty, moved(at)))
                }
                _ => {
                    let (_, ty) = s.types().resolve(self.value.ty)?;
                    let types::Type::Pointer { to } = &*ty else {
                        let ty = s.types().name(self.value.ty);
                        return Err(ErrorKind::Operand { operator: "per_cpu".into(), ty });
                    };
                    let at = self.value.to_address(s.types(), s.mem())?;
                    Ok(cexpr::Value::pointer(s.types(), *to, moved(at)))
                }
            }
        })
    }
    /// How many elements this pointer or array is behind another one, as C's `-` counts them.
    ///
    /// # Errors
    /// One is neither, its memory is missing, or their elements are of several sizes or of none that is known.
    pub fn elements_from(&self, other: &Self) -> Result<i128, Error> {
        self.with(|s| self.value.elements_from(s.types(), s.mem(), &other.value))
    }
    pub(crate) const fn handle(&self) -> &Handle {
        &self.dump
    }
    /// Its bytes, as memory has them.
    ///
    /// # Errors
    /// Its memory is missing, it is a bit-field, or has no size.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        self.with(|s| {
            if self.value.bits.is_some() {
                let ty = s.types().name(self.value.ty);
                return Err(ErrorKind::Operand { operator: "bytes (a bit-field)".into(), ty });
            }
            let size = s.types().size_of(self.value.ty)?;
            match self.value.address() {
                Some(at) if size > PIECE && self.value.caveat.is_none() => pieces(&self.dump, s, at, size),
                _ => self.value.raw(s.mem(), size),
            }
        })
    }
    /// The text at a pointer or in an array of characters, up to its NUL and at most so long.
    ///
    /// # Errors
    /// It is neither, or memory before the NUL is missing.
    pub fn string(&self, max: usize) -> Result<Vec<u8>, Error> {
        self.with(|s| {
            let types = s.types();
            let (at, most) = match (&*types.resolve(self.value.ty)?.1, self.value.address()) {
                (types::Type::Array { count, elem }, Some(at)) => {
                    let len = count.map(|n| n.saturating_mul(types.size_of(*elem).unwrap_or(1)));
                    (at, len.and_then(|len| usize::try_from(len).ok()))
                }
                (types::Type::Array { .. }, None) => {
                    let bytes = self.value.raw(s.mem(), types.size_of(self.value.ty)?)?;
                    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()).min(max);
                    return Ok(bytes.into_iter().take(end).collect());
                }
                (types::Type::Pointer { .. }, _) => (self.value.to_address(types, s.mem())?, None),
                _ => {
                    let ty = types.name(self.value.ty);
                    return Err(ErrorKind::Operand { operator: "string".into(), ty });
                }
            };
            let most = most.unwrap_or(usize::MAX).min(max).min(MAX_TEXT);
            Ok(s.mem().cstr(at, most).map_err(cexpr::Absent::Fault)?)
        })
    }
    /// The entries of the list whose head this is (`struct list_head`, or a pointer to one): pointers to `of`, each with
    /// its `list_head` in `member`.
    ///
    /// # Errors
    /// The head is no address, or `of` has no such member. A list that breaks off has its entries, and why.
    pub fn list(&self, of: &str, member: &str) -> Result<Walk, Error> {
        self.walk(|s| Walk::list(&self.dump, s, self.head(s)?, (of, member)))
    }
    /// The same of an `hlist_head`, whose entries end with a null pointer.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub fn hlist(&self, of: &str, member: &str) -> Result<Walk, Error> {
        self.walk(|s| Walk::hlist(&self.dump, s, self.head(s)?, (of, member)))
    }
    /// The same of an `rb_root` or `rb_root_cached`, ascending.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub fn rbtree(&self, of: &str, member: &str) -> Result<Walk, Error> {
        self.walk(|s| Walk::rbtree(&self.dump, s, self.head(s)?, (of, member)))
    }
    /// The entries of an XArray or radix tree, by their index; as pointers to `of`, where that is given.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub fn xarray(&self, of: Option<&str>) -> Result<Walk, Error> {
        self.walk(|s| Walk::xarray(&self.dump, s, self.head(s)?, of))
    }
    /// The entries of an IDR, by their number.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub fn idr(&self, of: Option<&str>) -> Result<Walk, Error> {
        self.walk(|s| Walk::idr(&self.dump, s, self.head(s)?, of))
    }
    /// The entries of a maple tree, by the first index of each.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub fn maple(&self, of: Option<&str>) -> Result<Walk, Error> {
        self.walk(|s| Walk::maple(&self.dump, s, self.head(s)?, of))
    }

    fn walk(&self, ask: impl FnOnce(&Session) -> Result<Walk, Error>) -> Result<Walk, Error> {
        self.dump.answer(ask)
    }
    /// Where the head of a list or the root of a tree is: this value, or what it points to.
    fn head(&self, s: &Session) -> Result<VirtAddr, Error> {
        let at = || match self.value.is_pointer(s.types())? {
            true => self.value.to_address(s.types(), s.mem()),
            false => {
                self.value.address().ok_or_else(|| ErrorKind::NotInMemory(s.types().name(self.value.ty)))
            }
        };
        at().map_err(|why| Error::expression(s.types().name(self.value.ty), &why))
    }
    /// Its text, as `p` shows it. Memory that is missing is marked in it.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn text(&self) -> Result<String, Error> {
        self.with(|s| {
            let scope = SessionScope::new(s);
            Ok(cexpr::format_value(&scope, &self.value, &FormatOptions::default()).to_text())
        })
    }
}

/// What is read at once.
const PIECE: u64 = 1 << 20;

/// So many bytes, piece by piece: a size that memory has not costs no more than what is there.
fn pieces(dump: &Handle, s: &Session, at: VirtAddr, size: u64) -> Result<Vec<u8>, ErrorKind> {
    let mut out = Vec::new();
    while (out.len() as u64) < size {
        let done = out.len() as u64;
        let len = PIECE.min(size.saturating_sub(done)) as usize;
        // what was interrupted has no answer: whoever asked looks at the switch
        if dump.cancel().is_cancelled() {
            break;
        }
        let piece = s.mem().bytes(at.add(done), len).map_err(cexpr::Absent::Fault)?;
        out.extend(piece);
    }
    Ok(out)
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("value", &self.value).finish_non_exhaustive()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Ok(text) => f.write_str(&text),
            Err(e) => write!(f, "<{e}>"),
        }
    }
}
