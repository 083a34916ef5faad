//! An entry as a [`Type`].

use super::die::{flag, member_offset, number, unsigned};
use super::units::{Context, Unit};
use super::{Entry, Value};
use crate::types::{CompoundKind, Encoding, Member, Param, Qualifier, SourceId, Type, TypeRef};
use std::sync::{Arc, PoisonError};

/// What can be wrong with a type.
pub(super) enum Bad {
    /// The id leads to no entry.
    NoEntry,
    /// The entry is no type, or contradicts itself.
    Malformed(String),
}

impl From<gimli::Error> for Bad {
    fn from(error: gimli::Error) -> Self {
        Bad::Malformed(error.to_string())
    }
}

/// Reads types of one file for one source id.
pub(super) struct TypeReader<'q, 'a> {
    pub(super) context: &'q Context<'a>,
    pub(super) source: SourceId,
}

impl<'a> TypeReader<'_, 'a> {
    fn reference(&self, id: u32) -> TypeRef {
        if id == TypeRef::VOID_ID { TypeRef::VOID } else { TypeRef { source: self.source, id } }
    }

    /// `DW_AT_type` of an entry.
    fn to(&self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>) -> TypeRef {
        self.reference(self.context.type_of(unit, entry))
    }

    pub(super) fn get(&self, id: u32) -> Result<Type, Bad> {
        let (mut unit, mut entry) = self.context.entry(id).map_err(|_| Bad::NoEntry)?;
        if let Some(whole) = self.context.referred(&unit, &entry, gimli::DW_AT_signature) {
            // a stand-in for the type of a type unit
            (unit, entry) = self.context.entry(whole)?;
        }
        let (unit, entry) = (unit, entry);
        let to = || self.to(&unit, &entry);
        let qualified = |qualifier| Type::Qualified { qualifier, to: to() };
        Ok(match entry.tag() {
            gimli::DW_TAG_base_type => self.base(&unit, &entry),
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => Type::Pointer { to: to() },
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_interface_type => {
                self.compound(CompoundKind::Struct, &unit, &entry)?
            }
            gimli::DW_TAG_union_type => self.compound(CompoundKind::Union, &unit, &entry)?,
            gimli::DW_TAG_enumeration_type => self.enumeration(&unit, &entry)?,
            gimli::DW_TAG_typedef => {
                Type::Typedef { name: self.context.name(&unit, &entry).unwrap_or_default(), to: to() }
            }
            gimli::DW_TAG_const_type | gimli::DW_TAG_immutable_type => qualified(Qualifier::Const),
            gimli::DW_TAG_volatile_type => qualified(Qualifier::Volatile),
            gimli::DW_TAG_restrict_type => qualified(Qualifier::Restrict),
            gimli::DW_TAG_atomic_type => qualified(Qualifier::Atomic),
            gimli::DW_TAG_array_type => self.array(&unit, &entry, None)?,
            gimli::DW_TAG_subrange_type => {
                let dimensions = self.context.dimensions.read().unwrap_or_else(PoisonError::into_inner);
                let array = dimensions.get(&id).copied();
                drop(dimensions);
                let array = array.ok_or_else(|| Bad::Malformed("a subrange is no type of C".into()))?;
                let (unit, entry) = self.context.entry(array)?;
                self.array(&unit, &entry, Some(id))?
            }
            gimli::DW_TAG_subroutine_type | gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine => {
                self.function(&unit, &entry)?
            }
            gimli::DW_TAG_unspecified_type => Type::Void,
            gimli::DW_TAG_ptr_to_member_type => Type::Int {
                name: "<pointer to member>".into(),
                size: unsigned(&entry, gimli::DW_AT_byte_size).unwrap_or(8),
                encoding: Encoding::Unsigned,
            },
            tag => return Err(Bad::Malformed(format!("{tag} is no type of C"))),
        })
    }

    fn base(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Type {
        let name = self.context.name(unit, entry).unwrap_or_default();
        let size = unsigned(entry, gimli::DW_AT_byte_size)
            .or_else(|| unsigned(entry, gimli::DW_AT_bit_size).map(|bits| bits.div_ceil(8)))
            .unwrap_or(0);
        let Some(Value::Encoding(encoding)) = entry.attr_value(gimli::DW_AT_encoding) else {
            return Type::Int { name, size, encoding: Encoding::Unsigned };
        };
        let encoding = match encoding {
            gimli::DW_ATE_float | gimli::DW_ATE_complex_float | gimli::DW_ATE_imaginary_float => {
                return Type::Float { name, size };
            }
            gimli::DW_ATE_boolean => Encoding::Bool,
            gimli::DW_ATE_signed | gimli::DW_ATE_signed_fixed => Encoding::Signed,
            gimli::DW_ATE_signed_char => Encoding::SignedChar,
            gimli::DW_ATE_unsigned_char => Encoding::UnsignedChar,
            _ => Encoding::Unsigned,
        };
        Type::Int { name, size, encoding }
    }

    fn compound(&self, kind: CompoundKind, unit: &Arc<Unit<'a>>, entry: &Entry<'a>) -> Result<Type, Bad> {
        let mut members = Vec::new();
        self.context.children(unit, entry, |child| {
            let inherited = child.tag() == gimli::DW_TAG_inheritance;
            if (child.tag() == gimli::DW_TAG_member || inherited) && !is_static(child) {
                members.push(self.member(unit, child, inherited));
            }
            true
        })?;
        Ok(Type::Compound {
            kind,
            name: self.context.name(unit, entry),
            size: unsigned(entry, gimli::DW_AT_byte_size).unwrap_or(0),
            members: members.into(),
            declaration: flag(entry, gimli::DW_AT_declaration),
        })
    }

    fn member(&self, unit: &Arc<Unit<'a>>, child: &Entry<'a>, inherited: bool) -> Member {
        let bytes = member_offset(unit, child).unwrap_or(0); // a union's members have none
        let bit_size = unsigned(child, gimli::DW_AT_bit_size);
        let mut bit_offset = bytes.saturating_mul(8);
        if let Some(bits) = unsigned(child, gimli::DW_AT_data_bit_offset) {
            bit_offset = bit_offset.saturating_add(bits);
        } else if let (Some(from_top), Some(width)) = (unsigned(child, gimli::DW_AT_bit_offset), bit_size) {
            // DWARF 2: counted from the top of a storage unit, whose size the type gives if nothing does
            let unit_size = unsigned(child, gimli::DW_AT_byte_size)
                .or_else(|| self.base_size(self.context.type_of(unit, child)))
                .unwrap_or(4);
            let below = unit_size.saturating_mul(8).wrapping_sub(from_top).wrapping_sub(width);
            bit_offset = bit_offset.wrapping_add(below);
        }
        Member {
            name: if inherited { None } else { self.context.name(unit, child) },
            ty: self.to(unit, child),
            bit_offset,
            bit_size: bit_size.and_then(|n| u32::try_from(n).ok()),
        }
    }

    /// Whether a type behind typedefs and qualifiers is an integer that may be negative.
    fn is_base_signed(&self, mut id: u32) -> bool {
        for _ in 0..32 {
            let Ok((unit, entry)) = self.context.entry(id) else { return false };
            if entry.tag() == gimli::DW_TAG_base_type {
                return matches!(self.base(&unit, &entry), Type::Int { encoding, .. } if encoding.is_signed());
            }
            let Some(next) = self.context.referred(&unit, &entry, gimli::DW_AT_type) else { return false };
            id = next;
        }
        false
    }

    /// `DW_AT_byte_size` of a type behind typedefs and qualifiers.
    fn base_size(&self, mut id: u32) -> Option<u64> {
        for _ in 0..32 {
            let (unit, entry) = self.context.entry(id).ok()?;
            if let Some(size) = unsigned(&entry, gimli::DW_AT_byte_size) {
                return Some(size);
            }
            id = self.context.referred(&unit, &entry, gimli::DW_AT_type)?;
        }
        None
    }

    fn enumeration(&self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>) -> Result<Type, Bad> {
        let mut values = Vec::new();
        self.context.children(unit, entry, |child| {
            if child.tag() == gimli::DW_TAG_enumerator {
                let value = child.attr_value(gimli::DW_AT_const_value).as_ref().and_then(number);
                values.push((self.context.name(unit, child).unwrap_or_default(), value.unwrap_or(0)));
            }
            true
        })?;
        Ok(Type::Enum {
            name: self.context.name(unit, entry),
            size: unsigned(entry, gimli::DW_AT_byte_size)
                .or_else(|| self.base_size(self.context.type_of(unit, entry)))
                .unwrap_or(4),
            signed: self.is_base_signed(self.context.type_of(unit, entry))
                || values.iter().any(|(_, v)| *v < 0),
            declaration: flag(entry, gimli::DW_AT_declaration),
            values: values.into(),
        })
    }

    /// The array of an entry, from the given dimension on (the first for `None`). Each further
    /// dimension is a type of its own, known by the id of its subrange.
    fn array(&self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>, from: Option<u32>) -> Result<Type, Bad> {
        let mut ranges = Vec::new();
        self.context.children(unit, entry, |child| {
            match child.tag() {
                gimli::DW_TAG_subrange_type => ranges.push((unit.id(child.offset()), count(child))),
                // an array over an enumeration's range, as some languages have
                gimli::DW_TAG_enumeration_type => ranges.push((unit.id(child.offset()), None)),
                _ => {}
            }
            true
        })?;
        let mut ranges =
            ranges.into_iter().skip_while(|(id, _)| from.is_some() && id.as_ref().ok() != from.as_ref());
        let (_, count) = ranges.next().unwrap_or((Ok(0), None));
        let elem = match ranges.next() {
            Some((inner, _)) => {
                let (inner, array) = (inner?, unit.id(entry.offset())?);
                let mut known = self.context.dimensions.write().unwrap_or_else(PoisonError::into_inner);
                known.insert(inner, array);
                self.reference(inner)
            }
            None => self.to(unit, entry),
        };
        Ok(Type::Array { elem, count })
    }

    fn function(&self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>) -> Result<Type, Bad> {
        let mut params = Vec::new();
        let mut variadic = false;
        self.context.children(unit, entry, |child| {
            match child.tag() {
                gimli::DW_TAG_formal_parameter => {
                    params.push(Param { name: self.context.full_name(unit, child), ty: self.to(unit, child) })
                }
                gimli::DW_TAG_unspecified_parameters => variadic = true,
                _ => {}
            }
            true
        })?;
        Ok(Type::Func { ret: self.to(unit, entry), params: params.into(), variadic })
    }
}

/// A C++ member that is no part of the object.
fn is_static(child: &Entry<'_>) -> bool {
    flag(child, gimli::DW_AT_external) || flag(child, gimli::DW_AT_declaration)
}

/// How many elements a subrange has; `None` for `[]`, and where only the running program knew.
fn count(range: &Entry<'_>) -> Option<u64> {
    if let Some(value) = range.attr_value(gimli::DW_AT_count) {
        return u64::try_from(number(&value)?).ok();
    }
    let upper = number(&range.attr_value(gimli::DW_AT_upper_bound)?)?;
    // `[0]` was written as an upper bound of -1, in whatever width
    let upper = if upper == i128::from(u64::MAX) || upper == i128::from(u32::MAX) { -1 } else { upper };
    u64::try_from(upper.checked_add(1)?).ok()
}
