//! Cuts a report into pages, so that text and data of each are of a bounded size and of the same part of the answer.
//!
//! **Invariant:** every item of the report is on one page, in its order; a list or record that is too large for one is cut, and its
//! parts stand under the same name.

use report::{Cell, Item, Line, List, Record, Report};
use std::io::{self, Write};

/// The most bytes of a page, of text and of data each. One value that is larger has a page of its own.
pub(crate) const PAGE: usize = 24 << 10;

/// Records in records deeper than this are not cut.
const DEPTH: usize = 16;

/// The pages of a report, at least one.
pub(crate) fn pages(report: &Report, most: usize) -> Vec<Report> {
    let parts = cut(&report.body, most, DEPTH);
    parts.into_iter().map(|body| Report { command: report.command.clone(), body }).collect()
}

/// Cuts a record into some that fit.
fn cut(record: &Record, most: usize, depth: usize) -> Vec<Record> {
    let mut out = Filling { done: Vec::new(), now: Record::new(), used: 0, most };
    record.items.iter().for_each(|item| put(item, most, depth, &mut out));
    if !out.now.items.is_empty() || out.done.is_empty() {
        out.done.push(out.now);
    }
    out.done
}

fn put(item: &Item, most: usize, depth: usize, out: &mut Filling) {
    let size = size(item);
    match item {
        Item::List(list) if size > out.room() => put_list(list, most, depth, out),
        Item::Record(key, inner) if size > most && depth > 0 => {
            for part in cut(inner, most, depth.saturating_sub(1)) {
                out.add(Item::Record(key.clone(), part));
            }
        }
        item => out.add_sized(item.clone(), size),
    }
}

/// As many rows of a list on a page as fit.
fn put_list(list: &List, most: usize, depth: usize, out: &mut Filling) {
    let mut rows = List { key: list.key.clone(), items: Vec::new() };
    let mut used = 0_usize;
    for row in &list.items {
        let size = record_size(row);
        let parts = if size > most && depth > 0 {
            cut(row, most, depth.saturating_sub(1))
        } else {
            vec![row.clone()]
        };
        let is_whole = parts.len() == 1;
        for (n, mut part) in parts.into_iter().enumerate() {
            let size = if is_whole { size } else { record_size(&part) };
            if n > 0 {
                part.hidden("continued", true);
            }
            if used.saturating_add(size) > out.room() && !(rows.items.is_empty() && out.is_empty()) {
                if !rows.items.is_empty() {
                    let full =
                        std::mem::replace(&mut rows, List { key: list.key.clone(), items: Vec::new() });
                    out.add_sized(Item::List(full), used);
                }
                out.turn();
                used = 0;
            }
            used = used.saturating_add(size);
            rows.items.push(part);
        }
    }
    if !rows.items.is_empty() || list.items.is_empty() {
        out.add_sized(Item::List(rows), used);
    }
}

/// Pages that are being filled.
struct Filling {
    done: Vec<Record>,
    now: Record,
    used: usize,
    most: usize,
}

impl Filling {
    const fn room(&self) -> usize {
        self.most.saturating_sub(self.used)
    }
    const fn is_empty(&self) -> bool {
        self.now.items.is_empty()
    }
    fn add(&mut self, item: Item) {
        let size = size(&item);
        self.add_sized(item, size);
    }
    fn add_sized(&mut self, item: Item, size: usize) {
        if size > self.room() {
            self.turn();
        }
        self.used = self.used.saturating_add(size);
        self.now.push(item);
    }
    /// Begins a new page, unless this one is empty.
    fn turn(&mut self) {
        if !self.is_empty() {
            self.done.push(std::mem::take(&mut self.now));
        }
        self.used = 0;
    }
}

fn record_size(record: &Record) -> usize {
    let mut text = Count::default();
    let mut data = Count::default();
    let report = Report { command: "".into(), body: record.clone() };
    // counting cannot fail
    let _ = render::text(&report, render::Colour::Plain, &mut text);
    let _ = render::json(&report, render::Source::default(), &mut data);
    text.0.max(data.0)
}

fn size(item: &Item) -> usize {
    record_size(&Record { items: vec![item.clone()] })
}

/// Counts what is written.
#[derive(Default)]
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The page's own text, cut where a single value is larger than a page.
pub(crate) fn bounded(page: Report, most: usize) -> (Report, bool) {
    if record_size(&page.body) <= most.saturating_mul(2) {
        return (page, false);
    }
    let mut short = Report::new(page.command);
    let why = format!("a single value of the answer has more than {most} bytes");
    short.line(Line::new().field("too_large", Cell::absent("too large", why.clone())));
    short.warning(format!("{why}: it is not shown here; ask for less of it"));
    (short, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize) -> Record {
        Record::of(Line::new().text("row ").field("n", n))
    }

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        render::text(report, render::Colour::Plain, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pages_hold_all_rows_once_and_in_order() {
        let mut report = Report::new("x");
        report.text("head");
        report.list("rows", (0..1000).map(row).collect());
        let mut inner = Record::new();
        inner.list("deep", (1000..2000).map(row).collect());
        report.record("inner", inner);
        report.warning("the end");
        for most in [200, 1000, 5000] {
            let pages = pages(&report, most);
            assert!(pages.len() > 2, "{most}");
            let joined: String = pages.iter().map(text).collect();
            assert_eq!(joined, text(&report), "{most}");
            for page in &pages {
                assert!(record_size(&page.body) <= most + 120, "{most}: {}", record_size(&page.body));
            }
        }
        assert_eq!(pages(&report, 1 << 20).len(), 1);
    }

    #[test]
    fn an_empty_answer_has_one_page() {
        assert_eq!(pages(&Report::new("x"), 100), [Report::new("x")]);
    }

    #[test]
    fn a_row_larger_than_a_page_goes_on_on_the_next() {
        let mut big = Record::new();
        (0..50).for_each(|n| big.line(Line::new().field("word", format!("{n:060}"))));
        let mut report = Report::new("x");
        report.list("rows", vec![row(1), big, row(2)]);
        let pages = pages(&report, 500);
        let joined: String = pages.iter().map(text).collect();
        assert_eq!(joined, text(&report));
        assert!(pages.len() > 5);
    }

    #[test]
    fn a_value_larger_than_a_page_is_told_and_not_shown() {
        let mut report = Report::new("x");
        report.line(Line::new().field("text", "y".repeat(5000)));
        let (short, cut) = bounded(pages(&report, 500).remove(0), 500);
        assert!(cut && text(&short).contains("more than 500 bytes"), "{}", text(&short));
    }
}
