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

pub(crate) use guest::INIT;
pub(crate) use qemu::start as running;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::run::{At as _, Error, fresh, other, say};
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
        return zoo::run(&cache, &wanted);
    }
    let there = |(series, case): &(&Series, &Case)| marker(&cache, series, case).exists();
    if args.list {
        for one in chosen(&wanted) {
            list(there(&one), &format!("{}/{}", one.0.name, one.1.name));
        }
        return Ok(());
    }
    let left = wanted.left(chosen(&wanted), there);
    if args.reparse {
        for (series, case) in left {
            let kernel = kernel::prepare(&cache, series, || other("this kernel is not there"))?;
            reparse(&cache, series, case, &kernel)?;
        }
    } else if !left.is_empty() {
        crate::setup::install(false)?;
        build(&cache, &left)?;
    }
    if args.sample { ship(&cache) } else { Ok(()) }
}

/// What is asked for.
struct Wanted<'a> {
    /// Only lists them.
    list: bool,
    /// Only these cases, or ways to die.
    cases: &'a [String],
    /// Only these kernels.
    series: &'a [String],
    /// Only the small set of continuous integration, of the first series.
    quick: bool,
    /// Again what is there already.
    force: bool,
    /// Only reads the consoles again.
    reparse: bool,
}

impl Wanted<'_> {
    /// Whether cases of this name are asked for.
    fn has_case(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|asked| asked == name)
    }
    /// Whether this series is asked for, which is the `at`th.
    fn has_series(&self, name: &str, at: usize) -> bool {
        !(self.quick && at > 0) && (self.series.is_empty() || self.series.iter().any(|asked| asked == name))
    }
    /// Which of those that are asked for are left to be built, or to be read again.
    fn left<T>(&self, asked: impl IntoIterator<Item = T>, there: impl Fn(&T) -> bool) -> Vec<T> {
        let left = |one: &T| match self.reparse {
            true => there(one),
            false => self.force || !there(one),
        };
        asked.into_iter().filter(left).collect()
    }
}

/// A line of `--list`.
fn list(there: bool, name: &str) {
    say(format_args!("{:5} {name}", if there { "done" } else { "-" }));
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
    let cases = cases.iter().copied();
    failed.extend(build_cases((cache, ""), series, cases, &kernel, &guest, tools));
    Ok(())
}

/// Builds cases of a kernel into the folder of `root`, whose name among the others is `part`, and names those that failed.
fn build_cases<'a>(
    (root, part): (&Path, &str),
    series: &Series,
    cases: impl IntoIterator<Item = &'a Case>,
    kernel: &Kernel,
    guest: &guest::Guest,
    tools: &Makedumpfile,
) -> Vec<String> {
    let mut failed = Vec::new();
    for case in cases {
        let name = format!("{part}{}/{}", series.name, case.name);
        let started = Instant::now();
        // A guest under emulation on a busy machine can be late: once more.
        let done = twice(|| build_case(root, series, case, kernel, guest, tools));
        match done {
            Ok(()) => say(format_args!("{name}: done in {} s", started.elapsed().as_secs())),
            Err(error) => {
                say(format_args!("{name}: {error}"));
                failed.push(name);
            }
        }
    }
    failed
}

/// Does it, and once more if it fails.
fn twice<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    attempt().or_else(|_| attempt())
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
    fresh(&dir)?;
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

/// Reads a case's console again.
fn reparse(root: &Path, series: &Series, case: &Case, kernel: &Kernel) -> Result<(), Error> {
    let dir = folder(root, series, case);
    write_truth(&dir, series, case, kernel, &read_console(&dir)?)
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

fn chosen<'a>(wanted: &'a Wanted<'_>) -> impl Iterator<Item = (&'static Series, &'static Case)> + 'a {
    let series = SERIES.iter().enumerate().filter(|(at, series)| wanted.has_series(series.name, *at));
    series.flat_map(|(_, series)| {
        let of = CASES.iter().filter(|case| case.series.contains(&series.name));
        of.filter(|case| (!wanted.quick || case.quick) && wanted.has_case(case.name))
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

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Wanted<'static> =
        Wanted { list: false, cases: &[], series: &[], quick: false, force: false, reparse: false };

    #[test]
    fn what_is_left_is_what_is_not_there_unless_it_is_forced_or_read_again() {
        let there = |n: &i32| *n == 1;
        assert_eq!(NONE.left([1, 2], there), [2]);
        assert_eq!(Wanted { force: true, ..NONE }.left([1, 2], there), [1, 2]);
        assert_eq!(Wanted { reparse: true, ..NONE }.left([1, 2], there), [1]);
        assert_eq!(Wanted { reparse: true, force: true, ..NONE }.left([1, 2], there), [1]);
    }

    #[test]
    fn a_guest_that_fails_has_one_more_attempt() {
        let after = |failures: usize| {
            let mut done = 0;
            let result = twice(|| {
                done += 1;
                if done > failures { Ok(done) } else { Err(done) }
            });
            (result, done)
        };
        assert_eq!(after(0), (Ok(1), 1));
        assert_eq!(after(1), (Ok(2), 2));
        assert_eq!(after(9), (Err(2), 2));
    }
}
