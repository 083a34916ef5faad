//! Asks the commands, and keeps what they said: the one source of page and folder.

use crate::class::{Class, Redacted};
use crate::parts::{PARTS, PLACE, Spec};
use base::{Cancel, Cancelled};
use commands::Settings;
use kernel::Layers;
use kernel::log::event;
use report::{Item, Note, NoteKind, Record, Report};
use serde_json::Value;
use std::collections::BTreeSet;

/// A part that produced more lines than this is cut, and says so.
const MOST_ITEMS: usize = 200_000;

/// What one command said.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) spec: &'static Spec,
    /// Its words, as they were run.
    pub(crate) words: Vec<String>,
    /// The report, or why there is none.
    pub(crate) answer: Result<Report, String>,
    /// The dump lost a part of it, or all.
    pub(crate) lost: bool,
    /// The report's JSON: the member `data`.
    pub(crate) data: Value,
}

/// Everything that the commands said of one dump.
#[derive(Clone, Debug)]
pub struct Book {
    pub(crate) parts: Vec<Part>,
    /// The dump, as it was named; without it where names are left out.
    pub(crate) dump: String,
    /// What opening had to say.
    pub(crate) warnings: Vec<String>,
    /// The dump's file is not whole.
    pub(crate) is_cut: bool,
    /// The numbers of the messages that tell of the death.
    pub(crate) fatal: BTreeSet<u64>,
    /// What was left out; `None` where nothing was asked to be.
    pub(crate) redacted: Option<Redacted>,
}

impl Book {
    /// Of a dump that was not asked anything yet.
    pub(crate) fn of(layers: &Layers) -> Self {
        Self {
            parts: Vec::new(),
            dump: layers.image().dump_names.join(" "),
            warnings: Vec::new(),
            is_cut: layers.image().dump.facts().is_incomplete(),
            fatal: BTreeSet::new(),
            redacted: None,
        }
    }

    /// Asks the commands of the parts that are wanted and not there yet.
    ///
    /// # Errors
    /// It was stopped, and by no limit.
    pub(crate) fn ask(
        &mut self,
        layers: &Layers,
        cancel: &Cancel,
        limited: bool,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), Cancelled> {
        for spec in PARTS.iter().filter(|spec| wanted(spec.id)) {
            let place = self.data("verdict").pointer("/place/address").and_then(Value::as_str);
            if self.part(spec.id).is_some() || spec.line.contains(PLACE) && place.is_none() {
                continue;
            }
            let line = spec.line.replace(PLACE, place.unwrap_or_default());
            let part = match ask(spec, &line, layers, cancel, limited) {
                Ok(part) => part,
                // a limit was reached: what is known by then is the answer
                Err(stopped) => unasked(spec, &line, cancel.ended().ok_or(stopped)?),
            };
            self.parts.push(part);
        }
        if cancel.ended().is_none() { cancel.check() } else { Ok(()) }
    }

    /// All was asked: the parts stand in their order, and what concerns them all is known.
    pub(crate) fn end(&mut self, layers: &Layers) {
        let order = |part: &Part| PARTS.iter().position(|spec| spec.id == part.spec.id);
        self.parts.sort_by_key(order);
        self.warnings = layers.news();
        self.fatal = fatal(layers);
    }

    /// Of a file that cannot be opened: a page that says so. With names left out the reason is as well, as it has them.
    #[must_use]
    pub fn unreadable(dump: &str, why: &str, leave_out: &[Class]) -> Self {
        let hides = leave_out.contains(&Class::Names);
        let named = |text: &str| if hides { "DUMP".to_owned() } else { text.to_owned() };
        let why = if hides { "the file cannot be opened as a dump" } else { why };
        Self {
            parts: Vec::new(),
            dump: named(dump),
            warnings: vec![why.to_owned()],
            is_cut: true,
            fatal: BTreeSet::new(),
            redacted: (!leave_out.is_empty()).then(|| Redacted::none(leave_out)),
        }
    }

