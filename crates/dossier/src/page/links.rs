//! Where in the page an address or a symbol has its place, and links to it from everywhere else.
//!
//! The place of an address is the row of a table that is about it, else where it stands first. A symbol's is its row in the
//! list of symbols at the end. **Invariant:** a link leads to a place that the page has.

use crate::book::Book;
use crate::page::rows;
use crate::parts::View;
use render::{Clean, Keep, Page};
use report::{Cell, Item, Record};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Smaller numbers are none of the kernel's addresses.
const LEAST: u64 = 1 << 32;

/// A symbol that the page names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Named {
    pub(crate) module: Option<String>,
    pub(crate) count: usize,
}

/// What has a place in the page.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Addresses that are rows of tables.
    rows: BTreeSet<u64>,
    /// Addresses that stood somewhere already: there is their place.
    seen: BTreeSet<u64>,
    /// Symbols, and with each its number in the list.
    symbols: BTreeMap<String, (usize, Named)>,
    /// Symbols that stood somewhere already.
    used: BTreeSet<usize>,
}

impl Links {
    /// Of all that the page will show.
    pub(crate) fn of(book: &Book) -> Self {
        let mut out = Self::default();
        let mut symbols: BTreeMap<String, Named> = BTreeMap::new();
        for part in &book.parts {
            match (part.spec.view, &part.answer) {
                (View::Table(table), _) => {
                    for row in rows::shown(&part.data, table) {
                        out.rows.extend(table.places.iter().filter_map(|key| address(row.get(*key)?)));
                    }
                }
                (View::Text | View::Folded | View::Verdict, Ok(report)) => named(&report.body, &mut symbols),
                _ => {}
            }
        }
        out.symbols = symbols.into_iter().enumerate().map(|(n, (name, named))| (name, (n, named))).collect();
        out
    }

    /// All symbols, by their names.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (&str, usize, &Named)> {
        self.symbols.iter().map(|(name, (n, named))| (name.as_str(), *n, named))
    }

    /// True where a symbol stood in the page.
    pub(crate) fn is_used(&self, number: usize) -> bool {
        self.used.contains(&number)
    }

    /// The id of a row, where its address has its place there; each address once.
    pub(crate) fn row(&mut self, at: u64, p: &mut Page<'_>) -> io::Result<()> {
        if !self.rows.contains(&at) || !self.seen.insert(at) {
            return Ok(());
        }
        p.own(" id=\"a-")?;
        p.hex(at)?;
        p.own("\"")
    }

    /// An address.
    pub(crate) fn address(&mut self, at: u64, shown: &Clean<'_>, p: &mut Page<'_>) -> io::Result<()> {
        if at < LEAST {
            return p.html(shown);
        }
        p.own("<a class=\"addr\"")?;
        if !self.rows.contains(&at) && self.seen.insert(at) {
            p.own(" id=\"a-")?;
            p.hex(at)?;
            p.own("\"")?;
        }
        p.own(" href=\"#a-")?;
        p.hex(at)?;
        p.own("\">")?;
        p.html(shown)?;
        p.own("</a>")
    }

    /// A symbol by its name.
    fn symbol(&mut self, name: &str, shown: &Clean<'_>, p: &mut Page<'_>) -> io::Result<()> {
        let Some((number, _)) = self.symbols.get(name) else { return p.html(shown) };
        let number = *number;
        p.own("<a class=\"sym\"")?;
        if self.used.insert(number) {
            p.own(" id=\"u-")?;
            p.number(number as i128)?;
            p.own("\"")?;
        }
        p.own(" href=\"#s-")?;
        p.number(number as i128)?;
        p.own("\">")?;
        p.html(shown)?;
        p.own("</a>")
    }

    /// A cell, shown as the text says.
    pub(crate) fn cell(&mut self, cell: &Cell, shown: &Clean<'_>, p: &mut Page<'_>) -> io::Result<()> {
        match cell {
            Cell::Addr(at) | Cell::Phys(at) | Cell::Hex { value: at, .. } => self.address(*at, shown, p),
            Cell::Symbol(symbol) => self.symbol(&symbol.name, shown, p),
            Cell::Shown(inner, _) if matches!(**inner, Cell::Addr(_) | Cell::Symbol(_)) => {
                self.cell(inner, shown, p)
            }
            _ => self.text(shown, p),
        }
    }

    /// Text, with links from the addresses and symbols in it.
    pub(crate) fn text(&mut self, text: &Clean<'_>, p: &mut Page<'_>) -> io::Result<()> {
        let part = |from: &'_ str| Clean::keep(from.to_owned(), Keep::Lines);
        let mut rest = text.as_str();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        while let Some(start) = rest.find(is_word) {
            let (before, from) = rest.split_at_checked(start).unwrap_or((rest, ""));
            let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
            let (word, after) = from.split_at_checked(end).unwrap_or((from, ""));
            p.html(&part(before))?;
            match address_word(word) {
                Some(at) => self.address(at, &part(word), p)?,
                // a common word may be a function's name too
                None if after.starts_with('+') || word.contains('_') => self.symbol(word, &part(word), p)?,
                None => p.html(&part(word))?,
            }
            rest = after;
        }
        p.html(&part(rest))
    }
}

