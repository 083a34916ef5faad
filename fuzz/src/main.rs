//! `cargo run --release --manifest-path fuzz/Cargo.toml -- TARGET|all [--seconds N] [--seed S]`, or
//! `TARGET FILE...` to run inputs again; without arguments, the list of targets.
//!
//! A driver of our own on stable Rust instead of libFuzzer, whose instrumentation needs a nightly
//! compiler: every machine that builds crashlens can run it. A target is a function from bytes to a
//! number that stands for what happened; inputs that made something new happen, or new code run, are mutated further.
//! A panic, an input that takes longer than [`driver::HANG`] and one that wants more memory than
//! [`driver::MEMORY`] are findings: the input is kept in `fuzz/artifacts/TARGET/`.
//!
//! To add a parser: a function in `targets/`, and a row in its file's `TARGETS`. What a run finds is
//! fixed and kept as a test of the parser's crate.

mod coverage;
mod driver;
mod mutate;
mod targets;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("fuzz: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let Some((name, rest)) = args.split_first() else {
        for target in targets::all() {
            println!("{:20} {}", target.name, target.about);
        }
        return Ok(());
    };
    let chosen: Vec<_> = targets::all().filter(|t| name == "all" || name == t.name).collect();
    if chosen.is_empty() {
        return Err(format!("no target {name}; without arguments, the targets are listed"));
    }
    let mut options = driver::Options { time: Duration::from_secs(60), seed: 1 };
    let mut files = Vec::new();
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        let mut number = || {
            let value = rest.next().ok_or_else(|| format!("{arg} wants a number"))?;
            value.parse::<u64>().map_err(|_| format!("{arg}: {value} is no number"))
        };
        match arg.as_str() {
            "--seconds" => options.time = Duration::from_secs(number()?),
            "--seed" => options.seed = number()?,
            file => files.push(file.to_owned()),
        }
    }
    for target in chosen {
        if files.is_empty() {
            driver::fuzz(target, &options)?;
        } else {
            driver::replay(target, &files)?;
        }
    }
    Ok(())
}
