//! The first definition of a name, without an index of the whole file.
//!
//! A name stands once in `.debug_str`, and entries refer to it by its offset there. So a name that
//! is not in that section is no entry's, and where it is, the four bytes of its offset in
//! `.debug_info` lead to the units to look in; a kernel's types are found in the first of them.
//! (Compilers put names of less than four bytes into the entry itself; there the first units are tried.)

use super::units::{Context, Unit};
use crate::types::Space;
use gimli::Section as _;
use memchr::memmem;
use std::sync::Arc;

/// How many units are looked into before the index of the whole file is made.
const MAX_UNITS: usize = 48;
/// Names shorter than this are not in `.debug_str`.
const SHORT: usize = 4;

/// What a search without the index came to.
enum Search<T> {
    Found(T),
    Absent,
    /// Only the index can tell.
    Unknown,
}

/// What one unit has of a name.
enum InUnit<T> {
    Definition(T),
    Declaration(T),
    Nothing,
}

impl<'a> Context<'a> {
    /// The first definition of a name; a declaration where there is no definition.
    pub(super) fn first(&self, space: Space, name: &str) -> Option<u32> {
        let search = self.search(name, |unit| match self.unit_names(unit).find(self, space, name).first() {
            Some(named) if named.declared => InUnit::Declaration(named.id),
            Some(named) => InUnit::Definition(named.id),
            None => InUnit::Nothing,
        });
        match search {
            Search::Found(id) => Some(id),
            Search::Absent => None,
            Search::Unknown => self.all_names().0.find(self, space, name).first().map(|n| n.id),
        }
    }

    /// The enumerations that may have an enumerator: those of the first unit that has any.
    pub(super) fn enumerations(&self, name: &str) -> Vec<u32> {
        let search = self.search(name, |unit| {
            let found: Vec<u32> = self.unit_enumerators(unit).find(name).collect();
            if found.is_empty() { InUnit::Nothing } else { InUnit::Definition(found) }
        });
        match search {
            Search::Found(ids) => ids,
            Search::Absent => Vec::new(),
            Search::Unknown => self.all_names().1.find(name).collect(),
        }
    }

    fn search<T>(&self, name: &str, mut look: impl FnMut(&Arc<Unit<'a>>) -> InUnit<T>) -> Search<T> {
        if self.names.get().is_some() || !self.is_plain() {
            return Search::Unknown;
        }
        if name.len() < SHORT {
            return self.search_first_units(look);
        }
        let offsets = self.string_offsets(name);
        let mut hits = match self.lazy {
            Some(lazy) => Hits::of(lazy.references(&offsets)),
            None => Hits::new(self.main().debug_info.reader().slice(), offsets),
        };
        let mut declared = None;
        for _ in 0..MAX_UNITS {
            let Some(hit) = hits.next(|passed| self.forget(passed)) else {
                return declared.map_or(Search::Absent, Search::Found);
            };
            let unit = u32::try_from(hit).ok().and_then(|id| self.unit_of(id).ok());
            let Some(unit) = unit else { return Search::Unknown };
            match look(&unit) {
                InUnit::Definition(found) => return Search::Found(found),
                InUnit::Declaration(found) => declared = declared.or(Some(found)),
                InUnit::Nothing => {}
            }
            hits.skip_to(unit.end as usize);
        }
        Search::Unknown
    }

    /// For names too short for `.debug_str`: in the first units of the file.
    fn search_first_units<T>(&self, mut look: impl FnMut(&Arc<Unit<'a>>) -> InUnit<T>) -> Search<T> {
        let mut at = 0;
        for _ in 0..4 {
            let Ok(unit) = self.unit_of(at) else { break };
            if let InUnit::Definition(found) = look(&unit) {
                return Search::Found(found);
            }
            at = unit.end;
        }
        Search::Unknown
    }

    /// Where `.debug_str` has this name: as a string of its own, or the end of a longer one.
    fn string_offsets(&self, name: &str) -> Vec<u32> {
        let strings: &[u8] = self.main().debug_str.reader().slice();
        let mut wanted = name.as_bytes().to_vec();
        wanted.push(0);
        let mut found: Vec<usize> = memmem::find_iter(strings, &wanted).collect();
        // whole strings first: linkers merge ends rarely
        found.sort_by_key(|at| at.checked_sub(1).and_then(|before| strings.get(before)) != Some(&0));
        found.into_iter().filter_map(|at| u32::try_from(at).ok()).collect()
    }

    /// True where names are found by their offset in `.debug_str`, in `.debug_info` alone.
    fn is_plain(&self) -> bool {
        let main = self.main();
        main.debug_str_offsets.reader().is_empty()
            && main.debug_types.reader().is_empty()
            && main.sup().is_none()
            && !main.debug_str.reader().is_empty()
    }
}

/// The places in `.debug_info` where one of some offsets stands, roughly ascending: in windows that
/// grow, so that a name near the front costs little and one at the back is not searched in vain.
struct Hits<'a> {
    info: &'a [u8],
    patterns: Vec<[u8; 4]>,
    window: std::ops::Range<usize>,
    /// Hits in the window, descending.
    found: Vec<usize>,
}

impl<'a> Hits<'a> {
    const FIRST_WINDOW: usize = 64 << 10;
    const LAST_WINDOW: usize = 8 << 20;

    fn new(info: &'a [u8], offsets: Vec<u32>) -> Self {
        let patterns = offsets.into_iter().map(u32::to_le_bytes).collect();
        Self { info, patterns, window: 0..0, found: Vec::new() }
    }

    /// Hits that are known, ascending.
    fn of(mut found: Vec<usize>) -> Self {
        found.reverse();
        Self { info: &[], patterns: Vec::new(), window: 0..0, found }
    }

    /// The next hit; `leave` is told of the windows that were passed without one.
    fn next(&mut self, leave: impl Fn(std::ops::Range<usize>)) -> Option<usize> {
        while self.found.is_empty() {
            if self.window.len() == Self::LAST_WINDOW {
                leave(self.window.clone());
            }
            let size = self.window.len().saturating_mul(2).clamp(Self::FIRST_WINDOW, Self::LAST_WINDOW);
            let start = self.window.end;
            if start >= self.info.len() || self.patterns.is_empty() {
                return None;
            }
            self.window = start..start.saturating_add(size).min(self.info.len());
            // three bytes more, for a number across the border
            let end = self.window.end.saturating_add(3).min(self.info.len());
            let bytes = self.info.get(start..end)?;
            for pattern in &self.patterns {
                self.found.extend(memmem::find_iter(bytes, pattern).map(|at| start.saturating_add(at)));
            }
            self.found.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.found.pop()
    }

    /// Nothing below `at` any more.
    fn skip_to(&mut self, at: usize) {
        self.found.retain(|hit| *hit >= at);
        if at > self.window.end {
            self.window.end = at;
        }
    }
}
