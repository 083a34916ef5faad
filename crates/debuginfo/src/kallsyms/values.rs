//! The addresses, in whichever form.

use super::layout::AddressArray;
use super::repair::{filled, mostly_ascending, patched};
use super::{AddressForm, Addresses, KallsymsError};
use base::{VirtAddr, VirtRead};

/// The addresses as they are stored, and how.
pub(super) struct Values {
    raw: Vec<u8>,
    at: VirtAddr,
    pub(super) form: AddressForm,
    /// Of damaged addresses which are good; else nothing.
    good: Vec<bool>,
}

impl Values {
    /// Reads the addresses; they ascend.
    pub(super) fn read(mem: &dyn VirtRead, at: &Addresses, count: u32) -> Result<Self, KallsymsError> {
        let count = count as usize;
        let (offsets, base) = match at.array {
            AddressArray::Absolute(array) => {
                let raw =
                    mem.bytes(array, count * 8).map_err(|f| KallsymsError::fault("kallsyms_addresses", f))?;
                return Self::ascending(raw, array, &[AddressForm::Absolute]);
            }
            AddressArray::Offsets { offsets, base } => (offsets, base),
        };
        let base = base.map(|b| mem.u64(b)).transpose();
        let base = base.map_err(|f| KallsymsError::fault("kallsyms_relative_base", f))?;
        let raw = mem.bytes(offsets, count * 4).map_err(|f| KallsymsError::fault("kallsyms_offsets", f))?;
        let forms: &[AddressForm] = match base {
            // plain offsets first: with per-cpu numbers they do not ascend, but not the other way round
            Some(base) => &[AddressForm::Relative { base }, AddressForm::RelativePercpu { base }],
            None => &[AddressForm::SelfRelative],
        };
        Self::ascending(raw, offsets, forms)
    }

    /// In the first of `forms` in which they ascend.
    fn ascending(raw: Vec<u8>, at: VirtAddr, forms: &[AddressForm]) -> Result<Self, KallsymsError> {
        let mut values = Self { raw, at, form: AddressForm::Absolute, good: Vec::new() };
        let mut furthest = 0;
        for &form in forms {
            values.form = form;
            let rise = rises(values.iter());
            if rise == values.len() {
                return Ok(values);
            }
            furthest = furthest.max(rise);
        }
        Err(KallsymsError::Values { at, index: furthest })
    }

    /// What is left of damaged addresses: those that ascend, in the form in which most do.
    pub(super) fn repaired(mem: &dyn VirtRead, at: &Addresses, count: u32) -> Result<Self, KallsymsError> {
        let (start, base) = match at.array {
            AddressArray::Absolute(array) => (array, None),
            AddressArray::Offsets { offsets, base } => {
                let read = base.map(|b| mem.u64(b)).transpose();
                (offsets, Some(read.map_err(|f| KallsymsError::fault("kallsyms_relative_base", f))?))
            }
        };
        let forms: &[AddressForm] = match base {
            None => &[AddressForm::Absolute],
            Some(Some(base)) => &[AddressForm::Relative { base }, AddressForm::RelativePercpu { base }],
            Some(None) => &[AddressForm::SelfRelative],
        };
        let width = if base.is_none() { 8 } else { 4 };
        let raw = patched(mem, start, count as usize * width);
        let run = filled(&raw, width);
        let mut values = Self { raw, at: start, form: AddressForm::Absolute, good: Vec::new() };
        let mut best: Option<(usize, AddressForm, Vec<bool>)> = None;
        for &form in forms {
            values.form = form;
            let Some(good) = mostly_ascending(&values.iter().collect::<Vec<u64>>(), &run) else { continue };
            let number = good.iter().filter(|good| **good).count();
            if best.as_ref().is_none_or(|(most, ..)| number > *most) {
                best = Some((number, form, good));
            }
        }
        let (_, form, good) = best.ok_or(KallsymsError::Values { at: start, index: 0 })?;
        Ok(Self { form, good, ..values })
    }

    /// True where the address with that number is not lost.
    pub(super) fn is_good(&self, index: usize) -> bool {
        self.good.get(index).copied().unwrap_or(true)
    }

    /// True where there are so many and none is lost.
    pub(super) const fn is_whole(&self, count: usize) -> bool {
        self.good.is_empty() && self.len() == count
    }

    const fn width(&self) -> usize {
        if matches!(self.form, AddressForm::Absolute) { 8 } else { 4 }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.raw.len() / self.width()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        (0..).zip(self.raw.chunks_exact(self.width())).map(|(index, raw)| self.value(index, raw))
    }

    /// The one with that number.
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        let raw = self.raw.chunks_exact(self.width()).nth(index)?;
        Some(self.value(index as u64, raw))
    }

    fn value(&self, index: u64, raw: &[u8]) -> u64 {
        let offset = raw.first_chunk().map_or(0, |raw| i32::from_le_bytes(*raw));
        match self.form {
            AddressForm::Absolute => raw.first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw)),
            AddressForm::Relative { base } => base.wrapping_add(u64::from(offset.cast_unsigned())),
            AddressForm::RelativePercpu { base } => match offset {
                0.. => u64::from(offset.cast_unsigned()),
                _ => base.wrapping_sub(1).wrapping_add_signed(-i64::from(offset)),
            },
            AddressForm::SelfRelative => {
                self.at.0.wrapping_add(index * 4).wrapping_add_signed(i64::from(offset))
            }
        }
    }
}

/// How many addresses ascend, from the first on. Runs of one number (padding read as addresses) are no
/// addresses: of a kernel's symbols few share theirs.
fn rises(addrs: impl Iterator<Item = u64>) -> usize {
    let (mut count, mut same, mut last) = (0, 0, None);
    for addr in addrs {
        if last.is_some_and(|last| last > addr) {
            return count;
        }
        same += usize::from(last == Some(addr));
        count += 1;
        last = Some(addr);
    }
    if same > count / 2 { count / 2 } else { count }
}
