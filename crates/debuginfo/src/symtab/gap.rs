//! Symbols that are lost: a table that was read from a damaged dump has gaps, and a gap is no symbol. It has no name, it is
//! not counted, and no address in it is told as part of the symbol before.

use super::{Symbol, SymbolTable};
use base::VirtAddr;

/// The letter of a gap whose symbols' names are lost: where they begin is known. No symbol's letter.
pub(super) const NAMES: u8 = 0;
/// The letter of a gap whose symbols' addresses are lost.
pub(super) const PLACES: u8 = 1;

/// A line of a list of symbols.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed<'a> {
    /// A symbol.
    Symbol(Symbol<'a>),
    /// So many symbols are lost here.
    Lost {
        /// How many.
        count: u64,
        /// The module that they are of.
        module: Option<&'a str>,
    },
}

impl SymbolTable {
    /// The symbols with `from <= address < to`, and between them how many are lost.
    #[must_use]
    pub fn listed(&self, from: VirtAddr, to: VirtAddr) -> Vec<Listed<'_>> {
        let part = self.numbers(from, to);
        let mut out: Vec<Listed<'_>> = Vec::with_capacity(part.len());
        for (index, row) in part.filter_map(|index| Some((index, self.rows.row(index)?))) {
            let symbol = self.symbol(index, &row);
            match out.last_mut() {
                _ if !row.is_gap() => out.push(Listed::Symbol(symbol)),
                Some(Listed::Lost { count, module }) if *module == symbol.module => {
                    *count = count.saturating_add(symbol.size);
                }
                _ => out.push(Listed::Lost { count: symbol.size, module: symbol.module }),
            }
        }
        out
    }

    /// How many symbols are lost, of the kernel (`None`) or of a module.
    #[must_use]
    pub fn lost(&self, module: Option<&str>) -> u64 {
        if self.gaps == 0 {
            return 0;
        }
        let rows = (0..self.rows.len()).filter_map(|n| Some((n, self.rows.row(n)?)));
        let gaps = rows.filter(|(_, row)| row.is_gap()).map(|(n, row)| self.symbol(n, &row));
        gaps.filter(|gap| gap.module == module).map(|gap| gap.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SymbolTableBuilder;
    use super::*;

    fn table() -> SymbolTable {
        let mut b = SymbolTableBuilder::new();
        b.push(b"a", 0x10, 0, b't');
        b.lose_name(0x20);
        b.lose_name(0x30);
        b.push(b"b", 0x30, 0, b't');
        b.push(b"c", 0x40, 0, b't');
        b.lose_places(0x41, 5);
        b.push(b"d", 0x80, 0, b't');
        b.build()
    }

    #[test]
    fn what_is_lost_is_no_symbol() {
        let t = table();
        let names: Vec<&str> = t.iter().map(|s| s.name).collect();
        assert_eq!((names.join(" "), t.len(), t.lost(None)), ("a b c d".to_owned(), 4, 7));
        let at = |addr| t.at(VirtAddr(addr)).map(|(s, offset)| (s.name, offset));
        assert_eq!((at(0x1f), at(0x20), at(0x2f)), (Some(("a", 15)), None, None));
        assert_eq!((at(0x30), at(0x34)), (Some(("b", 0)), Some(("b", 4))), "one of two names is known");
        assert_eq!((at(0x40), at(0x41), at(0x7f), at(0x80)), (Some(("c", 0)), None, None, Some(("d", 0))));
        let id = |name| t.find(name).unwrap().id;
        assert_eq!((t.span(id("a")), t.span(id("c"))), (Some(16), None), "where c ends is lost");
        assert_eq!((t.next(id("a")), t.prev(id("d"))), (None, None), "a neighbour is lost, and not another");
        assert_eq!(t.named("").count() + t.containing("").filter(|s| s.name.is_empty()).count(), 0);
    }

    #[test]
    fn gaps_stand_in_the_list_with_their_number() {
        let words = |l: &Listed<'_>| match l {
            Listed::Symbol(s) => s.name.to_owned(),
            Listed::Lost { count, .. } => format!("({count})"),
        };
        let t = table();
        let all: Vec<String> = t.listed(VirtAddr(0), VirtAddr(u64::MAX)).iter().map(words).collect();
        assert_eq!(all.join(" "), "a (2) b c (5) d");
        assert_eq!(t.listed(VirtAddr(0x20), VirtAddr(0x30)).len(), 1);
    }
}
