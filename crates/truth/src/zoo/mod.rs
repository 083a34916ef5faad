//! The zoo: guests that died in known ways (`cargo xtask corpus --zoo`), and what `verdict` says about each, held to
//! the truth in three states of debug information.
//!
//! A case lies in `CACHE/crashlens/corpus/zoo/SERIES/WAY`; `truth.json` says what is right (its writer says how it is
//! known). [`judge`] compares, [`table`] shows the results. The test of the zoo and `cargo xtask zoo` both use this.

mod expression;
mod judge;
mod table;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use crate::wish::Wish;
use crate::{State, program};

pub use judge::{Judged, Outcome, judge};
pub use table::{Score, failures, scores, table};

/// Verdicts that are asked for at a time.
const AT_ONCE: usize = 2;

/// What a verdict has to say. The file's writer (xtask) says what each member means.
#[derive(Deserialize, Debug)]
pub struct Truth {
    /// Of the kernel.
    pub series: String,
    /// Name.
    pub way: String,
    /// The dump holds types for the module.
    pub typed: bool,
    /// The classes that are right.
    pub class: Vec<String>,
    /// From the innermost frame to the module's first: any may be named.
    pub places: Vec<Told>,
    /// The line in the module.
    pub mark: Option<Line>,
    /// File and line as the kernel printed them.
    pub printed: Option<(String, u64)>,
    /// Operands and their values.
    pub values: Vec<(String, String)>,
    /// `holds PID mutex ADDRESS`, `context timer FUNCTION` …
    pub facts: Vec<String>,
}

/// A frame.
#[derive(Deserialize, Debug)]
pub struct Told {
    /// Symbol.
    pub function: String,
    /// Bytes from its start.
    pub offset: u64,
    /// The instruction itself, and not where a call returns to.
    pub exact: bool,
    /// Its module.
    pub module: Option<String>,
}

/// A marked line.
#[derive(Deserialize, Debug)]
pub struct Line {
    /// As the debug information has it.
    pub file: String,
    /// Numbers: a loop has several.
    pub lines: Vec<u64>,
    /// The function of the source.
    pub function: String,
    /// What fails there.
    pub expression: Option<String>,
}

/// A case.
#[derive(Debug)]
pub struct ZooCase {
    /// `SERIES/WAY`.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What is right.
    pub truth: Truth,
}

impl ZooCase {
    /// The dump, and the debug files of a state.
    #[must_use]
    pub fn files(&self, state: State) -> Vec<PathBuf> {
        let names: &[&str] = match state {
            State::Alone => &["dump"],
            State::Kernel => &["dump", "vmlinux"],
            State::Modules => &["dump", "vmlinux", "zoo.ko"],
        };
        names.iter().map(|name| self.dir.join(name)).collect()
    }
}

/// The finished cases, by series and in the order of their names. `CRASHLENS_CASES` narrows them.
///
/// # Errors
/// A truth file cannot be read; or there are none, and `CRASHLENS_CORPUS` is `required`.
pub fn zoo() -> Result<Vec<ZooCase>, String> {
    let wish = Wish::corpus();
    if wish == Wish::LeftOut {
        return Ok(Vec::new());
    }
    let root = crate::cases::cache().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let root = root.join("crashlens/corpus/zoo");
    let only = std::env::var("CRASHLENS_CASES").unwrap_or_default();
    let mut cases = Vec::new();
    for series in names(&root) {
        for way in names(&root.join(&series)) {
            let dir = root.join(&series).join(&way);
            let name = format!("{series}/{way}");
            if dir.join("done").exists() && name.contains(&only) {
                cases.push(ZooCase { truth: read(&dir.join("truth.json"))?, name, dir });
            }
        }
    }
    match (cases.is_empty(), wish) {
        (true, Wish::Required) => {
            Err(format!("no zoo in {}: `cargo xtask corpus --zoo` builds it", root.display()))
        }
        _ => Ok(cases),
    }
}

fn read(path: &Path) -> Result<Truth, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// What `verdict` says about a dump, as JSON.
///
/// # Errors
/// crashlens cannot be started, did not end, or answered with no verdict.
pub fn verdict(files: &[PathBuf]) -> Result<Value, String> {
    let mut command = program::command()?;
    command.args(["--json", "--no-search", "verdict"]).args(files);
    let out = command.output().map_err(|e| format!("timeout: {e}"))?;
    // 3: the dump does not tell what killed the machine.
    if !matches!(out.status.code(), Some(0 | 3)) {
        return Err(format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let mut answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e} in {text}"))?;
    answer.get_mut("data").map(Value::take).ok_or_else(|| format!("no data in {text}"))
}

/// A case's results, one for each of [`State::ALL`].
#[derive(Debug)]
pub struct Result3 {
    /// `SERIES/WAY`.
    pub name: String,
    /// In the order of the states.
    pub judged: Vec<Judged>,
}

/// Judges all cases in all states.
#[must_use]
pub fn judge_all(cases: &[ZooCase]) -> Vec<Result3> {
    let queue = Mutex::new(cases.iter().enumerate().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((at, case)) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
                {
                    let judged = State::ALL.map(|state| match verdict(&case.files(state)) {
                        Ok(said) => judge(&case.truth, &said, state),
                        Err(error) => Judged::failed(&error),
                    });
                    let result = Result3 { name: case.name.clone(), judged: judged.into() };
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
