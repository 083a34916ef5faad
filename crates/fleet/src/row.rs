//! One dump: what a row tells of it.

use crate::find::what_it_is;
use crate::headers;
use base::Cancel;
use kernel::machine::system;
use kernel::{Layers, OpenOptions, Session};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use verdict::Verdict;
use verdict::model::{Place, Says};

/// A value, or why there is none.
pub(crate) type Told = Result<String, String>;

/// How the look at a dump ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// All that the row tells was read.
    Whole,
    /// The dump does not tell what killed the machine.
    Undetermined,
    /// The dump lost a part of what the row tells.
    Incomplete,
    /// It could not be looked at.
    Failed,
}

impl End {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Undetermined => "undetermined",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// What is told of one dump.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its file.
    pub file: PathBuf,
    /// The file's size, in bytes.
    pub bytes: u64,
    /// When the file was last changed: nanoseconds since 1970.
    pub modified: u64,
    /// How the look ended.
    pub end: End,
    /// Why it could not be looked at, or what the verdict lacks.
    pub why: Option<String>,
    /// The same for the same death of another machine; where it is not known, what it begins with.
    pub signature: Told,
    /// The kind of death ([`verdict::Class::slug`]).
    pub class: Option<String>,
    /// What killed the machine, in one line.
    pub headline: Option<String>,
    /// The function and offset to blame.
    pub place: Option<String>,
    /// Its source file and line.
    pub source: Option<String>,
    /// Its module.
    pub module: Option<String>,
    /// The kernel's release.
    pub release: Told,
    /// The machine's name.
    pub host: Told,
    /// When the machine died: seconds since 1970.
    pub time: Result<i64, String>,
    /// The known issues that match.
    pub known: Vec<String>,
}

impl Row {
    /// A row of a dump of which nothing is known but its file.
    pub(crate) fn failed(file: &Stamped<'_>, why: impl Into<String>) -> Self {
        let why = why.into();
        let none = || "the dump could not be looked at".to_owned();
        Self {
            file: file.path.to_owned(),
            bytes: file.bytes,
            modified: file.modified,
            end: End::Failed,
            why: Some(why),
            signature: Err(String::new()),
            class: None,
            headline: None,
            place: None,
            source: None,
            module: None,
            release: Err(none()),
            host: Err(none()),
            time: Err(none()),
            known: Vec::new(),
        }
    }

    /// Of a dump that could not be opened.
    #[must_use]
    pub fn unopened(file: &Path, why: &str) -> Self {
        Self::failed(&Stamped::of(file), why)
    }

    /// Of a dump that is open; `known` is a folder of known issues beside those that are built in.
    #[must_use]
    pub fn of(file: &Path, layers: &Layers, known: Option<&Path>) -> Self {
        of_layers(&Stamped::of(file), layers, known)
    }

    /// What the kernel did not tell headers, notes and the log may.
    fn tell_of_headers(&mut self, layers: &Layers) {
        self.release = headers::release(self.release.clone(), layers);
        self.host = headers::host(self.host.clone(), layers);
        self.time = headers::time(self.time.clone(), layers);
    }

    /// True for a row that is of this file as it is now.
    pub(crate) fn is_current(&self) -> bool {
        let now = Stamped::of(&self.file);
        (self.bytes, self.modified) == (now.bytes, now.modified)
    }
}

/// A file as it was before it was looked at: one that was changed meanwhile is looked at again by the next run.
pub(crate) struct Stamped<'f> {
    path: &'f Path,
    bytes: u64,
    modified: u64,
}

impl<'f> Stamped<'f> {
    /// The size of a file and when it was changed.
    pub(crate) fn of(path: &'f Path) -> Self {
        let Ok(about) = std::fs::metadata(path) else { return Self { path, bytes: 0, modified: 0 } };
        let since = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or_default();
        Self { path, bytes: about.len(), modified }
    }
}

