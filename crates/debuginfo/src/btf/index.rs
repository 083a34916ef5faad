//! Names to ids: a chained hash over what one pass finds. Names themselves stay in the blob.

use super::Btf;
use super::raw::Kind;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// End of a chain.
const END: u32 = u32::MAX;

/// Records of some kinds by name.
pub(super) struct Index {
    /// First entry of each chain; a power of two of them.
    heads: Box<[u32]>,
    /// In order of their ids, which chains keep.
    entries: Box<[Entry]>,
}

struct Entry {
    hash: u32,
    next: u32,
    id: u32,
    /// Which enumerator of the enumeration.
    sub: u32,
}

fn hash(name: &[u8]) -> u32 {
    let mut h = FxHasher::default();
    h.write(name);
    let wide = h.finish();
    (wide ^ wide >> 32) as u32
}

impl Index {
    /// The blob's own named records of some kinds.
    pub(super) fn of_records(btf: &Btf, wanted: impl Fn(Kind) -> bool) -> Self {
        let mut entries = Vec::new();
        for (id, record) in btf.own_records() {
            if wanted(record.kind) && record.name != 0 {
                entries.push(Entry { hash: hash(btf.string(record.name)), next: END, id, sub: 0 });
            }
        }
        Self::chained(entries)
    }

    /// The blob's own enumerators.
    pub(super) fn of_enumerators(btf: &Btf) -> Self {
        let mut entries = Vec::new();
        for (id, record) in btf.own_records() {
            if record.kind == Kind::ENUM || record.kind == Kind::ENUM64 {
                for (sub, (name, _)) in (0..).zip(record.enumerators(false)) {
                    entries.push(Entry { hash: hash(btf.string(name)), next: END, id, sub });
                }
            }
        }
        Self::chained(entries)
    }

    fn chained(mut entries: Vec<Entry>) -> Self {
        let size = entries.len().next_power_of_two();
        let mut heads = vec![END; size].into_boxed_slice();
        let mask = size.wrapping_sub(1);
        // from the back, so that a chain is in order of ids
        for (i, entry) in entries.iter_mut().enumerate().rev() {
            if let Some(head) = heads.get_mut(entry.hash as usize & mask) {
                entry.next = *head;
                *head = i as u32;
            }
        }
        Self { heads, entries: entries.into_boxed_slice() }
    }

    fn chain(&self, name: &str) -> impl Iterator<Item = &Entry> {
        let hash = hash(name.as_bytes());
        let mask = self.heads.len().wrapping_sub(1);
        let mut at = self.heads.get(hash as usize & mask).copied().unwrap_or(END);
        std::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.next;
            Some(entry)
        })
        .filter(move |entry| entry.hash == hash)
    }

    /// The ids of the records with this name, ascending.
    pub(super) fn ids<'a>(&'a self, btf: &'a Btf, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.chain(name).map(|entry| entry.id).filter(move |&id| {
            btf.record(id).is_some_and(|(owner, record)| owner.string(record.name) == name.as_bytes())
        })
    }

    /// The enumerations with this enumerator, and which of theirs it is.
    pub(super) fn enumerators<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u32, u32)> + 'a {
        self.chain(name).map(|entry| (entry.id, entry.sub))
    }
}
