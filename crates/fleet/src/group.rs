//! Which dumps died alike: those of one signature.

use crate::row::{End, Row};
use std::collections::BTreeMap;

/// Dumps of one signature.
#[derive(Clone, PartialEq, Debug)]
pub struct Group<'a> {
    /// The signature; where it is not known what it begins with. `None` for dumps that could not be looked at.
    pub signature: Option<&'a Result<String, String>>,
    /// Its rows, in the order of the dumps.
    pub rows: Vec<&'a Row>,
}

/// The groups: the largest first, those that are not known behind, those that failed last.
#[must_use]
pub fn groups(rows: &[Row]) -> Vec<Group<'_>> {
    let mut found: BTreeMap<(u8, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let key = match &row.signature {
            _ if row.end == End::Failed => (2, ""),
            Ok(whole) => (0, whole.as_str()),
            Err(begins) => (1, begins.as_str()),
        };
        found.entry(key).or_default().push(row);
    }
    let mut out: Vec<((u8, &str), Vec<&Row>)> = found.into_iter().collect();
    out.sort_by_key(|((rank, _), rows)| (*rank, std::cmp::Reverse(rows.len())));
    out.into_iter()
        .map(|((rank, _), rows)| Group {
            signature: rows.first().filter(|_| rank < 2).map(|row| &row.signature),
            rows,
        })
        .collect()
}

impl Group<'_> {
    /// The first and the last death, as far as they are known.
    #[must_use]
    pub fn times(&self) -> Option<(i64, i64)> {
        let known = || self.rows.iter().filter_map(|row| row.time.as_ref().ok().copied());
        Some((known().min()?, known().max()?))
    }
    /// Different values of its rows, in order of the first appearance.
    pub(crate) fn each<'r>(&'r self, of: impl Fn(&'r Row) -> Option<&'r str>) -> Vec<&'r str> {
        let mut out: Vec<&str> = Vec::new();
        for value in self.rows.iter().filter_map(|row| of(row)) {
            if !out.contains(&value) {
                out.push(value);
            }
        }
        out
    }
}
