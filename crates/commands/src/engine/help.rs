//! `help`: the list of commands, and the page of each, from its clap arguments and its examples.

use crate::engine::error::Message;
use crate::engine::outputs;
use crate::{Command, CommandError, Cx, Example, Layer, Run, find};
use clap::Arg;
use kernel::Fetch;
use report::{Cell, Line, Record, Report, Role};

/// Columns of a page's text.
const WIDTH: usize = 78;
/// Columns of the list, and of each name in it: as crash lays it out.
const COLUMNS: usize = 5;
const NAME: usize = 15;

/// `help`.
#[derive(Debug)]
pub(crate) struct Help;

const INPUT: &str = "\
Lines are edited as in other shells; the history is kept between sessions (~/.local/state/crashlens/history). \
`set edit vi` in ~/.crashrc gives vi's keys. Tab completes commands, options, files, symbols and members.

A command may be followed by `| shell command`, `> file` or `>> file`; within parentheses or quotes these signs \
belong to the expression. `! command` runs a shell command, `!` a shell. A line that begins with # or // is a comment.

`define NAME` makes a command of the lines that follow, up to `end`; see \"help define\".

`< file` runs the lines of a file, as the option -i does. A command followed by `< file` runs once for each line \
of the file, with the line's words as further arguments.

A line whose first word is no command may be a type (shown by struct), or an expression (shown by p).

Ctrl-C stops the running command and keeps the session. ~/.crashrc, then ./.crashrc are run at the start.";

const OUTPUT: &str = "\
On a terminal, long output goes through $PAGER, or less. `set scroll off` (alias sf) turns this off, `set scroll on` \
(alias sn) on again.

`| command` pipes the output of a command, `> file` writes it into a file, `>> file` appends it.

`set radix 16` (alias hex) prints numbers in hexadecimal, `set radix 10` (alias dec) in decimal.

With --json on the command line every command answers one line of JSON; docs/JSON.md describes it. With --html the \
answers of all -c commands make one page.";

/// The arguments of `help`.
#[derive(clap::Args)]
pub(crate) struct HelpArgs {
    /// What about
    #[arg(value_name = "COMMAND | all | input | output", num_args = 0..)]
    topic: Vec<String>,
    /// State of the program and of what it found, by crash's letters: -a to -z, and -z lists them
    #[arg(long = "state", value_name = "LETTER", action = clap::ArgAction::Append)]
    state: Vec<String>,
}

impl Run for Help {
    type Args = HelpArgs;
    fn name(&self) -> &'static str {
        "help"
    }
    fn about(&self) -> &'static str {
        "get help"
    }
    fn details(&self) -> &'static str {
        "Without arguments, lists the commands. With a command, shows its page; \"all\" shows every page. \
         \"input\" and \"output\" tell about lines and redirection. A letter (-m, -n, -t ...) shows what the program found out and \
         how, for who reports a mistake: -z lists the letters."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("help", "list the commands"),
                Example::new("help eval", "the page of a command"),
                Example::new("help input", "about lines"),
                Example::new("help -r", "the registers of the CPUs, and whether they are believed"),
                Example::new("help -z", "what there is of the program's state"),
            ]
        }
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        let mut out = Vec::with_capacity(words.len());
        for word in words {
            match word.strip_prefix('-').filter(|_| super::state::names(&word)) {
                Some(letters) => out.extend(letters.chars().map(|letter| format!("--state={letter}"))),
                None => out.push(word),
            }
        }
        out
    }
    fn needs(&self, _args: &HelpArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &HelpArgs) -> Result<Report, CommandError> {
        let mut report = Report::new("help");
        if !args.state.is_empty() {
            return super::state::report(cx, &args.state);
        }
        let topics = &args.topic;
        if topics.is_empty() {
            list(&mut report);
            return Ok(report);
        }
        let is_topic = |name: &str| {
            let is_macro = cx.settings.macros.get(name).is_some();
            matches!(name, "all" | "input" | "output") || is_macro || named(cx, name).is_some()
        };
        if let Some(unknown) = topics.iter().find(|topic| !is_topic(topic)) {
            let names = crate::complete_names(cx.settings, "");
            let near = base::near_names(unknown, names.iter().map(String::as_str));
            return Err(CommandError::Argument(Message::alone(format_args!(
                "No help data for \"{unknown}\" is available{}.",
                crate::engine::error::meant(&near)
            ))));
        }
        for topic in topics {
            match topic.as_str() {
                "all" => crate::all().iter().for_each(|c| report.body.items.extend(page(*c).body.items)),
                "input" => prose(&mut report, INPUT),
                "output" => prose(&mut report, OUTPUT),
                name if named(cx, name).is_none() => {
                    cx.settings.macros.get(name).into_iter().for_each(|known| macro_page(&mut report, known));
                }
                name => named(cx, name)
                    .into_iter()
                    .for_each(|command| report.body.items.extend(page(command).body.items)),
            }
        }
        Ok(report)
    }
}

