//! The page: one HTML file that holds all it shows.

mod head;
mod links;
mod log;
mod rows;
mod tree;
mod verdict;

pub(crate) use links::Links;
pub(crate) use rows::{all, plain};

use crate::book::{Book, Part};
use crate::parts::View;
use crate::picture;
use render::{Clean, Page};
use std::io::{self, Write};

/// What stands in the page beside the parts.
#[derive(Clone, Copy)]
enum Extra {
    Timeline,
    Tree,
}

/// The order of the page: the sections of parts by their names, and what stands between them.
const ORDER: &[(&str, Option<Extra>)] = &[
    ("verdict", None),
    ("stack", None),
    ("code", None),
    ("timeline", Some(Extra::Timeline)),
    ("log", None),
    ("cpus", None),
    ("run-queues", None),
    ("groups", None),
    ("memory", None),
    ("slab", None),
    ("waits", None),
    ("tasks", None),
    ("tree", Some(Extra::Tree)),
    ("stacks", None),
    ("modules", None),
    ("taints", None),
    ("mounts", None),
    ("network", None),
    ("disks", None),
    ("interrupts", None),
    ("timers", None),
    ("machine", None),
    ("dump", None),
    ("hardware", None),
];

/// Writes the page.
///
/// # Errors
/// Those of the writer.
pub fn page(book: &Book, out: &mut dyn Write) -> io::Result<()> {
    let (links, p) = (&mut Links::of(book), &mut Page::new(out));
    head::begin(book, p)?;
    head::contents(book, p)?;
    p.own("<main>\n")?;
    head::facts(book, links, p)?;
    for (id, extra) in ORDER {
        match (extra, book.part(id)) {
            (Some(Extra::Timeline), _) => {
                section("timeline", "Timeline", p, |p| picture::timeline::write(book, p))?
            }
            (Some(Extra::Tree), _) => section("tree", "Process tree", p, |p| tree::write(book, links, p))?,
            (None, Some(part)) => part_section(book, part, links, p)?,
            (None, None) => {}
        }
    }
    missing(book, links, p)?;
    symbols(links, p)?;
    p.own("</main>\n")?;
    head::end(p)
}

/// A section of the page.
fn section(
    id: &'static str,
    title: &'static str,
    p: &mut Page<'_>,
    body: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
) -> io::Result<()> {
    p.own("<section id=\"")?;
    p.own(id)?;
    p.own("\"><h2><a href=\"#")?;
    p.own(id)?;
    p.own("\">")?;
    p.own(title)?;
    p.own("</a></h2>\n")?;
    body(p)?;
    p.own("</section>\n")
}

/// The section of a part: its picture, what the command said, the command.
fn part_section(book: &Book, part: &Part, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    let spec = part.spec;
    section(spec.id, spec.title, p, |p| {
        command(&part.words.join(" "), p)?;
        let report = match &part.answer {
            Ok(report) => report,
            Err(why) => {
                p.own("<p class=\"warn\">")?;
                plain(why, p)?;
                return p.own("</p>");
            }
        };
        picture::of(book, spec.id, p)?;
        match spec.view {
            View::Verdict => return verdict::write(part, links, p),
            View::Log => log::write(book, part, links, p)?,
            View::Table(table) => rows::table(spec.id, &part.data, table, links, p)?,
            View::Text | View::Source => {
                p.own("<pre>")?;
                rows::text(&report.body, links, p)?;
                return p.own("</pre>");
            }
            View::Folded => {
                p.own("<details><summary>As text</summary><pre>")?;
                rows::text(&report.body, links, p)?;
                return p.own("</pre></details>");
            }
        }
        for note in crate::book::notes(&report.body) {
            p.own("<p>")?;
            rows::note(note.kind, &note.text, links, p)?;
            p.own("</p>")?;
        }
        Ok(())
    })
}

/// A command, with a button that copies it.
pub(crate) fn command(line: &str, p: &mut Page<'_>) -> io::Result<()> {
    p.own("<p class=\"cmd\"><code>")?;
    p.html(&Clean::of(line))?;
    p.own("</code> <button type=\"button\" data-copy>copy</button></p>")
}

/// What the dump does not hold.
fn missing(book: &Book, links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    section("missing", "What is missing", p, |p| {
        let missing = book.missing();
        if missing.is_empty() && book.warnings.is_empty() {
            return p.own("<p>Nothing: each command gave a whole answer.</p>");
        }
        p.own("<ul>")?;
        for warning in &book.warnings {
            p.own("<li>")?;
            links.text(&Clean::of(warning.as_str()), p)?;
            p.own("</li>")?;
        }
        for (spec, why) in &missing {
            for why in why {
                p.own("<li>")?;
                p.own(spec.title)?;
                p.own(": ")?;
                links.text(&Clean::of(why.as_str()), p)?;
                p.own("</li>")?;
            }
        }
        p.own("</ul>")
    })
}

/// The symbols that the page names: where each of them stands first.
fn symbols(links: &mut Links, p: &mut Page<'_>) -> io::Result<()> {
    section("symbols", "Symbols", p, |p| {
        p.own("<details open><summary>The functions and variables that this page names</summary><ul class=\"symbols\">\n")?;
        for (name, number, named) in links.symbols() {
            p.own("<li id=\"s-")?;
            p.number(number as i128)?;
            p.own("\"><code>")?;
            plain(name, p)?;
            p.own("</code>")?;
            if let Some(module) = &named.module {
                p.own(" [")?;
                plain(module, p)?;
                p.own("]")?;
            }
            if links.is_used(number) {
                p.own(" <a href=\"#u-")?;
                p.number(number as i128)?;
                p.own("\">first of ")?;
                p.number(named.count as i128)?;
                p.own("</a>")?;
            }
            p.own("</li>\n")?;
        }
        p.own("</ul></details>")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::PARTS;

    #[test]
    fn every_part_has_its_place_in_the_page() {
        for part in PARTS {
            let count = ORDER.iter().filter(|(id, extra)| *id == part.id && extra.is_none()).count();
            assert_eq!(count, usize::from(part.view != View::Source), "{}", part.id);
        }
    }
}
