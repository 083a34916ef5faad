//! Searches for names that are not known exactly. Linear: 100 000 names take about a millisecond.

use super::{Symbol, SymbolTable};
use base::Nearest;

impl SymbolTable {
    /// The symbols whose names begin with `prefix`, ascending by address; for completion.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Symbol<'a>> {
        self.filtered(move |name| name.starts_with(prefix.as_bytes()))
    }

    /// The symbols whose names hold `part`, ascending by address; for `sym -q`.
    pub fn containing<'a>(&'a self, part: &str) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let finder = memchr::memmem::Finder::new(part.as_bytes()).into_owned();
        self.filtered(move |name| finder.find(name).is_some())
    }

    /// The symbols whose names `wanted` says yes to, ascending by address; for patterns.
    pub fn filtered<'a>(&'a self, wanted: impl Fn(&[u8]) -> bool + 'a) -> impl Iterator<Item = Symbol<'a>> {
        let rows = (0..self.rows.len()).filter_map(|n| Some((n, self.rows.row(n)?)));
        rows.filter(move |(_, row)| !row.is_gap() && wanted(row.name)).map(|(n, row)| self.symbol(n, &row))
    }

    /// Names like this one, the likest first.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<String> {
        let mut near = Nearest::new(name);
        let rows = (0..self.rows.len()).filter_map(|n| self.rows.row(n));
        for row in rows.filter(|row| !row.is_gap()) {
            if let Ok(name) = std::str::from_utf8(row.name) {
                near.offer(name);
            }
        }
        near.finish()
    }
}
