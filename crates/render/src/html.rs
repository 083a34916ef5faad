//! HTML: one page without anything from elsewhere, the text layout with its colours.

use report::{Item, Line, NoteKind, Record, Report, Role};
use std::io::{self, Write};

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
pub fn html_head(title: &str, out: &mut dyn Write) -> io::Result<()> {
    let title = escaped(title);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
    )
}

/// Writes one report as a section of the page.
pub fn html_body(report: &Report, words: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<section><h2>{}</h2><pre>", escaped(words))?;
    record(&report.body, out)?;
    out.write_all(b"</pre></section>\n")
}

/// Writes the end of the page.
pub fn html_foot(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"</body></html>\n")
}

fn record(record_: &Record, out: &mut dyn Write) -> io::Result<()> {
    for item in &record_.items {
        match item {
            Item::Line(l) => line(l, out)?,
            Item::Blank => out.write_all(b"\n")?,
            Item::Record(_, r) => record(r, out)?,
            Item::List(list) => list.items.iter().try_for_each(|r| record(r, out))?,
            Item::Hidden(..) => {}
            Item::Note(note) => {
                let role = match note.kind {
                    NoteKind::Info => Role::Dim,
                    NoteKind::Warning => Role::Warning,
                    NoteKind::Error => Role::Error,
                };
                span(&note.text, role, out)?;
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}

fn line(line: &Line, out: &mut dyn Write) -> io::Result<()> {
    for s in &line.0 {
        let (before, text, after) = s.parts();
        out.write_all(before.as_bytes())?;
        span(&text, s.role(), out)?;
        out.write_all(after.as_bytes())?;
    }
    out.write_all(b"\n")
}

fn span(text: &str, role: Role, out: &mut dyn Write) -> io::Result<()> {
    let text = escaped(text);
    match class(role) {
        Some(class) => write!(out, "<span class=\"{class}\">{text}</span>"),
        None => out.write_all(text.as_bytes()),
    }
}

const fn class(role: Role) -> Option<&'static str> {
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

/// Text from a dump may hold anything: markup in it must stay text, control characters must not pass.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