/// Looks at one dump; `None` where that was stopped. `options` say how it is opened, their files stand beside the dump.
#[must_use]
pub fn look(file: &Path, options: &OpenOptions, known: Option<&Path>, cancel: &Cancel) -> Option<Row> {
    let mut options = options.clone();
    options.files.insert(0, file.to_owned());
    options.watch.cancel = cancel.clone();
    let file = Stamped::of(file);
    let row = match Layers::open(options) {
        // a link that leads nowhere says where it was to lead
        Err(_) if std::fs::metadata(file.path).is_err() && file.path.is_symlink() => {
            Row::failed(&file, what_it_is(file.path))
        }
        Err(e) => Row::failed(&file, e.to_string()),
        Ok(layers) => of_layers(&file, &layers, known),
    };
    (!cancel.is_cancelled()).then_some(row)
}

fn of_layers(file: &Stamped<'_>, layers: &Layers, known: Option<&Path>) -> Row {
    let facts = layers.image().dump.facts();
    match layers.session() {
        Ok(s) => {
            let mut options = verdict::Options::default();
            options.known = known.map(Path::to_owned);
            let verdict = verdict::analyse(s, &options);
            let mut row = of_verdict(file, s, &verdict);
            row.tell_of_headers(layers);
            let lost = layers.image().dump.last_failure().map(|gap| gap.to_string());
            if facts.is_incomplete() || lost.is_some() || !verdict.losses.is_empty() {
                row.end = End::Incomplete;
                row.why = Some(why_incomplete(&verdict, lost, layers));
            }
            row
        }
        Err(e) => {
            // what the headers say stands, though no kernel can be asked
            let mut row = Row::failed(file, e.to_string());
            row.tell_of_headers(layers);
            row
        }
    }
}

fn why_incomplete(verdict: &Verdict, lost: Option<String>, layers: &Layers) -> String {
    let losses = verdict.losses.iter().map(|loss| format!("{}: {}", loss.what, loss.why));
    let image = layers.image().losses().iter().map(ToString::to_string).collect::<Vec<_>>();
    losses.chain(lost).chain(image).next().unwrap_or_else(|| "the dump is not whole".to_owned())
}

fn of_verdict(file: &Stamped<'_>, s: &Session, v: &Verdict) -> Row {
    let lacks: Vec<String> = v.undetermined.iter().map(ToString::to_string).collect();
    let is_determined = v.is_determined();
    let place = v.place.as_ref();
    let names = system::utsname(s);
    let absent = |e: &kernel::KernelError| e.to_string();
    let release = system::release(s).ok_or_else(|| "the dump does not say the release".to_owned());
    Row {
        end: if is_determined { End::Whole } else { End::Undetermined },
        why: lacks.into_iter().next().filter(|_| !is_determined),
        signature: v.signature.clone(),
        class: Some(v.class.slug().to_owned()),
        headline: Some(v.headline.to_string()),
        place: place.map(ToString::to_string),
        source: place.and_then(Place::source),
        module: place.and_then(|place| place.module.clone()),
        release,
        host: names.as_ref().map(|names| names.nodename.clone()).map_err(absent),
        time: system::clocks(s).as_ref().map(|clocks| clocks.wall_sec).map_err(absent),
        known: v.known.iter().filter_map(|said| known(&said.says)).collect(),
        ..Row::failed(file, "")
    }
}

fn known(says: &Says) -> Option<String> {
    match says {
        Says::Known(issue) => Some(issue.id.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dump that is still being copied when it is looked at is looked at again by the next run.
    #[test]
    fn a_row_has_the_stamp_of_before_the_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmcore");
        std::fs::write(&path, "half").unwrap();
        let before = Stamped::of(&path);
        assert!(Row::failed(&before, "").is_current());
        std::fs::write(&path, "all of it").unwrap();
        let row = Row::failed(&before, "");
        assert_eq!((row.bytes, row.is_current()), (4, false));
    }
}
