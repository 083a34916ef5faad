//! A report's text with links, and lists of reports as tables.

use crate::page::links::{Links, address};
use crate::parts::Table;
use render::{Clean, Page};
use report::{Item, Line, NoteKind, Record, Role, Span};
use serde_json::Value;
use std::io;

/// A table of more rows than this is cut, and says so: a browser has to hold them all.
pub(crate) const MOST_ROWS: usize = 20_000;

/// The rows of a list that the page shows.
pub(crate) fn shown<'d>(data: &'d Value, table: &Table) -> &'d [Value] {
    let all = all(data, table.list);
    all.get(..MOST_ROWS).unwrap_or(all)
}

/// All rows of a list.
pub(crate) fn all<'d>(data: &'d Value, list: &str) -> &'d [Value] {
    data.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A report as text.
pub(crate) fn text(record: &Record, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    for item in &record.items {
        match item {
            Item::Line(one) => line(one, links, p)?,
            Item::Blank => p.own("\n")?,
            Item::Record(_, inner) => text(inner, links, p)?,
            Item::List(list) => list.items.iter().try_for_each(|row| text(row, links, p))?,
            Item::Hidden(..) => {}
            Item::Note(one) => {
                note(one.kind, &one.text, links, p)?;
                p.own("\n")?;
            }
        }
    }
    Ok(())
}

/// A remark.
pub(crate) fn note(kind: NoteKind, text: &str, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    p.own(match kind {
        NoteKind::Info => "<span class=\"dim\">",
        NoteKind::Warning | NoteKind::Missing => "<span class=\"warn\">",
        NoteKind::Error => "<span class=\"err\">",
    })?;
    links.text(&Clean::of(text), p)?;
    p.own("</span>")
}

fn line(line: &Line, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    for span in &line.0 {
        let (before, text, after) = span.parts();
        p.blanks(before)?;
        let class = class(span.role());
        if let Some(class) = class {
            p.own("<span class=\"")?;
            p.own(class)?;
            p.own("\">")?;
        }
        match span {
            Span::Text(..) => links.text(&text, p)?,
            Span::Field(field) => links.cell(&field.cell, &text, p)?,
        }
        if class.is_some() {
            p.own("</span>")?;
        }
        p.blanks(after)?;
    }
    p.own("\n")
}

/// Addresses and symbols are links, which have a look of their own.
const fn class(role: Role) -> Option<&'static str> {
    match role {
        Role::Addr | Role::Symbol => None,
        role => render::class(role),
    }
}

/// A list as a table that can be filtered and sorted.
pub(crate) fn table(
    id: &'static str,
    data: &Value,
    table: &Table,
    links: &mut Links,
    p: &mut Page<'_>,
) -> io::Result<()> {
    let (rows, count) = (shown(data, table), all(data, table.list).len());
    p.own("<p class=\"tools\"><label>Filter <input type=\"search\" data-filter=\"t-")?;
    p.own(id)?;
    p.own("\"></label> <output>")?;
    p.number(rows.len() as i128)?;
    p.own("</output> rows")?;
    if rows.len() < count {
        p.own(" shown of ")?;
        p.number(count as i128)?;
    }
    p.own("</p><div class=\"scroll\"><table id=\"t-")?;
    p.own(id)?;
    p.own("\"><thead><tr>")?;
    for (_, head) in table.columns {
        p.own("<th scope=\"col\" aria-sort=\"none\"><button type=\"button\">")?;
        p.own(head)?;
        p.own("</button></th>")?;
    }
    p.own("</tr></thead><tbody>\n")?;
    for row in rows {
        self::row(row, table, links, p)?;
    }
    p.own("</tbody></table></div>")
}

fn row(row: &Value, table: &Table, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let mut places = table.places.iter().filter_map(|key| address(row.get(*key)?));
    p.own("<tr")?;
    if let Some(first) = places.next() {
        links.row(first, p)?;
    }
    p.own(">")?;
    for (key, _) in table.columns {
        let value = row.get(*key).unwrap_or(&Value::Null);
        p.own(if value.is_number() { "<td class=\"n\"" } else { "<td" })?;
        // a second address of the row has its place in its cell
        if let Some(at) = address(value).filter(|_| table.places.contains(key)) {
            links.row(at, p)?;
        }
        p.own(">")?;
        self::value(value, links, p)?;
        p.own("</td>")?;
    }
    p.own("</tr>\n")
}

/// A value of a report's JSON.
pub(crate) fn value(value: &Value, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Bool(yes) => p.own(if *yes { "yes" } else { "no" }),
        Value::Number(n) => match n.as_i64() {
            Some(n) => p.number(n.into()),
            None => p.length(n.as_f64().unwrap_or_default()),
        },
        Value::String(text) => links.text(&Clean::of(text.as_str()), p),
        Value::Array(all) => all.iter().enumerate().try_for_each(|(n, one)| {
            p.own(if n == 0 { "" } else { ", " })?;
            self::value(one, links, p)
        }),
        Value::Object(object) => match (object.get("absent"), object.get("name")) {
            (Some(why), _) => absent(why, p),
            (_, Some(name)) => self::value(name, links, p),
            _ => Ok(()),
        },
    }
}

/// What is not there, with the reason.
fn absent(why: &Value, p: &mut Page<'_>) -> io::Result<()> {
    let why = why.as_str().unwrap_or_default();
    p.own("<span class=\"absent\" title=\"")?;
    p.html(&Clean::of(why))?;
    p.own("\">")?;
    p.own(if why.starts_with("left out") { "left out" } else { "not in the dump" })?;
    p.own("</span>")
}

/// Text that is a value of its own.
pub(crate) fn plain(text: &str, p: &mut Page<'_>) -> io::Result<()> {
    p.html(&Clean::of(text))
}
