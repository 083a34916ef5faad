//! Names like the one that was not found (Damerau's distance: insert, delete, replace, swap).

/// Suggestions given at most.
const MAX: usize = 3;

/// The names nearest to `wanted`, nearest first; none that share too little with it.
pub fn near_names<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut near = Nearest::new(wanted);
    for name in names {
        near.offer(name);
    }
    near.finish()
}

/// Collects the nearest of a stream of names.
pub(crate) struct Nearest<'w> {
    wanted: &'w str,
    limit: usize,
    best: Vec<(usize, String)>,
}

impl<'w> Nearest<'w> {
    pub(crate) fn new(wanted: &'w str) -> Self {
        // one edit for every three characters: "jifies" finds jiffies, "x" finds nothing
        Self { wanted, limit: (wanted.len() / 3).min(4), best: Vec::new() }
    }

    pub(crate) fn offer(&mut self, name: &str) {
        if self.limit == 0 || name.len().abs_diff(self.wanted.len()) > self.limit {
            return;
        }
        if self.best.iter().any(|(_, n)| n == name) {
            return;
        }
        let Some(d) = distance(self.wanted.as_bytes(), name.as_bytes(), self.limit) else { return };
        let at = self.best.partition_point(|(b, _)| *b <= d);
        if at < MAX {
            self.best.insert(at, (d, name.to_owned()));
            self.best.truncate(MAX);
        }
    }

    pub(crate) fn finish(self) -> Vec<String> {
        self.best.into_iter().map(|(_, n)| n).collect()
    }
}

/// The distance where it is at most `limit`.
fn distance(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let get = |v: &[usize], at: usize| v.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut d = (get(&last, j) + usize::from(!x.eq_ignore_ascii_case(&y)))
                .min(get(&last, j + 1) + 1)
                .min(get(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swapped {
                d = d.min(get(&before, j - 1) + 1);
            }
            row.push(d);
        }
        if row.iter().all(|&d| d > limit) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|&d| d <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_nearest_first() {
        let names = ["jiffies", "jiffies_64", "init_task", "jiffie"];
        assert_eq!(near_names("jifies", names.into_iter()), ["jiffies", "jiffie"]);
        assert_eq!(near_names("jfifies", names.into_iter())[0], "jiffies");
        assert!(near_names("zz", names.into_iter()).is_empty());
    }
}
