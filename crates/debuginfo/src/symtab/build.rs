//! Building a table.

use super::rows::{Entry, List, Names, Rows};
use super::{SymbolTable, gap};
use base::MappedSlice;
use std::cmp::Ordering;
use std::ops::Range;

/// Collects symbols in any order, then sorts them once.
#[derive(Default)]
pub struct SymbolTableBuilder {
    entries: Vec<Entry>,
    arena: Vec<u8>,
    modules: Vec<Box<str>>,
    bounds: Vec<Range<u64>>,
    module: u16,
}

impl SymbolTableBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Room for `symbols` symbols and `bytes` bytes of names.
    #[must_use]
    pub fn with_capacity(symbols: usize, bytes: usize) -> Self {
        Self { entries: Vec::with_capacity(symbols), arena: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// From here on, symbols are of that module.
    pub fn start_module(&mut self, name: &str) {
        self.modules.push(name.into());
        // a machine has some hundred modules; beyond 65535 they share the last name
        self.module = u16::try_from(self.modules.len()).unwrap_or(u16::MAX);
    }

    /// Adds a symbol; `kind` is the letter of `nm`, `size` is 0 where it is not known. Names are cut
    /// at 65535 bytes, sizes at 4 GiB.
    pub fn push(&mut self, name: &[u8], addr: u64, size: u64, kind: u8) {
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        self.push_from(start, addr, size, kind);
    }

    /// Adds a symbol whose name was written to the arena from `start` on.
    pub(crate) fn push_from(&mut self, start: usize, addr: u64, size: u64, kind: u8) {
        let len = self.arena.get(start..).map_or(0, |name| plain(name).len());
        let Ok(name) = u32::try_from(start) else { return };
        self.push_raw(name, u16::try_from(len).unwrap_or(u16::MAX), addr, size, kind);
    }

    pub(super) fn push_raw(&mut self, name: u32, name_len: u16, addr: u64, size: u64, kind: u8) {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        self.entries.push(Entry { addr, size, name, name_len, module: self.module, kind });
    }

    /// Says that `count` symbols are lost from `addr` on, whose addresses are not known.
    pub fn lose_places(&mut self, addr: u64, count: u64) {
        self.push_gap(addr, count, gap::PLACES);
    }

    /// Says that no symbol before `addr` goes on behind it.
    pub fn end_at(&mut self, addr: u64) {
        self.push_gap(addr, 0, gap::NAMES);
    }

    /// Says that there is a symbol at `addr` whose name is lost; `size` is not kept.
    pub fn lose_name(&mut self, addr: u64) {
        self.push_gap(addr, 1, gap::NAMES);
    }

    fn push_gap(&mut self, addr: u64, count: u64, kind: u8) {
        self.push_raw(0, 0, addr, count, kind);
    }

    /// The arena of names, for writers that make names in place.
    pub(crate) const fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// How many symbols there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Says that a run of addresses belongs together (a section, a module's memory). Once one is
    /// said, addresses outside of all are named only by symbols at exactly them.
    pub fn bound(&mut self, run: Range<u64>) {
        if run.start < run.end {
            self.bounds.push(run);
        }
    }

    /// The table, with names from the arena.
    #[must_use]
    pub fn build(self) -> SymbolTable {
        let Self { entries, arena, modules, bounds, .. } = self;
        finish(entries, Names::Arena(arena), modules, bounds)
    }

    /// The table, with names in a file's string table.
    pub(super) fn build_on(self, strings: MappedSlice) -> SymbolTable {
        let Self { entries, modules, bounds, .. } = self;
        finish(entries, Names::File(strings), modules, bounds)
    }
}

/// A name as the source has it: clang's LTO appends `.llvm.` and a number to what it moves between files. The kernel shows
/// and finds such symbols without (8b8e6b5d3b01).
pub(crate) fn plain(name: &[u8]) -> &[u8] {
    const MARK: &[u8] = b".llvm.";
    if !name.last().is_some_and(u8::is_ascii_digit) {
        return name;
    }
    let Some(at) = memchr::memmem::rfind(name, MARK) else { return name };
    match name.split_at_checked(at) {
        Some((front, back)) if !front.is_empty() && back.iter().skip(MARK.len()).all(u8::is_ascii_digit) => {
            front
        }
        _ => name,
    }
}

fn finish(
    mut entries: Vec<Entry>,
    names: Names,
    modules: Vec<Box<str>>,
    bounds: Vec<Range<u64>>,
) -> SymbolTable {
    entries.truncate(u32::MAX as usize - 1);
    // kallsyms comes sorted, in the kernel's own order: then nothing is to do, and the order is kept
    if !entries.is_sorted_by_key(|e| e.addr) {
        entries.sort_by_key(|e| e.addr);
        for run in entries.chunk_by_mut(|a, b| a.addr == b.addr).filter(|run| run.len() > 1) {
            run.sort_by(|a, b| prefer(a, names.of(a), b, names.of(b)));
        }
    }
    SymbolTable::of(Box::new(List { entries, names }), modules, joined(bounds))
}

/// Ascending, with overlapping runs joined.
fn joined(mut bounds: Vec<Range<u64>>) -> Vec<Range<u64>> {
    bounds.sort_by_key(|b| b.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(bounds.len());
    for b in bounds {
        match out.last_mut() {
            Some(last) if b.start < last.end => last.end = last.end.max(b.end),
            _ => out.push(b),
        }
    }
    out
}

/// Which of two symbols at one address is printed: strong before weak, code and data before the
/// linker script's marks, fewer leading underscores first; then by name.
fn prefer(a: &Entry, a_name: &[u8], b: &Entry, b_name: &[u8]) -> Ordering {
    let weak = |e: &Entry| matches!(e.kind, b'w' | b'W' | b'v' | b'V');
    let underscores = |name: &[u8]| name.iter().take_while(|&&c| c == b'_').count();
    (is_mark_for_tools(a_name).cmp(&is_mark_for_tools(b_name)))
        .then_with(|| weak(a).cmp(&weak(b)))
        .then_with(|| is_linker_mark(a_name).cmp(&is_linker_mark(b_name)))
        .then_with(|| underscores(a_name).cmp(&underscores(b_name)))
        .then_with(|| a_name.cmp(b_name))
}

/// Names that only the build reads; kallsyms leaves them out (`scripts/mksysmap`).
fn is_mark_for_tools(name: &[u8]) -> bool {
    [&b"__crc_"[..], b"__kstrtab", b"init_per_cpu__"].iter().any(|p| name.starts_with(p))
}

/// Names that linker scripts give to places: `__start_X`, `__stop_X`, `__end_X`, `__X_start`, `__X_end`.
fn is_linker_mark(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"__").filter(|_| name.len() >= 8) else { return false };
    [&b"start_"[..], b"stop_", b"end_"].iter().any(|p| rest.starts_with(p))
        || name.ends_with(b"_start")
        || name.ends_with(b"_end")
}

impl SymbolTable {
    /// One table of two: the kernel's and its modules'. Costs one pass over both.
    #[must_use]
    pub fn merged(&self, other: &SymbolTable) -> SymbolTable {
        let mut builder = SymbolTableBuilder::with_capacity(self.rows.len() + other.rows.len(), 0);
        builder.modules = self.modules.iter().chain(&other.modules).cloned().collect();
        builder.bounds = self.bounds.iter().chain(&other.bounds).cloned().collect();
        let shift = u16::try_from(self.modules.len()).unwrap_or(u16::MAX);
        builder.copy(&*self.rows, 0);
        builder.copy(&*other.rows, shift);
        builder.entries.sort_by_key(|e| e.addr); // stable: finds the two runs and merges them
        builder.build()
    }
}

impl SymbolTableBuilder {
    /// The rows of a table, whose modules have so many others before them.
    fn copy(&mut self, rows: &dyn Rows, shift: u16) {
        for row in (0..rows.len()).filter_map(|index| rows.row(index)) {
            let Ok(name) = u32::try_from(self.arena.len()) else { return };
            self.arena.extend_from_slice(row.name);
            self.module = if row.module == 0 { 0 } else { row.module.saturating_add(shift) };
            let len = u16::try_from(row.name.len()).unwrap_or(u16::MAX);
            self.push_raw(name, len, row.addr, u64::from(row.size), row.kind);
        }
    }
}

impl SymbolTable {
    /// Replaces what is known of runs of addresses that belong together.
    pub(crate) fn set_bounds(&mut self, bounds: Vec<Range<u64>>) {
        self.bounds = joined(bounds.into_iter().filter(|b| b.start < b.end).collect());
    }
}
