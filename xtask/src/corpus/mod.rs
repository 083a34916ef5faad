//! `cargo xtask corpus`: real dumps of real kernels, each with the truth its guest told before it died.
//!
//! Everything lies under `${XDG_CACHE_HOME:-~/.cache}/crashlens/corpus`:
//!
//! ```text
//! SERIES/CASE/   the dumps, vmlinux, modules/ (the loaded modules' files with debug information),
//!                console.txt (the serial console as it was), truth.json (the same, parsed), done (the marker)
//! zoo/           see [`zoo`]
//! built/         see [`built`]
//! arm64/         see [`arm64`]
//! kernels/       a kernel of each series, unpacked; SERIES/guest: what its guests boot from
//! apt/, tools/   apt roots of the suites; programs of the newest suite
//! ```
//!
//! A finished case is not built again: `--force` does, and so does removing its folder.

mod apt;
mod arm64;
mod built;
mod cases;
mod console;
mod dumps;
mod guest;
mod kernel;
mod oops;
mod qemu;
mod root;
mod truth;
mod zoo;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::run::{At as _, Error, other, say};
use apt::{Mirrors, Suite};
use cases::{CASES, Case, End, SERIES, Series};
use dumps::Makedumpfile;
use kernel::Kernel;

/// Arguments of `corpus`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only lists the cases and whether they are there.
    #[arg(long)]
    list: bool,
    /// Only this case (may be repeated).
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Only this kernel series (may be repeated).
    #[arg(long, value_name = "SERIES")]
    series: Vec<String>,
    /// The zoo instead: guests that a module makes die in many ways.
    #[arg(long)]
    zoo: bool,
    /// Kernels built from source instead: takes long, and is not for continuous integration.
    #[arg(long, conflicts_with = "zoo")]
    built: bool,
    /// Debian's arm64 kernels instead.
    #[arg(long, conflicts_with_all = ["zoo", "built"])]
    arm64: bool,
    /// Only the small set that continuous integration builds (of the first series).
    #[arg(long)]
    quick: bool,
    /// Builds again what is there already.
    #[arg(long)]
    force: bool,
    /// Parses the consoles again, without booting anything.
    #[arg(long)]
    reparse: bool,
    /// Copies the shipped sample and its truth into samples/ when its case is there.
    #[arg(long)]
    sample: bool,
}

/// The case and dump that are shipped in samples/.
const SAMPLE: (&str, &str, &str) = ("6.1", "virtio-bug-kdump", "virtio-bug.kdump");

/// Builds the corpus.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let cache = cache()?;
    let wanted = Wanted {
        list: args.list,
        cases: &args.cases,
        series: &args.series,
        quick: args.quick,
        force: args.force,
        reparse: args.reparse,
    };
    if args.built {
        return built::run(&cache, &wanted);
    }
    if args.arm64 {
        return arm64::run(&cache, &wanted);
    }
    check_names(args)?;
    if args.zoo {
        return zoo::run(
            &cache,
            &zoo::Wanted {
                list: args.list,
                ways: &args.cases,
                series: &args.series,
                quick: args.quick,
                force: args.force,
                reparse: args.reparse,
            },
        );
    }
    if args.list {
        for (series, case) in chosen(args) {
            let state = if marker(&cache, series, case).exists() { "done" } else { "-" };
            say(format_args!("{state:5} {}/{}", series.name, case.name));
        }
        return Ok(());
    }
    let wanted: Vec<_> = chosen(args)
        .filter(|(series, case)| args.force || args.reparse || !marker(&cache, series, case).exists())
        .collect();
    if args.reparse {
        for (series, case) in
            wanted.into_iter().filter(|(series, case)| marker(&cache, series, case).exists())
        {
            reparse(&cache, series, case)?;
        }
    } else if !wanted.is_empty() {
        crate::setup::install(false)?;
        build(&cache, &wanted)?;
    }
    if args.sample { ship(&cache) } else { Ok(()) }
}

/// What is asked for of the kernels that have a module of their own here.
struct Wanted<'a> {
    /// Only lists them.
    list: bool,
    /// Only these cases.
    cases: &'a [String],
    /// Only these kernels.
    series: &'a [String],
    /// Only the small set of continuous integration.
    quick: bool,
    /// Again what is there already.
    force: bool,
    /// Only reads the consoles again.
    reparse: bool,
}

