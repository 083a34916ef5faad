//! The state file: JSON lines of finished rows below a line that says what they were made with. A last line that is not whole, as
//! a run that was killed leaves it, is written again.

use crate::plan::Plan;
use crate::row::{End, Row};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A state file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// Its first line is not that of a state file.
    #[error("{}: not a state file of triage: nothing is written to it", .0.display())]
    Foreign(PathBuf),
    /// Its rows were made by another version or with other options.
    #[error("{}: its rows are those of {was}, this run is of {is}: name another file, or remove this one", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What its rows were made with.
        was: String,
        /// What this run's are made with.
        is: String,
    },
}

/// The first line.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    crashlens_triage: u32,
    made_with: String,
}

const VERSION: u32 = 1;

impl Head {
    fn of(plan: &Plan) -> Self {
        let mut words = vec![format!("crashlens {}", env!("CARGO_PKG_VERSION"))];
        words.extend(plan.open.told());
        words.extend(plan.known.as_deref().map(|known| format!("--known {}", known.display())));
        let made_with = words.join(" ");
        Self { crashlens_triage: VERSION, made_with }
    }
}

/// An open state file.
pub(crate) struct State {
    path: PathBuf,
    file: File,
    rows: BTreeMap<PathBuf, Row>,
}

impl State {
    /// Opens a file, and makes it where it is not there.
    pub(crate) fn open(path: &Path, plan: &Plan) -> Result<Self, StateError> {
        let io = |why| StateError::Io { path: path.to_owned(), why };
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let head = Head::of(plan);
        let mut state = Self { path: path.to_owned(), file, rows: BTreeMap::new() };
        let end = state.read(&head)?;
        state.file.set_len(end).map_err(io)?;
        state.file.seek(SeekFrom::Start(end)).map_err(io)?;
        if end == 0 {
            state.line(&head)?;
        }
        Ok(state)
    }

    /// Reads the rows; returns where the last whole line ends.
    fn read(&mut self, head: &Head) -> Result<u64, StateError> {
        let io = |why| StateError::Io { path: self.path.clone(), why };
        let foreign = || StateError::Foreign(self.path.clone());
        let mut lines = BufReader::new(&self.file);
        let (mut end, mut line) = (0_u64, Vec::new());
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).map_err(io)?;
            if line.last() != Some(&b'\n') {
                // what is no whole line is ours only behind a first line that is
                return if end == 0 && read > 0 { Err(foreign()) } else { Ok(end) };
            }
            if end == 0 {
                let was: Head = serde_json::from_slice(&line).map_err(|_| foreign())?;
                if was != *head {
                    let (path, is) = (self.path.clone(), head.made_with.clone());
                    return Err(StateError::Other { path, was: was.made_with, is });
                }
            } else if let Ok(row) = serde_json::from_slice::<Row>(&line) {
                self.rows.insert(row.file.clone(), row);
            }
            end = end.saturating_add(read as u64);
        }
    }

    /// The row of a dump, if it is of the file as it is now. What failed is tried again.
    pub(crate) fn take(&mut self, dump: &Path) -> Option<Row> {
        self.rows.remove(dump).filter(|row| row.end != End::Failed && row.is_current())
    }

    /// Keeps a row. One whose file has a name that JSON cannot hold is looked at again in the next run.
    pub(crate) fn keep(&mut self, row: &Row) -> Result<(), StateError> {
        if row.file.to_str().is_none() {
            return Ok(());
        }
        self.line(row)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), StateError> {
        let io = |why| StateError::Io { path: self.path.clone(), why };
        let mut line = serde_json::to_vec(value).map_err(|e| io(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(io)
    }
}
