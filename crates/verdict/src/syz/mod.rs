//! A report of the kernel as syzkaller's users know it: a title that is the same for the same bug, the file to blame, and who
//! maintains it.
//!
//! Source of the facts: syzkaller (Apache License 2.0), pkg/report: the forms in `forms.toml`, and how a report is cut out of a
//! console's text, how a frame is chosen, how a title is made stable. Its own logs (pkg/report/testdata/linux/report) tell
//! whether titles agree: `tests/syzkaller.rs`. Works on text alone. **Invariant:** states nothing about a text that has no report.

mod frames;
mod guilty;
mod maintainers;
mod session;
mod table;
mod text;
mod title;

pub use guilty::file as guilty_file;
pub use maintainers::{Maintained, Maintainers, maintainers};
pub use session::{lines_with_files, of_session};
use table::Table;

/// A report that was found in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its title.
    pub title: String,
    /// Why its text cannot be whole, where it cannot: the title may be another bug's.
    pub corrupted: Option<String>,
    /// Its lines, without what others wrote in between.
    pub lines: Vec<String>,
}

/// The first report of a console's text; `None` where there is none.
#[must_use]
pub fn report(console: &str) -> Option<Report> {
    let table = Table::get();
    let found = text::first(console, table)?;
    let cut = text::cut(console, &found, table);
    let described = title::describe(cut.until_next(), found.oops, table)
        .or_else(|| title::describe(console.get(found.start..)?, found.oops, table))?;
    let is_corrupted = || title::corruption(&described, &cut.text, table);
    let corrupted = described.corrupted.clone().or_else(is_corrupted);
    Some(Report {
        title: title::stable(&described.title),
        corrupted,
        lines: cut.text.lines().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests;
