//! Words in the place of a command that are the program's own: what they do is more than one command over one dump.

use crate::failure::Failure;
use crate::limit::Limit;
use clap::{CommandFactory, Parser};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Serves the commands as tools of the Model Context Protocol on standard input and output. Without a dump the client opens
/// dumps by their paths.
#[derive(Parser, Debug)]
#[command(name = "mcp", bin_name = "crashlens mcp", no_binary_name = true, disable_version_flag = true)]
#[command(override_usage = "crashlens [OPTIONS] mcp [DUMP] [VMLINUX]")]
pub(crate) struct McpArgs {
    /// Stop a call that takes longer (30, 500ms, 2m), and answer what it had by then; 0 sets no limit
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = crate::limit::time)]
    pub(crate) call_limit: Limit,
}

/// Looks at many dumps: a row each, and which of them died alike. With --json a line of JSON each, as soon as it is known.
#[derive(Parser, Debug)]
#[command(name = "triage", bin_name = "crashlens triage", no_binary_name = true, disable_version_flag = true)]
#[command(override_usage = "crashlens [OPTIONS] triage [ARGUMENTS] DIR...")]
pub(crate) struct TriageArgs {
    /// Folders that are searched for dumps, and dumps; debug files of all of them
    #[arg(value_name = "DIR")]
    pub(crate) places: Vec<PathBuf>,
    /// Look at so many dumps at a time; as many as there are processors where not given
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Keep finished rows in FILE, and go on where a run with that file stopped
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Also match the known issues of DIR/*.toml
    #[arg(long, value_name = "DIR")]
    pub(crate) known: Option<PathBuf>,
}

/// Writes the analysis of a dump as one page that holds all it shows, for a ticket: verdict with evidence, fatal stack, log, tasks,
/// memory and more, with pictures.
#[derive(Parser, Debug)]
#[command(name = "report", bin_name = "crashlens report", no_binary_name = true, disable_version_flag = true)]
#[command(override_usage = "crashlens [OPTIONS] report DUMP [VMLINUX] [ARGUMENTS]")]
pub(crate) struct ReportArgs {
    /// The page's file, - for standard output; DUMP.html in this folder where not given, and a file that is there stays
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write a folder of text and JSON files, one of each command, in place of the page
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub(crate) folder: Option<PathBuf>,
    /// Leave out what is of the machine and its users: all, or some of addresses, user-data, command-lines, environment, names
    #[arg(long, value_name = "CLASSES", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = classes)]
    pub(crate) redact: Option<Classes>,
}

/// What is to be left out.
#[derive(Clone, Debug)]
pub(crate) struct Classes(pub(crate) Vec<dossier::Class>);

fn classes(words: &str) -> Result<Classes, String> {
    if words.is_empty() {
        return Ok(Classes(dossier::Class::ALL.to_vec()));
    }
    let known = || dossier::Class::ALL.map(dossier::Class::word).join(", ");
    let one = |word: &str| dossier::Class::of(word).ok_or_else(|| format!("{word} is none of {}", known()));
    words.split(',').map(one).collect::<Result<_, _>>().map(Classes)
}

/// What a verb's words ask for.
#[derive(Debug)]
pub(crate) enum Verb {
    /// Serve the commands as tools.
    Mcp(McpArgs),
    /// Write the analysis of a dump.
    Report(ReportArgs),
    /// Look at many dumps.
    Triage(TriageArgs),
}

impl Verb {
    /// Its word.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Mcp(_) => "mcp",
            Self::Report(_) => "report",
            Self::Triage(_) => "triage",
        }
    }
}

/// A verb: its name, its options, and how its words are read.
type Reader = (&'static str, fn() -> clap::Command, fn(&[String]) -> Result<Verb, clap::Error>);

/// The verbs.
const VERBS: &[Reader] = &[
    ("mcp", McpArgs::command, |words| McpArgs::try_parse_from(words).map(Verb::Mcp)),
    ("report", ReportArgs::command, |words| ReportArgs::try_parse_from(words).map(Verb::Report)),
    ("triage", TriageArgs::command, |words| TriageArgs::try_parse_from(words).map(Verb::Triage)),
];

/// The options of each verb, under its name.
pub(crate) fn all() -> impl Iterator<Item = clap::Command> {
    VERBS.iter().map(|(name, options, _)| options().name(*name))
}

/// The options of a verb; `None` where the word is none.
pub(crate) fn options(name: &str) -> Option<clap::Command> {
    VERBS.iter().find(|(verb, ..)| *verb == name).map(|(_, options, _)| options())
}

/// The page of a verb, where `help` is asked for it.
pub(crate) fn help_page(words: &[String]) -> Option<String> {
    let [help, name] = words else { return None };
    let asks = help == "help" || help == "man";
    options(name).filter(|_| asks).map(|mut options| options.render_long_help().to_string())
}

/// True for a verb.
pub(crate) fn is_verb(name: &str) -> bool {
    VERBS.iter().any(|(verb, ..)| *verb == name)
}

/// Reads a verb and its words; `None` where the first word is none. `missing` is a word that was to name a file.
///
/// # Errors
/// Words that are not the verb's, and the page where `--help` is asked.
pub(crate) fn read(words: &[String], missing: Option<&str>) -> Result<Option<Verb>, Failure> {
    let Some((name, rest)) = words.split_first() else { return Ok(None) };
    let Some((.., read)) = VERBS.iter().find(|(verb, ..)| verb == name) else { return Ok(None) };
    read(rest).map(Some).map_err(|e| match e.use_stderr() {
        // a word that was to be the dump
        true => match missing.filter(|_| e.kind() == clap::error::ErrorKind::UnknownArgument) {
            Some(gone) => {
                Failure::Failed(format!("{name}: {gone}: no such file (crashlens {name} DUMP [VMLINUX])"))
            }
            None => Failure::Usage(e.render().to_string().trim_start_matches("error: ").to_owned()),
        },
        false => Failure::Page(e.render().to_string()),
    })
}
