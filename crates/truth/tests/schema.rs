//! Every answer in JSON is what docs/schema says: no member that it does not name, no value of another type.
//! `UPDATE_SCHEMAS=1` adds what is new; review the difference, and that nothing was taken away.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test says what it compared")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crashlens_truth::program::root;
use crashlens_truth::schema::{Schemas, answers, examples, folder, more};
use crashlens_truth::zoo::zoo;
use crashlens_truth::{State, corpus, corpus_arm64};
use jsonschema::Validator;
use serde_json::Value;

/// Asks all examples about dumps, each with a name, and holds the answers to the schemas. One dump's answers at a time: those
/// of a whole corpus fill a small machine's memory.
fn hold(dumps: &[(String, Vec<PathBuf>)], lines: &[String]) {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut known = validators();
    let mut wrong = String::new();
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for (name, files) in dumps {
        let answers = answers(files, lines).unwrap();
        if update {
            let mut schemas = Schemas::read(&folder()).unwrap();
            answers.iter().for_each(|answer| schemas.learn(answer));
            schemas.write(&folder()).unwrap();
            known = validators();
        }
        for answer in &answers {
            let command = answer["command"].as_str().unwrap();
            let Some(validator) = known.get(command) else {
                wrong.push_str(&format!("{name}: {command}: no schema\n"));
                continue;
            };
            *held.entry(command.to_owned()).or_default() += 1;
            wrong.push_str(&errors(name, command, validator, answer));
        }
    }
    let count: usize = held.values().sum();
    println!(
        "{count} answers of {} commands about {} dumps are held to their schemas",
        held.len(),
        dumps.len()
    );
    assert!(wrong.is_empty(), "UPDATE_SCHEMAS=1 adds what is right:\n{wrong}");
}

/// What an answer has against its schema, a line each: the first three.
fn errors(name: &str, command: &str, validator: &Validator, answer: &Value) -> String {
    let mut out = String::new();
    for error in validator.iter_errors(answer).take(3) {
        let text: String = error.to_string().chars().take(300).collect();
        out.push_str(&format!("{name}: {command} {}: {}: {text}\n", answer["args"], error.instance_path()));
    }
    out
}

fn validators() -> BTreeMap<String, Validator> {
    let entries = std::fs::read_dir(folder()).unwrap().flatten().map(|entry| entry.path());
    entries
        .map(|path| {
            let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let name =
                schema.pointer("/properties/command/const").and_then(Value::as_str).unwrap().to_owned();
            (name, jsonschema::validator_for(&schema).unwrap())
        })
        .collect()
}

fn all_lines() -> Vec<String> {
    examples().unwrap().into_iter().chain(more()).collect()
}

#[test]
fn answers_about_the_sample() {
    hold(&[("sample".to_owned(), vec![root().join("samples/virtio-bug.kdump")])], &all_lines());
}

/// What reads the text of a log.
#[test]
fn answers_about_a_log() {
    let log = root().join("crates/truth/tests/log/bug.txt");
    let lines = ["verdict", "verdict -v", "verdict -b", "log", "log -m", "sys"].map(str::to_owned);
    hold(&[("log".to_owned(), vec![log])], &lines);
}

/// With and without the kernel's file. What is not built yet is held when it is.
#[test]
fn answers_about_the_corpus() {
    let mut dumps = Vec::new();
    for case in corpus().unwrap().into_iter().chain(corpus_arm64().unwrap_or_default()) {
        for state in [State::Alone, State::Kernel] {
            let debug = case.debug_files(state);
            if let (Some(files), true) =
                (case.dumps().into_iter().next(), debug.iter().all(|file| file.exists()))
            {
                dumps.push((format!("{} {state:?}", case.name), [files, debug].concat()));
            }
        }
    }
    hold(&dumps, &all_lines());
}

/// Each death has words of its own.
#[test]
fn verdicts_about_the_zoo() {
    let states = [State::Alone, State::Modules];
    let dumps = zoo()
        .unwrap()
        .into_iter()
        .flat_map(|case| states.map(|state| (format!("{} {state:?}", case.name), case.files(state))));
    let lines = ["verdict", "verdict -v", "info", "sys", "bt -a", "locks", "log"].map(str::to_owned);
    hold(&dumps.collect::<Vec<_>>(), &lines);
}

/// Every command that is asked has a schema, and no schema is of a command that is gone.
#[test]
fn every_command_has_one() {
    let lines = examples().unwrap();
    let answers = answers(&[root().join("samples/virtio-bug.kdump")], &lines).unwrap();
    let asked: BTreeSet<&str> = answers.iter().filter_map(|answer| answer["command"].as_str()).collect();
    let schemas = Schemas::read(&folder()).unwrap();
    let known: BTreeSet<&str> = schemas.commands().collect();
    assert_eq!(asked.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "no schema");
    // what no example of the sample answers is still a command
    let gone: Vec<&&str> =
        known.iter().filter(|name| !lines.iter().any(|line| line.starts_with(**name))).collect();
    assert!(gone.is_empty(), "no command: {gone:?}");
}
