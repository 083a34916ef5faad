//! The files that packages hold, in one folder: `crates/cli/Cargo.toml` says where each of them goes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{At as _, Error, command, output, root};

/// Files of the repository that are handed out as they are.
const DOCS: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/JSON.md",
    "docs/KERNELS.md",
    "docs/SCRIPTS.md",
    "docs/VERDICT.md",
];

/// Folders of the repository that are handed out with all that is in them.
const FOLDERS: &[(&str, &str)] =
    &[("docs/schema", "schema"), ("docs/book/src", "book"), ("packaging/kdump", "kdump")];

/// Lays the files, all of them anew.
pub(crate) fn lay(program: &Path, time: u64) -> Result<PathBuf, Error> {
    let stage = root().join("target/packages/stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).at(&stage)?;
    }
    let docs = stage.join("doc");
    fs::create_dir_all(&docs).at(&docs)?;
    let own = stage.join("crashlens");
    fs::copy(program, &own).at(&own)?;
    let man = stage.join("crashlens.1");
    write(&man, &said(&own, &["--generate-man"])?)?;
    output(command("gzip", ["-9", "--no-name", "--keep"]).arg(&man))?;
    for (shell, name) in [("bash", "crashlens.bash"), ("zsh", "_crashlens"), ("fish", "crashlens.fish")] {
        write(&stage.join(name), &said(&own, &["--generate-completion", shell])?)?;
    }
    for name in DOCS {
        let from = root().join(name);
        let to = docs.join(Path::new(name).file_name().unwrap_or_default());
        fs::copy(&from, &to).at(&from)?;
    }
    for (from, to) in FOLDERS {
        let (from, to) = (root().join(from), stage.join(to));
        fs::create_dir_all(&to).at(&to)?;
        for entry in fs::read_dir(&from).at(&from)? {
            let file = entry.at(&from)?;
            fs::copy(file.path(), to.join(file.file_name())).at(file.path())?;
        }
    }
    // dates of the files are in the packages
    let when = format!("@{time}");
    let words = [stage.display().to_string(), "-exec".to_owned(), "touch".to_owned(), "-d".to_owned(), when];
    output(&mut command("find", words.into_iter().chain(["{}".to_owned(), "+".to_owned()])))?;
    Ok(stage)
}

fn said(program: &Path, words: &[&str]) -> Result<String, Error> {
    output(&mut command(&program.display().to_string(), words))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).at(path)
}
