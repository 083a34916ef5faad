//! `debuginfo fetch`.

use super::{download, find, heading, needs, note_modules, row};
use crate::{CommandError, Cx};
use debuginfo::find::{Mirror, WantedFile};
use kernel::Session;
use kernel::debug::{Need, Of};
use report::{Cell, Report};
use std::path::PathBuf;

/// How a file fared: where it is, or why it is not there, a sentence a place.
type Fared = Result<PathBuf, Vec<String>>;

pub(super) fn run(cx: &Cx<'_>, s: &Session, from: &[String], packages: bool) -> Result<Report, CommandError> {
    cx.may_name_files()?;
    let mirrors = mirrors(s, from)?;
    if mirrors.is_empty() && !packages {
        return Err(CommandError::failed(
            "no place to fetch from: set DEBUGINFOD_URLS, name a folder or a server with --from, or give --packages",
        ));
    }
    let needs = needs(cx, s)?;
    let mut fared: Vec<Fared> = needs
        .iter()
        .map(|need| match (&need.path, need.is_whole, &need.build_id) {
            (Some(path), true, _) => Ok(path.clone()),
            (_, _, None) => Err(vec!["the dump does not tell its build id".to_owned()]),
            _ => Err(Vec::new()),
        })
        .collect();
    for mirror in &mirrors {
        let wanted = wanted(&needs, &fared);
        let files: Vec<WantedFile> = wanted.iter().map(|(_, file)| file.clone()).collect();
        let kernel = s.build_id().filter(|_| !files.is_empty());
        let brought = mirror.bring(&files, kernel, &s.opened().watch);
        cx.cancel.check()?;
        let name = mirror.describe();
        let named = |why: String| if why.contains(&name) { why } else { format!("{name}: {why}") };
        settle(&mut fared, &wanted, brought.into_iter().map(|one| one.map_err(named)));
    }
    if packages {
        let wanted = wanted(&needs, &fared);
        if !wanted.is_empty() {
            let files: Vec<WantedFile> = wanted.iter().map(|(_, file)| file.clone()).collect();
            let brought = download::bring(cx, s, &find::wanted(s), &files)?;
            settle(&mut fared, &wanted, brought.into_iter());
        }
    }
    Ok(shown(s, &needs, fared))
}

/// The folders and servers that were named, else the servers of the environment.
fn mirrors(s: &Session, from: &[String]) -> Result<Vec<Mirror>, CommandError> {
    if !from.is_empty() {
        let named = from.iter().map(|place| Mirror::of(place));
        return named.collect::<Result<_, _>>().map_err(CommandError::failed);
    }
    let servers = s.opened().servers.as_deref().cloned();
    if let Some(servers) = &servers {
        servers.allow(true);
    }
    Ok(servers.map(Mirror::servers).into_iter().collect())
}

/// What is still wanted, and which of the needs each is.
fn wanted(needs: &[Need<'_>], fared: &[Fared]) -> Vec<(usize, WantedFile)> {
    let all = needs.iter().zip(fared).enumerate().filter(|(_, (_, fared))| fared.is_err());
    let file = |(n, (need, _)): (usize, (&Need<'_>, &Fared))| {
        let module = match need.of {
            Of::Kernel => None,
            Of::Module(m) => Some(m.name.clone()),
        };
        Some((n, WantedFile { module, build_id: need.build_id.clone()? }))
    };
    all.filter_map(file).collect()
}

/// Notes how they fared.
fn settle(
    fared: &mut [Fared],
    wanted: &[(usize, WantedFile)],
    brought: impl Iterator<Item = Result<PathBuf, String>>,
) {
    for ((n, _), one) in wanted.iter().zip(brought) {
        let Some(Err(whys)) = fared.get(*n) else { continue };
        let mut whys = whys.clone();
        let new = one.map_err(|why| {
            whys.push(why);
            whys
        });
        if let Some(place) = fared.get_mut(*n) {
            *place = new;
        }
    }
}

fn shown(s: &Session, needs: &[Need<'_>], fared: Vec<Fared>) -> Report {
    let mut report = Report::new("debuginfo");
    report.line(heading());
    let mut rows = Vec::new();
    let mut errors: Vec<(String, String)> = Vec::new();
    for (need, fared) in needs.iter().zip(fared) {
        let place = match fared {
            Ok(path) => Cell::from(s.opened().machine.image.shown(&path)),
            Err(whys) => {
                let why = if whys.is_empty() { "was not asked for".to_owned() } else { whys.join("; ") };
                errors.push((need.name().to_owned(), why.clone()));
                Cell::absent("not there", why)
            }
        };
        rows.push(row(need, place));
    }
    report.list("files", rows);
    // a server that is silent is so for all files
    while let Some((first, why)) = errors.first().cloned() {
        let alike: Vec<String> =
            errors.iter().filter(|(_, other)| *other == why).map(|(name, _)| name.clone()).collect();
        errors.retain(|(_, other)| *other != why);
        let names = if alike.len() > 1 { alike.join(", ") } else { first };
        report.error(format!("debuginfo: {names}: {why}"));
    }
    note_modules(s, &mut report);
    report
}
