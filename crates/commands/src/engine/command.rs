//! What a command is, and how its words become arguments.

use crate::engine::help;
use crate::{CommandError, Cx, Layer};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};
use kernel::Fetch;
use report::Report;

/// One example of a command: shown in its help, and run as a test.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What is typed.
    pub line: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What it prints; empty where that depends on the dump.
    pub output: &'static str,
}

impl Example {
    /// An example whose output depends on the dump.
    #[must_use]
    pub const fn new(line: &'static str, about: &'static str) -> Self {
        Self { line, about, output: "" }
    }
}

/// True where one of the words is a group of single letters with one of these among them: `-l`, `-fl`.
pub(crate) fn has_letter(words: &[String], letters: &[char]) -> bool {
    let groups = words.iter().filter(|word| word.starts_with('-') && !word.starts_with("--"));
    groups.into_iter().any(|word| word.contains(letters))
}

/// One command.
pub trait Command: Sync {
    /// What is typed.
    fn name(&self) -> &'static str;
    /// What it does, in a few words.
    fn about(&self) -> &'static str;
    /// More about it, for its help page.
    fn details(&self) -> &'static str {
        ""
    }
    /// Whether debug files that have to be fetched can change its answer; `words` are those behind its name.
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Always
    }
    /// Adds its arguments to `clap`, which already has its name and `--help`.
    fn args(&self, clap: clap::Command) -> clap::Command;
    /// Examples, at least one.
    fn examples(&self) -> &'static [Example];
    /// Words of crash's that clap would read otherwise, and what stands for each:
    /// `("-panic", "--panic")`.
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    /// Brings crash's getopt forms into clap's; the words are those after the command's name.
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        respelled(words, self.respell())
    }
    /// True where a line whose first word is no command is meant for this one (`task_struct 0xff…`
    /// for `struct`); `words` is the whole line.
    fn claims(&self, _cx: &Cx<'_>, _words: &[String]) -> bool {
        false
    }
    /// The lowest layer of an opened dump that it needs with these arguments: it works as soon as that one stands.
    fn needs(&self, _args: &ArgMatches) -> Layer {
        Layer::Session
    }
    /// Does it.
    fn run(&self, cx: &mut Cx<'_>, args: &ArgMatches) -> Result<Report, CommandError>;

    /// Its whole clap command: for parsing, help, completion and the man page.
    fn clap(&self) -> clap::Command {
        let base = clap::Command::new(self.name())
            .about(self.about())
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args_override_self(true)
            .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Show this help"));
        self.args(base)
    }
    /// Reads its words.
    fn parse(&self, words: Vec<String>) -> Result<ArgMatches, CommandError> {
        self.clap().try_get_matches_from(self.normalise(words)).map_err(|e| usage_error(self, &e))
    }
}

impl std::fmt::Debug for dyn Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Replaces whole words by what stands for them; words after `--` are left alone.
#[must_use]
pub fn respelled(words: Vec<String>, table: &[(&str, &str)]) -> Vec<String> {
    let mut open = true;
    words
        .into_iter()
        .map(|word| {
            open &= word != "--";
            match table.iter().find(|(from, _)| open && *from == word) {
                Some((_, to)) => (*to).to_owned(),
                None => word,
            }
        })
        .collect()
}

/// Puts `--` before the first word that is no option, for commands whose operands are expressions and
/// may begin with `-` (`eval -5`, `p -x -jiffies`). `flags` are the one-letter options without value,
/// `valued` those with one (`-o 8` or `-o8`); words that begin with `--` are options as well. A single letter that is
/// neither is left for clap to refuse: a number begins with a digit, and a name has more than a letter.
#[must_use]
pub fn after_options(words: Vec<String>, flags: &str, valued: &str) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len() + 1);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            out.push(word);
            break;
        }
        let is_long = word.strip_prefix("--").is_some_and(|rest| rest.starts_with(char::is_alphabetic));
        let letters = word.strip_prefix('-').unwrap_or("");
        let needs_value = match cluster(letters, flags, valued) {
            Some(needs) => needs,
            None if is_long || is_no_option_of_ours(letters) => false,
            None => {
                out.push("--".to_owned());
                out.push(word);
                break;
            }
        };
        out.push(word);
        if needs_value {
            out.extend(words.next());
        }
    }
    out.extend(words);
    out
}

/// True for a single letter: the user takes it for an option, and is told that it is none.
fn is_no_option_of_ours(letters: &str) -> bool {
    letters.len() == 1 && letters.chars().all(|c| c.is_ascii_alphabetic())
}

/// Whether `letters` is a cluster of options, and whether its value is the next word.
fn cluster(letters: &str, flags: &str, valued: &str) -> Option<bool> {
    let mut rest = letters.chars();
    rest.clone().next()?;
    while let Some(letter) = rest.next() {
        if valued.contains(letter) {
            return Some(rest.as_str().is_empty());
        }
        if !flags.contains(letter) {
            return None;
        }
    }
    Some(false)
}

fn usage_error<C: Command + ?Sized>(command: &C, error: &clap::Error) -> CommandError {
    if error.kind() == ErrorKind::DisplayHelp {
        return CommandError::Help(Box::new(help::page_of(
            command.name(),
            &command.clap(),
            command.respell(),
            command.details(),
            command.examples(),
        )));
    }
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => Some(arg.as_str()),
        _ => None,
    };
    let message = match (error.kind(), invalid) {
        (ErrorKind::UnknownArgument, Some(arg)) => match arg.strip_prefix('-') {
            Some(letter) if !letter.starts_with('-') && !letter.is_empty() => {
                format!("invalid option -- '{letter}'")
            }
            Some(_) => format!("invalid option: {arg}"),
            None => format!("unexpected argument: {arg}"),
        },
        _ => {
            let text = error.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let end = text.find("\n\n").unwrap_or(text.len());
            let first = text.get(..end).unwrap_or(text);
            first.split_whitespace().collect::<Vec<_>>().join(" ")
        }
    };
    CommandError::Usage {
        command: command.name().to_owned(),
        message,
        usage: help::synopsis(&command.clap(), command.respell()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn whole_words_are_respelled_before_the_operands() {
        let table = [("-panic", "--panic"), ("-16", "--16")];
        assert_eq!(respelled(words("-panic -1 -- -16"), &table), words("--panic -1 -- -16"));
    }

    #[test]
    fn expressions_may_begin_with_a_minus() {
        for (given, want) in [
            ("-5", "-- -5"),
            ("-b -5", "-b -- -5"),
            ("-bl (1 << 2)", "-bl -- (1 << 2)"),
            ("-o8 -jiffies", "-o8 -- -jiffies"),
            ("-o 8 -9", "-o 8 -- -9"),
            ("-lo 8 x", "-lo 8 -- x"),
            ("--json a", "--json -- a"),
            ("--i", "--i"),
            ("-- -b", "-- -b"),
            ("- 5", "-- - 5"),
            ("-x 5", "-x -- 5"),
            ("-a", "-a"),
            ("-d -5", "-d -- -5"),
            ("-xy", "-- -xy"),
            ("", ""),
        ] {
            assert_eq!(after_options(words(given), "bl", "o"), words(want), "{given}");
        }
    }
}
