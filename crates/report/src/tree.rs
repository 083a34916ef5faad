//! The tree above the lines: records, lists, notes, and the report that holds them.

use crate::{Cell, Key, Line};
use std::borrow::Cow;

/// How much a note matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteKind {
    /// Good to know.
    Info,
    /// The answer may be incomplete.
    Warning,
    /// The answer is incomplete: a part of it is not in the dump.
    Missing,
    /// A part of what was asked could not be done; the command counts as failed.
    Error,
}

/// Something that the reader must be told beside the data; kept in JSON under `notes`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// How much it matters.
    pub kind: NoteKind,
    /// The text, a line of its own.
    pub text: String,
}

/// Several records under one name: an array in JSON, one after the other in text.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct List {
    /// Its name in JSON.
    pub key: Key,
    /// Its records.
    pub items: Vec<Record>,
}

/// One part of a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A line of text, whose fields are values of the record that holds it.
    Line(Line),
    /// An empty line.
    Blank,
    /// A record of its own: a nested object in JSON.
    Record(Key, Record),
    /// An array.
    List(List),
    /// A value that only JSON has.
    Hidden(Key, Cell),
    /// A remark.
    Note(Note),
}

macro_rules! builders {
    ($($path:ident).+) => {
        /// Appends a part.
        pub fn push(&mut self, item: Item) {
            self.$($path).+.push(item);
        }
        /// Appends a line.
        pub fn line(&mut self, line: Line) {
            self.push(Item::Line(line));
        }
        /// Appends a line of layout only: not in JSON.
        pub fn text(&mut self, text: impl Into<Cow<'static, str>>) {
            self.line(Line::of(text));
        }
        /// Appends an empty line.
        pub fn blank(&mut self) {
            self.push(Item::Blank);
        }
        /// Appends a nested record.
        pub fn record(&mut self, key: impl Into<Key>, record: Record) {
            self.push(Item::Record(key.into(), record));
        }
        /// Appends a list of records.
        pub fn list(&mut self, key: impl Into<Key>, items: Vec<Record>) {
            self.push(Item::List(List { key: key.into(), items }));
        }
        /// Appends a value for JSON only.
        pub fn hidden(&mut self, key: impl Into<Key>, cell: impl Into<Cell>) {
            self.push(Item::Hidden(key.into(), cell.into()));
        }
        /// Appends a remark that is good to know.
        pub fn info(&mut self, text: impl Into<String>) {
            self.push(Item::Note(Note { kind: NoteKind::Info, text: text.into() }));
        }
        /// Appends a warning: the answer may be incomplete.
        pub fn warning(&mut self, text: impl Into<String>) {
            self.push(Item::Note(Note { kind: NoteKind::Warning, text: text.into() }));
        }
        /// Appends a warning: a part of the answer is not in the dump. A front end's exit code is 4.
        pub fn missing(&mut self, text: impl Into<String>) {
            self.push(Item::Note(Note { kind: NoteKind::Missing, text: text.into() }));
        }
        /// Appends a warning about what is missing in the answer: a part of the dump is lost, or this kernel has no such thing.
        pub fn lacking(&mut self, is_loss: bool, text: impl Into<String>) {
            let kind = if is_loss { NoteKind::Missing } else { NoteKind::Warning };
            self.push(Item::Note(Note { kind, text: text.into() }));
        }
        /// Appends why a part of what was asked could not be had: the dump lost it, or it failed.
        pub fn lacking_or_error(&mut self, is_loss: bool, text: impl Into<String>) {
            let kind = if is_loss { NoteKind::Missing } else { NoteKind::Error };
            self.push(Item::Note(Note { kind, text: text.into() }));
        }
        /// Appends an error: a part of what was asked failed, the rest stands.
        pub fn error(&mut self, text: impl Into<String>) {
            self.push(Item::Note(Note { kind: NoteKind::Error, text: text.into() }));
        }
    };
}

/// A group of values that belong together: an object in JSON.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Record {
    /// Its parts, in the order of the text.
    pub items: Vec<Item>,
}

impl Record {
    /// An empty record.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Vec::new() }
    }
    /// A record of one line.
    #[must_use]
    pub fn of(line: Line) -> Self {
        Self { items: vec![Item::Line(line)] }
    }
    builders!(items);

    fn has(&self, kind: NoteKind) -> bool {
        self.any(&|item| matches!(item, Item::Note(note) if note.kind == kind))
    }
    /// True where a part of it, however deep, is such.
    fn any(&self, is_such: &dyn Fn(&Item) -> bool) -> bool {
        self.items.iter().any(|item| match item {
            Item::Record(_, record) => record.any(is_such),
            Item::List(list) => list.items.iter().any(|record| record.any(is_such)),
            Item::Line(_) | Item::Blank | Item::Hidden(..) | Item::Note(_) => is_such(item),
        })
    }
}

