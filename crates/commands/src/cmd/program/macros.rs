//! `define`, `document`, `echo`: the macros of the shell. Its front end reads the lines of a macro ([`crate::Draft`]); here they
//! are listed.

use crate::{CommandError, Cx, Example, Layer, Run, Writes};
use kernel::Fetch;
use report::{Line, Record, Report, Role};

/// `define`.
#[derive(Debug)]
pub(crate) struct Define;
/// `document`.
#[derive(Debug)]
pub(crate) struct Document;
/// `echo`.
#[derive(Debug)]
pub(crate) struct Echo;

/// The arguments of `define`.
#[derive(clap::Args)]
pub(crate) struct DefineArgs {
    /// Show the lines of each macro
    #[arg(short = 'l')]
    lines: bool,
    /// The macro: its lines follow, up to `end`; with -l the one to show
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// The arguments of `document`.
#[derive(clap::Args)]
pub(crate) struct DocumentArgs {
    /// The macro: what is said of it follows, up to `end`
    #[arg(value_name = "NAME")]
    name: String,
}

/// The arguments of `echo`.
#[derive(clap::Args)]
pub(crate) struct EchoArgs {
    /// What is printed
    #[arg(value_name = "TEXT", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

/// Where lines follow one another.
const SHELL_ONLY: &str =
    "its lines follow, up to `end`: at the prompt, in a file (-i, < file, ~/.crashrc), or as one -c each";

impl Run for Define {
    type Args = DefineArgs;
    fn name(&self) -> &'static str {
        "define"
    }
    fn about(&self) -> &'static str {
        "macros: commands made of lines"
    }
    fn details(&self) -> &'static str {
        "The lines after `define NAME`, up to `end`, become a command. In them $arg0, $arg1 ... stand for its arguments and \
         $argc for how many there are; both are replaced before a line runs. `if EXPRESSION`, `else` and `end` choose lines. \
         A line that fails ends the macro. `document NAME` says what `help NAME` shows. Put macros into ~/.crashrc to have \
         them always. Without a name, lists the macros."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn writes(&self, args: &DefineArgs) -> Writes {
        // its lines follow, with words that are not there yet
        if args.name.is_none() { Writes::NOTHING } else { Writes::Anything }
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example { line: "define", about: "list the macros", output: "MACRO            WHAT IT IS" },
                Example::new("define -l", "with their lines"),
                Example::new("define comm", "begin one: p ((struct task_struct *)$arg0)->comm, then end"),
            ]
        }
    }
    fn needs(&self, _args: &DefineArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &DefineArgs) -> Result<Report, CommandError> {
        let name = args.name.as_deref();
        if let Some(name) = name.filter(|_| !args.lines) {
            return Err(CommandError::argument(format_args!("{name}: {SHELL_ONLY}")));
        }
        let wanted = |known: &&crate::Macro| name.is_none_or(|name| name == known.name);
        let found: Vec<&crate::Macro> = cx.settings.macros.iter().filter(wanted).collect();
        if let Some(name) = name.filter(|_| found.is_empty()) {
            return Err(CommandError::failed(format_args!("no such macro: {name}")));
        }
        let mut report = Report::new("define");
        report.line(Line::heading("MACRO            WHAT IT IS"));
        let row = |known: &crate::Macro| {
            let about = known.about.first().cloned().unwrap_or_default();
            let line = Line::new().field("macro", known.name.clone()).left(15).role(Role::Symbol).text("  ");
            let mut record = Record::of(line.field("about", about));
            if args.lines {
                let line = |line: &String| Record::of(Line::new().text("    ").field("line", line.clone()));
                record.list("lines", known.lines.iter().map(line).collect());
            }
            record
        };
        report.list("macros", found.into_iter().map(row).collect());
        Ok(report)
    }
}

impl Run for Document {
    type Args = DocumentArgs;
    fn name(&self) -> &'static str {
        "document"
    }
    fn about(&self) -> &'static str {
        "say what a macro is"
    }
    fn details(&self) -> &'static str {
        "The lines after `document NAME`, up to `end`, are what `help NAME` shows of a macro; the first of them stands in lists."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("document comm", "what follows, up to end, is about the macro comm")] }
    }
    fn needs(&self, _args: &DocumentArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &DocumentArgs) -> Result<Report, CommandError> {
        Err(CommandError::argument(format_args!("{}: {SHELL_ONLY}", args.name)))
    }
}

impl Run for Echo {
    type Args = EchoArgs;
    fn name(&self) -> &'static str {
        "echo"
    }
    fn about(&self) -> &'static str {
        "print text, for macros"
    }
    fn details(&self) -> &'static str {
        "\\n begins a line, \\t is a tab, \\\\ a backslash, as in gdb. One \\n at the end is the line's own."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example { line: "echo two\\nlines\\n", about: "print two lines", output: "two\nlines" }] }
    }
    fn needs(&self, _args: &EchoArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &EchoArgs) -> Result<Report, CommandError> {
        let text = unescaped(&args.text.join(" "));
        let mut report = Report::new("echo");
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = |line: &str| Record::of(Line::new().field("text", line.to_owned()));
        report.list("lines", text.split('\n').map(line).collect());
        Ok(report)
    }
}

/// C's escapes of text, those that text is written with; another letter stands for itself, as in gdb.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}
