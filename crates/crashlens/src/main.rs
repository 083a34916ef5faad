//! The crashlens program: reads the command line, opens the dump, and hands over to the shell.

mod cli;
mod crash_options;
mod names;
mod run;
mod split;

use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // crash's `-h COMMAND`
    if let [help, _] = words.as_mut_slice()
        && (help == "-h" || help == "--help")
    {
        *help = "help".into();
    }
    let split = split::split(&words, &cli::Cli::command(), &|path| std::path::Path::new(path).exists());
    let matches = cli::Cli::command()
        .no_binary_name(true)
        .try_get_matches_from(&split.options)
        .and_then(|m| cli::Cli::from_arg_matches(&m));
    let cli = match matches {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // a usage error is an error like any other: 1, not clap's 2
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match run::run(&cli, split.command) {
        Ok(ended) => ExitCode::from(ended.code()),
        Err(message) => {
            run::failed(&cli, &message);
            ExitCode::FAILURE
        }
    }
}

/// A line on standard error; nobody is left to tell where that is gone.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
