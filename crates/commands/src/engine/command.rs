//! What a command is, and how its words become arguments.

use super::help;
use crate::engine::cx::{Cx, Layer};
use crate::engine::error::CommandError;
use crate::engine::writes::Writes;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, FromArgMatches as _};
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

/// A command as its author writes it: its arguments are a type, and `run` gets a value of that. Every `Run` is a [`Command`].
pub trait Run: Sync {
    /// What its words become; the comments of the fields are the help.
    type Args: clap::Args;
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
    /// What it writes beside its answer, with these arguments.
    fn writes(&self, _args: &Self::Args) -> Writes {
        Writes::NOTHING
    }
    /// True where its answer is for others' eyes: where the dump lies may name a person, and is not told with it.
    fn names_no_place(&self) -> bool {
        false
    }
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
    fn needs(&self, _args: &Self::Args) -> Layer {
        Layer::Session
    }
    /// True where it has an answer with these arguments if the text of a log is all that there is.
    fn reads_log(&self, _args: &Self::Args) -> bool {
        false
    }
    /// Does it. The dispatcher adds the name of the command to its errors.
    ///
    /// # Errors
    /// Where there is no answer; a partial one is a report with notes.
    fn run(&self, cx: &mut Cx<'_>, args: &Self::Args) -> Result<Report, CommandError>;
}

/// A command as the table of commands holds it, whatever its arguments: every [`Run`] is one.
pub trait Command: Sync {
    /// What is typed.
    fn name(&self) -> &'static str;
    /// What it does, in a few words.
    fn about(&self) -> &'static str;
    /// More about it, for its help page.
    fn details(&self) -> &'static str;
    /// Whether debug files that have to be fetched can change its answer; `words` are those behind its name.
    fn debug_files(&self, words: &[String]) -> Fetch;
    /// What it writes beside its answer; `words` are those behind its name. Words that are not its own write nothing.
    fn writes(&self, words: Vec<String>) -> Writes;
    /// True where its answer is for others' eyes: see [`Run::names_no_place`].
    fn names_no_place(&self) -> bool;
    /// Examples, at least one.
    fn examples(&self) -> &'static [Example];
    /// Words of crash's that stand for others: see [`Run::respell`].
    fn respell(&self) -> &'static [(&'static str, &'static str)];
    /// True where a line whose first word is no command is meant for this one; `words` is the whole line.
    fn claims(&self, cx: &Cx<'_>, words: &[String]) -> bool;
    /// Its whole clap command: for parsing, help, completion and the man page.
    fn clap(&self) -> clap::Command;
    /// Reads its words.
    ///
    /// # Errors
    /// Words that are not its own, and the page where `--help` is asked.
    fn parse<'c>(&'c self, words: Vec<String>) -> Result<Box<dyn Parsed + 'c>, CommandError>;
}

/// A command with its arguments, ready to run.
pub trait Parsed {
    /// The lowest layer of an opened dump that it needs.
    fn needs(&self) -> Layer;
    /// True where it has an answer if the text of a log is all that there is.
    fn reads_log(&self) -> bool;
    /// The first of its words that is no option.
    fn operand(&self) -> Option<&str>;
    /// Does it.
    ///
    /// # Errors
    /// Those of [`Run::run`], without the command's name.
    fn run(&self, cx: &mut Cx<'_>) -> Result<Report, CommandError>;
}

impl std::fmt::Debug for dyn Parsed + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parsed").field("operand", &self.operand()).finish_non_exhaustive()
    }
}

/// What [`Command::parse`] makes of the words of one type of command.
struct Ready<'c, R: Run> {
    command: &'c R,
    args: R::Args,
    operand: Option<String>,
}

impl<R: Run> Parsed for Ready<'_, R> {
    fn needs(&self) -> Layer {
        self.command.needs(&self.args)
    }
    fn reads_log(&self) -> bool {
        self.command.reads_log(&self.args)
    }
    fn operand(&self) -> Option<&str> {
        self.operand.as_deref()
    }
    fn run(&self, cx: &mut Cx<'_>) -> Result<Report, CommandError> {
        self.command.run(cx, &self.args)
    }
}

impl<R: Run> Command for R {
    fn name(&self) -> &'static str {
        Run::name(self)
    }
    fn about(&self) -> &'static str {
        Run::about(self)
    }
    fn details(&self) -> &'static str {
        Run::details(self)
    }
    fn debug_files(&self, words: &[String]) -> Fetch {
        Run::debug_files(self, words)
    }
    fn writes(&self, words: Vec<String>) -> Writes {
        arguments(self, words).map_or(Writes::NOTHING, |args| Run::writes(self, &args))
    }
    fn names_no_place(&self) -> bool {
        Run::names_no_place(self)
    }
    fn examples(&self) -> &'static [Example] {
        Run::examples(self)
    }
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        Run::respell(self)
    }
    fn claims(&self, cx: &Cx<'_>, words: &[String]) -> bool {
        Run::claims(self, cx, words)
    }
    fn clap(&self) -> clap::Command {
        let base = clap::Command::new(Run::name(self))
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args_override_self(true)
            .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Show this help"));
        // behind the arguments: the comment of their type is not about the command
        R::Args::augment_args(base).about(Run::about(self)).long_about(None)
    }
    fn parse<'c>(&'c self, words: Vec<String>) -> Result<Box<dyn Parsed + 'c>, CommandError> {
        let (operand, args) = read(self, words)?;
        Ok(Box::new(Ready { command: self, args, operand }))
    }
}

