//! Aliases: crash's fifteen, those of `.crashrc`, those typed.

use crate::{CommandError, Cx, Example, Layer, Run, Writes};
use kernel::Fetch;
use report::{Line, Record, Report, Role};

/// Where an alias was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Always there.
    Builtin,
    /// In `~/.crashrc`.
    HomeRc,
    /// In `./.crashrc`.
    LocalRc,
    /// In a file read with `-i` or `<`.
    InputFile,
    /// At the prompt.
    Runtime,
}

impl Origin {
    /// True for a file of settings that is read by itself.
    #[must_use]
    pub const fn is_rc(self) -> bool {
        matches!(self, Self::HomeRc | Self::LocalRc)
    }

    const fn word(self) -> &'static str {
        match self {
            Origin::Builtin => "builtin",
            Origin::HomeRc => "rchome",
            Origin::LocalRc => "rclocal",
            Origin::InputFile => "rcfile",
            Origin::Runtime => "runtime",
        }
    }
}

/// One alias.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias {
    /// The word.
    pub name: String,
    /// What stands for it.
    pub command: String,
    /// Where it was made.
    pub origin: Origin,
}

/// All aliases, in the order of making.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aliases(Vec<Alias>);

/// crash's own.
const BUILTIN: &[(&str, &str)] = &[
    ("man", "help"),
    ("?", "help"),
    ("quit", "q"),
    ("sf", "set scroll off"),
    ("sn", "set scroll on"),
    ("hex", "set radix 16"),
    ("dec", "set radix 10"),
    ("g", "gdb"),
    ("px", "p -x"),
    ("pd", "p -d"),
    ("for", "foreach"),
    ("size", "*"),
    ("dmesg", "log"),
    ("lsmod", "mod"),
    ("last", "ps -l"),
];

impl Default for Aliases {
    fn default() -> Self {
        let alias = |&(name, command): &(&str, &str)| Alias {
            name: name.to_owned(),
            command: command.to_owned(),
            origin: Origin::Builtin,
        };
        Self(BUILTIN.iter().map(alias).collect())
    }
}

impl Aliases {
    /// The alias of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Alias> {
        self.0.iter().find(|a| a.name == name)
    }
    /// All, in the order of making.
    pub fn iter(&self) -> impl Iterator<Item = &Alias> {
        self.0.iter()
    }
    /// Makes or replaces one.
    pub fn define(&mut self, name: &str, command: &str, origin: Origin) {
        self.0.retain(|a| a.name != name);
        self.0.push(Alias { name: name.to_owned(), command: command.to_owned(), origin });
    }
    /// Takes one away; false where there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|a| a.name != name);
        self.0.len() != before
    }
}

/// `alias`.
#[derive(Debug)]
pub(crate) struct AliasCommand;

/// The arguments of `alias`.
#[derive(clap::Args)]
pub(crate) struct AliasArgs {
    /// The word
    #[arg(value_name = "ALIAS")]
    name: Option<String>,
    /// What stands for it
    #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Run for AliasCommand {
    type Args = AliasArgs;
    fn name(&self) -> &'static str {
        "alias"
    }
    fn about(&self) -> &'static str {
        "command aliases"
    }
    fn details(&self) -> &'static str {
        "Without arguments, lists the aliases. With a name, shows that alias. With a name and a command, \
         makes the alias; an empty command (\"\") deletes it. A command with | > < needs quotes. \
         An alias in ./.crashrc wins over one in ~/.crashrc, one typed over both."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn writes(&self, args: &AliasArgs) -> Writes {
        // a line behind it may be another command than it looks like
        if args.command.is_empty() { Writes::NOTHING } else { Writes::Anything }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example {
                    line: "alias px",
                    about: "show one alias",
                    output: "ORIGIN   ALIAS    COMMAND\nbuiltin  px       p -x",
                },
                Example {
                    line: "alias kp kmem -p",
                    about: "make one",
                    output: "ORIGIN   ALIAS    COMMAND\nruntime  kp       kmem -p",
                },
                Example::new("alias ksd \"kmem -p | grep slab\"", "make one with a pipe"),
                Example::new("alias kp \"\"", "delete it"),
            ]
        }
    }
    fn needs(&self, _args: &AliasArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &AliasArgs) -> Result<Report, CommandError> {
        let origin = cx.settings.reading.unwrap_or(Origin::Runtime);
        let aliases = &mut cx.settings.aliases;
        let Some(name) = args.name.as_ref() else {
            return Ok(table(aliases.iter()));
        };
        if !args.command.is_empty() {
            let command =
                args.command.iter().map(|w| crate::unquoted(w).unwrap_or(w)).collect::<Vec<_>>().join(" ");
            if command.trim().is_empty() {
                return delete(aliases, name);
            }
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(CommandError::argument("an alias is one word"));
            }
            if crate::find(name).is_some() {
                return Err(CommandError::argument(format_args!("{name} is a command")));
            }
            aliases.define(name, command.trim(), origin);
        }
        match aliases.get(name) {
            Some(alias) => Ok(table(std::iter::once(alias))),
            None => Err(CommandError::failed(format_args!("no such alias: {name}"))),
        }
    }
}

fn delete(aliases: &mut Aliases, name: &str) -> Result<Report, CommandError> {
    if !aliases.remove(name) {
        return Err(CommandError::failed(format_args!("no such alias: {name}")));
    }
    let mut report = Report::new("alias");
    report.line(Line::new().text("alias deleted: ").field("deleted", name.to_owned()));
    Ok(report)
}

fn table<'a>(aliases: impl Iterator<Item = &'a Alias>) -> Report {
    let mut report = Report::new("alias");
    report.line(Line::heading("ORIGIN   ALIAS    COMMAND"));
    let row = |alias: &Alias| {
        Record::of(
            Line::new()
                .field("origin", alias.origin.word())
                .left(7)
                .text("  ")
                .field("alias", alias.name.clone())
                .left(7)
                .role(Role::Symbol)
                .text("  ")
                .field("command", alias.command.clone()),
        )
    };
    report.list("aliases", aliases.map(row).collect());
    report
}
