//! Commands about the program itself, and crash's commands that a reader of dumps cannot have.

use crate::{CommandError, Cx, Example, Layer, Run, Writes};
use kernel::Fetch;
use report::Report;

/// `exit`.
#[derive(Debug)]
pub(crate) struct Exit;
/// `q`.
#[derive(Debug)]
pub(crate) struct Quit;
/// `extend`.
#[derive(Debug)]
pub(crate) struct Extend;
/// `gdb`.
#[derive(Debug)]
pub(crate) struct Gdb;
/// `wr`.
#[derive(Debug)]
pub(crate) struct Wr;

/// No arguments.
#[derive(clap::Args)]
pub(crate) struct NoArgs {}

impl Run for Exit {
    type Args = NoArgs;
    fn name(&self) -> &'static str {
        "exit"
    }
    fn about(&self) -> &'static str {
        "exit this session"
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("exit", "leave")] }
    }
    fn needs(&self, _args: &NoArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, _args: &NoArgs) -> Result<Report, CommandError> {
        cx.settings.quit = true;
        Ok(Report::new("exit"))
    }
}

impl Run for Quit {
    type Args = NoArgs;
    fn name(&self) -> &'static str {
        "q"
    }
    fn about(&self) -> &'static str {
        "exit this session"
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("q", "leave"), Example::new("quit", "the same")] }
    }
    fn needs(&self, _args: &NoArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &NoArgs) -> Result<Report, CommandError> {
        Run::run(&Exit, cx, args)
    }
}

/// Whatever follows.
#[derive(clap::Args)]
pub(crate) struct AnyArgs {
    /// What would be done
    #[arg(value_name = "WORDS", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Run for Extend {
    type Args = AnyArgs;
    fn name(&self) -> &'static str {
        "extend"
    }
    fn about(&self) -> &'static str {
        "extensions (crash's shared objects: not available)"
    }
    fn details(&self) -> &'static str {
        "crash loads shared objects built against its own sources; crashlens cannot. Every command has --json, \
         so that a program of any language can carry on from its output."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("extend", "says why not")] }
    }
    fn needs(&self, _args: &AnyArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, _cx: &mut Cx<'_>, args: &AnyArgs) -> Result<Report, CommandError> {
        if !args.words.is_empty() {
            return Err(CommandError::failed(
                "crash's extensions are built against crash itself and cannot be loaded; use --json and a script",
            ));
        }
        let mut report = Report::new("extend");
        report.text("extend: no extensions loaded");
        report.list("extensions", Vec::new());
        Ok(report)
    }
}

impl Run for Gdb {
    type Args = AnyArgs;
    fn name(&self) -> &'static str {
        "gdb"
    }
    fn about(&self) -> &'static str {
        "gdb's words, answered by crashlens's own commands"
    }
    fn details(&self) -> &'static str {
        "There is no gdb inside. print, output, inspect are answered by p; ptype and whatis by whatis; \
         info symbol and info address by sym; info types and info scope by whatis; list by dis -s; disassemble by dis; x, \
         printf, set and bt by the commands of these names. Other words of gdb's are refused."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("gdb ptype struct list_head", "the same as whatis struct list_head")] }
    }
    fn needs(&self, _args: &AnyArgs) -> Layer {
        Layer::Nothing
    }
    fn writes(&self, args: &AnyArgs) -> Writes {
        ours(args).map_or(Writes::NOTHING, |words| crate::words_write(&words))
    }
    fn run(&self, cx: &mut Cx<'_>, args: &AnyArgs) -> Result<Report, CommandError> {
        crate::run(cx, &ours(args)?)
    }
}

/// The words of gdb's as words of ours.
fn ours(args: &AnyArgs) -> Result<Vec<String>, CommandError> {
    let texts: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let lead: &[&str] = match texts.as_slice() {
        [] => return Err(CommandError::failed("there is no gdb inside; see \"help gdb\"")),
        // without the name that crash's p puts before a variable's value
        ["p", ..] => &["print"],
        ["whatis" | "bt" | "list" | "frame" | "up" | "down" | "x" | "printf" | "set", ..] => &[],
        ["l", ..] => &["list"],
        [first, ..] if crate::engine::gdb::respell(&args.words).is_none() => {
            return Err(CommandError::failed(format_args!(
                "{first}: there is no gdb inside, and no command of crashlens answers this word"
            )));
        }
        _ => &[],
    };
    let rest = if lead.is_empty() { &texts[..] } else { texts.get(1..).unwrap_or(&[]) };
    Ok(lead.iter().chain(rest).map(|w| (*w).to_owned()).collect())
}

impl Run for Wr {
    type Args = AnyArgs;
    fn name(&self) -> &'static str {
        "wr"
    }
    fn about(&self) -> &'static str {
        "write memory (live systems only: not available)"
    }
    fn details(&self) -> &'static str {
        "crash writes to the memory of a live kernel. crashlens opens dumps, and never changes one."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("wr my_debug_flag 1", "refused: a dump is never written to")] }
    }
    fn needs(&self, _args: &AnyArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, _cx: &mut Cx<'_>, _args: &AnyArgs) -> Result<Report, CommandError> {
        Err(CommandError::failed("cannot write to a dump file"))
    }
}
