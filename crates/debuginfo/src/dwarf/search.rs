//! The first definition of a name, without an index of the whole file.
//!
//! A name stands once in `.debug_str`, and entries refer to it by its offset there. So a name that
//! is not in that section is no entry's, and where it is, the four bytes of its offset in
//! `.debug_info` lead to the units to look in; a kernel's types are found in the first of them.
//! (Compilers put names of less than four bytes into the entry itself; there the first units are tried.)

use super::names::Named;
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
enum Search {
    Found(u32),
    Absent,
    /// Only the index can tell.
    Unknown,
}

impl<'a> Context<'a> {
    /// The first definition of a name; a declaration where there is no definition.
    pub(super) fn first(&self, space: Space, name: &str) -> Option<u32> {
        if self.names.get().is_none() {
            match self.search(space, name) {
                Search::Found(id) => return Some(id),
                Search::Absent => return None,
                Search::Unknown => {}
            }
        }
        self.all_names().find(space, name).first().copied()
    }

    fn search(&self, space: Space, name: &str) -> Search {
        if !self.is_plain() {
            return Search::Unknown;
        }
        if name.len() < SHORT {
            return self.search_first_units(space, name);
        }
        let mut hits = Hits::new(self.main().debug_info.reader().slice(), self.string_offsets(name));
        let mut declared = None;
        for _ in 0..MAX_UNITS {
            let Some(hit) = hits.next() else {
                return declared.map_or(Search::Absent, Search::Found);
            };
            let unit = u32::try_from(hit).ok().and_then(|id| self.unit_of(id).ok());
            let Some(unit) = unit else { return Search::Unknown };
            match self.in_unit(&unit, space, name) {
                Some(named) if named.declared => declared = declared.or(Some(named.id)),
                Some(named) => return Search::Found(named.id),
                None => {}
            }
            hits.skip_to(unit.end as usize);
        }
        Search::Unknown
    }

    /// For names too short for `.debug_str`: in units that were read, then in the first of the file.
    fn search_first_units(&self, space: Space, name: &str) -> Search {
        let mut at = 0;
        for _ in 0..4 {
            let Ok(unit) = self.unit_of(at) else { break };
            if let Some(named) = self.in_unit(&unit, space, name)
                && !named.declared
            {
                return Search::Found(named.id);
            }
            at = unit.end;
        }
        Search::Unknown
    }

    /// An entry of one unit, a definition where there is one.
    pub(super) fn in_unit(&self, unit: &Arc<Unit<'a>>, space: Space, name: &str) -> Option<Named> {
        let same = |named: &Named| {
            let entry = unit.inner.entry(unit.offset(named.id)).ok();
            entry
                .and_then(|entry| self.own_name(unit, &entry))
                .is_some_and(|own| own.slice() == name.as_bytes())
        };
        let names = self.unit_names(unit);
        let mut all = names.of(space, name).filter(same);
        let first = all.next()?;
        if first.declared { Some(all.find(|n| !n.declared).unwrap_or(first)) } else { Some(first) }
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

    fn next(&mut self) -> Option<usize> {
        while self.found.is_empty() {
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
