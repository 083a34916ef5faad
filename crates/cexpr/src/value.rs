//! A value: a type and a place. Nothing is read until its bits are asked for.
//!
//! **Invariant**: an operation that only moves (member, index, address) reads no memory; one that
//! needs bits which memory lacks fails with [`ErrorKind::Absent`], and the value itself stays whole.

use crate::absent::Absent;
use crate::error::ErrorKind;
use base::{Nearest, VirtAddr, VirtRead};
use debuginfo::types::{Encoding, Found, Type, TypeError, TypeRef, Types};
use std::sync::Arc;

/// The largest object that is read into memory as a whole.
pub(crate) const MAX_OBJECT: u64 = 1 << 20;

/// Where the bits of a value are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In memory: an lvalue.
    Memory(VirtAddr),
    /// In a register of a frame, with the bytes that it holds.
    Register {
        /// The register's number in the ABI's DWARF numbering.
        number: u16,
        /// Its bytes, least significant first.
        bytes: Arc<[u8]>,
    },
    /// Made by an expression.
    Bytes(Arc<[u8]>),
    /// Nowhere.
    Absent(Absent),
}

/// The bits of a bit-field within the bytes at its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// Bits from the least significant bit of the first byte, 0..8.
    pub offset: u32,
    /// How many.
    pub width: u32,
}

/// What must be said before a value's bits are used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caveat {
    /// A variable of which only the address is known.
    NoType(Arc<str>),
    /// A per-CPU variable without a CPU.
    PerCpu(Arc<str>),
}

/// A typed value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Its type.
    pub ty: TypeRef,
    /// Where it is.
    pub place: Place,
    /// Which bits, where it is a bit-field.
    pub bits: Option<Bits>,
    /// What must be said before its bits are used.
    pub caveat: Option<Caveat>,
}

/// The number in a scalar.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// Of an integer, enumeration, bool or pointer.
    Int(i128),
    /// Of a floating-point type.
    Float(f64),
}

impl Value {
    /// An object in memory.
    #[must_use]
    pub fn memory(ty: TypeRef, at: VirtAddr) -> Self {
        Self { ty, place: Place::Memory(at), bits: None, caveat: None }
    }

    /// A value made of bytes.
    #[must_use]
    pub fn immediate(ty: TypeRef, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { ty, place: Place::Bytes(bytes.into()), bits: None, caveat: None }
    }

    /// A value that is nowhere.
    #[must_use]
    pub fn absent(ty: TypeRef, why: Absent) -> Self {
        Self { ty, place: Place::Absent(why), bits: None, caveat: None }
    }

    /// An integer of a C base type: `Value::int(types, "unsigned long", 8, false, 5)`.
    #[must_use]
    pub fn int(types: &Types, name: &'static str, size: u64, signed: bool, value: i128) -> Self {
        let encoding = if signed { Encoding::Signed } else { Encoding::Unsigned };
        let ty = types.intern(Type::Int { name: name.into(), size, encoding });
        Self::immediate(ty, le_bytes(value, size))
    }

    /// An `unsigned long`.
    #[must_use]
    pub fn ulong(types: &Types, value: u64) -> Self {
        Self::int(types, "unsigned long", 8, false, i128::from(value))
    }

    /// A pointer to `to`.
    #[must_use]
    pub fn pointer(types: &Types, to: TypeRef, at: VirtAddr) -> Self {
        Self::immediate(types.pointer_to(to), at.0.to_le_bytes())
    }

    /// The address of an object in memory.
    #[must_use]
    pub fn address(&self) -> Option<VirtAddr> {
        match self.place {
            Place::Memory(at) => Some(at),
            _ => None,
        }
    }

    /// True for a pointer, behind typedefs.
    ///
    /// # Errors
    /// The type cannot be read.
    pub fn is_pointer(&self, types: &Types) -> Result<bool, ErrorKind> {
        Ok(matches!(*types.resolve(self.ty)?.1, Type::Pointer { .. }))
    }

    pub(crate) fn check(&self) -> Result<(), ErrorKind> {
        match &self.caveat {
            Some(Caveat::NoType(name)) => Err(ErrorKind::NoType(name.to_string())),
            Some(Caveat::PerCpu(name)) => Err(ErrorKind::PerCpu(name.to_string())),
            None => Ok(()),
        }
    }

    /// `len` bytes from the value's place on.
    ///
    /// # Errors
    /// Its memory is missing, or it has no place.
    pub fn raw(&self, mem: &dyn VirtRead, len: u64) -> Result<Vec<u8>, ErrorKind> {
        self.check()?;
        if len > MAX_OBJECT {
            return Err(ErrorKind::TooLarge { what: "an object", size: len, max: MAX_OBJECT });
        }
        let len = len as usize;
        match &self.place {
            Place::Memory(at) => mem.bytes(*at, len).map_err(|f| Absent::Fault(f).into()),
            Place::Bytes(bytes) | Place::Register { bytes, .. } => match bytes.get(..len) {
                Some(b) => Ok(b.to_vec()),
                None => Err(Absent::Because("only part of the value is known".into()).into()),
            },
            Place::Absent(why) => Err(why.clone().into()),
        }
    }

