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
        self.items.iter().any(|item| match item {
            Item::Note(note) => note.kind == kind,
            Item::Record(_, record) => record.has(kind),
            Item::List(list) => list.items.iter().any(|record| record.has(kind)),
            Item::Line(_) | Item::Blank | Item::Hidden(..) => false,
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
    /// True where a part of what was asked is not in the dump.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.body.has(NoteKind::Missing)
    }
}
