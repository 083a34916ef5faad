//! The files that packages hold, in one folder: `crates/cli/Cargo.toml` says where each of them goes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{At as _, Error, command, fresh, other, output, root};

/// Files of the repository that are handed out as they are. They lie as in the repository, so that their links lead somewhere.
const FILES: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "samples/README.md",
];

/// Folders of the repository whose files are handed out.
const FOLDERS: &[&str] = &["docs", "docs/schema", "docs/book/src", "docs/images"];

/// What those who set kdump up take.
const KDUMP: &str = "packaging/kdump";

/// Lays the files, all of them anew.
pub(crate) fn lay(program: &Path, time: u64) -> Result<PathBuf, Error> {
    let stage = root().join("target/packages/stage");
    fresh(&stage)?;
    let docs = stage.join("doc");
    let own = stage.join("crashlens");
    fs::copy(program, &own).at(&own)?;
    let man = stage.join("crashlens.1");
    write(&man, &said(&own, &["--generate-man"])?)?;
    output(command("gzip", ["-9", "--no-name", "--keep"]).arg(&man))?;
    for (shell, name) in [("bash", "crashlens.bash"), ("zsh", "_crashlens"), ("fish", "crashlens.fish")] {
        write(&stage.join(name), &said(&own, &["--generate-completion", shell])?)?;
    }
    for name in FILES {
        copy(&root().join(name), &docs.join(name))?;
    }
    for name in FOLDERS {
        copy_files(&root().join(name), &docs.join(name))?;
    }
    copy_files(&root().join(KDUMP), &stage.join("kdump"))?;
    links(&docs)?;
    // dates of the files are in the packages
    let when = format!("@{time}");
    let words = [stage.display().to_string(), "-exec".to_owned(), "touch".to_owned(), "-d".to_owned(), when];
    output(&mut command("find", words.into_iter().chain(["{}".to_owned(), "+".to_owned()])))?;
    Ok(stage)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).at(folder)?;
    }
    fs::copy(from, to).at(from).map(|_| ())
}

/// Copies the files of a folder, not its folders.
fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    for file in entries(from)?.iter().filter(|path| path.is_file()) {
        copy(file, &to.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    fs::read_dir(folder).at(folder)?.map(|entry| Ok(entry.at(folder)?.path())).collect()
}

/// Every link of a page leads to a page that is handed out with it.
fn links(folder: &Path) -> Result<(), Error> {
    for path in entries(folder)? {
        if path.is_dir() {
            links(&path)?;
        } else if path.extension().is_some_and(|end| end == "md") {
            let text = fs::read_to_string(&path).at(&path)?;
            if let Some(link) = targets(&text).find(|link| !folder.join(link).exists()) {
                return other(format!(
                    "{}: its link to {link} leads to nothing in the packages",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

/// The files that the links of a page name.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = links.map(|(link, _)| link.split('#').next().unwrap_or_default());
    files.filter(|link| !link.is_empty() && !link.contains(':') && !link.contains(char::is_whitespace))
}

fn said(program: &Path, words: &[&str]) -> Result<String, Error> {
    output(&mut command(&program.display().to_string(), words))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_page_are_its_files() {
        let text = "[a](docs/A.md) [b](https://b/c) ![c](../c.png) [d](#here) [e](E.md#part), x[i](j k)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/A.md", "../c.png", "E.md"]);
    }
}