    /// The number in a scalar; an array or function gives its address, as C has it.
    ///
    /// # Errors
    /// It is no scalar, or its memory is missing.
    pub fn number(&self, types: &Types, mem: &dyn VirtRead) -> Result<Number, ErrorKind> {
        self.check()?;
        let (_, ty) = types.resolve(self.ty)?;
        match &*ty {
            Type::Int { size, encoding, .. } => self.integer(mem, *size, encoding.is_signed()),
            Type::Enum { size, signed, .. } => self.integer(mem, *size, *signed),
            Type::Pointer { .. } => self.integer(mem, 8, false),
            Type::Float { size, .. } => {
                let raw = self.raw(mem, *size)?;
                Ok(Number::Float(float_of(&raw).ok_or_else(|| self.operand(types, "arithmetic"))?))
            }
            Type::Array { .. } | Type::Func { .. } => match self.address() {
                Some(at) => Ok(Number::Int(i128::from(at.0))),
                None => Err(ErrorKind::NotInMemory(types.name(self.ty))),
            },
            Type::Void | Type::Compound { .. } | Type::Typedef { .. } | Type::Qualified { .. } => {
                Err(self.operand(types, "arithmetic"))
            }
        }
    }

    /// The integer in a scalar; a float is cut towards zero.
    ///
    /// # Errors
    /// It is no scalar, or its memory is missing.
    pub fn to_int(&self, types: &Types, mem: &dyn VirtRead) -> Result<i128, ErrorKind> {
        Ok(match self.number(types, mem)? {
            Number::Int(v) => v,
            Number::Float(f) => f as i128,
        })
    }

    /// The address that a pointer, integer, array or function stands for.
    ///
    /// # Errors
    /// It stands for none, or its memory is missing.
    pub fn to_address(&self, types: &Types, mem: &dyn VirtRead) -> Result<VirtAddr, ErrorKind> {
        self.to_int(types, mem).map(|v| VirtAddr(v as u64))
    }

    fn integer(&self, mem: &dyn VirtRead, size: u64, signed: bool) -> Result<Number, ErrorKind> {
        let (offset, width) = match self.bits {
            Some(b) => (b.offset, b.width),
            None => (0, u32::try_from(size.saturating_mul(8)).unwrap_or(u32::MAX)),
        };
        if width > 128 || offset > 7 {
            return Err(ErrorKind::TooLarge { what: "an integer", size, max: 16 });
        }
        let raw = self.raw(mem, u64::from((offset + width).div_ceil(8)))?;
        Ok(Number::Int(int_of(&raw, offset, width, signed)))
    }

    fn operand(&self, types: &Types, operator: &str) -> ErrorKind {
        ErrorKind::Operand { operator: operator.into(), ty: types.name(self.ty) }
    }

    /// `self.name`
    ///
    /// # Errors
    /// It is no struct or union, or has no such member.
    pub fn member(&self, types: &Types, name: &str) -> Result<Value, ErrorKind> {
        if let Some(Caveat::NoType(_)) = self.caveat {
            self.check()?;
        }
        let found = find_member(types, self.ty, name)?;
        self.part(types, found.ty, found.bit_offset, found.bit_size)
    }

