//! The same commit, built a second time in another folder: every byte must be the same.

use std::fs;
use std::path::Path;

use super::Made;
use crate::run::{At as _, Error, command, live, other, output, root, say};

/// Builds the commit anew and compares all files. What is not committed is not in the second build.
pub(crate) fn compare(made: &Made) -> Result<(), Error> {
    let changed = output(command("git", ["status", "--porcelain"]).current_dir(root()))?;
    if !changed.is_empty() {
        return other("two builds of one commit are compared: commit your changes first");
    }
    let second = root().join("target/packages/second-clone");
    if second.exists() {
        fs::remove_dir_all(&second).at(&second)?;
    }
    say(format_args!("building the commit again, in {}", second.display()));
    output(command("git", ["clone", "--quiet"]).arg(root()).arg(&second))?;
    // the tools are no part of what is compared
    let tools = second.join("target");
    fs::create_dir_all(&tools).at(&tools)?;
    std::os::unix::fs::symlink(root().join("target/tools"), tools.join("tools")).at(&tools)?;
    live(command("cargo", ["xtask", "dist"]).current_dir(&second))?;
    let mut unlike = Vec::new();
    for file in made.files() {
        let Ok(within) = file.strip_prefix(root()) else { continue };
        if !alike(file, &second.join(within))? {
            unlike.push(within.display().to_string());
        }
    }
    if !unlike.is_empty() {
        return other(format!("two builds of one commit differ: {}", unlike.join(", ")));
    }
    say(format_args!("two builds of the commit are equal in every byte"));
    fs::remove_dir_all(&second).at(&second)
}

fn alike(one: &Path, other: &Path) -> Result<bool, Error> {
    Ok(fs::read(one).at(one)? == fs::read(other).at(other)?)
}
