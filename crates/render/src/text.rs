//! Text: every line is the concatenation of its spans, coloured only where the reader is a terminal.

use crate::page::Page;
use report::{Clean, Item, Line, Note, NoteKind, Record, Report, Role};
use std::io::{self, Write};

/// Whether text carries colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Colour {
    /// Bytes of the layout alone, as scripts expect them.
    #[default]
    Plain,
    /// With ANSI colours, for a terminal.
    Ansi,
}

/// Writes a report as text.
///
/// # Errors
/// `out` cannot be written.
pub fn text(report: &Report, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    record(&report.body, colour, &mut Page::new(out))
}

fn record(record_: &Record, colour: Colour, out: &mut Page<'_>) -> io::Result<()> {
    for item in &record_.items {
        match item {
            Item::Line(l) => line(l, colour, out)?,
            Item::Blank => out.own("\n")?,
            Item::Record(_, r) => record(r, colour, out)?,
            Item::List(list) => list.items.iter().try_for_each(|r| record(r, colour, out))?,
            Item::Hidden(..) => {}
            Item::Note(n) => note(n, colour, out)?,
        }
    }
    Ok(())
}

fn line(line: &Line, colour: Colour, out: &mut Page<'_>) -> io::Result<()> {
    for span in &line.0 {
        let (before, text, after) = span.parts();
        out.blanks(before)?;
        painted(&text, span.role(), colour, out)?;
        out.blanks(after)?;
    }
    out.own("\n")
}

fn note(note: &Note, colour: Colour, out: &mut Page<'_>) -> io::Result<()> {
    let role = match note.kind {
        NoteKind::Info => Role::Dim,
        NoteKind::Warning | NoteKind::Missing => Role::Warning,
        NoteKind::Error => Role::Error,
    };
    painted(&Clean::of(note.text.as_str()), role, colour, out)?;
    out.own("\n")
}

/// Colours are put around a text that is clean already, so that none can come from the dump.
fn painted(text: &Clean<'_>, role: Role, colour: Colour, out: &mut Page<'_>) -> io::Result<()> {
    let (Colour::Ansi, Some(code)) = (colour, ansi(role)) else {
        return out.text(text);
    };
    out.own("\x1b[")?;
    out.own(code)?;
    out.own("m")?;
    out.text(text)?;
    out.own("\x1b[0m")
}

/// The SGR parameters of a role: the sixteen colours, so that the reader's own theme decides.
const fn ansi(role: Role) -> Option<&'static str> {
    match role {
        Role::Plain | Role::Number => None,
        Role::Addr => Some("36"),
        Role::Symbol => Some("33"),
        Role::Type => Some("32"),
        Role::Path => Some("34"),
        Role::Heading | Role::Strong => Some("1"),
        Role::Dim => Some("2"),
        Role::Absent => Some("2;35"),
        Role::Warning => Some("33;1"),
        Role::Error => Some("31;1"),
    }
}
