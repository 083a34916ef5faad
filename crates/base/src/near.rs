//! Names like one that was mistyped: the one search for commands, symbols, types and members.
//!
//! Likeness is Damerau's distance (insert, delete, replace, swap), the case of letters aside, within one edit for every
//! four characters, one at least; underscores too many or too few are one edit. A stream of 100 000 names takes some milliseconds.

/// Names given at most.
const MAX: usize = 3;
/// Edits at most, however long the name.
const MAX_EDITS: usize = 3;
/// A longer name is none that was typed.
const MAX_LEN: usize = 128;

/// Collects the nearest of a stream of names.
#[derive(Debug)]
pub struct Nearest<'w> {
    wanted: &'w [u8],
    letters: u32,
    limit: usize,
    best: Vec<(usize, String)>,
    rows: [Vec<usize>; 3],
}

/// The names nearest to `wanted`, nearest first; none that share too little with it.
pub fn near_names<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut near = Nearest::new(wanted);
    names.for_each(|name| near.offer(name));
    near.finish()
}

impl<'w> Nearest<'w> {
    /// Names like this one.
    #[must_use]
    pub fn new(wanted: &'w str) -> Self {
        let wanted = wanted.as_bytes();
        let limit =
            if (2..=MAX_LEN).contains(&wanted.len()) { (wanted.len() / 4).clamp(1, MAX_EDITS) } else { 0 };
        Self { wanted, letters: letters(wanted), limit, best: Vec::new(), rows: Default::default() }
    }

    /// Takes a name where it is near; equal ones once.
    pub fn offer(&mut self, name: &str) {
        let Some(edits) = self.edits(name.as_bytes()) else { return };
        // a short name that shares nothing is no likeness
        if edits >= name.len() || self.best.iter().any(|(_, known)| known == name) {
            return;
        }
        let at = self.best.partition_point(|(best, _)| *best <= edits);
        if at < MAX {
            self.best.insert(at, (edits, name.to_owned()));
            self.best.truncate(MAX);
        }
    }

    /// The nearest first.
    #[must_use]
    pub fn finish(self) -> Vec<String> {
        self.best.into_iter().map(|(_, name)| name).collect()
    }

    /// The distance, where it is within the limit.
    fn edits(&mut self, name: &[u8]) -> Option<usize> {
        let limit = match self.best.get(MAX - 1) {
            Some((worst, _)) => worst.saturating_sub(1),
            None => self.limit,
        };
        if self.limit == 0 || name.len() > MAX_LEN {
            return None;
        }
        if name.len().abs_diff(self.wanted.len()) <= limit
            && (self.letters & !letters(name)).count_ones() as usize <= limit
            && let Some(edits) = self.distance(name, limit)
        {
            return Some(edits);
        }
        (limit >= 1 && same_but_underscores(self.wanted, name)).then_some(1)
    }

    /// Row by row; a row whose least is over the limit ends it.
    fn distance(&mut self, name: &[u8], limit: usize) -> Option<usize> {
        let [before, last, row] = &mut self.rows;
        last.clear();
        last.extend(0..=name.len());
        for (i, &x) in self.wanted.iter().enumerate() {
            row.clear();
            row.push(i + 1);
            let mut least = i + 1;
            for (j, &y) in name.iter().enumerate() {
                let get = |v: &[usize], at: usize| v.get(at).copied().unwrap_or(usize::MAX / 2);
                let mut edits = (get(last, j) + usize::from(!x.eq_ignore_ascii_case(&y)))
                    .min(get(last, j + 1) + 1)
                    .min(get(row, j) + 1);
                let swapped =
                    i > 0 && j > 0 && self.wanted.get(i - 1) == Some(&y) && name.get(j - 1) == Some(&x);
                if swapped {
                    edits = edits.min(get(before, j - 1) + 1);
                }
                least = least.min(edits);
                row.push(edits);
            }
            if least > limit {
                return None;
            }
            std::mem::swap(before, last);
            std::mem::swap(last, row);
        }
        last.last().copied().filter(|&edits| edits <= limit)
    }
}

/// The characters of a name as bits, the case of letters aside.
fn letters(name: &[u8]) -> u32 {
    name.iter().fold(0, |bits, c| bits | 1 << (c & 31))
}

fn same_but_underscores(a: &[u8], b: &[u8]) -> bool {
    let plain =
        |s: &'_ [u8]| s.iter().filter(|&&c| c != b'_').map(u8::to_ascii_lowercase).collect::<Vec<_>>();
    a.len().abs_diff(b.len()) <= 4 && letters(a) | 1 << 31 == letters(b) | 1 << 31 && {
        let plain_a = plain(a);
        !plain_a.is_empty() && plain_a == plain(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(wanted: &str, names: &[&str]) -> Vec<String> {
        near_names(wanted, names.iter().copied())
    }

    #[test]
    fn the_nearest_come_first() {
        let names = ["jiffies", "jiffies_64", "init_task", "jiffie"];
        // two edits of six letters are too many: `jiffie` is not told
        assert_eq!(near("jifies", &names), ["jiffies"]);
        assert_eq!(near("jfifies", &names)[0], "jiffies");
        assert_eq!(near("evl", &["eval", "bt", "evlx"]), ["eval", "evlx"]);
        assert_eq!(near("vitrqueue_add", &["virtqueue_add", "virtqueue_get"]), ["virtqueue_add"]);
    }

    #[test]
    fn case_and_underscores_matter_little() {
        assert_eq!(near("VirtQueue_Add", &["virtqueue_add"]), ["virtqueue_add"]);
        assert_eq!(near("taskstruct", &["task_struct"]), ["task_struct"]);
        assert_eq!(near("__task___struct", &["task_struct"]), ["task_struct"]);
        assert_eq!(near("__", &["____"]), Vec::<String>::new());
    }

    #[test]
    fn what_shares_too_little_is_left_out() {
        let none = Vec::<String>::new();
        assert_eq!(near("zz", &["jiffies", "ps", "q"]), none);
        assert_eq!(near("x", &["y", "xy"]), none);
        assert_eq!(near("completely_else", &["jiffies"]), none);
        assert_eq!(near("", &["a"]), none);
        assert_eq!(near(&"a".repeat(500), &[&"a".repeat(499)]), none);
    }

    #[test]
    fn of_many_the_three_best_stay_each_once() {
        let names = ["abcdxx", "abcdex", "abcdef", "abcdeg", "abcdef", "abcdeh"];
        assert_eq!(near("abcdef", &names), ["abcdef", "abcdex", "abcdeg"]);
    }
}
