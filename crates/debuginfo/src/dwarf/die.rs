//! Attributes of an entry as plain values.

use super::units::{Context, Result, Unit};
use super::{Entry, Slice, Value};
use gimli::{DwAt, Operation};
use std::sync::Arc;

/// How many entries `DW_AT_abstract_origin` and `DW_AT_specification` are followed through.
const MAX_ORIGINS: usize = 8;

/// A number as the compiler meant it: data forms hold their bits without a sign.
pub(super) fn number(value: &Value<'_>) -> Option<i128> {
    Some(match value {
        Value::Data1(n) => i128::from(*n),
        Value::Data2(n) => i128::from(*n),
        Value::Data4(n) => i128::from(*n),
        Value::Data8(n) | Value::Udata(n) => i128::from(*n),
        Value::Data16(n) => i128::try_from(*n).ok()?,
        Value::Sdata(n) => i128::from(*n),
        other => i128::from(other.udata_value()?),
    })
}

/// An attribute that is a number of at least zero.
pub(super) fn unsigned(entry: &Entry<'_>, name: DwAt) -> Option<u64> {
    u64::try_from(number(&entry.attr_value(name)?)?).ok()
}

/// An attribute that is a flag.
pub(super) fn flag(entry: &Entry<'_>, name: DwAt) -> bool {
    matches!(entry.attr_value(name), Some(Value::Flag(true)))
}

/// `DW_AT_data_member_location` in bytes: a number, or an expression that adds one.
pub(super) fn member_offset(unit: &Unit<'_>, entry: &Entry<'_>) -> Option<u64> {
    let value = entry.attr_value(gimli::DW_AT_data_member_location)?;
    if let Some(n) = number(&value) {
        return u64::try_from(n).ok();
    }
    let mut operations = value.exprloc_value()?.operations(unit.inner.encoding());
    match operations.next().ok()?? {
        Operation::PlusConstant { value } => Some(value),
        Operation::UnsignedConstant { value } => Some(value),
        _ => None,
    }
}

impl<'a> Context<'a> {
    /// The bytes of an attribute that is a string.
    pub(super) fn string(&self, unit: &Unit<'a>, value: Value<'a>) -> Option<Slice<'a>> {
        // a string in the supplementary file is reached from the main one only
        self.dwarf(unit).attr_string(&unit.inner, value).ok()
    }

    /// `DW_AT_name` of an entry itself.
    pub(super) fn own_name(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<Slice<'a>> {
        self.string(unit, entry.attr_value(gimli::DW_AT_name)?)
    }

    /// `DW_AT_name` as shared text.
    pub(super) fn name(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<Arc<str>> {
        let name = self.own_name(unit, entry)?;
        Some(name.to_string_lossy().as_ref().into())
    }

    /// What an attribute refers to.
    pub(super) fn referred(&self, unit: &Unit<'a>, entry: &Entry<'a>, name: DwAt) -> Option<u32> {
        self.target(unit, entry.attr_value(name)?).ok()
    }

    /// The entry that this one completes or is an instance of, over all steps; with each, `ask`.
    /// The first answer counts, the entry's own first.
    pub(super) fn through_origins<T>(
        &self,
        unit: &Arc<Unit<'a>>,
        entry: &Entry<'a>,
        ask: impl Fn(&Arc<Unit<'a>>, &Entry<'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some(answer) = ask(unit, entry) {
            return Some(answer);
        }
        let mut next = self.origin(unit, entry);
        for _ in 0..MAX_ORIGINS {
            let (unit, entry) = self.entry(next?).ok()?;
            if let Some(answer) = ask(&unit, &entry) {
                return Some(answer);
            }
            next = self.origin(&unit, &entry);
        }
        None
    }

    /// The entry that this one completes or is an instance of.
    pub(super) fn origin(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<u32> {
        self.referred(unit, entry, gimli::DW_AT_abstract_origin)
            .or_else(|| self.referred(unit, entry, gimli::DW_AT_specification))
    }

    /// The name of an entry or of what it is an instance of.
    pub(super) fn full_name(&self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>) -> Option<Arc<str>> {
        self.through_origins(unit, entry, |unit, entry| self.name(unit, entry))
    }

    /// The id of an entry's type, or of the type of what it is an instance of; 0 is `void`.
    pub(super) fn type_of(&self, unit: &Arc<Unit<'a>>, entry: &Entry<'a>) -> u32 {
        self.through_origins(unit, entry, |unit, entry| self.referred(unit, entry, gimli::DW_AT_type))
            .unwrap_or(0)
    }

    /// Calls `each` with the children of an entry (not with theirs), until it returns false.
    pub(super) fn children(
        &self,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
        mut each: impl FnMut(&Entry<'a>) -> bool,
    ) -> Result<()> {
        let mut children = Children::of(&unit.inner, entry)?;
        while let Some(child) = children.next()? {
            if !each(child) {
                break;
            }
        }
        Ok(())
    }
}

/// The children of an entry, one after another, without theirs.
///
/// The reader stands at depth 0 between two children, and deeper after one that has children.
pub(super) struct Children<'u, 'a> {
    unit: &'u gimli::Unit<Slice<'a>>,
    raw: gimli::EntriesRaw<'u, Slice<'a>>,
    last: Entry<'a>,
    done: bool,
}

impl<'u, 'a> Children<'u, 'a> {
    pub(super) fn of(unit: &'u gimli::Unit<Slice<'a>>, parent: &Entry<'a>) -> Result<Self> {
        let mut raw = unit.entries_raw(Some(parent.offset()))?;
        if let Some(abbreviation) = raw.read_abbreviation()? {
            raw.skip_attributes(abbreviation.attributes())?;
        }
        let done = !parent.has_children() || raw.is_empty();
        if !done {
            raw = unit.entries_raw(Some(raw.next_offset()))?;
        }
        Ok(Self { unit, raw, last: Entry::default(), done })
    }

    /// The next child; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<&Entry<'a>>> {
        if !self.done && self.last.has_children() {
            self.over_grandchildren()?;
        }
        if self.done || self.raw.is_empty() || !self.raw.read_entry(&mut self.last)? {
            self.done = true;
            return Ok(None);
        }
        Ok(Some(&self.last))
    }

    /// To the next sibling: at once, where the compiler says how far that is.
    fn over_grandchildren(&mut self) -> Result<()> {
        if let Some(Value::UnitRef(next)) = self.last.attr_value(gimli::DW_AT_sibling)
            && next >= self.raw.next_offset()
        {
            self.raw = self.unit.entries_raw(Some(next))?;
            return Ok(());
        }
        while self.raw.next_depth() > 0 && !self.raw.is_empty() {
            if let Some(abbreviation) = self.raw.read_abbreviation()? {
                self.raw.skip_attributes(abbreviation.attributes())?;
            }
        }
        Ok(())
    }
}