/// A part of the corpus that continuous integration builds a small set of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The cases of x86-64.
    Corpus,
    /// The zoo.
    Zoo,
    /// Those of arm64.
    Arm64,
}

/// Builds the small set of continuous integration.
pub(crate) fn quick(part: Part) -> Result<(), Error> {
    run(&Args {
        list: false,
        cases: Vec::new(),
        series: Vec::new(),
        zoo: part == Part::Zoo,
        built: false,
        arm64: part == Part::Arm64,
        quick: true,
        force: false,
        reparse: false,
        sample: false,
    })
}

fn build(cache: &Path, wanted: &[(&Series, &Case)]) -> Result<(), Error> {
    let mut failed = Vec::new();
    let mirrors = Mirrors::of_this_machine()?;
    let tools = Makedumpfile::prepare(cache, wanted.iter().map(|(_, case)| *case), || {
        Suite::open(cache, "sid", &mirrors)
    })?;
    for series in SERIES {
        let cases: Vec<&Case> =
            wanted.iter().filter(|(of, _)| of.name == series.name).map(|(_, case)| *case).collect();
        if cases.is_empty() {
            continue;
        }
        // A suite that the mirror does not offer costs its own series, not the others.
        if let Err(error) = build_series(cache, series, &cases, &mirrors, &tools, &mut failed) {
            say(format_args!("{}: {error}", series.name));
            failed.push(series.name.to_owned());
        }
    }
    if failed.is_empty() { Ok(()) } else { other(format!("not built: {}", failed.join(", "))) }
}

fn build_series(
    cache: &Path,
    series: &Series,
    cases: &[&Case],
    mirrors: &Mirrors,
    tools: &Makedumpfile,
    failed: &mut Vec<String>,
) -> Result<(), Error> {
    let kernel = kernel::prepare(cache, series, || Suite::open(cache, series.suite, mirrors))?;
    let guest = guest::prepare(&kernel, &guest::Tools::of_this_machine()?)?;
    for case in cases {
        let started = Instant::now();
        let mut done = build_case(cache, series, case, &kernel, &guest, tools);
        if done.is_err() {
            // A guest under emulation on a busy machine can be late: once more.
            done = build_case(cache, series, case, &kernel, &guest, tools);
        }
        match done {
            Ok(()) => {
                say(format_args!("{}/{}: done in {} s", series.name, case.name, started.elapsed().as_secs()));
            }
            Err(error) => {
                say(format_args!("{}/{}: {error}", series.name, case.name));
                failed.push(format!("{}/{}", series.name, case.name));
            }
        }
    }
    Ok(())
}

fn build_case(
    cache: &Path,
    series: &Series,
    case: &Case,
    kernel: &Kernel,
    guest: &guest::Guest,
    tools: &Makedumpfile,
) -> Result<(), Error> {
    let dir = folder(cache, series, case);
    if dir.exists() {
        fs::remove_dir_all(&dir).at(&dir)?;
    }
    fs::create_dir_all(&dir).at(&dir)?;
    let capture = match case.crashkernel {
        0 => None,
        _ => {
            let disk = dir.join("capture.img");
            let size = (u64::from(case.memory) << 20).saturating_add(64 << 20);
            fs::File::create(&disk).and_then(|file| file.set_len(size)).at(&disk)?;
            Some(disk)
        }
    };
    let initrd = if case.end == End::Bug { &guest.initrd_bug } else { &guest.initrd };
    let machine = qemu::Machine {
        case,
        kernel: kernel.image(),
        initrd: initrd.clone(),
        disk: guest.disk.clone(),
        capture: capture.clone(),
        console: dir.join("console.txt"),
        dir: dir.clone(),
    };
    let mut running = qemu::run(&machine)?;
    dumps::by_monitor(case, &mut running, &dir)?;
    drop(running);
    let console = read_console(&dir)?;
    if let Some(capture) = capture {
        match console.lines().find_map(|line| line.trim().strip_prefix("@@CAPTURE ")?.parse().ok()) {
            Some(size) => dumps::vmcore(&capture, size, &dir.join("vmcore"))?,
            None => return other("the crash kernel did not say how much memory it saved"),
        }
        tools.filter(case, &dir)?;
    }
    link_debug_files(&dir, case, kernel)?;
    write_truth(&dir, series, case, kernel, &console)?;
    let log = dir.join("qemu.log");
    fs::remove_file(&log).at(&log)?;
    let marker = marker(cache, series, case);
    fs::write(&marker, format!("{}\n", kernel.version)).at(&marker)
}