    /// The part at a bit offset, as a member's definition gives it.
    ///
    /// # Errors
    /// The value has no bytes there.
    pub fn part(
        &self,
        types: &Types,
        ty: TypeRef,
        bit_offset: u64,
        bit_size: Option<u32>,
    ) -> Result<Value, ErrorKind> {
        let bits = bit_size.map(|width| Bits { offset: (bit_offset % 8) as u32, width });
        let offset = bit_offset / 8;
        let place = match &self.place {
            Place::Memory(at) => Place::Memory(at.add(offset)),
            Place::Absent(why) => Place::Absent(why.clone()),
            Place::Bytes(b) | Place::Register { bytes: b, .. } => {
                let len = match bits {
                    Some(b) => u64::from((b.offset + b.width).div_ceil(8)),
                    None => types.size_of(ty)?,
                };
                let range =
                    usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(len)).ok());
                match range.and_then(|(from, to)| b.get(from..to)) {
                    Some(part) => Place::Bytes(part.into()),
                    None => Place::Absent(Absent::Because("only part of the value is known".into())),
                }
            }
        };
        Ok(Value { ty, place, bits, caveat: self.caveat.clone() })
    }

    /// `*self`
    ///
    /// # Errors
    /// It is no pointer, or its own memory is missing.
    pub fn deref(&self, types: &Types, mem: &dyn VirtRead) -> Result<Value, ErrorKind> {
        let (_, ty) = types.resolve(self.ty)?;
        match &*ty {
            Type::Pointer { to } => Ok(Value::memory(*to, self.to_address(types, mem)?)),
            Type::Array { elem, .. } => self.part(types, *elem, 0, None),
            Type::Func { .. } => Ok(self.clone()),
            // gdb reads memory at an integer of its own as a long
            Type::Int { .. } if !matches!(self.place, Place::Memory(_)) => {
                let long = Value::int(types, "long", 8, true, 0).ty;
                Ok(Value::memory(long, self.to_address(types, mem)?))
            }
            _ => Err(self.operand(types, "unary *")),
        }
    }

    /// `self[at]`
    ///
    /// # Errors
    /// It is no array or pointer, or its own memory is missing.
    pub fn index(&self, types: &Types, mem: &dyn VirtRead, at: i128) -> Result<Value, ErrorKind> {
        let (_, ty) = types.resolve(self.ty)?;
        match &*ty {
            Type::Array { elem, .. } => {
                let size = i128::from(types.size_of(*elem)?);
                match &self.place {
                    Place::Memory(base) => {
                        let by = size.wrapping_mul(at) as u64;
                        let caveat = self.caveat.clone();
                        Ok(Value { caveat, ..Value::memory(*elem, base.add(by)) })
                    }
                    _ => {
                        let bits = u64::try_from(size.wrapping_mul(at).wrapping_mul(8)).map_err(|_| {
                            ErrorKind::Operand {
                                operator: format!("[{at}]"),
                                ty: format!("{} that is not in memory", types.name(self.ty)),
                            }
                        })?;
                        self.part(types, *elem, bits, None)
                    }
                }
            }
            Type::Pointer { to } => {
                let by = i128::from(step_of(types, *to)?).wrapping_mul(at) as u64;
                Ok(Value::memory(*to, self.to_address(types, mem)?.add(by)))
            }
            _ => Err(self.operand(types, "[]")),
        }
    }

    /// `&self`
    ///
    /// # Errors
    /// It is not in memory.
    pub fn address_of(&self, types: &Types) -> Result<Value, ErrorKind> {
        if self.bits.is_some() {
            return Err(self.operand(types, "unary & (a bit-field)"));
        }
        match self.place {
            Place::Memory(at) => Ok(Value::pointer(types, self.ty, at)),
            _ => Err(ErrorKind::NotInMemory(types.name(self.ty))),
        }
    }

    /// `container_of(self, ty, path)`: the object around the member at `offset` that `self` points to.
    ///
    /// # Errors
    /// It is no pointer, or its own memory is missing.
    pub fn container_of(
        &self,
        types: &Types,
        mem: &dyn VirtRead,
        ty: TypeRef,
        offset: u64,
    ) -> Result<Value, ErrorKind> {
        let at = self.to_address(types, mem)?;
        Ok(Value::pointer(types, ty, at.sub(offset)))
    }

    /// `(ty) self`
    ///
    /// # Errors
    /// C has no such cast, or its memory is missing.
    pub fn cast(&self, types: &Types, mem: &dyn VirtRead, ty: TypeRef) -> Result<Value, ErrorKind> {
        if let (Some(Caveat::NoType(_)), Place::Memory(at)) = (&self.caveat, &self.place) {
            return Ok(Value::memory(ty, *at)); // gdb: the declared type of a variable without one
        }
        let (_, to) = types.resolve(ty)?;
        match &*to {
            Type::Void => Ok(Value { ty, place: Place::Bytes(Arc::new([])), bits: None, caveat: None }),
            Type::Int { encoding: Encoding::Bool, size, .. } => {
                let truth = self.truth(types, mem)?;
                Ok(Value::immediate(ty, le_bytes(i128::from(truth), *size)))
            }
            Type::Int { size, .. } | Type::Enum { size, .. } => {
                Ok(Value::immediate(ty, le_bytes(self.to_int(types, mem)?, *size)))
            }
            Type::Pointer { .. } => Ok(Value::immediate(ty, le_bytes(self.to_int(types, mem)?, 8))),
            Type::Float { size, .. } => {
                let f = match self.number(types, mem)? {
                    Number::Int(v) => v as f64,
                    Number::Float(f) => f,
                };
                let bytes = match size {
                    4 => (f as f32).to_le_bytes().to_vec(),
                    8 => f.to_le_bytes().to_vec(),
                    _ => return Err(self.operand(types, "cast to a long double")),
                };
                Ok(Value::immediate(ty, bytes))
            }
            // an object seen as another: what its memory, or its bytes, are as that type
            Type::Compound { .. } | Type::Array { .. } | Type::Func { .. } => self.seen_as(types, ty),
            Type::Typedef { .. } | Type::Qualified { .. } => Err(self.operand(types, "cast")),
        }
    }

    fn seen_as(&self, types: &Types, ty: TypeRef) -> Result<Value, ErrorKind> {
        self.check()?;
        let fits = match &self.place {
            Place::Memory(_) => true,
            Place::Bytes(b) | Place::Register { bytes: b, .. } => types.size_of(ty)? <= b.len() as u64,
            Place::Absent(_) => true,
        };
        if self.bits.is_some() || !fits {
            return Err(ErrorKind::Operand {
                operator: format!("a cast to {}", types.name(ty)),
                ty: types.name(self.ty),
            });
        }
        Ok(Value { ty, ..self.clone() })
    }

    /// True where C takes the value for true.
    ///
    /// # Errors
    /// It is no scalar, or its memory is missing.
    pub fn truth(&self, types: &Types, mem: &dyn VirtRead) -> Result<bool, ErrorKind> {
        Ok(match self.number(types, mem)? {
            Number::Int(v) => v != 0,
            Number::Float(f) => f != 0.0,
        })
    }
}

