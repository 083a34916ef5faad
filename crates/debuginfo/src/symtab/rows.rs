//! Where the symbols of a table are kept: in a list of our own, or as a kernel packs them ([`crate::kallsyms`]).

use super::{gap, is_variable};
use base::MappedSlice;

/// The symbols of a table, ascending by address; those of one address in the order in which they are preferred. Gaps are
/// among them.
pub(crate) trait Rows: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// The address of the one with that number.
    fn addr(&self, index: usize) -> Option<u64>;
    /// The one with that number.
    fn row(&self, index: usize) -> Option<Row<'_>>;
    /// How many are below an address.
    fn below(&self, addr: u64) -> usize;
    /// Calls `each` with the number and the name of all, the last one first. Keeps no name.
    fn backwards(&self, each: &mut dyn FnMut(usize, &[u8]));
    /// The numbers of those with that name, ascending, by an index that was there; `None` where there is none for it.
    fn indexed(&self, name: &[u8]) -> Option<Vec<u32>>;
    /// How many are variables; `most` is said for all that are more.
    fn variables(&self, most: usize) -> usize;
    /// How many are gaps.
    fn gaps(&self) -> usize;
}

/// What is kept of a symbol, or of a gap: symbols that are lost (`size` says how many), see [`gap`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) addr: u64,
    pub(crate) size: u32,
    /// The module's number, from 1 on; 0 for the kernel.
    pub(crate) module: u16,
    pub(crate) kind: u8,
}

impl Row<'_> {
    pub(crate) const fn is_gap(&self) -> bool {
        matches!(self.kind, gap::NAMES | gap::PLACES)
    }
}

/// A symbol or gap of a list; the name is so many bytes of the list's names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) addr: u64,
    pub(super) size: u32,
    pub(super) name: u32,
    pub(super) name_len: u16,
    pub(super) module: u16,
    pub(super) kind: u8,
}

/// Where the names are.
pub(super) enum Names {
    /// In the string table of a file.
    File(MappedSlice),
    /// In an arena of our own.
    Arena(Vec<u8>),
}

impl Names {
    pub(super) fn of(&self, e: &Entry) -> &[u8] {
        let bytes: &[u8] = match self {
            Names::File(slice) => slice,
            Names::Arena(bytes) => bytes,
        };
        let start = e.name as usize;
        bytes.get(start..start + usize::from(e.name_len)).unwrap_or_default()
    }
}

/// Symbols as entries of 24 bytes.
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    pub(super) names: Names,
}

impl Rows for List {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn addr(&self, index: usize) -> Option<u64> {
        self.entries.get(index).map(|e| e.addr)
    }

    fn row(&self, index: usize) -> Option<Row<'_>> {
        let e = self.entries.get(index)?;
        let name = self.names.of(e);
        Some(Row { name, addr: e.addr, size: e.size, module: e.module, kind: e.kind })
    }

    fn below(&self, addr: u64) -> usize {
        self.entries.partition_point(|e| e.addr < addr)
    }

    fn backwards(&self, each: &mut dyn FnMut(usize, &[u8])) {
        self.entries.iter().enumerate().rev().for_each(|(index, e)| each(index, self.names.of(e)));
    }

    fn indexed(&self, _: &[u8]) -> Option<Vec<u32>> {
        None
    }

    fn variables(&self, most: usize) -> usize {
        self.entries.iter().filter(|e| is_variable(e.kind)).take(most).count()
    }

    fn gaps(&self) -> usize {
        self.entries.iter().filter(|e| matches!(e.kind, gap::NAMES | gap::PLACES)).count()
    }
}
