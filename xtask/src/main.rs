//! The project's tasks: `cargo xtask TASK`.
//!
//! One module a task. `setup` and `corpus` need root on a Debian machine; the others need nothing but Rust.

mod bench;
mod clients;
mod corpus;
mod dist;
mod fuzz;
mod kdump;
mod package;
mod python;
mod run;
mod same;
mod setup;
mod suite;
mod test;
mod tidy;
mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs by apt what the corpus and the tests need (as root).
    Setup(setup::Args),
    /// Builds real kernel dumps, each with the truth its guest told, in the user's cache folder.
    Corpus(corpus::Args),
    /// Checks the house rules: allowed dependencies, file headers.
    Tidy(tidy::Args),
    /// Compares what a commit answers about every dump at hand with what this checkout answers.
    Same(same::Args),
    /// Compares the bytes of libkdumpfile's generated dumps, as it reads them and as crashlens does.
    Suite(suite::Args),
    /// Lets a client of the Model Context Protocol ask `crashlens mcp`, and a browser open the page of `crashlens report`.
    Clients(clients::Args),
    /// Measures crashlens beside its peers.
    Bench(bench::Args),
    /// Makes the static program and its packages (to install tools and to check them, as root).
    Dist(dist::Args),
    /// Lets a guest die, and its crash kernel say why before the dump is saved (packaging/kdump).
    Kdump(kdump::Args),
    /// Runs the hermetic tests, and the truth tests on the corpus.
    Test(test::Args),
    /// Holds verdict to the zoo and writes the results into docs/VERDICT.md.
    Zoo(zoo::Args),
    /// Packs the crates and builds the library's examples outside of the workspace.
    Package(package::Args),
    /// Builds the wheel, and runs its tests on the shipped sample.
    Python(python::Args),
    /// Runs the fuzz targets.
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup(args) => setup::run(&args),
        Task::Corpus(args) => corpus::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Same(args) => same::run(&args),
        Task::Suite(args) => suite::run(&args),
        Task::Clients(args) => clients::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Dist(args) => dist::run(&args),
        Task::Kdump(args) => kdump::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Zoo(args) => zoo::run(&args),
        Task::Package(args) => package::run(&args),
        Task::Python(args) => python::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
