//! `.debug_info` of a module, relocated a unit at a time when the unit is read.
//!
//! Most of a module's relocations are in this section (811,000 of xfs's 880,000), and a question about an address
//! reads one unit of hundreds. The lengths of units are no relocated fields, so the units are known without.
//!
//! Invariant: only for files whose relocations are one table of ascending offsets, as assemblers and linkers
//! write it; others are relocated whole.

use crate::elf::{ObjectFile, Placement};
use base::Bytes;
use std::sync::{Arc, OnceLock};

const INFO: &str = ".debug_info";

/// The section, unit by unit.
pub(super) struct LazyInfo {
    object: Arc<ObjectFile>,
    place: Placement,
    /// Where each unit begins, ascending; then the end of the last.
    bounds: Vec<u32>,
    /// What was relocated.
    units: Vec<OnceLock<Option<Vec<u8>>>>,
    /// The section with the relocations.
    table: usize,
}

impl LazyInfo {
    /// `None` where the file is linked, or has to be relocated whole.
    pub(super) fn new(object: &Arc<ObjectFile>, place: &Placement) -> Option<Self> {
        if !object.has_relocations() {
            return None;
        }
        let bounds = bounds(object.section(INFO).ok()??)?;
        let table = object.sorted_relocations(INFO)?;
        let units = bounds.iter().skip(1).map(|_| OnceLock::new()).collect();
        Some(Self { object: Arc::clone(object), place: place.clone(), bounds, units, table })
    }

    /// The relocated bytes of the unit that begins at an offset, its header included.
    pub(super) fn unit(&self, start: u32) -> Option<&[u8]> {
        let at = self.bounds.binary_search(&start).ok()?;
        let end = *self.bounds.get(at.checked_add(1)?)?;
        let relocate =
            || self.object.relocated_part(INFO, start as usize..end as usize, self.table, &self.place);
        self.units.get(at)?.get_or_init(relocate).as_deref()
    }

    /// The bytes of the unit that begins at an offset.
    pub(super) fn len_of(&self, start: u32) -> Option<usize> {
        let at = self.bounds.binary_search(&start).ok()?;
        Some(self.bounds.get(at.checked_add(1)?)?.checked_sub(start)? as usize)
    }

    /// Where the section refers to strings of `.debug_str`, by the strings' offsets.
    pub(super) fn references(&self, strings: &[u32]) -> Vec<usize> {
        self.object.references(self.table, ".debug_str", strings)
    }
}

/// Where units begin (`unit_length`: u32, or `0xffffffff` and a u64), and the end of the last; `None` where they do not
/// fill the section.
fn bounds(info: &[u8]) -> Option<Vec<u32>> {
    let b = Bytes::new(info);
    let mut out = vec![0];
    let mut at = 0_usize;
    while at < info.len() {
        let (head, length) = match b.u32_at(at).ok()? {
            u32::MAX => (12, usize::try_from(b.u64_at(at.checked_add(4)?).ok()?).ok()?),
            length => (4, length as usize),
        };
        at = at.checked_add(head)?.checked_add(length).filter(|end| *end <= info.len())?;
        out.push(u32::try_from(at).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Elf;

    /// Two units of which each has an address and a string, at offsets 8 and 16, and 28 and 36.
    fn file(relocations: &[(u64, u64, u64, i64)]) -> Arc<ObjectFile> {
        let mut info = Vec::new();
        for _ in 0..2 {
            info.extend_from_slice(&16_u32.to_le_bytes());
            info.extend_from_slice(&[0; 16]);
        }
        let elf = Elf::new(1)
            .section(".text", 1, 6, 0, &[0; 64])
            .section(INFO, 1, 0, 0, &info)
            .section(".debug_str", 1, 0, 0, b"one\0two\0")
            .symbol("", 3, 1, 0, 0)
            .symbol("", 3, 3, 0, 0)
            .rela(2, relocations);
        Arc::new(ObjectFile::from_bytes(elf.build().into()).unwrap())
    }

    fn place() -> Placement {
        Placement::new([(".text", 0xffff_ffff_c000_1000)])
    }

    const SORTED: [(u64, u64, u64, i64); 4] =
        [(8, 1, 1, 0x10), (16, 2, 10, 4), (28, 1, 1, 0x20), (36, 2, 10, 0)];

    #[test]
    fn units_are_what_the_whole_section_would_have() {
        let object = file(&SORTED);
        let whole = object.relocated_section(INFO, &place()).unwrap();
        let lazy = LazyInfo::new(&object, &place()).unwrap();
        assert_eq!(lazy.unit(20).unwrap(), &whole[20..]);
        assert_eq!(lazy.unit(0).unwrap(), &whole[..20]);
        assert_eq!(lazy.unit(0).unwrap()[8..16], 0xffff_ffff_c000_1010_u64.to_le_bytes());
        assert_eq!((lazy.len_of(20), lazy.len_of(4), lazy.unit(40)), (Some(20), None, None));
        assert_eq!(lazy.references(&[0]), [36]);
        assert_eq!(lazy.references(&[4, 0]), [16, 36]);
        assert!(lazy.references(&[0x10]).is_empty(), "an address is no string");
    }

    #[test]
    fn what_is_not_as_usual_is_left_to_the_whole() {
        let mut mixed = SORTED;
        mixed.swap(0, 3);
        assert!(LazyInfo::new(&file(&mixed), &place()).is_none());
        assert_eq!(bounds(&[1, 0, 0, 0, 9]), Some(vec![0, 5]));
        assert_eq!(bounds(&[2, 0, 0, 0, 9]), None);
        assert_eq!(bounds(&[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 9]), Some(vec![0, 13]));
        assert_eq!(bounds(&[0xff; 12]), None);
        assert_eq!(bounds(&[]), Some(vec![0]));
    }
}
