//! crash 9 and crashlens on the same dumps: the same frames, tasks, symbols, log, memory; each difference is explained.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crashlens_truth::beside::known::KNOWN;
use crashlens_truth::beside::{Beside, Group};
use crashlens_truth::peers::Crash;
use crashlens_truth::{Case, corpus};

fn crash() -> Option<&'static Crash> {
    static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
    CRASH.get_or_init(|| Crash::find().unwrap()).as_ref()
}

/// The cases that crash can be asked about: it needs a vmlinux.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let cases: Vec<Case> =
            corpus().unwrap().into_iter().filter(|case| case.dir.join("vmlinux").exists()).collect();
        if cases.is_empty() {
            eprintln!("no corpus: nothing was compared; `cargo xtask corpus` builds it");
        }
        cases
    })
}

fn check(group: Group) {
    let Some(crash) = crash() else { return };
    let mut used = BTreeMap::new();
    let mut report = String::new();
    let (mut good, mut unopened) = (0, 0);
    for case in cases() {
        let found = match Beside::ask(crash, case, group) {
            Ok(beside) => beside.compare(&mut used),
            Err(error) => Ok(vec![error]),
        };
        match found {
            Ok(found) if found.is_empty() => good += 1,
            Ok(found) => {
                for difference in found {
                    report.push_str(&format!("  {}: {difference}\n", case.name));
                }
            }
            Err(why) => {
                println!("{}: crash does not open it: {why}", case.name);
                unopened += 1;
            }
        }
    }
    println!("{group:?}: {good} cases agree; crash does not open {unopened}");
    for entry in KNOWN {
        if let Some(lines) = used.get(entry.what) {
            println!("  {lines:>6} lines: {}: {}", entry.what, entry.why);
        }
    }
    assert!(report.is_empty(), "{group:?}:\n{report}");
}

#[test]
fn frames_and_registers() {
    check(Group::Frames);
}

#[test]
fn tasks() {
    check(Group::Tasks);
}

#[test]
fn symbols() {
    check(Group::Symbols);
}

#[test]
fn the_machine_its_log_and_modules() {
    check(Group::System);
}

#[test]
fn memory() {
    check(Group::Memory);
}
