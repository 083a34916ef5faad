//! HTML: one page without anything from elsewhere, the text layout with its colours.

use crate::page::Page;
use report::{Clean, Item, Line, NoteKind, Record, Report, Role};
use std::io::{self, Write};

/// The style of a report that stands in another's page, which may be light or dark: colours that read on both.
const PIECE: &str = "<div class=\"crashlens\"><style>.crashlens pre{font:13px/1.4 ui-monospace,Consolas,monospace;\
overflow-x:auto}.crashlens .addr{color:#0f86a8}.crashlens .sym{color:#a3701a}.crashlens .type{color:#3c8f3c}\
.crashlens .path{color:#3f74c9}.crashlens .head,.crashlens .strong{font-weight:700}.crashlens .dim{opacity:.65}\
.crashlens .absent{color:#a860a8;font-style:italic}.crashlens .warn{color:#b8761a}\
.crashlens .err{color:#d0453c;font-weight:700}</style><pre>";

const STYLE: &str = ":root{color-scheme:light dark;--addr:#0b6e8a;--sym:#8a5a00;--type:#2f7a2f;--path:#2c5aa8;\
--absent:#8a3a8a;--warn:#a86400;--err:#b3261e;--line:#8884}\
@media(prefers-color-scheme:dark){:root{--addr:#5cc8e0;--sym:#e0b45c;--type:#7fc97f;--path:#8ab4f8;\
--absent:#d08ad0;--warn:#f0b050;--err:#ff7a70}}\
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:120ch;padding:0 1rem}\
pre{font:13px/1.4 ui-monospace,Consolas,monospace;overflow-x:auto;margin:0}\
section{border-top:1px solid var(--line);padding:.8rem 0}h2{font-size:1rem;font-family:ui-monospace,monospace}\
.addr{color:var(--addr)}.sym{color:var(--sym)}.type{color:var(--type)}.path{color:var(--path)}\
.head,.strong{font-weight:700}.dim{opacity:.65}.absent{color:var(--absent);font-style:italic}\
.warn{color:var(--warn)}.err{color:var(--err);font-weight:700}";

/// Writes the page up to its first report.
///
/// # Errors
/// `out` cannot be written.
pub fn html_head(title: &str, out: &mut dyn Write) -> io::Result<()> {
    let (title, out) = (Clean::of(title), &mut Page::new(out));
    out.own(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>",
    )?;
    out.html(&title)?;
    out.own("</title><style>")?;
    out.own(STYLE)?;
    out.own("</style></head>\n<body><h1>")?;
    out.html(&title)?;
    out.own("</h1>\n")
}

/// Writes one report as a section of the page.
///
/// # Errors
/// `out` cannot be written.
pub fn html_body(report: &Report, words: &str, out: &mut dyn Write) -> io::Result<()> {
    let out = &mut Page::new(out);
    out.own("<section><h2>")?;
    out.html(&Clean::of(words))?;
    out.own("</h2><pre>")?;
    record(&report.body, out)?;
    out.own("</pre></section>\n")
}

/// Writes one report as a piece of another's page (a notebook's), with the style that it needs.
///
/// # Errors
/// `out` cannot be written.
pub fn html_piece(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let out = &mut Page::new(out);
    out.own(PIECE)?;
    record(&report.body, out)?;
    out.own("</pre></div>\n")
}

/// Writes the end of the page.
///
/// # Errors
/// `out` cannot be written.
pub fn html_foot(out: &mut dyn Write) -> io::Result<()> {
    Page::new(out).own("</body></html>\n")
}

fn record(record_: &Record, out: &mut Page<'_>) -> io::Result<()> {
    for item in &record_.items {
        match item {
            Item::Line(l) => line(l, out)?,
            Item::Blank => out.own("\n")?,
            Item::Record(_, r) => record(r, out)?,
            Item::List(list) => list.items.iter().try_for_each(|r| record(r, out))?,
            Item::Hidden(..) => {}
            Item::Note(note) => {
                let role = match note.kind {
                    NoteKind::Info => Role::Dim,
                    NoteKind::Warning | NoteKind::Missing => Role::Warning,
                    NoteKind::Error => Role::Error,
                };
                span(&Clean::of(note.text.as_str()), role, out)?;
                out.own("\n")?;
            }
        }
    }
    Ok(())
}

fn line(line: &Line, out: &mut Page<'_>) -> io::Result<()> {
    for s in &line.0 {
        let (before, text, after) = s.parts();
        out.blanks(before)?;
        span(&text, s.role(), out)?;
        out.blanks(after)?;
    }
    out.own("\n")
}

fn span(text: &Clean<'_>, role: Role, out: &mut Page<'_>) -> io::Result<()> {
    let Some(class) = class(role) else { return out.html(text) };
    out.own("<span class=\"")?;
    out.own(class)?;
    out.own("\">")?;
    out.html(text)?;
    out.own("</span>")
}

/// The style's class for what a value is; none for one that looks like the text around it.
#[must_use]
pub const fn class(role: Role) -> Option<&'static str> {
    match role {
        Role::Plain | Role::Number => None,
        Role::Addr => Some("addr"),
        Role::Symbol => Some("sym"),
        Role::Type => Some("type"),
        Role::Path => Some("path"),
        Role::Heading => Some("head"),
        Role::Strong => Some("strong"),
        Role::Dim => Some("dim"),
        Role::Absent => Some("absent"),
        Role::Warning => Some("warn"),
        Role::Error => Some("err"),
    }
}
