//! The crashlens program: reads the command line, opens the dump, and hands over to the shell. A library, so that another
//! program can be it: the wheel's `crashlens` is, with a user's commands in Python.

mod as_crash;
mod cli;
mod completion;
mod crash_options;
mod failure;
mod limit;
mod limits;
mod man;
mod names;
mod opening;
mod report;
mod run;
mod sandbox;
mod split;
mod standard;
mod triage;
mod verb;
mod verbs;

use base::Cancel;
use clap::{CommandFactory, FromArgMatches};
use kernel::Layers;
use shell::Ended;
use std::ffi::OsString;
use std::sync::Arc;

/// What a program that is crashlens is told: the dump once it is open, and what stops its work.
pub type Opened<'o> = dyn Fn(&Arc<Layers>, &Cancel) + 'o;

/// Does what the words say, of which the first is the program's name: called as `crash`, it takes crash's. The exit code.
#[must_use]
pub fn program(mut words: impl Iterator<Item = OsString>, opened: &Opened<'_>) -> u8 {
    let as_crash = words.next().is_some_and(|name| as_crash::is_called(&name));
    let words: Vec<OsString> = words.collect();
    if as_crash { crash(words, opened) } else { main(words, opened) }
}

/// Does what the words behind the program's name say; the exit code. Commands that are to be there are added before
/// ([`commands::add`]).
#[must_use]
pub fn main(mut words: Vec<OsString>, opened: &Opened<'_>) -> u8 {
    if let Some(page) = as_crash::help_page(&words) {
        words = page.into_iter().map(OsString::from).collect();
    }
    let options = cli::Cli::command();
    let _log = match standard::taken(&mut words) {
        Ok(file) => file,
        Err(error) => {
            shell::say(&format!("crashlens: standard input: {error}"));
            return Ended::Failed.code();
        }
    };
    if let Some(why) = split::misplaced(&words, &options, &split::input) {
        match words.iter().any(|word| word == "--json") {
            true => shell::print_error_json(&why),
            false => shell::say(&format!("crashlens: {why}")),
        }
        return Ended::Usage.code();
    }
    let split = split::split(&words, &options, &split::input);
    let cli = match parse(&split.options) {
        Ok(cli) => cli,
        Err(error) if split.options.iter().any(|word| word == "--json") && error.use_stderr() => {
            shell::print_error_json(error.render().to_string().trim_end());
            return Ended::Usage.code();
        }
        Err(error) => return usage(&error).code(),
    };
    match run::run(&cli, &split, opened) {
        Ok(ended) => ended.code(),
        Err(why) => {
            run::failed(&cli, &why);
            why.ended().code()
        }
    }
}

fn parse(words: &[OsString]) -> Result<cli::Cli, clap::Error> {
    let matches = cli::Cli::command().no_binary_name(true).try_get_matches_from(words)?;
    cli::Cli::from_arg_matches(&matches)
}

/// The program as crash: no word is a command, and what cannot begin ends with 1.
fn crash(words: Vec<OsString>, opened: &Opened<'_>) -> u8 {
    let command = as_crash::help_page(&words);
    let options = if command.is_some() { Vec::new() } else { words };
    let mut cli = match parse(&options) {
        Ok(cli) => cli,
        Err(error) => return u8::from(!usage(&error).is_good()),
    };
    cli.as_crash = true;
    cli.crash_compat = !cli.json && !cli.html;
    let split = split::Split { options, command, missing: None };
    match run::run(&cli, &split, opened) {
        Ok(ended) => u8::from(!ended.is_good()),
        Err(why) => {
            run::failed(&cli, &why);
            1
        }
    }
}

/// What clap says: help and version, which were asked for, or what is wrong with the command line.
fn usage(error: &clap::Error) -> Ended {
    let text = error.render().to_string();
    if error.use_stderr() {
        shell::say_lines(&text);
        return Ended::Usage;
    }
    Ended::of(shell::print(&text).is_ok())
}
