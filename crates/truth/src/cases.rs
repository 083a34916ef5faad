//! The corpus as it lies in the user's cache folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Truth;
use crate::wish::Wish;

/// A case with its truth.
#[derive(Debug)]
pub struct Case {
    /// `SERIES/NAME`.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What the guest said.
    pub truth: Truth,
}

/// What crashlens is given beside the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing.
    Alone,
    /// The kernel's vmlinux.
    Kernel,
    /// That, and the modules' files.
    Modules,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Alone, Self::Kernel, Self::Modules];
}

impl Case {
    /// Reads a case's truth.
    ///
    /// # Errors
    /// The file cannot be read or is of another shape.
    pub fn read(name: &str, dir: &Path, truth: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(truth).map_err(|e| format!("{}: {e}", truth.display()))?;
        let truth = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", truth.display()))?;
        Ok(Self { name: name.to_owned(), dir: dir.to_owned(), truth })
    }

    /// The files of each dump.
    #[must_use]
    pub fn dumps(&self) -> Vec<Vec<PathBuf>> {
        let files = |dump: &crate::truth::Dump| dump.files.iter().map(|f| self.dir.join(f)).collect();
        self.truth.dumps.iter().map(files).collect()
    }

    /// The debug files that belong to a state.
    #[must_use]
    pub fn debug_files(&self, state: State) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if state != State::Alone {
            files.push(self.dir.join("vmlinux"));
        }
        if state == State::Modules
            && let Ok(entries) = fs::read_dir(self.dir.join("modules"))
        {
            files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
            files.sort();
        }
        files
    }
}

/// The finished cases, in the order of their names. Says on standard error when there are none.
///
/// # Errors
/// A truth file of a finished case cannot be read; or there are none, and `CRASHLENS_CORPUS` is `required`.
pub fn corpus() -> Result<Vec<Case>, String> {
    corpus_in("", "cargo xtask corpus")
}

/// The cases under a folder of the corpus, which a command builds.
fn corpus_in(folder: &str, command: &str) -> Result<Vec<Case>, String> {
    let wish = Wish::corpus();
    if wish == Wish::LeftOut {
        return Ok(Vec::new());
    }
    let root = root().ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join(folder);
    let only = std::env::var("CRASHLENS_CASES").unwrap_or_default();
    let mut cases = Vec::new();
    for series in folders(&root) {
        for dir in folders(&series) {
            if !dir.join("done").exists() || !dir.join("truth.json").exists() {
                continue;
            }
            let name = format!("{}/{}", file_name(&series), file_name(&dir));
            if name.contains(&only) {
                cases.push(Case::read(&name, &dir, &dir.join("truth.json"))?);
            }
        }
    }
    match (cases.is_empty(), wish) {
        (true, Wish::Required) => Err(format!("no corpus in {}: `{command}` builds it", root.display())),
        _ => Ok(cases),
    }
}

/// The finished cases of arm64, in the order of their names.
///
/// # Errors
/// Those of [`corpus`].
pub fn corpus_arm64() -> Result<Vec<Case>, String> {
    corpus_in("arm64", "cargo xtask corpus --arm64")
}

/// Where `cargo xtask corpus` builds.
fn root() -> Option<PathBuf> {
    Some(cache()?.join("crashlens/corpus"))
}

/// The user's cache folder.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
