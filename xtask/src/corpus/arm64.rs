//! `cargo xtask corpus --arm64`: Debian's arm64 kernels in `qemu-system-aarch64`, dead in six ways.
//!
//! The guest is that of the other cases: the same first process and programs, compiled for arm64, beside the busybox of
//! Debian's arm64. No debug information is fetched: these dumps are for what crashlens answers from a dump alone.
//! Debian's kernels have no LKDTM, so a small module (`arm64/dying.c`) is built against their headers by the cross
//! compiler; its ways end in the kernel's own code too.
//!
//! Under the corpus's folder, `arm64/kernels/SERIES` is a kernel with its module, `arm64/SERIES/CASE` a case as the
//! others have it, without vmlinux.

use std::fs;
use std::path::Path;

use super::apt::{KernelPackages, Mirrors, Suite};
use super::cases::{Case, Dump, End, Machine, Series, Source};
use super::dumps::Makedumpfile;
use super::kernel::{self, Kernel, Module};
use super::{Wanted, guest, list, marker};
use crate::run::{At as _, Error, command, other, output, say};

/// The kernels. Those whose build tools run on the stable suite, with which the module is built.
const SERIES: &[Series] = &[
    Series { name: "6.1", suite: "bookworm", prefix: "6.1.", modules: false },
    Series { name: "6.12", suite: "bookworm", prefix: "6.12.", modules: false },
];

const ALL: &[&str] = &["6.1", "6.12"];
const FIRST: &[&str] = &["6.1"];

const ELF: Dump = Dump { file: "dump.elf", source: Source::Qemu("") };
const KDUMP: Dump = Dump { file: "qemu-zlib.kdump", source: Source::Qemu("-z") };

const BASE: Case = Case {
    name: "",
    series: ALL,
    quick: false,
    machine: Machine::Arm64,
    end: End::Sysrq,
    cpus: 2,
    memory: 256,
    cpu: "max",
    vmcoreinfo: true,
    crashkernel: 0,
    append: "",
    dumps: &[ELF],
};

/// The cases: `max` has pointer authentication, `cortex-a72` has not.
const CASES: &[Case] = &[
    Case { name: "module", quick: true, end: End::Dying("module"), dumps: &[ELF, KDUMP], ..BASE },
    Case { name: "bug", end: End::Dying("bug"), vmcoreinfo: false, ..BASE },
    Case { name: "null", end: End::Dying("null"), cpu: "cortex-a72", ..BASE },
    Case {
        name: "interrupt",
        quick: true,
        end: End::Dying("interrupt"),
        cpu: "cortex-a72",
        vmcoreinfo: false,
        dumps: &[ELF, KDUMP],
        ..BASE
    },
    Case { name: "leaf", end: End::Dying("leaf"), ..BASE },
    Case { name: "hung", end: End::Dying("hung"), ..BASE },
    Case { name: "sysrq-a72", cpu: "cortex-a72", series: FIRST, ..BASE },
    Case { name: "live", end: End::Live, series: FIRST, ..BASE },
];

/// The module's files.
const SOURCES: &[(&str, &str)] =
    &[("Kbuild", include_str!("arm64/Kbuild")), ("dying.c", include_str!("arm64/dying.c"))];

const COMPILER: &str = "aarch64-linux-gnu-gcc";

