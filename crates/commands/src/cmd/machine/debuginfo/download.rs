//! A package of the distribution, brought by its own manager into a folder of the cache, and taken out of it.

use crate::{CommandError, Cx};
use debuginfo::find::{Finder, WantedFile, WantedPackage, is_package, scratch};
use kernel::Session;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a stop is looked for.
const TICK: Duration = Duration::from_millis(50);
/// What is told of what the manager says.
const LAST: usize = 300;

/// Brings the files: where each is, or why it is not there.
pub(super) fn bring(
    cx: &Cx<'_>,
    s: &Session,
    packages: &[WantedPackage],
    files: &[WantedFile],
) -> Result<Vec<Result<PathBuf, String>>, CommandError> {
    let mut problems = Vec::new();
    if packages.is_empty() {
        problems.push("the release is of no distribution that is known".to_owned());
    }
    for package in packages {
        let Some(words) = package.download() else {
            let how = package.command().unwrap_or_else(|| package.from.to_owned());
            problems.push(format!("{} cannot be downloaded from here: {how}", package.package));
            continue;
        };
        let folder = scratch(&package.package);
        let got = download(cx, &words, &folder);
        let brought = got.map(|()| take(s, &folder, files));
        let _ = std::fs::remove_dir_all(&folder); // what was in it is unpacked
        cx.cancel.check()?;
        match brought {
            Ok(brought) => return Ok(brought),
            Err(why) => problems.push(format!("{}: {why}", words.join(" "))),
        }
    }
    let why = problems.join("; ");
    Ok(files.iter().map(|_| Err(why.clone())).collect())
}

/// Runs the manager in an empty folder.
fn download(cx: &Cx<'_>, words: &[String], folder: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| e.to_string();
    let (program, rest) = words.split_first().ok_or("no command")?;
    let _ = std::fs::remove_dir_all(folder); // of a process that had this number
    std::fs::create_dir_all(folder).map_err(failed)?;
    let said = folder.join("said");
    let out = File::create(&said).map_err(failed)?;
    let mut command = Command::new(program);
    command.args(rest).current_dir(folder).stdin(Stdio::null());
    command.stdout(out.try_clone().map_err(failed)?).stderr(out);
    let child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("{program} is not on this machine"),
        _ => e.to_string(),
    })?;
    let is_good = wait(cx, child, program).map_err(failed)?;
    if is_good {
        return Ok(());
    }
    let text = std::fs::read(&said).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last: String = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it failed")
        .chars()
        .take(LAST)
        .collect();
    Err(last)
}

/// Waits for it, and ends it on Ctrl-C.
fn wait(cx: &Cx<'_>, mut child: Child, program: &str) -> std::io::Result<bool> {
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Ok(status.success());
        }
        if cx.cancel.is_cancelled() {
            let _ = child.kill(); // it may have ended meanwhile
            break child.wait().map(|_| false);
        }
        cx.progress.step(program, 0, 0);
        std::thread::sleep(TICK);
    };
    cx.progress.finish();
    ended
}

/// Takes the files out of the packages in a folder.
fn take(s: &Session, folder: &Path, files: &[WantedFile]) -> Vec<Result<PathBuf, String>> {
    let release = s.opened().release().unwrap_or_default();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let packages: Vec<PathBuf> = entries.filter(|path| is_package(path)).collect();
    let finder =
        packages.iter().fold(Finder::named(&release), |finder, package| finder.with_package(package));
    let finder = finder.with_watch(s.opened().watch.clone());
    let all =
        || files.iter().filter_map(|f| Some((f.module.clone()?, f.build_id.clone()))).collect::<Vec<_>>();
    let one = |file: &WantedFile| {
        let search = match &file.module {
            None => finder.vmlinux(Some(&file.build_id)),
            Some(name) => finder.module_among(name, Some(&file.build_id), &all),
        };
        let found = search.found.filter(|found| found.has_dwarf).map(|found| found.path);
        let told = search.tried.iter().rev().find(|t| packages.contains(&t.path));
        found.ok_or_else(|| match told {
            Some(t) => format!("{}: {}", t.path.file_name().unwrap_or_default().to_string_lossy(), t.outcome),
            None => "the package that was downloaded does not hold it".to_owned(),
        })
    };
    files.iter().map(one).collect()
}
