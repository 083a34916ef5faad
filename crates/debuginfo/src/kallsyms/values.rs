//! The addresses, in whichever form.

use super::layout::AddressArray;
use super::{AddressForm, Addresses, KallsymsError};
use base::{VirtAddr, VirtRead};

/// Reads and decodes the addresses; they ascend.
pub(super) fn read(
    mem: &dyn VirtRead,
    at: &Addresses,
    count: u32,
) -> Result<(AddressForm, Vec<u64>), KallsymsError> {
    let count = count as usize;
    let (offsets, base) = match at.array {
        AddressArray::Absolute(array) => {
            let raw =
                mem.bytes(array, count * 8).map_err(|f| KallsymsError::fault("kallsyms_addresses", f))?;
            let addrs = raw.chunks_exact(8).map(|c| c.first_chunk().map_or(0, |c| u64::from_le_bytes(*c)));
            let addrs: Vec<u64> = addrs.collect();
            let rise = rises(&addrs);
            return if rise == count {
                Ok((AddressForm::Absolute, addrs))
            } else {
                Err(KallsymsError::Values { at: array, index: rise })
            };
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
    decode(&raw, offsets, forms)
}

/// The first of `forms` in which the offsets ascend.
pub(super) fn decode(
    raw: &[u8],
    at: VirtAddr,
    forms: &[AddressForm],
) -> Result<(AddressForm, Vec<u64>), KallsymsError> {
    let mut furthest = 0;
    for &form in forms {
        let addrs = apply(raw, at, form);
        let rise = rises(&addrs);
        if rise == addrs.len() {
            return Ok((form, addrs));
        }
        furthest = furthest.max(rise);
    }
    Err(KallsymsError::Values { at, index: furthest })
}

fn apply(raw: &[u8], at: VirtAddr, form: AddressForm) -> Vec<u64> {
    let offsets = raw.chunks_exact(4).map(|c| c.first_chunk().map_or(0, |c| i32::from_le_bytes(*c)));
    match form {
        AddressForm::Absolute => Vec::new(),
        AddressForm::Relative { base } => {
            offsets.map(|o| base.wrapping_add(u64::from(o.cast_unsigned()))).collect()
        }
        AddressForm::RelativePercpu { base } => offsets
            .map(|o| match o {
                0.. => u64::from(o.cast_unsigned()),
                _ => base.wrapping_sub(1).wrapping_add_signed(-i64::from(o)),
            })
            .collect(),
        AddressForm::SelfRelative => (0..)
            .zip(offsets)
            .map(|(i, o): (u64, i32)| at.0.wrapping_add(i * 4).wrapping_add_signed(i64::from(o)))
            .collect(),
    }
}

/// How many addresses ascend, from the first on. Runs of one number (padding read as addresses) are no
/// addresses: of a kernel's symbols few share theirs.
fn rises(addrs: &[u64]) -> usize {
    let fall = addrs.windows(2).position(|w| matches!(w, [a, b] if a > b));
    let rise = fall.map_or(addrs.len(), |i| i + 1);
    let same = addrs.windows(2).filter(|w| matches!(w, [a, b] if a == b)).count();
    if rise == addrs.len() && same > rise / 2 { rise / 2 } else { rise }
}
