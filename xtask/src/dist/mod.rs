//! `cargo xtask dist`: what is handed out: one static program, a `.deb`, an `.rpm`, a tarball, and their checksums.
//!
//! All of it lies in `target/packages`. Nothing in it depends on who builds it, where, or when: paths are replaced
//! (`program.rs`), times are the commit's (`SOURCE_DATE_EPOCH`). `--twice` builds a second clone of the commit elsewhere
//! and compares the bytes; `--check` installs what was made in bare roots.

mod check;
mod packages;
mod program;
mod stage;
mod twice;

use std::path::PathBuf;

use crate::run::{At as _, Error, answer, other, output, root, say};
use crate::setup;

pub(crate) use program::build as program;

/// Arguments of `dist`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the static program.
    #[arg(long)]
    program: bool,
    /// Installs the packages in bare roots (Debian's and an empty one), and runs them there (as root).
    #[arg(long)]
    check: bool,
    /// Builds a second clone of the commit elsewhere, and compares all files byte by byte.
    #[arg(long, conflicts_with = "program")]
    twice: bool,
}

/// The most bytes that the program may have.
const LIMIT: u64 = 15 << 20;

/// Makes everything.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let program = small_program()?;
    if args.program {
        return answer(format_args!("{}", program.display()));
    }
    let made = make(&program)?;
    for file in &made.files() {
        let bytes = std::fs::metadata(file).at(file)?.len();
        answer(format_args!("{:>9} bytes  {}", bytes, file.display()))?;
    }
    if args.twice {
        twice::compare(&made)?;
    }
    if args.check {
        check::all(&made)?;
    }
    Ok(())
}

/// What the tests of the whole do: the packages are made of the program that they tested, installed and looked into.
pub(crate) fn tested() -> Result<(), Error> {
    check::all(&make(&small_program()?)?)
}

/// The program, which has no more bytes than it may have.
fn small_program() -> Result<PathBuf, Error> {
    let program = program::build(&root())?;
    let bytes = std::fs::metadata(&program).at(&program)?.len();
    match bytes > LIMIT {
        true => other(format!("{}: {bytes} bytes, and {LIMIT} are the most", program.display())),
        false => Ok(program),
    }
}

/// What was made.
pub(crate) struct Made {
    program: PathBuf,
    deb: PathBuf,
    rpm: PathBuf,
    tarball: PathBuf,
    sums: PathBuf,
}

impl Made {
    fn files(&self) -> [&PathBuf; 5] {
        [&self.program, &self.deb, &self.rpm, &self.tarball, &self.sums]
    }
}

/// Makes the packages of a program.
fn make(program: &std::path::Path) -> Result<Made, Error> {
    setup::install_for_packages()?;
    let time = commit_time()?;
    let stage = stage::lay(program, time)?;
    let out = root().join("target/packages");
    let deb = packages::deb(&out, time)?;
    let rpm = packages::rpm(&out, time)?;
    let tarball = packages::tarball(&out, &stage, time)?;
    let sums = packages::sums(&out, &[&deb, &rpm, &tarball])?;
    say(format_args!("made in {}", out.display()));
    Ok(Made { program: stage.join("crashlens"), deb, rpm, tarball, sums })
}

/// The time that all files of the packages have: `SOURCE_DATE_EPOCH`, or that of the commit.
fn commit_time() -> Result<u64, Error> {
    let told = std::env::var("SOURCE_DATE_EPOCH").ok();
    let told = match told {
        Some(told) => told,
        None => output(crate::run::command("git", ["log", "-1", "--format=%ct"]).current_dir(root()))?,
    };
    told.trim()
        .parse()
        .map_err(|_| Error::Other(format!("SOURCE_DATE_EPOCH: {told} is no number of seconds")))
}

/// The version of the program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The machine that the program is built for, as Debian and as RPM call it.
pub(crate) fn machine() -> Result<(&'static str, &'static str), Error> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(("amd64", "x86_64")),
        "aarch64" => Ok(("arm64", "aarch64")),
        machine => other(format!("packages are made on x86-64 and arm64, not on {machine}")),
    }
}
