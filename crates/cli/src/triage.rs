//! `crashlens triage`: many dumps.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::verbs::TriageArgs;
use base::Cancel;
use fleet::{End, Plan, Row};
use kernel::{FileKind, OpenOptions};
use shell::{Ended, Format, print_report, say};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Looks at the dumps and shows what they died of.
pub(crate) fn run(
    cli: &Cli,
    args: &TriageArgs,
    mut open: OpenOptions,
    cancel: &Cancel,
) -> Result<Ended, Failure> {
    if cli.html {
        return Err(Failure::Usage(
            "triage: answers as text, or with --json as data: not with --html".to_owned(),
        ));
    }
    let is_companion = |path: &PathBuf| kernel::file_kind(path) == Some(FileKind::Companion);
    let named = cli.files.iter().chain(&args.places).cloned();
    let (companions, places): (Vec<PathBuf>, Vec<PathBuf>) = named.partition(is_companion);
    if places.is_empty() {
        return Err(Failure::Usage(
            "triage: no folder was named\n\nUsage: crashlens triage DIR...".to_owned(),
        ));
    }
    if let Some(gone) = places.iter().find(|place| !place.exists()) {
        return Err(Failure::Failed(format!("{}: no such file or folder", gone.display())));
    }
    if let Some(known) = args.known.as_ref().filter(|known| !known.is_dir()) {
        return Err(Failure::Failed(format!("--known {}: no such folder", known.display())));
    }
    let found = fleet::find(&places);
    found.problems.iter().for_each(|why| say(&format!("crashlens: warning: {why}")));
    found.passed.iter().for_each(|what| say(&format!("crashlens: {what}")));
    shell::catch_interrupts(cancel);
    open.files = companions;
    let plan = Plan {
        dumps: found.dumps.clone(),
        open,
        known: args.known.clone(),
        jobs: args.jobs,
        state: args.state.clone(),
    };
    let format = if cli.json { Format::Json } else { Format::Text };
    let mut output = Ok(ControlFlow::Continue(()));
    let mut each = |row: &Row| {
        if format == Format::Json && matches!(output, Ok(ControlFlow::Continue(()))) {
            output = print_report(&fleet::row_report(row), format, row.file.to_str());
            // nobody reads any more
            if !matches!(output, Ok(ControlFlow::Continue(()))) {
                cancel.cancel();
            }
        }
    };
    let rows = fleet::run(&plan, cancel, &mut each).map_err(|e| Failure::Failed(e.to_string()))?;
    if output.map_err(|e| Failure::output(&e))?.is_break() {
        return Ok(Ended::Good);
    }
    show(&rows, &found, format)?;
    if cancel.is_cancelled() {
        let left = found.dumps.len().saturating_sub(rows.len());
        let why = cancel.ended().unwrap_or("stopped");
        say(&format!("crashlens: {why}: {left} dumps were not looked at"));
        if cancel.ended().is_some() {
            return Ok(Ended::Incomplete);
        }
        return Ok(Ended::Interrupted);
    }
    let worst = rows.iter().map(|row| row.end).max();
    Ok(match worst {
        Some(End::Failed) => Ended::Failed,
        Some(End::Incomplete) => Ended::Incomplete,
        Some(End::Undetermined) => Ended::Undetermined,
        Some(End::Whole) | None => Ended::of(found.problems.is_empty()),
    })
}

fn show(rows: &[Row], found: &fleet::Found, format: Format) -> Result<(), Failure> {
    let groups = fleet::groups(rows);
    let print = |report| print_report(&report, format, None).map(|_| ()).map_err(|e| Failure::output(&e));
    if format == Format::Json {
        for (n, group) in groups.iter().enumerate() {
            print(fleet::group_report(group, n.saturating_add(1)))?;
        }
    } else if !rows.is_empty() {
        print(fleet::table(rows, &groups))?;
    }
    print(fleet::summary(rows, &groups, found))
}
