//! How one command's reports become bytes, and where its errors go.

use crate::output::{Format, Output};
use crate::say;
use commands::ErrorsTo;
use render::{Clean, Colour, Source};
use report::{Item, NoteKind, Report};
use std::io::{self, Write};

/// How one command's reports become bytes.
pub(crate) struct Writer<'a> {
    pub(crate) format: Format,
    pub(crate) colour: Colour,
    pub(crate) source: Source<'a>,
    pub(crate) words: &'a [String],
    pub(crate) errors: Errors,
}

/// Where the errors of a command go: to the person, unless `set error` says otherwise.
pub(crate) struct Errors {
    pub(crate) to: ErrorsTo,
    /// `FILE:LINE: `, where the command comes from a file whose lines nobody sees.
    pub(crate) lead: String,
    /// The name that the program was called by.
    pub(crate) program: &'static str,
    /// They stand where the answer does, unless `set error` says otherwise.
    pub(crate) within: bool,
}

impl Writer<'_> {
    /// Writes a report. In text its errors leave it: they are no part of what a script or a file is to get.
    pub(crate) fn report(&self, report: &Report, out: &mut Output) -> io::Result<()> {
        let is_error = |item: &Item| matches!(item, Item::Note(note) if note.kind == NoteKind::Error);
        // what a pager shows stays together
        if self.format != Format::Text || out.is_pager() || !report.body.items.iter().any(is_error) {
            return self.whole(report, out);
        }
        for part in report.body.items.chunk_by(|a, b| is_error(a) == is_error(b)) {
            let errors = part.iter().filter_map(|item| match item {
                Item::Note(note) if note.kind == NoteKind::Error => {
                    Some(format!("{}{}", self.errors.lead, note.text))
                }
                _ => None,
            });
            let errors: Vec<String> = errors.collect();
            if errors.is_empty() {
                let mut answer = Report::new(report.command.clone());
                answer.body.items.extend_from_slice(part);
                self.whole(&answer, out)?;
            } else {
                self.errors.tell(&errors, out);
            }
        }
        Ok(())
    }

    fn whole(&self, report: &Report, out: &mut Output) -> io::Result<()> {
        // one write for each some thousand lines, not one for each span
        let mut out = io::BufWriter::with_capacity(1 << 16, out.rendered());
        match self.format {
            Format::Text => render::text(report, self.colour, &mut out)?,
            Format::Json => render::json(report, self.source, &mut out)?,
            Format::Html => render::html_body(report, &self.words.join(" "), &mut out)?,
        }
        out.flush()
    }
}

impl Errors {
    /// Says what failed, where `set error` wants it.
    pub(crate) fn tell(&self, lines: &[String], out: &mut Output) {
        let to_person = || lines.iter().for_each(|line| say(line));
        match &self.to {
            ErrorsTo::Default | ErrorsTo::Redirect if self.within && !out.is_redirected() => {
                for line in lines {
                    let _ = out.message(&Clean::of(line.as_str()));
                }
            }
            // as crash: a pipe or file gets them only where that was set
            ErrorsTo::Default if self.within => {
                let _ = crate::print(&lines.join("\n"));
            }
            ErrorsTo::Redirect if out.is_redirected() => {
                for line in lines {
                    let _ = out.message(&Clean::of(line.as_str()));
                }
            }
            ErrorsTo::Default | ErrorsTo::Redirect => to_person(),
            ErrorsTo::File(name) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(name);
                let written = file.and_then(|mut f| {
                    lines.iter().try_for_each(|line| writeln!(f, "{}", Clean::of(line.as_str())))
                });
                if let Err(e) = written {
                    say(&format!("{}: {name}: {e}", self.program));
                    to_person();
                }
            }
        }
    }
}
