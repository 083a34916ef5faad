//! Symbols: name to address and back, whatever they were read from.
//!
//! A table is built once and never changes: entries of 24 bytes sorted by address, names in one
//! arena (of an uncompressed file: the mapped string table itself). The index by name is made at the
//! first search by name. Where several symbols share an address, they are in the kernel's own order
//! of preference (`scripts/kallsyms.c`, `compare_symbols`), so that the first is the one that the
//! kernel itself prints in an oops.

mod build;
mod from_elf;
mod gap;
mod index;
mod search;

#[cfg(test)]
mod tests;

pub use build::SymbolTableBuilder;
pub use gap::Listed;

use base::{MappedSlice, VirtAddr};
use index::NameIndex;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// A function's own name, without what the compiler put behind it: `foo` of `foo.isra.0.cold`.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.split('.').next().filter(|n| !n.is_empty()).unwrap_or(name)
}

/// The index of a symbol in its table; ascending by address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SymbolId(u32);

/// One symbol, as a table gives it out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Which one it is in its table.
    pub id: SymbolId,
    /// The name, without a module.
    pub name: &'a str,
    /// The address at run time.
    pub addr: VirtAddr,
    /// Bytes, where the source of the symbol says (ELF does, kallsyms does not); else 0.
    pub size: u64,
    /// The letter of `nm`: `T` code, `D` data, `B` zeroed data, `R` read-only, `A` absolute (per-cpu
    /// offsets in older kernels), `W`/`V` weak; small where the symbol is local.
    pub kind: char,
    /// The module that it is of; `None` for the kernel.
    pub module: Option<&'a str>,
}

/// A label of the assembler's own (`.L1`), or one of ARM's mapping symbols, which say that code (`$x`) or data (`$d`)
/// begins and may have a `.` and more behind. No place in the kernel is called by one.
pub(crate) fn is_label(name: &[u8]) -> bool {
    name.starts_with(b".L")
        || matches!(name, [b'$', b'a' | b'd' | b't' | b'x', rest @ ..] if rest.first().is_none_or(|b| *b == b'.'))
}

impl Symbol<'_> {
    /// True for code.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.kind, 'T' | 't' | 'W' | 'w' | 'i')
    }
}

impl fmt::Debug for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {} {}", self.addr, self.kind, self.name)?;
        self.module.map_or(Ok(()), |m| write!(f, " [{m}]"))
    }
}

/// What is kept of a symbol, or of a gap: symbols that are lost (`size` says how many), see [`gap`].
#[derive(Clone, Copy, Debug)]
struct Entry {
    addr: u64,
    size: u32,
    name: u32,
    name_len: u16,
    module: u16,
    kind: u8,
}

/// Where the names are.
enum Names {
    /// In the string table of a file.
    File(MappedSlice),
    /// In an arena of our own.
    Arena(Vec<u8>),
}

impl Names {
    fn bytes(&self) -> &[u8] {
        match self {
            Names::File(slice) => slice,
            Names::Arena(bytes) => bytes,
        }
    }
}

/// All symbols of the kernel, of a module, or of both.
pub struct SymbolTable {
    entries: Vec<Entry>,
    names: Names,
    /// Module names; an entry's `module` is an index here plus 1, 0 is the kernel.
    modules: Vec<Box<str>>,
    /// Runs of addresses that belong together, ascending and disjoint: an address is never named
    /// after a symbol of another run. Empty: nothing is known, everything belongs together.
    bounds: Vec<Range<u64>>,
    /// How many of the entries are gaps and not symbols.
    gaps: usize,
    index: OnceLock<NameIndex>,
}

