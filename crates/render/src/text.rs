//! Text: every line is the concatenation of its spans, coloured only where the reader is a terminal.

use report::{Item, Line, Note, NoteKind, Record, Report, Role};
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
pub fn text(report: &Report, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    record(&report.body, colour, out)
}

fn record(record_: &Record, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    for item in &record_.items {
        match item {
            Item::Line(l) => line(l, colour, out)?,
            Item::Blank => out.write_all(b"\n")?,
            Item::Record(_, r) => record(r, colour, out)?,
            Item::List(list) => list.items.iter().try_for_each(|r| record(r, colour, out))?,
            Item::Hidden(..) => {}
            Item::Note(n) => note(n, colour, out)?,
        }
    }
    Ok(())
}

fn line(line: &Line, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    for span in &line.0 {
        let (before, text, after) = span.parts();
        out.write_all(before.as_bytes())?;
        painted(&text, span.role(), colour, out)?;
        out.write_all(after.as_bytes())?;
    }
    out.write_all(b"\n")
}

fn note(note: &Note, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    let role = match note.kind {
        NoteKind::Info => Role::Dim,
        NoteKind::Warning => Role::Warning,
        NoteKind::Error => Role::Error,
    };
    painted(&note.text, role, colour, out)?;
    out.write_all(b"\n")
}

fn painted(text: &str, role: Role, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    let (Colour::Ansi, Some(code)) = (colour, ansi(role)) else {
        return out.write_all(text.as_bytes());
    };
    write!(out, "\x1b[{code}m{text}\x1b[0m")
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