impl From<Line> for Record {
    fn from(line: Line) -> Self {
        Record::of(line)
    }
}

/// What a command answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The command's name.
    pub command: Cow<'static, str>,
    /// The answer.
    pub body: Record,
}

impl Report {
    /// An empty answer to `command`.
    #[must_use]
    pub fn new(command: impl Into<Cow<'static, str>>) -> Self {
        Self { command: command.into(), body: Record::new() }
    }
    builders!(body.items);

    /// True where nothing was said.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.body.items.is_empty()
    }
    /// True where a part of what was asked failed: a front end's exit code is then 1.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.body.has(NoteKind::Error)
    }
    /// True where a note of it, however deep, holds this text.
    #[must_use]
    pub fn has_note(&self, text: &str) -> bool {
        self.body.any(&|item| matches!(item, Item::Note(note) if note.text.contains(text)))
    }
    /// True where a part of what was asked is lost: a note says so, a value, or a part of one, that the dump should
    /// have is not there. A front end's exit code is then 4.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.body.any(&|item| match item {
            Item::Note(note) => note.kind == NoteKind::Missing,
            Item::Line(line) => line.fields().any(|field| field.cell.is_lost()),
            Item::Hidden(_, cell) => cell.is_lost(),
            Item::Blank | Item::Record(..) | Item::List(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind, Gap, Missing, PhysAddr, VirtAddr};

    fn report(cell: impl Into<Cell>) -> Report {
        let mut report = Report::new("x");
        report.list("rows", vec![Record::of(Line::new().field("n", 1).field("value", cell))]);
        report
    }

    fn fault(at: u64, why: Gap) -> Cell {
        Fault::new(VirtAddr(at), FaultKind::Page(Missing::new(PhysAddr(0x1000), why))).into()
    }

    #[test]
    fn what_the_dump_should_have_and_has_not_makes_an_answer_incomplete() {
        const KERNEL: u64 = 0xffff_8880_0000_1000;
        const USER: u64 = 0x7fff_0000_1000;
        let missing = |why| Cell::from(Missing::new(PhysAddr(0), why));
        for (cell, lost) in [
            (Cell::from(1), false),
            (Cell::at_least(13, "the list ends early"), true),
            (Cell::shown(Cell::at_least(13, "x"), "at least 13 of 71"), true),
            (Cell::Many(vec![1.into(), Cell::at_least(2, "x")], ", "), true),
            (fault(KERNEL, Gap::Excluded), true),
            (fault(KERNEL, Gap::Truncated), true),
            // a filter leaves out what is a process's
            (fault(USER, Gap::Excluded), false),
            (fault(USER, Gap::Absent), false),
            (fault(USER, Gap::Corrupt), true),
            (missing(Gap::Excluded), false),
            (missing(Gap::NotGiven), true),
            (missing(Gap::Io(std::io::ErrorKind::Other)), true),
            (Cell::absent("?", "this kernel has none"), false),
            (Cell::absent("?", "its page is not there").lost_if(true), true),
        ] {
            assert_eq!(report(cell.clone()).is_incomplete(), lost, "{cell:?}");
            let mut hidden = Report::new("x");
            hidden.hidden("value", cell.clone());
            assert_eq!(hidden.is_incomplete(), lost, "{cell:?}");
        }
    }

    #[test]
    fn notes_of_loss_count_and_other_notes_do_not() {
        for (is_loss, is_needed, shown) in [
            (true, false, NoteKind::Missing),
            (false, false, NoteKind::Warning),
            (true, true, NoteKind::Missing),
            (false, true, NoteKind::Error),
        ] {
            let mut row = Record::new();
            match is_needed {
                true => row.lacking_or_error(is_loss, "a part is not there"),
                false => row.lacking(is_loss, "a part is not there"),
            }
            assert!(matches!(row.items.first(), Some(Item::Note(note)) if note.kind == shown));
            let mut report = Report::new("x");
            report.record("row", row);
            assert_eq!((report.is_incomplete(), report.failed()), (is_loss, is_needed && !is_loss));
        }
    }
}