    pub(crate) fn part(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.spec.id == id)
    }

    /// A part's data; null where there is none.
    pub(crate) fn data(&self, id: &str) -> &Value {
        self.part(id).map_or(&Value::Null, |part| &part.data)
    }

    /// False where the dump lost something that the commands asked for, or no kernel is found in it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_answered = self.part("verdict").is_some_and(|part| part.answer.is_ok());
        is_answered && !self.is_cut && !self.parts.iter().any(|part| part.lost)
    }

    /// What is missing: of each part why there is none, or what it lacks.
    pub(crate) fn missing(&self) -> Vec<(&'static Spec, Vec<String>)> {
        let of = |part: &Part| match &part.answer {
            Err(why) => vec![why.clone()],
            Ok(report) => notes(&report.body)
                .into_iter()
                .filter(|note| note.kind != NoteKind::Info)
                .map(|note| note.text.clone())
                .collect(),
        };
        self.parts.iter().map(|part| (part.spec, of(part))).filter(|(_, why)| !why.is_empty()).collect()
    }
}

/// All notes of a record, however deep.
pub(crate) fn notes(record: &Record) -> Vec<&Note> {
    let mut out = Vec::new();
    for item in &record.items {
        match item {
            Item::Note(note) => out.push(note),
            Item::Record(_, inner) => out.extend(notes(inner)),
            Item::List(list) => list.items.iter().for_each(|row| out.extend(notes(row))),
            Item::Line(_) | Item::Blank | Item::Hidden(..) => {}
        }
    }
    out
}

fn ask(
    spec: &'static Spec,
    line: &str,
    layers: &Layers,
    cancel: &Cancel,
    limited: bool,
) -> Result<Part, Cancelled> {
    let words = commands::split_words(line);
    let mut settings = Settings { files: false, limited, ..Settings::default() };
    settings.dumpfile = Some(layers.image().dump_names.join(" "));
    let result = commands::whole(Some(layers), &mut settings, cancel, &words, MOST_ITEMS);
    // a verdict says itself what a limit left of it
    if !(cancel.ended().is_some() && result.is_ok() && spec.id == "verdict") {
        cancel.check()?;
    }
    let mut lost = false;
    let answer = match result {
        Ok((report, true)) => Ok(report),
        Ok((mut report, false)) => {
            report.warning(format!("{line}: the answer has more than {MOST_ITEMS} rows, and is cut here"));
            Ok(report)
        }
        Err(e) => {
            lost = e.is_loss();
            Err(e.to_string())
        }
    };
    lost |= answer.as_ref().is_ok_and(Report::is_incomplete);
    let data = answer.as_ref().map(data).unwrap_or_default();
    Ok(Part { spec, words, answer, lost, data })
}

/// A part that was not asked for, or not to its end.
fn unasked(spec: &'static Spec, line: &str, why: &str) -> Part {
    let words = commands::split_words(line);
    Part { spec, words, answer: Err(format!("{line}: {why}")), lost: true, data: Value::Null }
}

/// The member `data` of a report's JSON.
pub(crate) fn data(report: &Report) -> Value {
    let mut out = Vec::new();
    // memory takes all
    let _ = render::json(report, render::Source::default(), &mut out);
    let whole: Result<Value, _> = serde_json::from_slice(&out);
    whole.ok().and_then(|mut whole| Some(whole.get_mut("data")?.take())).unwrap_or_default()
}

/// How the last line of a report begins.
const END_OF_REPORT: [&str; 2] = ["---[ end trace", "---[ end Kernel panic"];

/// A report that has no end is marked so far.
const MOST_FATAL: usize = 200;

/// The messages of the fatal report, by their numbers: from the line that tells of it to the end of the report.
fn fatal(layers: &Layers) -> BTreeSet<u64> {
    let Some(log) = layers.session().ok().and_then(|s| s.log().ok()) else { return BTreeSet::new() };
    let lines: Vec<&str> = log.lines().collect();
    let Some(found) = event::find(&lines) else { return BTreeSet::new() };
    let mut first = 0_usize;
    let mut out = BTreeSet::new();
    for record in &log.records {
        let next = first.saturating_add(record.text.lines().count());
        if next > found.at {
            out.extend(record.seq);
            let is_end = END_OF_REPORT.iter().any(|end| record.text.contains(end));
            if is_end && first > found.at || out.len() >= MOST_FATAL {
                break;
            }
        }
        first = next;
    }
    out
}
