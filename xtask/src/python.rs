//! `cargo xtask python`: builds the wheel, installs it in a virtual environment, and runs its tests on the shipped sample.
//!
//! The environment is under the user's cache folder, as drgn's is, and is set up once. Where the corpus and drgn are there, a
//! script that walks tasks is timed beside the same in drgn.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::bench::Peers;
use crate::corpus;
use crate::run::{At as _, Error, command, fresh, installed, live, other, output, root, say};
use crate::setup;

/// Arguments of `python`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Builds without optimisation: quicker, and nothing is timed.
    #[arg(long)]
    debug: bool,
    /// Tasks that the walk beside drgn visits; 0 leaves it out.
    #[arg(long, default_value_t = TASKS)]
    tasks: u32,
}

/// As many as the promise is about.
const TASKS: u32 = 30_000;

impl Default for Args {
    fn default() -> Self {
        Self { debug: false, tasks: TASKS }
    }
}

/// What the tests need of PyPI; versions that break nothing unasked.
const PACKAGES: &[&str] = &["maturin>=1.7,<2", "pytest>=8", "numpy", "mypy>=1.18", "pyarrow", "distributed"];

/// How many times as fast as drgn's the walk has to be.
const TIMES: f64 = 5.0;

/// Builds, installs, tests, times.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let venv = environment()?;
    let program = |name: &str| venv.join("bin").join(name).display().to_string();
    let python = root().join("python");
    let wheels = root().join("target/wheels");
    fresh(&wheels)?;
    let mut maturin = command(&program("maturin"), ["build", "--out"]);
    maturin.arg(&wheels).current_dir(&python).env("VIRTUAL_ENV", &venv);
    if !args.debug {
        maturin.arg("--release");
    }
    live(&mut maturin)?;
    let wheel = only(&wheels)?;
    let mut install = command(&program("pip"), ["install", "--quiet", "--no-deps", "--force-reinstall"]);
    live(install.arg(&wheel))?;
    // a folder of their own: the sources beside them are not what is installed
    let tests = python.join("tests");
    let bare = |name: &str| {
        let mut command = command(&program("python"), ["-P", "-m", name]);
        command.current_dir(&tests).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    live(bare("pytest").args(["-q", "-p", "no:cacheprovider"]))?;
    let stubs = [
        "crashlens",
        "--ignore-missing-stub",
        "--ignore-disjoint-bases",
        "--concise",
        "--allowlist",
        "stubs.allow",
    ];
    live(bare("mypy.stubtest").args(stubs))?;
    if args.debug || args.tasks == 0 {
        return Ok(());
    }
    race(&venv, args.tasks)
}

/// The environment, with what the tests need.
fn environment() -> Result<PathBuf, Error> {
    let venv = corpus::cache()?.with_file_name("python");
    let done = venv.join("done");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(venv);
    }
    if !(installed("python3") && output(&mut command("python3", ["-c", "import ensurepip, venv"])).is_ok()) {
        setup::install_python()?;
    }
    say(format_args!("setting up the environment for Python"));
    let place = venv.display().to_string();
    output(&mut command("python3", ["-m", "venv", "--clear", &place]))?;
    let mut pip = command(&format!("{place}/bin/pip"), ["install", "--quiet", "--disable-pip-version-check"]);
    output(pip.args(PACKAGES))?;
    fs::write(&done, wanted).at(&done)?;
    Ok(venv)
}

/// The only file in a folder.
fn only(folder: &Path) -> Result<PathBuf, Error> {
    let mut files = fs::read_dir(folder).at(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        _ => other(format!("{}: one wheel is wanted there", folder.display())),
    }
}

/// What `walk.py` says.
#[derive(Deserialize)]
struct Walk {
    tasks: u32,
    frames: u32,
    walk: f64,
    whole: f64,
}

/// The same walk by crashlens and by drgn, one after the other.
fn race(venv: &Path, tasks: u32) -> Result<(), Error> {
    let case = corpus::cache()?.join("6.1/virtio-bug");
    let files = ["dump.elf", "vmlinux"].map(|name| case.join(name));
    let drgn = Peers::drgn_python();
    let (Some(drgn), true) = (drgn, files.iter().all(|file| file.exists())) else {
        say(format_args!("    the walk beside drgn: left out (the corpus or drgn is not there)"));
        return Ok(());
    };
    let walk = |python: &Path, by: &str| -> Result<Walk, Error> {
        let script = root().join("python/bench/walk.py");
        let mut line = command(&python.display().to_string(), ["-P"]);
        line.arg(script).arg(by).args(&files).args(["--tasks", &tasks.to_string()]);
        let told = output(&mut line)?;
        serde_json::from_str(&told).map_err(|e| Error::Other(format!("walk.py: {told}: {e}")))
    };
    let own = walk(&venv.join("bin/python"), "crashlens")?;
    let theirs = walk(&drgn, "drgn")?;
    for (name, walk) in [("crashlens", &own), ("drgn", &theirs)] {
        say(format_args!(
            "    {name}: {} tasks, {} frames: {:.2} s, {:.2} s with opening",
            walk.tasks, walk.frames, walk.walk, walk.whole
        ));
    }
    let times = theirs.whole / own.whole.max(f64::EPSILON);
    say(format_args!("    {times:.1} times as fast as drgn"));
    match times >= TIMES {
        true => Ok(()),
        false => other(format!(
            "the walk is to be {TIMES} times as fast as drgn's, and is {times:.1} times as fast"
        )),
    }
}
