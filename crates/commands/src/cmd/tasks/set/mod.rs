//! `set`: the task that commands are about, and the settings.

mod assign;
pub use assign::PRINT_SETTINGS;

use crate::engine::settings::Effect;
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Layer, Run, VARIABLES, Variable, Writes, after_options};
use kernel::Fetch;
use kernel::Session;
use kernel::log::event::Class;
use kernel::sched::task::Task;
use report::{Cell, Line, Record, Report};

/// `set`.
#[derive(Debug)]
pub(crate) struct Set;

/// The arguments of `set`.
#[derive(clap::Args)]
pub(crate) struct SetArgs {
    /// crash: make the task the active one of its CPU (refused: a dump shows which were)
    #[arg(short = 'a')]
    active: bool,
    /// Set the context to the active task of a CPU
    #[arg(short = 'c', value_name = "CPU")]
    cpu: Option<String>,
    /// Set the context to the panic task
    #[arg(short = 'p')]
    panic: bool,
    /// Show the variables
    #[arg(short = 'v')]
    variables: bool,
    /// The task, or variables with their values
    #[arg(value_name = "PID | TASK | VARIABLE [VALUE]", num_args = 0..)]
    words: Vec<String>,
}

impl Run for Set {
    type Args = SetArgs;
    fn name(&self) -> &'static str {
        "set"
    }
    fn about(&self) -> &'static str {
        "set a process context or internal crash variable"
    }
    fn details(&self) -> &'static str {
        "Without arguments, shows the context: the task that commands without an operand are about. With a PID \
         or the address of a task_struct, changes it. With a variable, shows it; with a variable and a value, \
         sets it. \"set -v\" shows all variables; \"help set\" lists what each takes. Several variables may be \
         set in one line. Variables: scroll (on, off, less, more, CRASHPAGER), radix (10, 16), print_max (a number, \
         unlimited), print_array (on, off), debug (a number), silent (on, off), edit (vi, emacs), zero_excluded \
         (on, off), null-stop (on, off), scope (an address in text, 0), offline (show, hide), redzone (on, off), \
         error (default, redirect, a file). refresh, console, core, hash, namelist, dumpfile, unwind and gdb are \
         shown, but cannot be changed: setting one says why. gdb's forms are known too: \"set $NAME = EXPRESSION\" makes a \
         variable that expressions name ($NAME), and \"set print elements N\", \"set print array on\" are crash's print_max and \
         print_array."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn writes(&self, args: &SetArgs) -> Writes {
        // several variables may be set in one line
        let set = args.words.windows(2).filter(|pair| pair.first().is_some_and(|name| name == "error"));
        let files = set.filter_map(|pair| pair.get(1)).filter(|to| !matches!(&***to, "default" | "redirect"));
        files.map(|path| Writes::file(path)).fold(Writes::NOTHING, Writes::and)
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("set", "show the context"),
                Example::new("set -p", "back to the panic task"),
                Example::new("set -c 1", "the active task of a CPU"),
                Example::new("set -v", "show the variables"),
                Example::new("set $task = &init_task", "a variable of one's own: p $task->comm"),
                Example { line: "set radix 16", about: "numbers in hex", output: "output radix: 16 (hex)" },
                Example { line: "set scroll off", about: "no pager", output: "scroll: off (none)" },
            ]
        }
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        // the value of a variable may begin with a minus
        after_options(words, "apv", "c")
    }
    fn needs(&self, _args: &SetArgs) -> Layer {
        Layer::Nothing
    }
    fn run(&self, cx: &mut Cx<'_>, args: &SetArgs) -> Result<Report, CommandError> {
        if args.variables {
            return Ok(all(cx));
        }
        let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
        if let Some(answer) = assign::gdb(cx, &words) {
            return answer;
        }
        match words.first() {
            Some(first) if variable(first).is_some() => variables(cx, &words),
            _ => context(cx, args, &words),
        }
    }
}

