//! `debuginfo find`.

use super::{heading, needs, note_modules, row};
use crate::{CommandError, Cx};
use debuginfo::find::{Tried, WantedPackage, wanted_packages};
use kernel::Session;
use kernel::debug::Need;
use report::{Cell, Line, Record, Report, Role};

pub(super) fn run(cx: &Cx<'_>, s: &Session, verbose: bool) -> Result<Report, CommandError> {
    let mut report = Report::new("debuginfo");
    let needs = needs(cx, s)?;
    report.line(heading());
    report.list("files", needs.iter().map(|need| found(s, need, verbose)).collect());
    let there = needs.iter().filter(|need| need.is_whole).count();
    report.blank();
    let needed = match s.modules_problem() {
        Some(e) => Cell::at_least(needs.len(), e.to_string()).lost_if(e.is_loss()),
        None => Cell::from(needs.len()),
    };
    let line = Line::new().field("there", there).text(" of ").field("needed", needed);
    report.line(line.text(" files are there"));
    if there < needs.len() {
        packages(s, &mut report);
        report.text("debuginfo fetch brings what is not there; debuginfo pack puts it into one file");
    }
    note_modules(s, &mut report);
    Ok(report)
}

fn found(s: &Session, need: &Need<'_>, verbose: bool) -> Record {
    let shown = |path: &std::path::PathBuf| s.opened().machine.image.shown(path);
    let place = match &need.path {
        Some(path) => Cell::from(shown(path)),
        None => Cell::absent("not there", "no file of this build is in any of the places"),
    };
    let mut record = row(need, place);
    record.hidden("has_debug_information", need.is_whole);
    if need.path.is_some() && !need.is_whole {
        record.line(Line::new().text("    it has symbols and no debug information"));
    }
    if verbose && !need.is_whole {
        record.list("tried", need.tried.iter().map(tried).collect());
    }
    record
}

fn tried(tried: &Tried) -> Record {
    let line = Line::new().text("    ").field("place", tried.path.display().to_string()).role(Role::Path);
    Record::of(line.text("  ").field("outcome", tried.outcome.to_string()))
}

/// The packages of the kernel's distribution that hold debug files.
pub(super) fn wanted(s: &Session) -> Vec<WantedPackage> {
    let release = kernel::machine::system::release(s).unwrap_or_default();
    let version = kernel::machine::system::version(s).unwrap_or_default();
    wanted_packages(&release, &version).into_iter().filter(WantedPackage::holds_files).collect()
}

fn packages(s: &Session, report: &mut Report) {
    let rows: Vec<Record> = wanted(s).iter().map(package).collect();
    if rows.is_empty() {
        report.text(
            "the release is of no distribution that is known: the vmlinux is where the kernel was built",
        );
        return;
    }
    report.list("packages", rows);
}

fn package(wanted: &WantedPackage) -> Record {
    let line = Line::new().field("distribution", wanted.distro).text(": ").field("package", wanted.spec());
    let mut record = Record::of(line.text(" from ").field("from", wanted.from));
    if let Some(command) = wanted.command() {
        record.line(Line::new().text("    ").field("command", command));
    }
    record
}