/// The command of this name, or the one that an alias of this name runs.
fn named(cx: &Cx<'_>, name: &str) -> Option<&'static dyn Command> {
    find(name).or_else(|| {
        let alias = cx.settings.aliases.get(name)?;
        find(alias.command.split_whitespace().next()?)
    })
}

/// The page of a macro: what `document` says of it, and its lines.
fn macro_page(report: &mut Report, known: &crate::Macro) {
    report.blank();
    head(report, "NAME");
    let about = known.about.first().cloned().unwrap_or_else(|| "a macro".to_owned());
    let name = Line::new().text("  ").field("name", known.name.clone()).role(Role::Strong);
    report.line(name.text(" - ").field("about", about));
    if known.about.len() > 1 {
        report.blank();
        head(report, "DESCRIPTION");
        known.about.iter().skip(1).for_each(|line| report.text(format!("  {line}")));
    }
    report.blank();
    head(report, "LINES");
    let line = |line: &String| Record::of(Line::new().text("  ").field("line", line.clone()));
    report.list("lines", known.lines.iter().map(line).collect());
    report.blank();
}

fn list(report: &mut Report) {
    let mut names: Vec<&str> = crate::all().iter().map(|c| c.name()).filter(|n| *n != "q").collect();
    names.sort_unstable();
    names.push("q");
    let rows = names.len().div_ceil(COLUMNS);
    report.blank();
    for row in 0..rows {
        let mut line = String::new();
        for name in names.iter().skip(row).step_by(rows) {
            line.push_str(&format!("{name:NAME$}"));
        }
        report.text(line);
    }
    report.blank();
    report.line(Line::new().text("crashlens version: ").field("version", env!("CARGO_PKG_VERSION")));
    report.text("For help on any command above, enter \"help <command>\".");
    report.text("For help on input options, enter \"help input\".");
    report.text("For help on output options, enter \"help output\".");
    report.blank();
    for name in names {
        let Some(command) = find(name) else { continue };
        let mut record = Record::new();
        record.hidden("name", command.name());
        record.hidden("about", command.about());
        report.list("commands", vec![record]);
    }
}

/// crash's words and what stands for them: see [`Command::respell`].
type Respell = &'static [(&'static str, &'static str)];

/// The page of a command.
#[must_use]
pub fn page(command: &dyn Command) -> Report {
    page_of(command.name(), &command.clap(), command.respell(), command.details(), command.examples())
}

pub(crate) fn page_of(
    name: &'static str,
    clap: &clap::Command,
    respell: Respell,
    details: &'static str,
    examples: &[Example],
) -> Report {
    let about = clap.get_about().map(ToString::to_string).unwrap_or_default();
    let mut report = Report::new("help");
    report.blank();
    head(&mut report, "NAME");
    report.line(
        Line::new().text("  ").field("name", name).role(Role::Strong).text(" - ").field("about", about),
    );
    report.blank();
    head(&mut report, "SYNOPSIS");
    report.line(Line::new().text("  ").field("synopsis", synopsis(clap, respell)));
    if !details.is_empty() {
        report.blank();
        head(&mut report, "DESCRIPTION");
        for line in wrapped(details, WIDTH - 2) {
            report.text(format!("  {line}"));
        }
        report.hidden("description", details);
    }
    options(&mut report, clap, respell);
    if !examples.is_empty() {
        report.blank();
        head(&mut report, "EXAMPLES");
        report.list("examples", examples.iter().map(example).collect());
    }
    report.blank();
    report
}

fn head(report: &mut Report, text: &'static str) {
    report.line(Line::heading(text));
}

fn example(example: &Example) -> Record {
    let mut record = Record::new();
    let about = example.about;
    let mut sentence: String = about.chars().take(1).flat_map(char::to_uppercase).collect();
    sentence.extend(about.chars().skip(1));
    record.line(Line::new().text("  ").field("about", Cell::shown(about, sentence)).text(":"));
    record.blank();
    record.line(Line::new().text("    crash> ").field("line", example.line).role(Role::Strong));
    let output = if example.output.is_empty() { outputs::of(example.line) } else { example.output };
    for line in output.lines() {
        record.text(format!("    {line}").trim_end().to_owned());
    }
    record.blank();
    record
}

/// `bt [-a] [-c CPUS] [TASK]...`
pub(crate) fn synopsis(clap: &clap::Command, respell: Respell) -> String {
    let mut out = clap.get_name().to_owned();
    let arguments = || clap.get_arguments().filter(|a| a.get_id() != "help" && !a.is_hide_set());
    for arg in arguments().filter(|a| !a.is_positional()) {
        out.push_str(&format!(" [{}]", spelled(arg, "|", respell)));
    }
    for arg in arguments().filter(|a| a.is_positional()) {
        let many = arg.get_num_args().is_some_and(|n| n.max_values() > 1);
        let dots = if many { " ..." } else { "" };
        let value = value_names(arg);
        out.push_str(&if arg.is_required_set() {
            format!(" {value}{dots}")
        } else {
            format!(" [{value}{dots}]")
        });
    }
    out
}

fn options(report: &mut Report, clap: &clap::Command, respell: Respell) {
    let rows: Vec<Record> = clap
        .get_arguments()
        .filter(|a| !a.is_hide_set() && a.get_id() != "help")
        .map(|arg| {
            let name = if arg.is_positional() { value_names(arg) } else { spelled(arg, ", ", respell) };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let mut lines = wrapped(&help, WIDTH - 24).into_iter();
            let mut record = Record::new();
            let first = lines.next().unwrap_or_default();
            let line = Line::new().text("  ").field("option", name.clone());
            if name.len() > 18 {
                record.line(line);
                record.text(format!("{:22}{first}", ""));
            } else {
                record.line(line.left(20).text(first));
            }
            lines.for_each(|l| record.text(format!("{:22}{l}", "")));
            record.hidden("about", help);
            record
        })
        .collect();
    if !rows.is_empty() {
        report.blank();
        report.list("options", rows);
    }
}

fn spelled(arg: &Arg, separator: &str, respell: Respell) -> String {
    let short = arg.get_short().map(|c| format!("-{c}"));
    // as crash spells it, and as it is typed
    let crash = |long: String| match respell.iter().find(|(_, ours)| *ours == long) {
        Some((crash, _)) => (*crash).to_owned(),
        None => long,
    };
    let long = arg.get_long().map(|l| crash(format!("--{l}")));
    let mut out = short.into_iter().chain(long).collect::<Vec<_>>().join(separator);
    if arg.get_action().takes_values() {
        out.push(' ');
        out.push_str(&value_names(arg));
    }
    out
}

fn value_names(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

fn prose(report: &mut Report, text: &'static str) {
    for paragraph in text.split("\n\n") {
        report.blank();
        wrapped(paragraph, WIDTH).into_iter().for_each(|line| report.text(line));
    }
    report.blank();
    report.hidden("text", text);
}

/// Text broken at blanks into lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match out.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(word.to_owned()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_every_option() {
        let page = page(&crate::cmd::program::eval::Eval);
        let text: Vec<String> = page
            .body
            .items
            .iter()
            .flat_map(|item| match item {
                report::Item::Line(l) => vec![l.to_string()],
                report::Item::List(list) => list
                    .items
                    .iter()
                    .flat_map(|r| &r.items)
                    .filter_map(|i| match i {
                        report::Item::Line(l) => Some(l.to_string()),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            })
            .collect();
        assert!(text.contains(&"  eval - evaluate".to_owned()));
        assert!(text.contains(&"  eval [-b] [-l] EXPRESSION ...".to_owned()), "{text:?}");
        assert!(
            text.contains(&"  -b                  List the positions of the bits that are set".to_owned())
        );
        assert!(text.contains(&"    crash> eval 128m".to_owned()));
    }
}
