//! Searches for names that are not known exactly. Linear: 100 000 names take about a millisecond.

use super::{Symbol, SymbolTable};

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
        let entries = self.entries.iter().enumerate();
        entries.filter(move |(_, e)| wanted(self.name_of(e))).map(|(i, e)| self.symbol(i, e))
    }

    /// Up to `count` names like `name`, the likest first: within two edits (one of a short name), or
    /// the same but for the case of letters and underscores.
    #[must_use]
    pub fn near(&self, name: &str, count: usize) -> Vec<&str> {
        let wanted = name.as_bytes();
        let limit = if wanted.len() < 5 { 1 } else { 2 };
        let mut found: Vec<(usize, &str)> = Vec::new();
        for (i, e) in self.entries.iter().enumerate() {
            let other = self.name_of(e);
            let distance = match edits(wanted, other, limit) {
                Some(d) => d,
                None if same_letters(wanted, other) => limit + 1,
                None => continue,
            };
            found.push((distance, self.symbol(i, e).name));
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(count);
        found.into_iter().map(|(_, name)| name).collect()
    }
}

fn same_letters(a: &[u8], b: &[u8]) -> bool {
    let letters = |s: &[u8]| s.iter().filter(|&&c| c != b'_').map(u8::to_ascii_lowercase).collect::<Vec<_>>();
    a.len().abs_diff(b.len()) <= 4 && a.iter().any(|&c| c != b'_') && letters(a) == letters(b)
}

/// The edit distance (insert, delete, change, swap of neighbours) where it is at most `limit`.
fn edits(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit || a.len() > 256 {
        return None;
    }
    // equal ends cost nothing
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(head..)?, b.get(head..)?);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(..a.len() - tail)?, b.get(..b.len() - tail)?);
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, &x) in a.iter().enumerate() {
        let mut new = Vec::with_capacity(row.len());
        new.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let cost = usize::from(x != y);
            let mut best = (row.get(j)? + cost).min(row.get(j + 1)? + 1).min(new.last()? + 1);
            if j > 0 && Some(y) == last && b.get(j - 1) == Some(&x) {
                best = best.min(before.get(j - 1)? + 1);
            }
            new.push(best);
        }
        if new.iter().min()? > &limit {
            return None;
        }
        before = std::mem::replace(&mut row, new);
        last = Some(x);
    }
    row.last().copied().filter(|&d| d <= limit)
}