/// The member of a struct or union, or an error with the names that are like it.
pub(crate) fn find_member(types: &Types, ty: TypeRef, name: &str) -> Result<Found, ErrorKind> {
    let (at, full) = types.resolve(ty)?;
    let Type::Compound { declaration, .. } = &*full else {
        return Err(ErrorKind::Operand { operator: format!("member \"{name}\""), ty: types.name(ty) });
    };
    if let Some(found) = types.member(at, name)? {
        return Ok(found);
    }
    let of = types.name(at);
    if types.is_lost(at, name) {
        return Err(TypeError::Misplaced { of, member: name.to_owned() }.into());
    }
    if *declaration {
        return Err(TypeError::NoSize(format!("{of} (only declared)")).into());
    }
    let mut near = Nearest::new(name);
    offer_members(types, at, &mut near, 0);
    let of = match types.is_guess(at) {
        true if types.is_corrected(at) => {
            format!("what memory shows of {of} (it contradicts the debug information)")
        }
        true => format!("what could be inferred of {of} (its vmlinux tells all)"),
        false => of,
    };
    Err(ErrorKind::UnknownMember { name: name.to_owned(), of, near: near.finish() })
}

fn offer_members(types: &Types, at: TypeRef, near: &mut Nearest<'_>, depth: usize) {
    let Ok((_, ty)) = types.resolve(at) else { return };
    let Type::Compound { members, .. } = &*ty else { return };
    for m in members.iter() {
        match &m.name {
            Some(n) => near.offer(n),
            None if depth < 16 => offer_members(types, m.ty, near, depth + 1),
            None => {}
        }
    }
}

/// What adding 1 to a pointer adds to its address; gdb counts `void` and functions as one byte.
pub(crate) fn step_of(types: &Types, to: TypeRef) -> Result<u64, ErrorKind> {
    match *types.resolve(to)?.1 {
        Type::Void | Type::Func { .. } => Ok(1),
        _ => Ok(types.exact_size_of(to)?),
    }
}

/// The low `size` bytes of a number.
pub(crate) fn le_bytes(value: i128, size: u64) -> Vec<u8> {
    value.to_le_bytes().into_iter().take(usize::try_from(size).unwrap_or(16)).collect()
}

/// The number in `width` bits from bit `offset` on of little-endian bytes.
pub(crate) fn int_of(raw: &[u8], offset: u32, width: u32, signed: bool) -> i128 {
    if width == 0 || width > 128 {
        return 0;
    }
    let mut value: u128 = 0;
    for (i, b) in raw.iter().enumerate() {
        let at = i as i64 * 8 - i64::from(offset);
        let b = u128::from(*b);
        if at < 0 {
            value |= b >> at.unsigned_abs();
        } else if at < 128 {
            value |= b << at;
        }
    }
    let unused = 128 - width;
    let top = value << unused;
    if signed { (top as i128) >> unused } else { (top >> unused) as i128 }
}

/// The number in 4 or 8 bytes of IEEE 754.
pub(crate) fn float_of(raw: &[u8]) -> Option<f64> {
    match raw.len() {
        4 => raw.try_into().ok().map(|b| f64::from(f32::from_le_bytes(b))),
        8 => raw.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_taken_from_anywhere() {
        assert_eq!(int_of(&[0b1011_0100], 2, 3, false), 0b101);
        assert_eq!(int_of(&[0b1011_0100], 2, 3, true), -3);
        assert_eq!(int_of(&[0xff; 16], 0, 128, true), -1);
        assert_eq!(int_of(&[0x80, 0x01], 7, 2, false), 3);
        assert_eq!(int_of(&[0xff; 9], 6, 64, false), i128::from(u64::MAX));
        assert_eq!(int_of(&[], 0, 8, false), 0);
    }
}
