//! `cargo xtask clients`: programs of others use what crashlens gives: a client of the Model Context Protocol its tools, a
//! browser its page. They come from pip and Debian, which hermetic tests do without.

use std::path::{Path, PathBuf};

use crate::corpus;
use crate::run::{At as _, Error, command, output, root, say};
use crate::setup;

/// Arguments of `clients`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// The program; the release build, which is brought up to date, where not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Leave screenshots of the page in this folder
    #[arg(long, value_name = "DIR")]
    screenshots: Option<PathBuf>,
}

/// What pip brings. The client's own version is not pinned: what a user has is the newest.
const PIP: [&str; 2] = ["mcp>=2,<3", "selenium>=4,<5"];

/// The dump that both ask.
const SAMPLE: &str = "samples/virtio-bug.kdump";

/// Runs both.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let program = match &args.program {
        Some(program) => program.canonicalize().at(program)?,
        None => {
            output(
                command("cargo", ["build", "--release", "--package", "crashlens-cli"]).current_dir(root()),
            )?;
            root().join("target/release/crashlens")
        }
    };
    setup::install_clients()?;
    let python = python()?;
    let scripts = root().join("xtask/src/clients");
    let sample = root().join(SAMPLE);
    let told = output(command(&python, [scripts.join("mcp_client.py")]).arg(&program).arg(&sample))?;
    say(format_args!("{}", told.trim()));
    page(&python, &scripts.join("browser.py"), &program, &sample, args.screenshots.as_deref())
}

fn page(python: &str, script: &Path, program: &Path, dump: &Path, shots: Option<&Path>) -> Result<(), Error> {
    let file = root().join("target/report.html");
    let mut report = command(&program.to_string_lossy(), ["--no-search", "report"]);
    output(report.arg(dump).arg("-o").arg(&file))?;
    let mut browser = command(python, [script]);
    browser.arg(program).arg(dump).arg(&file).args(shots);
    say(format_args!("{}", output(&mut browser)?.trim()));
    Ok(())
}

/// Python with the libraries, in a place of its own.
fn python() -> Result<String, Error> {
    let place = corpus::cache()?.with_file_name("clients");
    let python = place.join("bin/python").to_string_lossy().into_owned();
    let is_there = |module: &str| output(&mut command(&python, ["-c", &format!("import {module}")])).is_ok();
    if !(is_there("mcp") && is_there("selenium")) {
        output(command("python3", ["-m", "venv"]).arg(&place))?;
        output(command(&python, ["-m", "pip", "install", "--quiet"]).args(PIP))?;
    }
    Ok(python)
}
