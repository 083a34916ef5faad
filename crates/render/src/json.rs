//! JSON: the keyed cells of a report, without its layout. The schema is described in docs/JSON.md;
//! [`SCHEMA`] names its version.

use report::{Cell, Item, Note, NoteKind, Record, Report, SymbolRef};
use std::io::{self, Write};

/// The name and version of the schema; the number grows when a reader of the old one would break.
pub const SCHEMA: &str = "crashlens/1";

/// Where a report comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source<'a> {
    /// The dump's path, where there is one.
    pub dump: Option<&'a str>,
    /// The words of the command.
    pub args: &'a [String],
}

/// Writes a report as one line of JSON.
///
/// # Errors
/// `out` cannot be written.
pub fn json(report: &Report, source: Source<'_>, out: &mut dyn Write) -> io::Result<()> {
    envelope(&report.command, source, out)?;
    out.write_all(b",\"data\":")?;
    record(&report.body, out)?;
    out.write_all(b"}\n")
}

/// Writes the failure of a command as one line of JSON.
///
/// # Errors
/// `out` cannot be written.
pub fn json_error(command: &str, error: &str, source: Source<'_>, out: &mut dyn Write) -> io::Result<()> {
    envelope(command, source, out)?;
    out.write_all(b",\"error\":")?;
    string(error, out)?;
    out.write_all(b"}\n")
}

fn envelope(command: &str, source: Source<'_>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"schema\":\"{SCHEMA}\",\"command\":")?;
    string(command, out)?;
    out.write_all(b",\"args\":")?;
    array(source.args, out, |arg, out| string(arg, out))?;
    out.write_all(b",\"dump\":")?;
    match source.dump {
        Some(path) => string(path, out)?,
        None => out.write_all(b"null")?,
    }
    Ok(())
}

/// What one key of an object holds.
enum Part<'a> {
    Cell(&'a Cell),
    Record(&'a Record),
    List(&'a [Record]),
}

/// The members of an object in order of first appearance; a key that comes again makes an array.
fn members<'a>(record: &'a Record, notes: &mut Vec<&'a Note>) -> Vec<(&'a str, Vec<Part<'a>>)> {
    let mut out: Vec<(&str, Vec<Part<'_>>)> = Vec::new();
    let mut add = |key: &'a str, part: Part<'a>| {
        if key.is_empty() {
            return;
        }
        match out.iter_mut().find(|(k, _)| *k == key) {
            Some((_, parts)) => parts.push(part),
            None => out.push((key, vec![part])),
        }
    };
    for item in &record.items {
        match item {
            Item::Line(line) => line.fields().for_each(|f| add(&f.key, Part::Cell(&f.cell))),
            Item::Blank => {}
            Item::Record(key, r) => add(key, Part::Record(r)),
            Item::List(list) => add(&list.key, Part::List(&list.items)),
            Item::Hidden(key, cell) => add(key, Part::Cell(cell)),
            Item::Note(note) => notes.push(note),
        }
    }
    out
}

fn record(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let mut notes = Vec::new();
    let members = members(record, &mut notes);
    out.write_all(b"{")?;
    let mut separator: &[u8] = b"";
    for (key, parts) in &members {
        out.write_all(separator)?;
        separator = b",";
        string(key, out)?;
        out.write_all(b":")?;
        match parts.as_slice() {
            [one] => part(one, out)?,
            many if many.iter().all(|p| matches!(p, Part::List(_))) => {
                let lists = many.iter().flat_map(|p| match p {
                    Part::List(l) => l.iter(),
                    Part::Cell(_) | Part::Record(_) => [].iter(),
                });
                array(&lists.collect::<Vec<_>>(), out, |r, out| self::record(r, out))?;
            }
            many => array(many, out, part)?,
        }
    }
    if !notes.is_empty() {
        out.write_all(separator)?;
        out.write_all(b"\"notes\":")?;
        array(&notes, out, |n, out| note(n, out))?;
    }
    out.write_all(b"}")
}

fn part(part: &Part<'_>, out: &mut dyn Write) -> io::Result<()> {
    match part {
        Part::Cell(c) => cell(c, out),
        Part::Record(r) => record(r, out),
        Part::List(l) => array(l, out, record),
    }
}

fn note(note: &Note, out: &mut dyn Write) -> io::Result<()> {
    let kind = match note.kind {
        NoteKind::Info => "info",
        NoteKind::Warning | NoteKind::Missing => "warning",
        NoteKind::Error => "error",
    };
    write!(out, "{{\"kind\":\"{kind}\",\"text\":")?;
    string(&note.text, out)?;
    out.write_all(b"}")
}

fn cell(cell_: &Cell, out: &mut dyn Write) -> io::Result<()> {
    match cell_ {
        Cell::Addr(n) | Cell::Phys(n) | Cell::Hex { value: n, .. } => write!(out, "\"{n:#x}\""),
        Cell::Int(n) => write!(out, "{n}"),
        Cell::Size(n) => write!(out, "{n}"),
        Cell::Float(n, _) if n.is_finite() => write!(out, "{n}"),
        Cell::Float(..) | Cell::Null => out.write_all(b"null"),
        Cell::Str(s) => string(s, out),
        Cell::Bool(b) => write!(out, "{b}"),
        Cell::Symbol(s) => symbol(s, out),
        Cell::Bytes(_) => write!(out, "\"{cell_}\""),
        Cell::Many(cells, _) => array(cells, out, cell),
        Cell::Shown(value, _) => cell(value, out),
        Cell::Absent { reason, .. } => {
            out.write_all(b"{\"absent\":")?;
            string(reason, out)?;
            out.write_all(b"}")
        }
        Cell::AtLeast { least, reason, .. } => {
            out.write_all(b"{\"absent\":")?;
            string(reason, out)?;
            out.write_all(b",\"at_least\":")?;
            cell(least, out)?;
            out.write_all(b"}")
        }
    }
}

fn symbol(symbol: &SymbolRef, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"name\":")?;
    string(&symbol.name, out)?;
    write!(out, ",\"offset\":{}", symbol.offset)?;
    if let Some(size) = symbol.size {
        write!(out, ",\"size\":{size}")?;
    }
    if let Some(module) = &symbol.module {
        out.write_all(b",\"module\":")?;
        string(module, out)?;
    }
    out.write_all(b"}")
}

fn array<T>(
    items: &[T],
    out: &mut dyn Write,
    mut each: impl FnMut(&T, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        each(item, out)?;
    }
    out.write_all(b"]")
}

/// A string. JSON itself escapes what is below 0x20; the other characters that a terminal acts on are escaped as
/// well, since the line may be looked at there: the value stays the same.
fn string(text: &str, out: &mut dyn Write) -> io::Result<()> {
    if !text.chars().any(report::acts) {
        return serde_json::to_writer(out, text).map_err(io::Error::from);
    }
    let plain = serde_json::to_string(text)?;
    let mut safe = String::with_capacity(plain.len().saturating_add(16));
    for c in plain.chars() {
        if report::acts(c) {
            let units = &mut [0; 2];
            c.encode_utf16(units).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    out.write_all(safe.as_bytes())
}
