//! Commands that a program which uses this one adds: a user's own, written in another language.
//!
//! **Invariant**: the table of the program's own commands ([`COMMANDS`]) comes first: none of its names can be taken.

use super::command::{Parsed, usage_error};
use crate::{COMMANDS, Command, CommandError, Cx, Example, Layer, Writes};
use clap::{Arg, ArgAction, ArgMatches};
use kernel::Fetch;
use report::Report;
use std::sync::{PoisonError, RwLock};

/// What an argument takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Takes {
    /// An option without a value.
    Nothing,
    /// An option with a value.
    Value,
    /// An operand; true where it must be given.
    Operand(bool),
    /// All further operands.
    Operands,
}

/// An argument of such a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnArg {
    /// Its name: of an option, what stands behind `--`.
    pub name: String,
    /// What it is, for the help page.
    pub help: String,
    /// What it takes.
    pub takes: Takes,
    /// The name of its value, for the help page.
    pub value: String,
    /// The values that it may have; empty where any will do.
    pub choices: Vec<String>,
}

/// The words that were given for each argument, in the order of the arguments; none of an option without a value that is
/// not there, an empty one of one that is.
pub type Given = Vec<(String, Vec<String>)>;

/// What such a command does.
pub type Call = dyn Fn(&mut Cx<'_>, Given) -> Result<Report, CommandError> + Send + Sync;

/// A command of a user's own.
pub struct Own {
    /// What is typed.
    pub name: String,
    /// What it does, in a few words.
    pub about: String,
    /// More about it.
    pub details: String,
    /// Its arguments.
    pub args: Vec<OwnArg>,
    /// The lowest layer of a dump that it needs.
    pub needs: Layer,
    /// Does it.
    pub call: Box<Call>,
}

/// One that was added. It lives as long as the program, as the program's own do.
struct Added {
    name: &'static str,
    about: &'static str,
    details: &'static str,
    args: Vec<OwnArg>,
    needs: Layer,
    call: Box<Call>,
}

/// Those that were added.
static ADDED: RwLock<Vec<&'static Added>> = RwLock::new(Vec::new());

/// Adds a command; one of its name that was added before gives way.
///
/// # Errors
/// The name is no word, or one of the program's own commands has it; or two of its arguments have one name.
pub fn add(own: Own) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !own.name.starts_with(|c: char| c.is_ascii_alphabetic()) || !own.name.chars().all(is_word) {
        return Err(format!("{:?} is no name of a command: letters, digits, _ and -", own.name));
    }
    if COMMANDS.iter().any(|command| command.name() == own.name) {
        return Err(format!("{} is a command of crashlens", own.name));
    }
    for (n, arg) in own.args.iter().enumerate() {
        let is_twice = own.args.iter().skip(n.saturating_add(1)).any(|other| other.name == arg.name);
        if is_twice || arg.name == "help" || arg.name.is_empty() || !arg.name.chars().all(is_word) {
            return Err(format!("{}: {:?} cannot be the name of an argument", own.name, arg.name));
        }
    }
    let Own { name, about, details, args, needs, call } = own;
    let added: &'static Added = Box::leak(Box::new(Added {
        name: String::leak(name),
        about: String::leak(about),
        details: String::leak(details),
        args,
        needs,
        call,
    }));
    let mut all = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|known| known.name != added.name);
    all.push(added);
    Ok(())
}

/// The commands that were added, in the order of their adding.
#[must_use]
pub(crate) fn added() -> Vec<&'static dyn Command> {
    let all = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    all.iter().map(|added| *added as &'static dyn Command).collect()
}

impl Added {
    fn argument(arg: &OwnArg) -> Arg {
        let base = Arg::new(arg.name.clone()).help(arg.help.clone());
        let base = match arg.takes {
            Takes::Nothing => return base.long(arg.name.clone()).action(ArgAction::SetTrue),
            Takes::Value => base.long(arg.name.clone()).num_args(1),
            Takes::Operand(required) => base.required(required).num_args(1),
            Takes::Operands => base.num_args(0..),
        };
        let base = base.value_name(arg.value.clone());
        if arg.choices.is_empty() { base } else { base.value_parser(arg.choices.clone()) }
    }

    fn given(&self, matches: &ArgMatches) -> Given {
        let words = |arg: &OwnArg| match arg.takes {
            Takes::Nothing if matches.get_flag(&arg.name) => vec![String::new()],
            Takes::Nothing => Vec::new(),
            _ => matches.get_many::<String>(&arg.name).into_iter().flatten().cloned().collect(),
        };
        self.args.iter().map(|arg| (arg.name.clone(), words(arg))).collect()
    }
}