/// An address as the kernel and crashlens write it in text: 16 digits, or behind `0x`. Twelve digits alone can be a commit's.
fn address_word(word: &str) -> Option<u64> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = (9..=16).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
    let is_plain = word.len() == digits.len();
    // a number in decimal is none
    let is_number = is_plain && (digits.len() < 16 || digits.chars().all(|c| c.is_ascii_digit()));
    let at = u64::from_str_radix(digits, 16).ok().filter(|_| is_hex && !is_number)?;
    (at >= LEAST).then_some(at)
}

/// An address in JSON.
pub(crate) fn address(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().filter(|at| *at >= LEAST)
}

fn named(record: &Record, out: &mut BTreeMap<String, Named>) {
    for item in &record.items {
        match item {
            Item::Line(line) => line.fields().for_each(|field| symbols(&field.cell, out)),
            Item::Record(_, inner) => named(inner, out),
            Item::List(list) => list.items.iter().for_each(|row| named(row, out)),
            Item::Blank | Item::Hidden(..) | Item::Note(_) => {}
        }
    }
}

fn symbols(cell: &Cell, out: &mut BTreeMap<String, Named>) {
    match cell {
        Cell::Symbol(symbol) => {
            let entry = out.entry(symbol.name.clone()).or_default();
            entry.count = entry.count.saturating_add(1);
            entry.module = entry.module.take().or_else(|| symbol.module.clone());
        }
        Cell::Shown(inner, _) => symbols(inner, out),
        Cell::Many(cells, _) => cells.iter().for_each(|cell| symbols(cell, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(links: &mut Links, text: &str) -> String {
        let mut out = Vec::new();
        links.text(&Clean::of(text), &mut Page::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_and_symbols_in_text_are_links_and_numbers_are_not() {
        let mut links = Links::default();
        links.symbols.insert("do_it".to_owned(), (7, Named::default()));
        let first = shown(&mut links, "at ff1aa6bd027f0000 <b>");
        assert_eq!(
            first,
            "at <a class=\"addr\" id=\"a-ff1aa6bd027f0000\" href=\"#a-ff1aa6bd027f0000\">ff1aa6bd027f0000</a> &lt;b&gt;"
        );
        assert!(!shown(&mut links, "0xff1aa6bd027f0000").contains(" id="));
        assert_eq!(
            shown(&mut links, "do_it+0x3/0x4"),
            "<a class=\"sym\" id=\"u-7\" href=\"#s-7\">do_it</a>+0x3/0x4"
        );
        for plain in ["1795391400123456", "0x1f", "deadbeef", "44ed8089e991", "other_name+5", "a.b.c"] {
            assert_eq!(shown(&mut links, plain), plain);
        }
    }
}
