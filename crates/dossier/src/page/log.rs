//! The log: a line for each message, with its level; those of the fatal report are marked.

use crate::book::{Book, Part};
use crate::page::links::Links;
use crate::page::rows;
use render::{Clean, Keep, Page};
use serde_json::Value;
use std::io;

/// The names of the levels.
const LEVELS: [&str; 8] =
    ["emergency", "alert", "critical", "error", "warning", "notice", "information", "debug"];

/// Writes the messages with their tools. Of a log that is too long the last part is shown, and this is told.
pub(crate) fn write(book: &Book, part: &Part, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let all = rows::all(&part.data, "messages");
    let first = all.len().saturating_sub(rows::MOST_ROWS);
    let shown = all.get(first..).unwrap_or_default();
    p.own("<p class=\"tools\"><label>Search <input type=\"search\" data-log=\"text\"></label> <label>Level up to <select data-log=\"level\">")?;
    for (n, name) in LEVELS.iter().enumerate() {
        p.own(if n == 7 { "<option selected value=\"" } else { "<option value=\"" })?;
        p.number(n as i128)?;
        p.own("\">")?;
        p.own(name)?;
        p.own("</option>")?;
    }
    p.own("</select></label> <label><input type=\"checkbox\" data-log=\"fatal\"> only the fatal report</label> <output>")?;
    p.number(shown.len() as i128)?;
    p.own("</output> messages")?;
    if first > 0 {
        p.own(": the last of ")?;
        p.number(all.len() as i128)?;
    }
    if !book.fatal.is_empty() {
        p.own(" · <a href=\"#fatal\">to the fatal report</a>")?;
    }
    p.own("</p><div class=\"log\" tabindex=\"0\">\n")?;
    let mut is_first = true;
    for message in shown {
        let number = message.get("sequence").and_then(Value::as_u64);
        let is_fatal = number.is_some_and(|number| book.fatal.contains(&number));
        one(message, is_fatal, is_fatal && is_first, links, p)?;
        is_first &= !is_fatal;
    }
    p.own("</div>")
}

fn one(
    message: &Value,
    is_fatal: bool,
    is_first: bool,
    links: &mut Links,
    p: &mut Page<'_>,
) -> io::Result<()> {
    let level = message.get("level").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let level = level.filter(|level| *level < LEVELS.len());
    p.own("<div class=\"m")?;
    if let Some(level) = level {
        p.own(" l")?;
        p.number(level as i128)?;
    }
    p.own(if is_fatal { " fatal\"" } else { "\"" })?;
    if let Some(name) = level.and_then(|level| LEVELS.get(level)) {
        p.own(" title=\"")?;
        p.own(name)?;
        p.own("\"")?;
    }
    p.own(if is_first { " id=\"fatal\">" } else { ">" })?;
    if let Some(seconds) = message.get("seconds").and_then(Value::as_f64) {
        p.own("<time>")?;
        p.html(&Clean::of(format!("{seconds:.6}")))?;
        p.own("</time> ")?;
    }
    match message.get("text") {
        Some(Value::String(text)) => links.text(&Clean::keep(text.as_str(), Keep::Lines), p)?,
        Some(other) => rows::value(other, links, p)?,
        None => {}
    }
    p.own("</div>\n")
}
