//! `crashlens bt vmcore -a`: tells the command, its arguments, the files and the program's options apart.
//!
//! The first word that is no option names a command where it is one and no file of that name is there.
//! After it, words that name files are files, the program's long options are the program's, the rest is
//! the command's; after `--` all is the command's.

use commands::{Settings, find};
use std::ffi::OsString;

/// A command line in its parts.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Split {
    /// What clap reads: options and files.
    pub(crate) options: Vec<OsString>,
    /// The command and its arguments.
    pub(crate) command: Option<Vec<String>>,
}

/// Splits a command line; `exists` says whether a word names a file.
pub(crate) fn split(words: &[OsString], cli: &clap::Command, exists: &dyn Fn(&str) -> bool) -> Split {
    let whole = || Split { options: words.to_vec(), command: None };
    let Some(at) = first_operand(words, cli) else { return whole() };
    let Some(name) = words.get(at).and_then(|w| w.to_str()) else { return whole() };
    let aliases = Settings::default().aliases;
    if exists(name) || !(find(name).is_some() || aliases.get(name).is_some()) {
        return whole();
    }
    let mut options: Vec<OsString> = words.iter().take(at).cloned().collect();
    let mut command = vec![name.to_owned()];
    let mut rest = words.iter().skip(at.saturating_add(1));
    // help's operand is a command, eval's a number: only commands about a dump take files
    let takes_files = !matches!(name, "help" | "man" | "eval" | "ascii" | "btop" | "ptob" | "alias");
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            break;
        }
        match program_option(&text, cli, name) {
            Some(takes_value) => {
                options.push(word.clone());
                if takes_value && !text.contains('=') {
                    options.extend(rest.next().cloned());
                }
            }
            None if takes_files && !text.starts_with('-') && exists(&text) => options.push(word.clone()),
            // what looks like a path is a file that is not there: opening it says so
            None if takes_files && text.starts_with(['/', '.']) && text.contains('/') => {
                options.push(word.clone())
            }
            None => command.push(text.into_owned()),
        }
    }
    command.extend(rest.map(|w| w.to_string_lossy().into_owned()));
    Split { options, command: Some(command) }
}

/// The place of the first word that is neither an option nor an option's value.
fn first_operand(words: &[OsString], cli: &clap::Command) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let text = word.to_string_lossy();
        if text == "--" {
            return None;
        }
        if !text.starts_with('-') || text == "-" {
            return Some(at);
        }
        let takes_value = match text.strip_prefix("--") {
            Some(long) => !long.contains('=') && option(cli, |a| has_long(a, long)).unwrap_or(false),
            // in a cluster the first option with a value takes the rest of the word, or the next word
            None => {
                let letters: Vec<char> = text.chars().skip(1).collect();
                let valued =
                    letters.iter().position(|c| option(cli, |a| a.get_short() == Some(*c)).unwrap_or(false));
                valued.is_some_and(|i| i.saturating_add(1) == letters.len())
            }
        };
        at = at.saturating_add(1 + usize::from(takes_value));
    }
    None
}

/// Whether the option that `is` picks takes a value in the next word; `None` where there is none.
fn option(cli: &clap::Command, is: impl Fn(&clap::Arg) -> bool) -> Option<bool> {
    let arg = cli.get_arguments().find(|a| is(a))?;
    Some(arg.get_action().takes_values() && !arg.is_require_equals_set())
}

fn has_long(arg: &clap::Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
}

/// Whether a word behind the command is a long option of the program and takes a value; `None` where it
/// is the command's own.
fn program_option(text: &str, cli: &clap::Command, command: &str) -> Option<bool> {
    let long = text.strip_prefix("--")?;
    let name = long.split('=').next().unwrap_or(long);
    let own = find(command).is_some_and(|c| c.clap().get_arguments().any(|a| has_long(a, name)));
    if own { None } else { option(cli, |a| has_long(a, name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn check(line: &str, options: &str, command: Option<&str>) {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let exists = |w: &str| ["vmcore", "vmlinux", "log"].contains(&w);
        let got = split(&words(line), &crate::cli::Cli::command(), &exists);
        let command = command.map(|c| c.split_whitespace().map(str::to_owned).collect());
        assert_eq!(got, Split { options: words(options), command }, "{line}");
    }

    #[test]
    fn commands_files_and_options() {
        check("vmcore vmlinux", "vmcore vmlinux", None);
        check("vmcore -c set", "vmcore -c set", None);
        check("set vmcore -v", "vmcore", Some("set -v"));
        check("--json set vmcore vmlinux -v --no-pager", "--json vmcore vmlinux --no-pager", Some("set -v"));
        check("-s set --mod log vmcore radix 16", "-s --mod log vmcore", Some("set radix 16"));
        check("set vmcore -- vmlinux --json", "vmcore", Some("set vmlinux --json"));
        check("-c set vmcore", "-c set vmcore", None);
        check("-si set vmcore", "-si set vmcore", None);
        check("--color=never set vmcore", "--color=never vmcore", Some("set"));
        check("--color set vmcore", "--color vmcore", Some("set"));
        check("set ./gone", "./gone", Some("set"));
        // a file of the command's name wins
        check("log vmcore", "log vmcore", None);
        check("help set --json", "--json", Some("help set"));
        check("eval -b 5", "", Some("eval -b 5"));
        check("quit", "", Some("quit"));
        check("nosuch vmcore", "nosuch vmcore", None);
        check("--", "--", None);
    }
}