impl Command for Added {
    fn name(&self) -> &'static str {
        self.name
    }
    fn about(&self) -> &'static str {
        self.about
    }
    fn details(&self) -> &'static str {
        self.details
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Always
    }
    fn writes(&self, _words: Vec<String>) -> Writes {
        // another language's code
        Writes::Anything
    }
    fn names_no_place(&self) -> bool {
        false
    }
    fn examples(&self) -> &'static [Example] {
        &[]
    }
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    fn claims(&self, _cx: &Cx<'_>, _words: &[String]) -> bool {
        false
    }
    fn clap(&self) -> clap::Command {
        clap::Command::new(self.name)
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args_override_self(true)
            .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Show this help"))
            .args(self.args.iter().map(Self::argument))
            .about(self.about)
    }
    fn parse<'c>(&'c self, words: Vec<String>) -> Result<Box<dyn Parsed + 'c>, CommandError> {
        let matches = self.clap().try_get_matches_from(words).map_err(|e| usage_error(self, &e))?;
        Ok(Box::new(Ready { command: self, given: self.given(&matches) }))
    }
}

/// One with its arguments.
struct Ready<'c> {
    command: &'c Added,
    given: Given,
}

impl Parsed for Ready<'_> {
    fn needs(&self) -> Layer {
        self.command.needs
    }
    fn reads_log(&self) -> bool {
        false
    }
    fn operand(&self) -> Option<&str> {
        let operands = self.command.args.iter().zip(&self.given);
        let is_operand = |takes: &Takes| matches!(takes, Takes::Operand(_) | Takes::Operands);
        operands
            .filter(|(arg, _)| is_operand(&arg.takes))
            .find_map(|(_, (_, words))| words.first().map(String::as_str))
    }
    fn run(&self, cx: &mut Cx<'_>) -> Result<Report, CommandError> {
        (self.command.call)(cx, self.given.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use base::Cancel;
    use std::ops::ControlFlow;

    fn arg(name: &str, takes: Takes, choices: &[&str]) -> OwnArg {
        let choices = choices.iter().map(|choice| (*choice).to_owned()).collect();
        OwnArg {
            name: name.to_owned(),
            help: format!("The {name}"),
            takes,
            value: name.to_uppercase(),
            choices,
        }
    }

    fn own(name: &str, args: Vec<OwnArg>) -> Own {
        Own {
            name: name.to_owned(),
            about: "try things".to_owned(),
            details: "It says what it was given.".to_owned(),
            args,
            needs: Layer::Nothing,
            call: Box::new(|_, given| {
                let mut report = Report::new("own-probe");
                for (name, words) in given {
                    report.hidden(name, words.join(","));
                }
                Ok(report)
            }),
        }
    }

    fn answer(line: &str) -> Result<Report, CommandError> {
        let (mut settings, cancel) = (Settings::default(), Cancel::new());
        let mut sink = |_: &Report| ControlFlow::Continue(());
        let mut cx = Cx::new(None, &mut settings, &cancel, &mut sink);
        crate::run(&mut cx, &crate::split_words(line))
    }

    #[test]
    fn a_user_s_command_has_arguments_help_and_completion() {
        let args = vec![
            arg("state", Takes::Operand(true), &["RU", "UN"]),
            arg("more", Takes::Operands, &[]),
            arg("all", Takes::Nothing, &[]),
            arg("least", Takes::Value, &[]),
        ];
        add(own("own-probe", args)).unwrap();
        let hidden = |line: &str| -> Vec<String> {
            let report = answer(line).unwrap();
            let cells = report.body.items.iter().map(|item| match item {
                report::Item::Hidden(key, cell) => format!("{}={cell}", &**key),
                other => panic!("{other:?}"),
            });
            cells.collect()
        };
        assert_eq!(hidden("own-probe UN a b --least=3"), ["state=UN", "more=a,b", "all=", "least=3"]);
        let said = |line: &str| answer(line).unwrap_err().to_string();
        assert!(said("own-probe").contains("Usage:\n  own-probe"), "{}", said("own-probe"));
        assert!(said("own-probe XX").contains("XX"), "{}", said("own-probe XX"));
        assert!(said("own-probe RU --nosuch").starts_with("own-probe: invalid option: --nosuch"));
        assert_eq!(answer("own-probe --help").unwrap().command, "help");
        assert_eq!(answer("help own-probe").unwrap().command, "help");
        assert_eq!(crate::complete_names(&Settings::default(), "own-pr"), ["own-probe"]);
    }

    #[test]
    fn names_that_are_taken_or_are_none_are_refused() {
        assert_eq!(add(own("ps", Vec::new())).unwrap_err(), "ps is a command of crashlens");
        assert!(add(own("a b", Vec::new())).unwrap_err().contains("no name"));
        let twice = vec![arg("x", Takes::Nothing, &[]), arg("x", Takes::Value, &[])];
        assert!(add(own("own-twice", twice)).unwrap_err().contains("\"x\""));
        assert!(add(own("own-help", vec![arg("help", Takes::Nothing, &[])])).is_err());
    }
}