fn variable(name: &str) -> Option<&'static Variable> {
    // both spellings are in use
    let dashed = name.replace('_', "-");
    VARIABLES.iter().find(|v| v.name == name || v.name == dashed)
}

fn all(cx: &mut Cx<'_>) -> Report {
    if let (None, Some(s)) = (&cx.settings.namelist, cx.session_if_open())
        && let Some(file) = s.vmlinux()
    {
        cx.settings.namelist = Some(s.opened().machine.image.shown(file.path()));
    }
    let mut report = Report::new("set");
    for v in VARIABLES {
        report.line(Line::new().cell(v.name).right(14).text(": ").field(v.name, (v.get)(cx.settings)));
    }
    report
}

/// `scroll off radix 16 debug`: names, each with a value where the next word is no name.
fn variables(cx: &mut Cx<'_>, words: &[&str]) -> Result<Report, CommandError> {
    let mut report = Report::new("set");
    let mut words = words.iter().copied().peekable();
    while let Some(name) = words.next() {
        let Some(v) = variable(name) else {
            return Err(CommandError::failed(format_args!("no such variable: {name}")));
        };
        if let Some(value) = words.next_if(|w| variable(w).is_none()) {
            let wrong = |why: String| format!("{}: {why}", v.name);
            if let Some(why) =
                Some(value).filter(|_| v.name == "error").and_then(|file| cx.why_not_written(file))
            {
                return Err(CommandError::failed(wrong(why)));
            }
            match v.effect {
                Effect::Set(set) => set(cx.settings, value).map_err(|e| CommandError::argument(wrong(e)))?,
                Effect::InDump(set) => {
                    let s = cx.session()?;
                    set(cx.settings, s, value).map_err(|e| CommandError::failed(wrong(e)))?;
                }
                Effect::Fixed(why) => return Err(CommandError::failed(wrong(why.to_owned()))),
            }
        }
        if let Some(image) = cx.image_if_open() {
            image.dump.read_excluded_as_zeros(cx.settings.zero_excluded);
        }
        let label = if v.name == "radix" { "output radix" } else { v.name };
        report.record(
            v.name,
            Record::of(Line::new().text(label).text(": ").field("value", (v.get)(cx.settings))),
        );
    }
    Ok(report)
}

/// Shows or changes the task that commands are about.
fn context(cx: &mut Cx<'_>, args: &SetArgs, words: &[&str]) -> Result<Report, CommandError> {
    let s = cx.session()?;
    if args.active {
        // crash changes its table of active tasks; in a dump that table is what the machine left
        let why = "-a: the active tasks are those that the dump shows; \"set PID\" chooses any task";
        return Err(CommandError::failed(why));
    }
    if args.panic {
        // also where the session began without it
        cx.settings.context = kernel::sched::panic::panic_task(s).map(|t| t.at);
    }
    if let Some(text) = &args.cpu {
        let wrong = |what: &str| CommandError::argument(format_args!("-c {text}: {what}"));
        let cpu: u32 = text.parse().map_err(|_| wrong("not the number of a cpu"))?;
        let task = s.tasks().on_cpu(cpu).ok_or_else(|| wrong("no active task is known on this cpu"))?;
        cx.settings.context = Some(task.at);
    }
    if let Some(word) = words.first() {
        if let Some(more) = words.get(1) {
            return Err(CommandError::argument(format_args!("one task at a time, not also {more}")));
        }
        cx.settings.context = Some(tasks::one(s, word)?.at);
    }
    let task = tasks::context(cx)?;
    let mut report = shown(s, task, cx.settings.crash_compat);
    tasks::damage_of(task, &mut report);
    tasks::registers_of(s, task.cpu.filter(|_| task.active), &mut report);
    Ok(report)
}

/// The lines of a task that commands are about.
pub(crate) fn shown(s: &Session, t: &Task, compat: bool) -> Report {
    let mut report = Report::new("set");
    lines(s, t, 7, compat, &mut report);
    report
}

