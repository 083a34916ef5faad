//! The crashlens program: reads the command line, opens the dump, and hands over to the shell. A library, so that another
//! program can be it: the wheel's `crashlens` is, with a user's commands in Python.

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

use base::Cancel;
use clap::{CommandFactory, FromArgMatches};
use kernel::Layers;
use shell::Ended;
use std::ffi::OsString;
use std::sync::Arc;

/// What a program that is crashlens is told: the dump once it is open, and what stops its work.
pub type Opened<'o> = dyn Fn(&Arc<Layers>, &Cancel) + 'o;

/// Does what the words behind the program's name say; the exit code. Commands that are to be there are added before
/// ([`commands::add`]).
#[must_use]
pub fn main(mut words: Vec<OsString>, opened: &Opened<'_>) -> u8 {
    // crash's `-h COMMAND`
    if let [help, _] = words.as_mut_slice()
        && (help == "-h" || help == "--help")
    {
        *help = "help".into();
    }
    let options = cli::Cli::command();
    if let Some(why) = split::misplaced(&words, &options, &split::input) {
        shell::say(&format!("crashlens: {why}"));
        return Ended::Usage.code();
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
    match run::run(&cli, &split, opened) {
        Ok(ended) => ended.code(),
        Err(why) => {
            run::failed(&cli, &why);
            why.ended().code()
        }
    }
}

/// What clap says: help and version, which were asked for, or what is wrong with the command line.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    if error.use_stderr() {
        shell::say_lines(&text);
        return Ended::Usage.code();
    }
    match shell::print(&text) {
        Ok(()) => Ended::Good.code(),
        Err(_) => Ended::Failed.code(),
    }
}
