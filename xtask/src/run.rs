//! Running other programs, and the one error type of the tasks.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a task can fail with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file could not be read, written or made.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source} (`cargo xtask setup` installs what is needed)")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// The program and its arguments.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote.
        output: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Shorthand for [`Error::Other`].
pub(crate) fn other<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Other(message.into()))
}

/// Attaches the path to an I/O error.
pub(crate) trait At<T> {
    /// Names the file an I/O error is about.
    fn at(self, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|source| Error::Io { path: path.as_ref().to_owned(), source })
    }
}

/// Makes a folder with nothing in it, whatever was there before.
pub(crate) fn fresh(folder: impl AsRef<Path>) -> Result<(), Error> {
    let folder = folder.as_ref();
    if folder.exists() {
        std::fs::remove_dir_all(folder).at(folder)?;
    }
    std::fs::create_dir_all(folder).at(folder)
}

/// Writes a line for the person who runs the task.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    // Nobody is left to tell if standard error is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says a line to the program that started this one.
pub(crate) fn answer(line: fmt::Arguments<'_>) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{line}").at("standard output")
}

/// A command line: the program and its arguments.
///
/// What `cargo run` told this program about its own crate is not passed on: build scripts that look at it (`ring`'s)
/// would run again, and all that uses them would be built again.
pub(crate) fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).env("LC_ALL", "C");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs a command to its end and returns what it wrote to standard output, whether it ended well or not.
pub(crate) fn said(command: &mut Command) -> Result<Vec<u8>, Error> {
    let out = command.output().map_err(|source| Error::Start { program: describe(command), source })?;
    Ok(out.stdout)
}

/// Runs a command to its end and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let program = describe(command);
    let out = command.output().map_err(|source| Error::Start { program: program.clone(), source })?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    Err(Error::Failed { program, status: out.status, output: tail(&said, 12) })
}

/// Runs a command whose output the person sees as it comes.
pub(crate) fn live(command: &mut Command) -> Result<(), Error> {
    let program = describe(command);
    let status = command.status().map_err(|source| Error::Start { program: program.clone(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { program, status, output: "its output is above".into() })
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Runs a shell script with positional arguments; for pipes between programs.
pub(crate) fn shell<S: AsRef<OsStr>>(
    script: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<String, Error> {
    let mut bash = command("bash", ["-euo", "pipefail", "-c", script, "bash"]);
    output(bash.args(args))
}

/// Runs a program with a time limit in seconds (`timeout` of coreutils).
pub(crate) fn limited<S: AsRef<OsStr>>(
    seconds: u32,
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Result<String, Error> {
    let mut timeout = command("timeout", [seconds.to_string(), program.to_owned()]);
    output(timeout.args(args))
}

/// Whether a program is on the path.
pub(crate) fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args().take(8) {
        text.push(' ');
        text.extend(arg.to_string_lossy().chars().take(120));
    }
    text
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