/// The same, with labels of so many columns. crash calls an end by sysrq a panic, where the kernel then panicked.
pub(crate) fn lines(s: &Session, t: &Task, width: usize, compat: bool, report: &mut Report) {
    let label = |name: &str| Line::new().text(format!("{name:>width$}: "));
    report.line(label("PID").field("pid", t.pid));
    report.line(label("COMMAND").text("\"").field("command", t.comm.clone()).text("\""));
    let same = s.tasks().with_pid(t.pid).count();
    let mut line = label("TASK").field("task", Cell::Addr(t.at.0)).zeros(16).text("  ");
    if same > 1 {
        line = line.text(format!("(1 of {same})  "));
    }
    let info = kernel::sched::task::thread_info(s, t).map(|at| Cell::Addr(at.0));
    let info = match s.types_lost() {
        Some(why) => {
            tasks::known(info, &format!("the types that tell where it is are lost: {why}")).lost_if(true)
        }
        None => tasks::known(info, "the page that names the task's stack is not in the dump")
            .lost_if(t.stack.is_none()),
    };
    report.line(line.text("[THREAD_INFO: ").field("thread_info", info).zeros(16).text("]"));
    report.line(label("CPU").field("cpu", tasks::cpu(t)));
    let dead = kernel::sched::panic::panic_task(s);
    let panicked = kernel::sched::panic::has_panicked(s) == Some(true) && dead.is_some_and(|p| p.at == t.at);
    let by_sysrq = || s.panic_text().class == Some(Class::Sysrq);
    let is_sysrq = panicked && by_sysrq() && !(compat && s.panic_text().panic.is_some());
    // the words of the end are lost
    let cannot_tell = || s.panic_text().class.is_none() && s.log().map_or(true, |log| log.stopped.is_some());
    let mark = if is_sysrq {
        " (SYSRQ)"
    } else if panicked && cannot_tell() {
        " (PANIC or SYSRQ)"
    } else if panicked {
        " (PANIC)"
    } else if t.active {
        " (ACTIVE)"
    } else {
        ""
    };
    let state = tasks::state_name(s, t);
    report.line(label("STATE").field("state", state).text(mark));
    report.hidden("active", tasks::active(s, t));
    let panicked = (panicked || dead.is_some()).then_some(panicked);
    report.hidden("panic", tasks::known(panicked, "which task the machine died in is not known"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use base::Cancel;
    use std::ops::ControlFlow;

    fn set(settings: &mut Settings, line: &str) -> Result<Report, String> {
        let cancel = Cancel::new();
        let mut sink = |_: &Report| ControlFlow::Continue(());
        let mut cx = Cx::new(None, settings, &cancel, &mut sink);
        crate::run(&mut cx, &crate::split_words(line)).map_err(|e| e.to_string())
    }

    #[test]
    fn several_variables_in_one_line() {
        let mut settings = Settings::default();
        set(&mut settings, "set radix 16 print_max 10 scroll").unwrap();
        assert_eq!((settings.radix, settings.print_max), (16, Some(10)));
        set(&mut settings, "dec").unwrap();
        assert_eq!(settings.radix, 10);
    }

    #[test]
    fn what_has_no_effect_is_not_accepted() {
        let mut settings = Settings::default();
        let error = set(&mut settings, "set core on").unwrap_err();
        assert_eq!(error, "set: core: errors are values here: no core is dumped");
        assert_eq!(set(&mut settings, "set radix 7").unwrap_err(), "set: radix: 7 is neither 10 nor 16");
        assert!(set(&mut settings, "set core").is_ok());
    }

    #[test]
    fn every_variable_is_listed_and_in_the_help() {
        let mut settings = Settings::default();
        assert_eq!(set(&mut settings, "set -v").unwrap().body.items.len(), VARIABLES.len());
        for variable in VARIABLES {
            assert!(Set.details().contains(variable.name), "{}", variable.name);
        }
    }
}
