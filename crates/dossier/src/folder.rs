//! The folder: for each part a text and a JSON file, and a list of them.

use crate::book::{Book, Part};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes the folder, and makes it where it is not there.
///
/// # Errors
/// A file cannot be written.
pub fn folder(book: &Book, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let mut list = String::from("What each file is, and the command that shows it:\n\n");
    for (n, part) in book.parts.iter().enumerate() {
        let name = format!("{:02}-{}", n.saturating_add(1), part.spec.id);
        let text = text(part)?;
        fs::write(into.join(format!("{name}.txt")), text)?;
        fs::write(into.join(format!("{name}.json")), json(book, part)?)?;
        list.push_str(&format!("{name}  {}  ({})\n", part.spec.title, part.words.join(" ")));
    }
    list.push_str("\nWhat is missing:\n");
    // of what cannot be opened, or only in part, opening says why
    let warnings: &[String] = if book.is_cut { &book.warnings } else { &[] };
    warnings.iter().for_each(|why| list.push_str(&format!("  {why}\n")));
    let missing = book.missing();
    for (spec, why) in &missing {
        why.iter().for_each(|why| list.push_str(&format!("  {}: {why}\n", spec.title)));
    }
    if missing.is_empty() && warnings.is_empty() {
        list.push_str("  nothing\n");
    }
    if let Some(redacted) = &book.redacted {
        list.push_str("\nWhat was left out:\n");
        redacted.lines().for_each(|line| list.push_str(&format!("  {line}\n")));
    }
    let clean = render::Clean::keep(list, render::Keep::Lines);
    fs::write(into.join("README.txt"), clean.as_str())
}

fn text(part: &Part) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match &part.answer {
        Ok(report) => render::text(report, render::Colour::Plain, &mut out)?,
        Err(why) => writeln!(out, "{}", render::Clean::keep(why.as_str(), render::Keep::Lines))?,
    }
    Ok(out)
}

fn json(book: &Book, part: &Part) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let args = part.words.get(1..).unwrap_or_default();
    let source = render::Source { dump: Some(&book.dump), args };
    match &part.answer {
        Ok(report) => render::json(report, source, &mut out)?,
        Err(why) => render::json_error(part.words.first().map_or("", String::as_str), why, source, &mut out)?,
    }
    Ok(out)
}