/// Builds the kernels' modules and the cases.
pub(super) fn run(cache: &Path, wanted: &Wanted<'_>) -> Result<(), Error> {
    let names =
        |known: &[&str], asked: &[String]| match asked.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => other(format!("no `{name}` here: there are {}", known.join(", "))),
            None => Ok(()),
        };
    names(&CASES.iter().map(|case| case.name).collect::<Vec<_>>(), wanted.cases)?;
    names(ALL, wanted.series)?;
    let root = cache.join("arm64");
    let mut failed = Vec::new();
    for (_, series) in SERIES.iter().enumerate().filter(|(at, series)| wanted.has_series(series.name, *at)) {
        let there = |case: &&Case| marker(&root, series, case).exists();
        let asked = CASES
            .iter()
            .filter(|case| case.series.contains(&series.name) && wanted.has_case(case.name))
            .filter(|case| !wanted.quick || case.quick);
        if wanted.list {
            asked.for_each(|case| list(there(&case), &format!("arm64/{}/{}", series.name, case.name)));
            continue;
        }
        let cases = wanted.left(asked, there);
        if cases.is_empty() {
            continue;
        }
        // A kernel that the mirror does not have costs its own cases, not the others.
        if let Err(error) = build(cache, &root, series, &cases, wanted.reparse, &mut failed) {
            say(format_args!("arm64/{}: {error}", series.name));
            failed.push(format!("arm64/{}", series.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { other(format!("not built: {}", failed.join(", "))) }
}

fn build(
    cache: &Path,
    root: &Path,
    series: &Series,
    cases: &[&Case],
    reparse: bool,
    failed: &mut Vec<String>,
) -> Result<(), Error> {
    if !reparse {
        crate::setup::install_cross()?;
    }
    let dir = root.join("kernels").join(series.name);
    if !dir.join("done").exists() {
        fetch(cache, root, &dir, series)?;
    }
    let kernel = finished(&dir, series)?;
    if reparse {
        return cases.iter().try_for_each(|case| super::reparse(root, series, case, &kernel));
    }
    let busybox = dir.join("usr/bin/busybox");
    let busybox = if busybox.exists() { busybox } else { dir.join("bin/busybox") };
    let guest = guest::prepare(&kernel, &guest::Tools { compiler: COMPILER, busybox, kexec: false })?;
    let cases = cases.iter().copied();
    let none = Makedumpfile::none();
    failed.extend(super::build_cases((root, "arm64/"), series, cases, &kernel, &guest, &none));
    Ok(())
}

/// The kernel that an earlier run, or [`fetch`], left.
fn finished(dir: &Path, series: &Series) -> Result<Kernel, Error> {
    let marker = dir.join("done");
    let text = fs::read_to_string(&marker).at(&marker)?;
    let [release, version] = text.lines().collect::<Vec<_>>()[..] else {
        return other(format!("{}: not two lines", marker.display()));
    };
    let mut kernel = kernel::assemble(dir, series, release, version)?;
    let file = dir.join("dying/dying.ko");
    kernel.modules.push(Module { name: "dying".into(), loaded: file.clone(), debug: file });
    Ok(kernel)
}

/// Gets the newest kernel of a series that the mirror holds, and builds the module for it.
fn fetch(cache: &Path, root: &Path, dir: &Path, series: &Series) -> Result<(), Error> {
    let mirrors = Mirrors::of_this_machine()?;
    let own = Suite::open(cache, series.suite, &mirrors)?;
    let suite = Suite::of_machine(root, series.suite, &mirrors, Machine::Arm64)?;
    let mut last = None;
    for packages in suite.kernels(series.prefix)? {
        say(format_args!("arm64/{}: getting Linux {}", series.name, packages.release));
        if dir.exists() {
            fs::remove_dir_all(dir).at(dir)?;
        }
        match unpack(dir, &suite, &own, &packages).and_then(|()| build_module(dir, &packages.release)) {
            Ok(()) => {
                let marker = dir.join("done");
                let text = format!("{}\n{}\n", packages.release, packages.version);
                return fs::write(&marker, text).at(&marker);
            }
            Err(error) => {
                say(format_args!("arm64/{}: not this one: {error}", series.name));
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or(Error::Other(format!("no arm64 cloud kernel {}*", series.prefix))))
}

/// Unpacks the kernel, its headers, the building machine's own build tools for them, and a busybox.
fn unpack(dir: &Path, suite: &Suite, own: &Suite, packages: &KernelPackages) -> Result<(), Error> {
    let debs = dir.join("debs");
    fs::create_dir_all(&debs).at(&debs)?;
    let headers = format!("linux-headers-{}", packages.release);
    let (tools, mut names): (Vec<String>, Vec<String>) = suite
        .depends(&headers, "linux-")?
        .into_iter()
        .filter(|name| name.starts_with("linux-kbuild-") || name.starts_with("linux-headers-"))
        .partition(|name| name.starts_with("linux-kbuild-"));
    names.extend(packages.images.iter().cloned());
    names.extend([headers, "busybox-static".to_owned()]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
    suite.download(&names, &debs)?;
    for deb in own.download(&tools, &debs)? {
        output(command("dpkg-deb", ["-x"]).arg(&deb).arg(dir))?;
    }
    output(command("depmod", ["-b"]).arg(dir).arg(&packages.release))?;
    fs::remove_dir_all(&debs).at(&debs)
}

/// Builds the module by the cross compiler.
fn build_module(dir: &Path, release: &str) -> Result<(), Error> {
    let folder = dir.join("dying");
    fs::create_dir_all(&folder).at(&folder)?;
    for (name, text) in SOURCES {
        let file = folder.join(name);
        fs::write(&file, text).at(&file)?;
    }
    let compiler = ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "CC=aarch64-linux-gnu-gcc"];
    kernel::make_by(dir, release, &folder, dir, &compiler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_in_the_module_and_every_series_is_there() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(CASES[at + 1..].iter().all(|other| other.name != case.name), "{}", case.name);
            assert!(case.series.iter().all(|name| SERIES.iter().any(|series| series.name == *name)));
            if let End::Dying(way) = case.end {
                assert!(SOURCES[1].1.contains(&format!("{{ \"{way}\", way_{way} }}")), "{way}");
            }
        }
    }
}
