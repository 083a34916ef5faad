//! The kernel's own index by name: `kallsyms_seqs_of_names`, the numbers of all symbols in the order of their names.
//!
//! Source of the facts: the kernel's `scripts/kallsyms.c` and `kernel/kallsyms.c`, since 6.2 (60443c88f3a8; stable 6.1
//! has it too): three bytes each (19bd8981dc2e), big-endian. It stands behind the markers, from 6.5 on behind the addresses
//! (404bad70fcf7). No symbol leads to it (kallsyms does not name its own arrays), so it is looked for at these places.
//!
//! Names are in the order of `strcmp`, without what clang's LTO put behind them: until 6.5 that is all from the first `.` on
//! (6eb4bd92c1ce), from 6.6 on `.llvm.` and a number (8cc32a9bbf29), in newer ones nothing is taken off.
//!
//! **Invariant:** it is used only where it is a permutation of all numbers, and where names that were looked at stand in
//! their order: a name that it does not find is not there.

use super::packed::Names;
use super::{AddressArray, Layout};
use base::{VirtAddr, VirtRead};
use std::cmp::Ordering;

/// Bytes of an entry.
const WIDTH: usize = 3;
/// As many neighbours are looked at whether they are in order.
const LOOKED_AT: usize = 256;

/// The index.
pub(super) struct Sorted {
    raw: Vec<u8>,
}

impl Sorted {
    /// The index of those names, where it is one.
    pub(super) fn read(
        mem: &dyn VirtRead,
        layout: &Layout,
        array: AddressArray,
        names: &Names,
    ) -> Option<Self> {
        let len = names.count().checked_mul(WIDTH)?;
        places(layout, array, len).into_iter().find_map(|at| {
            // most places that are wrong show it at once
            let head = mem.bytes(at, len.min(WIDTH * 16)).ok()?;
            let fits =
                |raw: &[u8]| raw.as_chunks::<WIDTH>().0.iter().all(|entry| number(entry) < names.count());
            if !fits(&head) {
                return None;
            }
            let sorted = Self { raw: mem.bytes(at, len).ok()? };
            (sorted.is_permutation() && sorted.is_in_order(names)).then_some(sorted)
        })
    }

    fn get(&self, place: usize) -> Option<usize> {
        self.raw.as_chunks::<WIDTH>().0.get(place).map(number)
    }

    fn is_permutation(&self) -> bool {
        let entries = self.raw.as_chunks::<WIDTH>().0;
        let mut seen = vec![0_u64; entries.len().div_ceil(64)];
        entries.iter().map(number).all(|number| {
            let bit = 1 << (number % 64);
            let word = seen.get_mut(number / 64).filter(|_| number < entries.len());
            word.is_some_and(|word| std::mem::replace(word, *word | bit) & bit == 0)
        })
    }

    fn is_in_order(&self, names: &Names) -> bool {
        let pairs = names.count().saturating_sub(1);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        (0..pairs).step_by((pairs / LOOKED_AT).max(1)).all(|place| {
            let (Some(first), Some(second)) = (self.get(place), self.get(place + 1)) else { return false };
            names.write(first, &mut a);
            names.write(second, &mut b);
            a <= b || stem(&a) <= stem(&b)
        })
    }

    /// The numbers of the symbols with that name, ascending. `None` where this order does not tell.
    pub(super) fn named(&self, names: &Names, wanted: &[u8]) -> Option<Vec<u32>> {
        let stem = stem(wanted);
        // a character before `.` would stand elsewhere with what LTO appends than without
        if stem.is_empty() || stem.iter().any(|c| *c < BEHIND_DOT) {
            return None;
        }
        let (mut low, mut high) = (0, names.count());
        while low < high {
            let middle = low.midpoint(high);
            match compare(names.pieces(self.get(middle)?), stem) {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        let mut found = Vec::new();
        let mut name = Vec::new();
        for place in low..names.count() {
            let number = self.get(place)?;
            if compare(names.pieces(number), stem) != Ordering::Equal {
                break;
            }
            names.write(number, &mut name);
            if name == wanted {
                found.push(u32::try_from(number).ok()?);
            }
        }
        found.sort_unstable();
        Some(found)
    }
}

fn number(entry: &[u8; WIDTH]) -> usize {
    entry.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Where it may be: behind the addresses, and between markers and tokens.
fn places(layout: &Layout, array: AddressArray, len: usize) -> Vec<VirtAddr> {
    let count = u64::from(layout.count);
    let behind = match array {
        AddressArray::Absolute(at) => at.add(count * 8),
        AddressArray::Offsets { offsets, base: None } => offsets.add(count * 4),
        AddressArray::Offsets { base: Some(base), .. } => base.add(8),
    };
    let bytes = count.div_ceil(256) * u64::from(layout.marker_width);
    let markers = (bytes > 0).then(|| layout.markers.add(bytes));
    let mut places = Vec::new();
    for at in [Some(behind), markers].into_iter().flatten() {
        for align in [8, 4] {
            let at = VirtAddr(at.0.wrapping_add(align - 1) & !(align - 1));
            let room = layout.token_table.0.checked_sub(at.0);
            // what stands before the tokens ends there
            let fits = room.is_none_or(|room| room >= len as u64);
            if fits && !places.contains(&at) {
                places.push(at);
            }
        }
    }
    places
}

/// The character behind `.`.
const BEHIND_DOT: u8 = b'.' + 1;

/// A name up to its first `.`: no release takes more off before it sorts.
fn stem(name: &[u8]) -> &[u8] {
    name.split(|c| *c == b'.').next().unwrap_or(name)
}

/// How a name stands to those that are `stem` alone or go on with a character up to `.`. With and without what LTO
/// appends it is the same, so that all orders ascend by this.
fn compare<'a>(mut pieces: impl Iterator<Item = &'a [u8]>, stem: &[u8]) -> Ordering {
    let mut rest = stem;
    // the first token that is not empty has the letter
    let first = pieces.find_map(|piece| Some(piece.split_first()?.1));
    for piece in first.into_iter().chain(pieces) {
        for c in piece {
            match rest.split_first() {
                Some((wanted, _)) if c != wanted => return c.cmp(wanted),
                Some((_, behind)) => rest = behind,
                None if *c < BEHIND_DOT => return Ordering::Equal,
                None => return Ordering::Greater,
            }
        }
    }
    if rest.is_empty() { Ordering::Equal } else { Ordering::Less }
}