/// The arguments that a command's words become.
pub(crate) fn arguments<R: Run>(command: &R, words: Vec<String>) -> Result<R::Args, CommandError> {
    read(command, words).map(|(_, args)| args)
}

/// The first word that is no option, and the arguments.
fn read<R: Run>(command: &R, words: Vec<String>) -> Result<(Option<String>, R::Args), CommandError> {
    let read = || {
        let mut clap = Command::clap(command);
        let matches = clap.try_get_matches_from_mut(command.normalise(words))?;
        let args = R::Args::from_arg_matches(&matches)?;
        Ok((operand(&clap, &matches), args))
    };
    read().map_err(|e| usage_error(command, &e))
}

/// The first word that the user wrote and that is no option.
fn operand(clap: &clap::Command, matches: &ArgMatches) -> Option<String> {
    let written = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let id = clap.get_positionals().map(|arg| arg.get_id().as_str()).find(written)?;
    let word = matches.get_raw(id)?.next().unwrap_or_default();
    Some(word.to_string_lossy().into_owned())
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

pub(super) fn usage_error(command: &dyn Command, error: &clap::Error) -> CommandError {
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

    /// A command as anyone would write it.
    struct Probe;

    /// This says nothing about the command.
    #[derive(clap::Args, Debug, PartialEq, Eq)]
    struct ProbeArgs {
        /// Say more
        #[arg(short = 'v')]
        verbose: bool,
        /// So often
        #[arg(short = 'n', value_name = "N")]
        times: Option<u64>,
        /// What about
        #[arg(value_name = "WORD", num_args = 0..)]
        words: Vec<String>,
    }

    impl Run for Probe {
        type Args = ProbeArgs;
        fn name(&self) -> &'static str {
            "probe"
        }
        fn about(&self) -> &'static str {
            "try things"
        }
        fn examples(&self) -> &'static [Example] {
            const { &[Example::new("probe", "nothing")] }
        }
        fn needs(&self, args: &ProbeArgs) -> Layer {
            if args.verbose { Layer::Machine } else { Layer::Nothing }
        }
        fn run(&self, cx: &mut Cx<'_>, args: &ProbeArgs) -> Result<Report, CommandError> {
            match args.words.first().map(String::as_str) {
                Some("argument") => Err(CommandError::argument("no such thing")),
                Some("below") => Err(CommandError::explained("no", vec!["  why".to_owned()])),
                Some("dump") => cx.session().map(|_| Report::new("probe")),
                Some("other") => Err(CommandError::failed("no").named("other")),
                Some("alone") => Err(CommandError::Failed(crate::Message::alone("as crash words it"))),
                Some("usage") => Err(CommandError::usage("a word is missing", "probe WORD")),
                _ => Ok(Report::new("probe")),
            }
        }
    }

    /// What a user sees of a failure.
    fn failure(line: &str) -> String {
        let mut settings = crate::Settings::default();
        let cancel = base::Cancel::new();
        let mut sink = |_: &Report| std::ops::ControlFlow::Continue(());
        let mut cx = Cx::new(None, &mut settings, &cancel, &mut sink);
        let probe: &dyn Command = &Probe;
        let error = probe.parse(words(line)).and_then(|ready| ready.run(&mut cx)).unwrap_err();
        error.named(probe.name()).lines().join("|")
    }

    #[test]
    fn words_become_the_type_s_fields() {
        let given = arguments(&Probe, words("-v -n 3 a b")).unwrap();
        assert_eq!(given, ProbeArgs { verbose: true, times: Some(3), words: words("a b") });
        // the last of several holds
        assert_eq!(arguments(&Probe, words("-n 3 -vv -n 4")).unwrap().times, Some(4));
    }

    #[test]
    fn a_command_of_the_table_knows_its_needs_and_its_first_operand() {
        let probe: &dyn Command = &Probe;
        let of = |line: &str| {
            let ready = probe.parse(words(line)).unwrap();
            (ready.needs(), ready.operand().map(str::to_owned))
        };
        assert_eq!(of("-n 3"), (Layer::Nothing, None));
        assert_eq!(of("-v a b"), (Layer::Machine, Some("a".to_owned())));
    }

    #[test]
    fn fields_are_the_help_in_their_order() {
        let probe: &dyn Command = &Probe;
        let clap = probe.clap();
        assert_eq!(clap.get_about().unwrap().to_string(), "try things");
        assert_eq!(help::synopsis(&clap, &[]), "probe [-v] [-n N] [WORD ...]");
        let help: Vec<String> =
            clap.get_arguments().filter_map(|a| Some(a.get_help()?.to_string())).collect();
        assert_eq!(help, ["Show this help", "Say more", "So often", "What about"]);
    }

    #[test]
    fn errors_get_the_command_s_name_once() {
        assert_eq!(failure("argument"), "probe: no such thing");
        assert_eq!(failure("below"), "probe: no|  why");
        assert!(failure("dump").starts_with("probe: needs an open dump"), "{}", failure("dump"));
        assert_eq!(
            failure("usage"),
            "probe: a word is missing|Usage:|  probe WORD|Enter \"help probe\" for details."
        );
        assert!(failure("-Z").starts_with("probe: invalid option -- 'Z'|"), "{}", failure("-Z"));
        // what a command that it ran says keeps that one's name
        assert_eq!(failure("other"), "other: no");
        assert_eq!(failure("alone"), "as crash words it");
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
