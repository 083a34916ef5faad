//! The crashlens program: reads the command line, opens the dump, and hands over to the shell.

mod cli;
mod crash_options;
mod failure;
mod man;
mod names;
mod opening;
mod report;
mod run;
mod split;
mod triage;
mod verbs;

use clap::{CommandFactory, FromArgMatches};
use shell::Ended;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // crash's `-h COMMAND`
    if let [help, _] = words.as_mut_slice()
        && (help == "-h" || help == "--help")
    {
        *help = "help".into();
    }
    let options = cli::Cli::command();
    if let Some(why) = split::misplaced(&words, &options, &split::input) {
        shell::say(&format!("crashlens: {why}"));
        return ExitCode::from(Ended::Usage.code());
    }
    let split = split::split(&words, &options, &split::input);
    let matches = cli::Cli::command()
        .no_binary_name(true)
        .try_get_matches_from(&split.options)
        .and_then(|m| cli::Cli::from_arg_matches(&m));
    let cli = match matches {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run::run(&cli, &split) {
        Ok(ended) => ExitCode::from(ended.code()),
        Err(why) => {
            run::failed(&cli, &why);
            ExitCode::from(why.ended().code())
        }
    }
}

/// What clap says: help and version, which were asked for, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() {
        shell::say_lines(&text);
        return ExitCode::from(Ended::Usage.code());
    }
    match shell::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
