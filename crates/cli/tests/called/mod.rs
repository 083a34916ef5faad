//! The program, called.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program in a folder that is its user's home too.
pub(crate) fn program(home: &Path, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_crashlens"));
    program.args(args).env("HOME", home).current_dir(home);
    program
}

/// Runs it with an input.
pub(crate) fn run(home: &Path, args: &[&str], input: &str) -> Output {
    let mut child = program(home, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}