fn read_console(dir: &Path) -> Result<String, Error> {
    let path = dir.join("console.txt");
    Ok(String::from_utf8_lossy(&fs::read(&path).at(&path)?).into_owned())
}

fn write_truth(
    dir: &Path,
    series: &Series,
    case: &Case,
    kernel: &Kernel,
    console: &str,
) -> Result<(), Error> {
    let truth = truth::Truth::new(dir, series, case, kernel, console)?;
    let path = dir.join("truth.json");
    let text = serde_json::to_string_pretty(&truth).map_err(|error| Error::Other(error.to_string()))?;
    fs::write(&path, text + "\n").at(&path)
}

fn reparse(cache: &Path, series: &Series, case: &Case) -> Result<(), Error> {
    let kernel = kernel::prepare(cache, series, || other("this kernel is not there"))?;
    let dir = folder(cache, series, case);
    write_truth(&dir, series, case, &kernel, &read_console(&dir)?)
}

/// `vmlinux` and `modules/`: hard links, so that a case's folder is whole in a chroot too. A kernel without debug
/// information has neither.
fn link_debug_files(dir: &Path, case: &Case, kernel: &Kernel) -> Result<(), Error> {
    let link = |from: &Path, to: PathBuf| fs::hard_link(from, &to).at(to);
    if !kernel.vmlinux().exists() {
        return Ok(());
    }
    link(&kernel.vmlinux(), dir.join("vmlinux"))?;
    let modules = dir.join("modules");
    fs::create_dir_all(&modules).at(&modules)?;
    for module in modules_of(case, kernel) {
        link(&module.debug, modules.join(format!("{}.ko", module.name)))?;
    }
    Ok(())
}

/// The modules that a case's guest loads.
fn modules_of<'a>(case: &Case, kernel: &'a Kernel) -> impl Iterator<Item = &'a kernel::Module> {
    let buggy = kernel.buggy.as_ref().filter(|_| case.end == End::Bug);
    kernel.modules.iter().map(move |module| buggy.filter(|buggy| buggy.name == module.name).unwrap_or(module))
}

/// Puts the sample into the repository.
fn ship(cache: &Path) -> Result<(), Error> {
    let (series, case, file) = SAMPLE;
    let from = cache.join(series).join(case);
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    fs::create_dir_all(&to).at(&to)?;
    fs::copy(from.join(file), to.join(file)).at(from.join(file))?;
    let truth = from.join("truth.json");
    fs::copy(&truth, to.join("virtio-bug.truth.json")).at(&truth)?;
    Ok(())
}

fn chosen(args: &Args) -> impl Iterator<Item = (&'static Series, &'static Case)> {
    SERIES.iter().enumerate().flat_map(move |(at, series)| {
        CASES
            .iter()
            .filter(move |case| case.series.contains(&series.name))
            .filter(move |case| !args.quick || (case.quick && at == 0))
            .filter(move |case| args.cases.is_empty() || args.cases.iter().any(|name| name == case.name))
            .filter(move |_| args.series.is_empty() || args.series.iter().any(|name| name == series.name))
            .map(move |case| (series, case))
    })
}

fn check_names(args: &Args) -> Result<(), Error> {
    for name in args.cases.iter().filter(|_| !args.zoo) {
        if !CASES.iter().any(|case| case.name == *name) {
            return other(format!("no case `{name}`: `cargo xtask corpus --list` names them"));
        }
    }
    for name in &args.series {
        if !SERIES.iter().any(|series| series.name == *name) {
            return other(format!("no series `{name}`: there are 6.1, 6.12, 5.10 and new"));
        }
    }
    Ok(())
}

/// Where the corpus lies.
pub(crate) fn cache() -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))) {
        Some(cache) => Ok(cache.join("crashlens/corpus")),
        None => other("neither XDG_CACHE_HOME nor HOME is set: no place for the corpus"),
    }
}

fn folder(cache: &Path, series: &Series, case: &Case) -> PathBuf {
    cache.join(series.name).join(case.name)
}

fn marker(cache: &Path, series: &Series, case: &Case) -> PathBuf {
    folder(cache, series, case).join("done")
}
