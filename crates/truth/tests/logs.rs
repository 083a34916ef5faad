//! Verdicts of consoles' logs alone, without the dumps: held against those of the dumps of the same deaths.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test says how many are alike, and what it left out")]

use crashlens_truth::zoo::zoo;
use crashlens_truth::{corpus, program};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A death: its name, the log of its console, the files of its dump, its debug files.
struct Death {
    name: String,
    console: PathBuf,
    dump: Vec<PathBuf>,
    debug: Vec<PathBuf>,
}

/// Those of the zoo and the corpus that have a console's log.
fn deaths() -> Vec<Death> {
    let of_zoo = zoo().unwrap().into_iter().map(|case| Death {
        console: case.dir.join("console.log"),
        dump: vec![case.dir.join("dump")],
        debug: vec![case.dir.join("vmlinux"), case.dir.join("zoo.ko")],
        name: case.name,
    });
    let of_corpus = corpus().unwrap().into_iter().filter_map(|case| {
        Some(Death {
            console: case.dir.join("console.txt"),
            dump: case.dumps().into_iter().next()?,
            debug: case.debug_files(crashlens_truth::State::Modules),
            name: case.name,
        })
    });
    of_zoo.chain(of_corpus).filter(|death| death.console.exists()).collect()
}

/// The verdict over some files.
fn verdict(files: &[PathBuf]) -> Value {
    let files = files.iter().map(|file| file.display().to_string());
    let own = ["--no-search", "--json", "verdict"].map(str::to_owned);
    let args: Vec<String> = own.into_iter().chain(files).collect();
    let (_, out, complaint) = program::run_whatever(&args).unwrap();
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {complaint}"));
    answer.get("data").cloned().unwrap_or_default()
}

/// A part of a verdict as text.
fn part(verdict: &Value, path: &str) -> String {
    verdict.pointer(path).map(ToString::to_string).unwrap_or_default()
}

fn with(console: &Path, debug: &[PathBuf]) -> Vec<PathBuf> {
    [console.to_path_buf()].into_iter().chain(debug.iter().cloned()).collect()
}

#[test]
fn a_log_has_the_dump_s_signature() {
    let deaths = deaths();
    if deaths.is_empty() {
        println!("no console's log: nothing was compared; `cargo xtask corpus --zoo` builds some");
        return;
    }
    let (mut count, mut alike, mut wrong, mut other) = (0_usize, 0_usize, Vec::new(), Vec::new());
    for death in &deaths {
        let whole = verdict(&death.dump);
        if part(&whole, "/class") == "\"unknown\"" {
            println!("{}: the dump itself does not tell", death.name);
            continue;
        }
        let alone = verdict(&with(&death.console, &[]));
        if part(&whole, "/class") == "\"alive\"" {
            // what became of the machine later is not in a log
            assert_eq!(part(&alone, "/class"), "\"unknown\"", "{}", death.name);
            continue;
        }
        count += 1;
        let signature = part(&whole, "/signature");
        match part(&alone, "/signature") == signature {
            true => alike += 1,
            false => other.push(format!("  {}: {} of {signature}", death.name, part(&alone, "/signature"))),
        }
        if part(&alone, "/class") != part(&whole, "/class") {
            wrong.push(format!("  {}: {} of {}", death.name, part(&alone, "/class"), part(&whole, "/class")));
        }
        for place in ["/place/function", "/place/offset", "/place/module"] {
            let (own, truth) = (part(&alone, place), part(&whole, place));
            if own != truth {
                wrong.push(format!("  {}: {place} {own} of {truth}", death.name));
            }
        }
        if !death.debug.is_empty() {
            let lined = verdict(&with(&death.console, &death.debug));
            let own = part(&lined, "/signature");
            if own != part(&alone, "/signature") {
                wrong.push(format!("  {}: with debug files {own}", death.name));
            }
        }
    }
    println!("{alike} of {count} logs have the dump's signature\n{}", other.join("\n"));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(alike * 100 >= count * 95, "under 95 of 100:\n{}", other.join("\n"));
}
