//! Symbols: name to address and back, whatever they were read from.
//!
//! A table is built once and never changes: entries of 24 bytes sorted by address, names in one
//! arena (of an uncompressed file: the mapped string table itself); a kernel's own table stays packed, and its names are
//! unpacked where they are asked for. The index by name is made at the
//! first search by name, unless the kernel has one. Where several symbols share an address, they are in the kernel's own order
//! of preference (`scripts/kallsyms.c`, `compare_symbols`), so that the first is the one that the
//! kernel itself prints in an oops.

mod build;
mod from_elf;
mod gap;
mod index;
mod rows;
mod search;

#[cfg(test)]
mod tests;

pub use build::SymbolTableBuilder;
pub use gap::Listed;

pub(crate) use build::plain;
pub(crate) use rows::{Row, Rows};

use base::VirtAddr;
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

/// The letters of variables.
pub(crate) const fn is_variable(kind: u8) -> bool {
    matches!(kind, b'D' | b'd' | b'B' | b'b')
}

/// All symbols of the kernel, of a module, or of both.
pub struct SymbolTable {
    rows: Box<dyn Rows>,
    /// Module names; a row's `module` is an index here plus 1, 0 is the kernel.
    modules: Vec<Box<str>>,
    /// Runs of addresses that belong together, ascending and disjoint: an address is never named
    /// after a symbol of another run. Empty: nothing is known, everything belongs together.
    bounds: Vec<Range<u64>>,
    /// How many of the rows are gaps and not symbols.
    gaps: usize,
    index: OnceLock<NameIndex>,
}

impl SymbolTable {
    pub(crate) fn of(rows: Box<dyn Rows>, modules: Vec<Box<str>>, bounds: Vec<Range<u64>>) -> Self {
        let gaps = rows.gaps();
        Self { rows, modules, bounds, gaps, index: OnceLock::new() }
    }

    /// True where names are found by an index that the kernel made.
    #[cfg(test)]
    pub(crate) fn has_own_index(&self) -> bool {
        self.rows.indexed(b"_text").is_some()
    }

    /// A table without symbols.
    #[must_use]
    pub fn empty() -> Self {
        SymbolTableBuilder::new().build()
    }
    /// How many symbols there are: those that are lost do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() - self.gaps
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
        let few = self.len().div_ceil(ONE_IN).saturating_sub(1);
        !self.is_empty() && self.rows.variables(few.saturating_add(1)) <= few
    }
    /// The modules whose symbols are in the table.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|m| &**m)
    }

    fn symbol<'a>(&'a self, index: usize, row: &Row<'a>) -> Symbol<'a> {
        Symbol {
            id: SymbolId(u32::try_from(index).unwrap_or(u32::MAX)),
            name: std::str::from_utf8(row.name).unwrap_or("<name is not UTF-8>"),
            addr: VirtAddr(row.addr),
            size: u64::from(row.size),
            kind: char::from(row.kind),
            module: usize::from(row.module).checked_sub(1).and_then(|i| self.modules.get(i)).map(|m| &**m),
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
        self.rows.row(index).filter(|row| !row.is_gap()).map(|row| self.symbol(index, &row))
    }

    /// All symbols, ascending by address.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Symbol<'_>> {
        (0..self.rows.len()).filter_map(|index| self.known(index))
    }

    /// The symbol at an address or nearest below it, and the distance; of several at one address the
    /// one that the kernel would print. `None` below the first symbol, outside of what the
    /// symbol's section, image or module covers, and where symbols are lost.
    #[must_use]
    pub fn at(&self, addr: VirtAddr) -> Option<(Symbol<'_>, u64)> {
        let above = self.up_to(addr.0);
        let last = self.rows.addr(above.checked_sub(1)?)?;
        let offset = addr.0 - last;
        if offset != 0 && !self.same_bound(last, addr.0) {
            return None;
        }
        let first = self.first_at(last, above - 1);
        // a gap beside a symbol at the same address leaves the symbol
        (first..above).find_map(|index| self.known(index)).map(|symbol| (symbol, offset))
    }

    /// How many are at an address or below it.
    fn up_to(&self, addr: u64) -> usize {
        addr.checked_add(1).map_or(self.rows.len(), |above| self.rows.below(above))
    }

    /// The numbers of those with `from <= address < to`.
    fn numbers(&self, from: VirtAddr, to: VirtAddr) -> Range<usize> {
        let start = self.rows.below(from.0);
        start..self.rows.below(to.0).max(start)
    }

    /// Index of the first row of the run at `addr` that `index` is in.
    fn first_at(&self, addr: u64, index: usize) -> usize {
        match index.checked_sub(1).and_then(|i| self.rows.addr(i)) {
            Some(before) if before == addr => self.rows.below(addr),
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
        self.numbers(from, to).filter_map(|index| self.known(index))
    }

    /// The next symbol at a higher address; nothing where the next ones are lost.
    #[must_use]
    pub fn next(&self, id: SymbolId) -> Option<Symbol<'_>> {
        self.known(self.up_to(self.rows.addr(id.0 as usize)?))
    }

    /// The preferred symbol at the next lower address; nothing where those before are lost.
    #[must_use]
    pub fn prev(&self, id: SymbolId) -> Option<Symbol<'_>> {
        let before = self.rows.below(self.rows.addr(id.0 as usize)?).checked_sub(1)?;
        self.known(self.first_at(self.rows.addr(before)?, before))
    }

    /// Bytes from a symbol to the next higher address that has one, or to the end of its section,
    /// image or module; the size that the kernel prints (`name+0x10/SPAN`). `None` where nothing follows, or where it is
    /// lost where the next one is.
    #[must_use]
    pub fn span(&self, id: SymbolId) -> Option<u64> {
        let here = self.rows.addr(id.0 as usize)?;
        let number = self.up_to(here);
        if self.gaps > 0 && self.rows.row(number).is_some_and(|row| row.kind == gap::PLACES) {
            return None;
        }
        let next = self.rows.addr(number);
        let end = self.bounds.iter().find(|b| b.contains(&here)).map(|b| b.end);
        let stop = match (next, end) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        Some(stop - here)
    }

    /// The symbols of that name, ascending by address; several where files have a static of one name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Symbol<'a>> {
        let name = plain(name.as_bytes());
        let own = self.rows.indexed(name);
        let made = own.is_none().then(|| self.index.get_or_init(|| NameIndex::build(&*self.rows)));
        let made = made.into_iter().flat_map(move |index| index.candidates(name));
        own.into_iter().flatten().chain(made).filter_map(move |i| {
            let row = self.rows.row(i as usize)?;
            (!row.is_gap() && row.name == name).then(|| self.symbol(i as usize, &row))
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
