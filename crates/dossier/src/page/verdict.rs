//! The verdict: its statements, and below each how it is known and the commands that show it.

use crate::book::Part;
use crate::page::links::Links;
use crate::page::{all, command, rows};
use render::{Clean, Page};
use serde_json::Value;
use std::io;

/// Groups of statements, in their order: name in JSON, head.
const GROUPS: &[(&str, &str)] = &[
    ("context", "Context"),
    ("module", "Module"),
    ("waits", "Who waits"),
    ("objects", "Objects"),
    ("related", "Related"),
    ("history", "Before and after"),
    ("known", "Known issues"),
    ("undetermined", "Not known"),
    ("evidence", "Evidence"),
];

/// Writes the verdict.
pub(crate) fn write(part: &Part, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let data = &part.data;
    for (key, head) in [("condition", "Condition"), ("access", "Access")] {
        if let Some(failed) = data.get(key).filter(|failed| failed.is_object()) {
            heading(head, p)?;
            statement(failed, links, p)?;
            list(failed.get("operands"), links, p)?;
            code(failed.get("code"), links, p)?;
        }
    }
    for (key, head) in GROUPS {
        if let Some(group) =
            data.get(*key).filter(|group| group.as_array().is_some_and(|all| !all.is_empty()))
        {
            heading(head, p)?;
            list(Some(group), links, p)?;
        }
    }
    if let Some(signature) = data.get("signature") {
        heading("Signature", p)?;
        p.own("<p><code>")?;
        rows::value(signature, links, p)?;
        p.own("</code></p>")?;
    }
    p.own("<details><summary>All of it as text</summary><pre>")?;
    if let Ok(report) = &part.answer {
        rows::text(&report.body, links, p)?;
    }
    p.own("</pre></details>")
}

fn heading(text: &'static str, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<h3>")?;
    p.own(text)?;
    p.own("</h3>")
}

fn list(all: Option<&Value>, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let all = all.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    p.own("<div class=\"said\">")?;
    all.iter().try_for_each(|one| statement(one, links, p))?;
    p.own("</div>")
}

/// A statement; folded open, how it is known.
fn statement(one: &Value, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let how = one.get("how").and_then(Value::as_str);
    p.own(if how.is_some() { "<details><summary>" } else { "<p>" })?;
    if let Some(name) = one.get("name") {
        rows::value(name, links, p)?;
        p.own(" = ")?;
    }
    rows::value(one.get("text").unwrap_or(&Value::Null), links, p)?;
    let Some(how) = how else { return p.own("</p>\n") };
    p.own("</summary><p class=\"how\">known by: ")?;
    p.html(&Clean::of(how))?;
    if let Some(place) = one.get("where").filter(|place| place.is_string()) {
        p.own("; ")?;
        rows::value(place, links, p)?;
    }
    p.own("</p>")?;
    let commands = all(one, "commands");
    for line in commands.iter().filter_map(Value::as_str) {
        command(line, p)?;
    }
    p.own("</details>\n")
}

fn code(code: Option<&Value>, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let lines = code.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if lines.is_empty() {
        return Ok(());
    }
    p.own("<pre>")?;
    for line in lines {
        rows::value(line.get("text").unwrap_or(&Value::Null), links, p)?;
        p.own("\n")?;
    }
    p.own("</pre>")
}
