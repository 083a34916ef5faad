//! `cargo xtask corpus --zoo`: guests that die in every way a verdict knows of, by a module written for it.
//!
//! Under the corpus's folder, `zoo/SERIES/WAY/` holds `dump` (kdump-compressed, by QEMU), `vmlinux`, `zoo.ko` (with
//! debug information), `console.log`, `truth.json` (see [`told`]) and `done`. A way that a kernel cannot die in, because
//! it was configured without what finds it, is left out there.

mod boot;
mod build;
mod told;
mod ways;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::apt::{Mirrors, Suite};
use super::cases::{SERIES, Series};
use super::kernel::{self, Kernel};
use super::{Wanted, list};
use crate::run::{At as _, Error, fresh, other, say};
use build::Guest;
use told::Truth;
use ways::{WAYS, Way};

/// Guests that run at a time.
const AT_ONCE: usize = 2;

/// What is asked for, by series.
fn chosen<'a>(wanted: &'a Wanted<'_>) -> impl Iterator<Item = (&'static Series, Vec<&'static Way>)> + 'a {
    let series = SERIES.iter().enumerate().filter(|(at, series)| wanted.has_series(series.name, *at));
    series.map(|(_, series)| {
        let ways = WAYS.iter().filter(|way| (!wanted.quick || way.quick) && wanted.has_case(way.name));
        (series, ways.collect())
    })
}

/// Builds the zoo.
pub(super) fn run(cache: &Path, wanted: &Wanted<'_>) -> Result<(), Error> {
    for name in wanted.cases {
        if !WAYS.iter().any(|way| way.name == *name) {
            return other(format!("no way `{name}`: `cargo xtask corpus --zoo --list` names them"));
        }
    }
    let zoo = cache.join("zoo");
    if wanted.list {
        for (series, ways) in chosen(wanted) {
            for way in ways {
                list(there(&zoo, series, way), &format!("zoo/{}/{}", series.name, way.name));
            }
        }
        return Ok(());
    }
    let mut failed = Vec::new();
    for (series, ways) in chosen(wanted) {
        let ways = wanted.left(ways, |way| there(&zoo, series, way));
        if ways.is_empty() {
            continue;
        }
        if let Err(error) = of_series(cache, &zoo, series, ways, wanted.reparse, &mut failed) {
            say(format_args!("zoo/{}: {error}", series.name));
            failed.push(series.name.to_owned());
        }
    }
    if failed.is_empty() { Ok(()) } else { other(format!("not built: {}", failed.join(", "))) }
}

fn of_series(
    cache: &Path,
    zoo: &Path,
    series: &Series,
    ways: Vec<&Way>,
    reparse: bool,
    failed: &mut Vec<String>,
) -> Result<(), Error> {
    crate::setup::install(false)?;
    let suite = || Suite::open(cache, series.suite, &Mirrors::of_this_machine()?);
    let kernel = kernel::prepare(cache, series, suite)?;
    let guest = build::prepare(&kernel, series.modules, suite)?;
    let has = |line: &&str| guest.config.lines().any(|found| found == *line);
    let able = |way: &&Way| way.needs.iter().all(has);
    let (ways, unable): (Vec<&Way>, Vec<&Way>) = ways.into_iter().partition(able);
    for way in unable {
        say(format_args!(
            "zoo/{}/{}: left out, this kernel lacks {}",
            series.name,
            way.name,
            way.needs.join(", ")
        ));
    }
    let queue = Mutex::new(ways.into_iter().collect::<VecDeque<_>>());
    let lost = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(way) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                    if let Err(error) = one(zoo, series, way, &kernel, &guest, reparse) {
                        let name = format!("zoo/{}/{}", series.name, way.name);
                        say(format_args!("{name}: {error}"));
                        lost.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                    }
                }
            });
        }
    });
    failed.extend(lost.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

fn one(
    zoo: &Path,
    series: &Series,
    way: &Way,
    kernel: &Kernel,
    guest: &Guest,
    reparse: bool,
) -> Result<(), Error> {
    let started = Instant::now();
    let dir = folder(zoo, series, way);
    if reparse {
        return reread(&dir, series, way, kernel, guest);
    }
    fresh(&dir)?;
    // An emulated kernel can die while it boots.
    let console = match boot::run(way, kernel, guest, &dir)? {
        console if told::asked(way, &console) => console,
        _ => boot::run(way, kernel, guest, &dir)?,
    };
    for (from, name) in [(kernel.vmlinux(), "vmlinux"), (guest.module.clone(), "zoo.ko")] {
        fs::hard_link(&from, dir.join(name)).at(&from)?;
    }
    write(&dir, series, way, (kernel, guest), &console)?;
    let marker = dir.join("done");
    fs::write(&marker, format!("{}\n", kernel.version)).at(&marker)?;
    say(format_args!("zoo/{}/{}: done in {} s", series.name, way.name, started.elapsed().as_secs()));
    Ok(())
}

fn reread(dir: &Path, series: &Series, way: &Way, kernel: &Kernel, guest: &Guest) -> Result<(), Error> {
    let own = dir.join("zoo.ko");
    if fs::read(&own).at(&own)? != fs::read(&guest.module).at(&guest.module)? {
        return other("its module is older than the source: build it again with --force");
    }
    write(dir, series, way, (kernel, guest), &boot::read(&dir.join("console.log"))?)
}

fn write(
    dir: &Path,
    series: &Series,
    way: &Way,
    (kernel, guest): (&Kernel, &Guest),
    console: &str,
) -> Result<(), Error> {
    let mark = build::mark(way.mark);
    let typed = guest.config.contains("CONFIG_DEBUG_INFO_BTF_MODULES=y");
    let truth = Truth::new(series.name, (&kernel.release, typed), way, mark, console)?;
    let text = serde_json::to_string_pretty(&truth).map_err(|error| Error::Other(error.to_string()))?;
    let path = dir.join("truth.json");
    fs::write(&path, text + "\n").at(&path)
}

fn there(zoo: &Path, series: &Series, way: &Way) -> bool {
    folder(zoo, series, way).join("done").exists()
}

fn folder(zoo: &Path, series: &Series, way: &Way) -> PathBuf {
    zoo.join(series.name).join(way.name)
}