impl SymbolTable {
    /// A table without symbols.
    #[must_use]
    pub fn empty() -> Self {
        SymbolTableBuilder::new().build()
    }
    /// How many symbols there are: those that are lost do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.gaps
    }
    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// True where there are functions, and no variables but a label or two beside the text (`__init_begin`): the table that
    /// a kernel without `CONFIG_KALLSYMS_ALL` keeps. Of a whole table a third and more are variables.
    #[must_use]
    pub fn has_functions_alone(&self) -> bool {
        const ONE_IN: usize = 64;
        let variables = self.entries.iter().filter(|e| matches!(e.kind, b'D' | b'd' | b'B' | b'b'));
        let few = self.len().div_ceil(ONE_IN).saturating_sub(1);
        !self.is_empty() && variables.take(few.saturating_add(1)).count() <= few
    }
    /// The modules whose symbols are in the table.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|m| &**m)
    }

    fn name_of(&self, e: &Entry) -> &[u8] {
        let start = e.name as usize;
        self.names.bytes().get(start..start + usize::from(e.name_len)).unwrap_or_default()
    }

    fn symbol(&self, index: usize, e: &Entry) -> Symbol<'_> {
        Symbol {
            id: SymbolId(u32::try_from(index).unwrap_or(u32::MAX)),
            name: std::str::from_utf8(self.name_of(e)).unwrap_or("<name is not UTF-8>"),
            addr: VirtAddr(e.addr),
            size: u64::from(e.size),
            kind: char::from(e.kind),
            module: usize::from(e.module).checked_sub(1).and_then(|i| self.modules.get(i)).map(|m| &**m),
        }
    }

    /// The symbol with that id.
    #[must_use]
    pub fn get(&self, id: SymbolId) -> Option<Symbol<'_>> {
        let index = id.0 as usize;
        self.known(index)
    }

    /// The symbol at that index, where it is one.
    fn known(&self, index: usize) -> Option<Symbol<'_>> {
        self.entries.get(index).filter(|e| !e.is_gap()).map(|e| self.symbol(index, e))
    }

    /// All symbols, ascending by address.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Symbol<'_>> {
        self.entries.iter().enumerate().filter(|(_, e)| !e.is_gap()).map(|(i, e)| self.symbol(i, e))
    }

    /// The symbol at an address or nearest below it, and the distance; of several at one address the
    /// one that the kernel would print. `None` below the first symbol, outside of what the
    /// symbol's section, image or module covers, and where symbols are lost.
    #[must_use]
    pub fn at(&self, addr: VirtAddr) -> Option<(Symbol<'_>, u64)> {
        let above = self.entries.partition_point(|e| e.addr <= addr.0);
        let last = self.entries.get(above.checked_sub(1)?)?;
        let offset = addr.0 - last.addr;
        if offset != 0 && !self.same_bound(last.addr, addr.0) {
            return None;
        }
        let first = self.first_at(last.addr, above - 1);
        // a gap beside a symbol at the same address leaves the symbol
        (first..above).find_map(|index| self.known(index)).map(|symbol| (symbol, offset))
    }

    /// Index of the first entry of the run at `addr` that `index` is in.
    fn first_at(&self, addr: u64, index: usize) -> usize {
        match index.checked_sub(1).and_then(|i| self.entries.get(i)) {
            Some(before) if before.addr == addr => {
                self.entries.get(..index).map_or(0, |head| head.partition_point(|e| e.addr < addr))
            }
            _ => index,
        }
    }

    fn same_bound(&self, symbol: u64, addr: u64) -> bool {
        if self.bounds.is_empty() {
            return true;
        }
        let after = self.bounds.partition_point(|b| b.start <= addr);
        let bound = after.checked_sub(1).and_then(|i| self.bounds.get(i));
        bound.is_some_and(|b| b.contains(&addr) && b.contains(&symbol))
    }

    /// All symbols at exactly that address, the preferred one first.
    pub fn exactly_at(&self, addr: VirtAddr) -> impl Iterator<Item = Symbol<'_>> {
        self.between(addr, addr.add(1))
    }

    /// The symbols with `from <= address < to`.
    pub fn between(&self, from: VirtAddr, to: VirtAddr) -> impl DoubleEndedIterator<Item = Symbol<'_>> {
        let start = self.entries.partition_point(|e| e.addr < from.0);
        let end = self.entries.partition_point(|e| e.addr < to.0).max(start);
        let part = self.entries.get(start..end).unwrap_or_default();
        let known = part.iter().enumerate().filter(|(_, e)| !e.is_gap());
        known.map(move |(i, e)| self.symbol(start + i, e))
    }

    /// The next symbol at a higher address; nothing where the next ones are lost.
    #[must_use]
    pub fn next(&self, id: SymbolId) -> Option<Symbol<'_>> {
        let here = self.entries.get(id.0 as usize)?.addr;
        let next = self.entries.partition_point(|e| e.addr <= here);
        self.known(next)
    }

    /// The preferred symbol at the next lower address; nothing where those before are lost.
    #[must_use]
    pub fn prev(&self, id: SymbolId) -> Option<Symbol<'_>> {
        let here = self.entries.get(id.0 as usize)?.addr;
        let before = self.entries.partition_point(|e| e.addr < here).checked_sub(1)?;
        let first = self.first_at(self.entries.get(before)?.addr, before);
        self.known(first)
    }

    /// Bytes from a symbol to the next higher address that has one, or to the end of its section,
    /// image or module; the size that the kernel prints (`name+0x10/SPAN`). `None` where nothing follows, or where it is
    /// lost where the next one is.
    #[must_use]
    pub fn span(&self, id: SymbolId) -> Option<u64> {
        let here = self.entries.get(id.0 as usize)?.addr;
        let next = self.entries.get(self.entries.partition_point(|e| e.addr <= here));
        if next.is_some_and(|e| e.kind == gap::PLACES) {
            return None;
        }
        let next = next.map(|e| e.addr);
        let end = self.bounds.iter().find(|b| b.contains(&here)).map(|b| b.end);
        let stop = match (next, end) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        Some(stop - here)
    }

    /// The symbols of that name, ascending by address; several where files have a static of one name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Symbol<'a>> {
        let index = self.index.get_or_init(|| NameIndex::build(self));
        let name = build::plain(name.as_bytes());
        index.candidates(name).filter_map(move |i| {
            let e = self.entries.get(i as usize)?;
            (!e.is_gap() && self.name_of(e) == name).then(|| self.symbol(i as usize, e))
        })
    }

    /// The only or first symbol of that name: one of the kernel before one of a module, and of the kernel's the global
    /// one, of which there is one, before what files have for themselves (3.10's SHA code has a label `_end`).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Symbol<'_>> {
        let mut best: Option<Symbol<'_>> = None;
        let rank = |s: &Symbol<'_>| (s.module.is_none(), s.module.is_none() && s.kind.is_ascii_uppercase());
        for id in self.named(name).map(|s| s.id) {
            let symbol = self.get(id)?;
            if best.as_ref().is_none_or(|b| rank(&symbol) > rank(b)) {
                best = Some(symbol);
            }
        }
        best
    }

    /// The address of [`Self::find`].
    #[must_use]
    pub fn addr(&self, name: &str) -> Option<VirtAddr> {
        self.find(name).map(|s| s.addr)
    }
}

impl fmt::Debug for SymbolTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SymbolTable({} symbols, {} modules)", self.len(), self.modules.len())
    }
}
