//! Cuts a report into pages, so that text and data of each are of a bounded size and of the same part of the answer.
//!
//! **Invariant:** every item of the report is on one page, in its order; a list or record that is too large for one is cut, and its
//! parts stand under the same name.

use report::{Cell, Item, Line, List, Record, Report};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// The most bytes of a page, of text and of data each. A value that is larger is told and not shown.
pub(crate) const PAGE: usize = 24 << 10;

/// What a page is filled up to: the names and signs around its parts take the rest.
pub(crate) const FILLED: usize = PAGE - (1 << 10);

/// Records in records deeper than this are not cut.
const DEPTH: usize = 16;

/// An answer that is cut into pages part by part, up to a size that it may have at most.
pub(crate) struct Pages(Filling);

impl Pages {
    /// Pages of at most `most` bytes, of all together about `limit`.
    pub(crate) const fn new(most: usize, limit: usize) -> Self {
        Self(Filling::new(most, limit))
    }
    /// Adds a part of the answer; breaks where no more of it is taken.
    pub(crate) fn add(&mut self, part: &Report) -> ControlFlow<()> {
        fill(&part.body, DEPTH, &mut self.0)
    }
    /// A remark behind the answer, however large that is.
    pub(crate) fn warning(&mut self, text: String) {
        self.0.now.warning(text);
    }
    /// The pages, at least one.
    pub(crate) fn finish(self, command: &str) -> Vec<Report> {
        let parts = self.0.finish();
        parts.into_iter().map(|body| Report { command: command.to_owned().into(), body }).collect()
    }
}

/// Fills in the items of a record, until it is enough.
fn fill(record: &Record, depth: usize, out: &mut Filling) -> ControlFlow<()> {
    record.items.iter().try_for_each(|item| put(item, depth, out))
}

fn put(item: &Item, depth: usize, out: &mut Filling) -> ControlFlow<()> {
    match item {
        Item::List(list) => put_list(list, depth, out)?,
        item => {
            let size = size(item);
            match item {
                Item::Record(key, inner) if size > out.most && depth > 0 => {
                    let mut within = out.within();
                    let is_cut = fill(inner, depth.saturating_sub(1), &mut within);
                    for part in within.finish() {
                        let part = Item::Record(key.clone(), part);
                        let size = self::size(&part);
                        out.add(part, size);
                    }
                    is_cut?;
                }
                item => out.add(item.clone(), size),
            }
        }
    }
    out.go_on()
}

/// As many rows of a list on a page as fit.
fn put_list(list: &List, depth: usize, out: &mut Filling) -> ControlFlow<()> {
    let empty = || List { key: list.key.clone(), items: Vec::new() };
    let (mut rows, mut used) = (empty(), 0_usize);
    let mut flow = ControlFlow::Continue(());
    for row in &list.items {
        let size = record_size(row);
        let parts = if size > out.most && depth > 0 {
            let mut within = out.within();
            flow = fill(row, depth.saturating_sub(1), &mut within);
            within.finish()
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
                    out.add(Item::List(std::mem::replace(&mut rows, empty())), used);
                }
                out.turn();
                used = 0;
            }
            used = used.saturating_add(size);
            rows.items.push(part);
        }
        if flow.is_break() || out.total.saturating_add(used) > out.limit {
            flow = ControlFlow::Break(());
            break;
        }
    }
    if !rows.items.is_empty() || list.items.is_empty() {
        out.add(Item::List(rows), used);
    }
    flow
}

/// Pages that are being filled.
struct Filling {
    done: Vec<Record>,
    now: Record,
    /// The bytes of the page that is filled, and of all.
    used: usize,
    total: usize,
    most: usize,
    limit: usize,
}

impl Filling {
    const fn new(most: usize, limit: usize) -> Self {
        Self { done: Vec::new(), now: Record { items: Vec::new() }, used: 0, total: 0, most, limit }
    }
    /// Of a record in what is filled: it may have what is left.
    const fn within(&self) -> Self {
        Self::new(self.most, self.limit.saturating_sub(self.total))
    }
    const fn room(&self) -> usize {
        self.most.saturating_sub(self.used)
    }
    const fn is_empty(&self) -> bool {
        self.now.items.is_empty()
    }
    const fn go_on(&self) -> ControlFlow<()> {
        if self.total > self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
    fn add(&mut self, item: Item, size: usize) {
        if size > self.room() {
            self.turn();
        }
        self.used = self.used.saturating_add(size);
        self.total = self.total.saturating_add(size);
        self.now.push(item);
    }
    /// Begins a new page, unless this one is empty.
    fn turn(&mut self) {
        if !self.is_empty() {
            self.done.push(std::mem::take(&mut self.now));
        }
        self.used = 0;
    }
    /// The pages, at least one.
    fn finish(mut self) -> Vec<Record> {
        if !self.is_empty() || self.done.is_empty() {
            self.done.push(self.now);
        }
        self.done
    }
}

/// The bytes of a record as text or as data, whichever has more: of its members alone, without what stands around an answer.
fn record_size(record: &Record) -> usize {
    static AROUND: LazyLock<usize> = LazyLock::new(|| json_size(Record::new()));
    let text = counted(|out| render::text(&report_of(record.clone()), render::Colour::Plain, out));
    // its braces, and a comma between it and the next
    let data = json_size(record.clone()).saturating_sub(*AROUND).saturating_add(3);
    text.max(data)
}

fn json_size(record: Record) -> usize {
    counted(|out| render::json(&report_of(record), render::Source::default(), out))
}

fn report_of(body: Record) -> Report {
    Report { command: "".into(), body }
}

fn counted(write: impl FnOnce(&mut Count) -> io::Result<()>) -> usize {
    let mut count = Count::default();
    // counting cannot fail
    let _ = write(&mut count);
    count.0
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

/// What stands in the place of a page with a single value that is larger than a page.
pub(crate) fn too_large(page: &Report, most: usize) -> Option<Report> {
    if record_size(&page.body) <= most {
        return None;
    }
    let mut short = Report::new(page.command.clone());
    let why = format!("a single value of the answer has more than {most} bytes");
    short.line(Line::new().field("too_large", Cell::absent("too large", why.clone())));
    short.warning(format!("{why}: it is not shown here; ask for less of it"));
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(report: &Report, most: usize) -> Vec<Report> {
        let mut pages = Pages::new(most, usize::MAX);
        assert!(pages.add(report).is_continue());
        pages.finish(&report.command)
    }

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
        let short = too_large(&pages(&report, 500).remove(0), 500).unwrap();
        assert!(text(&short).contains("more than 500 bytes"), "{}", text(&short));
        assert_eq!(too_large(&report, 20_000), None);
    }

    #[test]
    fn an_answer_has_no_more_than_it_may_have() {
        let mut report = Report::new("x");
        report.list("rows", (0..10_000).map(row).collect());
        let mut inner = Record::new();
        inner.list("deep", (0..10_000).map(row).collect());
        let mut nested = Report::new("x");
        nested.record("inner", inner);
        for report in [report, nested] {
            let mut whole = Pages::new(500, 10_000);
            assert!(whole.add(&report).is_break());
            whole.warning("cut".to_owned());
            let pages = whole.finish(&report.command);
            let total: usize = pages.iter().map(|page| record_size(&page.body)).sum();
            assert!((9_000..12_000).contains(&total), "{total}");
            let joined: String = pages.iter().map(text).collect();
            assert!(joined.starts_with("row 0\nrow 1\n") && joined.ends_with("cut\n"), "{joined}");
        }
    }
}
