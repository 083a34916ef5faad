//! The running front end: from a line to the bytes of its answer.

use crate::complete::Completer;
use crate::edit::{self, Lines, Typed};
use crate::ended::Ended;
use crate::limited;
use crate::output::{Format, Output, When};
use crate::terminal::{is_dumb, wants_colour};
use crate::writer::{Errors, Writer};
use crate::{interrupt, progress, say};
use base::{Cancel, PhysRead as _};
use commands::{Action, CommandError, Cx, Draft, Origin, Redirect, Scroll, Settings};
use kernel::Layers;
use render::{Clean, Colour, Source};
use report::Report;
use std::io::{self, BufRead as _, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Files of lines may name files of lines, so deep.
const DEPTH: usize = 16;

/// How the front end behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How reports are written.
    pub format: Format,
    /// When to use colours.
    pub colour: When,
    /// Whether long output may go through a pager.
    pub pager: bool,
    /// The name that the program was called by: its prompt and its messages have it.
    pub name: &'static str,
    /// Lines that do not come from a terminal are shown behind the prompt before they run.
    pub echo: bool,
    /// Errors stand where the answer does.
    pub errors_within: bool,
    /// Whether a run of several commands stops at the first that fails.
    pub fail_fast: bool,
    /// A word of the command line that should have been a dump, and is no file.
    pub missing: Option<String>,
    /// What Ctrl-C turns on; shared with the work that was begun before the shell.
    pub cancel: Cancel,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Text,
            colour: When::Auto,
            pager: true,
            name: "crashlens",
            echo: false,
            errors_within: false,
            fail_fast: false,
            missing: None,
            cancel: Cancel::new(),
        }
    }
}

/// The front end of one session.
pub struct Shell<'s> {
    pub(crate) dump: Option<&'s Layers>,
    options: Options,
    /// The user's settings.
    pub settings: Settings,
    pub(crate) cancel: Cancel,
    progress: progress::Line,
    interactive: bool,
    /// The line came all at once: others can wait behind it.
    came_at_once: bool,
    /// The files whose lines run, each named by the one before it.
    sources: Vec<PathBuf>,
    /// The file and the line that runs.
    place: Option<(PathBuf, usize)>,
    history: Vec<String>,
    /// A macro whose lines are being read.
    pub(crate) draft: Option<Draft>,
    /// How many macros run, each called by the one before.
    pub(crate) calls: usize,
}

impl std::fmt::Debug for Shell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shell").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'s> Shell<'s> {
    /// A front end for `dump`, or for none.
    #[must_use]
    pub fn new(dump: Option<&'s Layers>, settings: Settings, options: Options) -> Self {
        let cancel = options.cancel.clone();
        let progress = progress::Line::new(!settings.silent);
        Self {
            dump,
            options,
            settings,
            cancel,
            progress,
            interactive: false,
            came_at_once: false,
            sources: Vec::new(),
            place: None,
            history: Vec::new(),
            draft: None,
            calls: 0,
        }
    }
    /// Lets Ctrl-C stop the running command and keep the session.
    pub fn catch_interrupts(&self) {
        interrupt::connect(&self.options.cancel);
    }
    /// Runs `~/.crashrc`, then `./.crashrc`, where they are.
    pub fn run_rc_files(&mut self) -> Ended {
        rc_files()
            .into_iter()
            .fold(Ended::Good, |ended, (file, origin)| ended.then(self.run_file(&file, origin)))
    }
    /// Runs the lines of a file; says how the first of them that failed ended.
    pub fn run_file(&mut self, path: &Path, origin: Origin) -> Ended {
        self.on_terminal(|shell, out| {
            let ended = shell.source(path, origin, out);
            // `exit` in a file of settings ends that file only, Ctrl-C all
            let is_rc = origin.is_rc();
            shell.settings.quit &= !is_rc || ended == Ended::Interrupted;
            ended
        })
    }
    /// Runs one line.
    pub fn run_line(&mut self, line: &str) -> Ended {
        self.on_terminal(|shell, out| shell.line(line, out))
    }
    /// Runs one command given as words.
    pub fn run_words(&mut self, words: &[String]) -> Ended {
        self.on_terminal(|shell, out| shell.command(words, out))
    }
    pub(crate) fn on_terminal(&mut self, body: impl FnOnce(&mut Self, &mut Output) -> Ended) -> Ended {
        let mut out = self.terminal();
        let ended = body(self, &mut out);
        ended.then(self.close(out))
    }
    /// Writes what comes before the first answer (HTML has a head).
    ///
    /// # Errors
    /// What the system says of a write that failed.
    pub fn begin(&mut self, title: &str) -> io::Result<()> {
        self.frame(|out| render::html_head(title, out))
    }
    /// Writes what comes after the last answer.
    ///
    /// # Errors
    /// What the system says of a write that failed.
    pub fn end(&mut self) -> io::Result<()> {
        self.frame(render::html_foot)
    }
    fn frame(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.options.format {
            Format::Html => {
                let mut out = Output::stdout();
                write(&mut out.rendered())?;
                self.settings.quit |= out.is_gone();
                out.finish()
            }
            Format::Text | Format::Json => Ok(()),
        }
    }
    /// Reads lines until the user leaves. Where standard input is no terminal, says how the first of them that failed
    /// ended; at a terminal the user saw each failure.
    pub fn interact(&mut self, completer: &dyn Completer) -> Ended {
        if !io::stdin().is_terminal() {
            return self.script();
        }
        self.interactive = true;
        let mut lines = match Lines::new(&self.settings, completer) {
            Ok(lines) => lines,
            Err(e) => {
                self.notice(&format!("line editing is not available: {e}"));
                return self.script();
            }
        };
        while !self.settings.quit {
            let prompt = if self.draft.is_some() { ">".to_owned() } else { self.prompt() };
            match lines.read(&prompt, &self.settings) {
                Typed::Lines { lines: typed, at_once } => {
                    self.came_at_once = at_once;
                    self.typed(&typed, &mut lines);
                }
                Typed::Dropped => self.draft = None,
                Typed::End => break,
            }
        }
        Ended::Good
    }
    /// Runs what was typed or pasted, line by line.
    fn typed(&mut self, typed: &[String], lines: &mut Lines<'_>) {
        for line in typed {
            if self.settings.quit {
                break;
            }
            lines.remember(line);
            self.history = lines.typed();
            let line = if self.draft.is_some() { line.clone() } else { self.recalled(line) };
            let _ = self.run_line(&line);
        }
    }
    /// Lines from a standard input that is no terminal.
    fn script(&mut self) -> Ended {
        let mut ended = Ended::Good;
        let mut line = Vec::new();
        while !self.stops(ended) {
            line.clear();
            match io::stdin().lock().read_until(b'\n', &mut line) {
                Ok(0) => return ended.then(self.unfinished()),
                // one bad byte spoils its line only
                Ok(_) => {
                    let line = String::from_utf8_lossy(&line);
                    ended = ended.then(self.on_terminal(|shell, out| {
                        shell.echo(&line, out);
                        shell.line(&line, out)
                    }));
                }
                Err(e) => {
                    let why = format!("standard input: {e}");
                    return ended.then(self.on_terminal(|shell, out| shell.trouble("<", &why, out)));
                }
            }
        }
        ended
    }
    /// True where no further command of a run is to follow.
    #[must_use]
    pub const fn stops(&self, so_far: Ended) -> bool {
        self.settings.quit || self.options.fail_fast && !so_far.is_good()
    }
    /// `r`, `!!`, `r 3`, `r ps`: a line typed before.
    fn recalled(&self, line: &str) -> String {
        let earlier = self.history.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let mut words = line.split_whitespace();
        let (first, which) = (words.next(), words.next());
        let found = match (first, which, words.next()) {
            (Some("r" | "!!"), None, _) => earlier.last(),
            (Some("r"), Some(which), None) => match which.parse::<usize>() {
                Ok(n) => earlier.get(n.saturating_sub(1)),
                Err(_) => earlier.iter().rev().find(|l| l.starts_with(which)),
            },
            _ => return line.to_owned(),
        };
        match found {
            Some(line) => line.clone(),
            None => format!("# no such line: {line}"),
        }
    }

    /// Standard output, or the pager in front of it.
    fn terminal(&self) -> Output {
        let paged = self.interactive
            && self.options.pager
            && self.options.format == Format::Text
            && self.settings.scroll != Scroll::Off
            && io::stdout().is_terminal()
            && !is_dumb()
            // a pager would take the lines that are typed ahead for its own keys
            && !self.came_at_once
            && !edit::is_typed_ahead();
        if paged {
            Output::pager(self.options.name, &self.settings.scroll, &self.cancel)
        } else {
            Output::stdout()
        }
    }
    fn close(&mut self, out: Output) -> Ended {
        if out.is_gone() && out.is_stdout() && !self.interactive {
            // the reader of our output went away: nothing more to do
            self.settings.quit = true;
        }
        match out.finish() {
            Ok(()) => Ended::Good,
            // where it would go nothing can be written
            Err(e) => self.said(&format!("output: {e}")),
        }
    }

    fn prompt(&self) -> String {
        format!("{}> ", self.options.name)
    }

    pub(crate) fn source(&mut self, path: &Path, origin: Origin, out: &mut Output) -> Ended {
        let own = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let refused = if self.sources.contains(&own) {
            Some("its lines are being run: they cannot name it again".to_owned())
        } else {
            let too_many = || format!("more than {DEPTH} files of lines, each named by the one before");
            (self.sources.len() >= DEPTH).then(too_many)
        };
        if let Some(why) = refused {
            let why = format!("{}{}: {why}", self.placed(), path.display());
            return self.trouble("<", &why, out);
        }
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => return self.trouble("<", &format!("{}: {e}", path.display()), out),
        };
        let outer = self.settings.reading.replace(origin);
        let place = self.place.take();
        self.sources.push(own);
        let drafted = self.draft.is_some();
        let mut ended = Ended::Good;
        for (n, line) in text.lines().enumerate() {
            if self.stops(ended) || self.cancel.is_cancelled() || out.is_gone() {
                break;
            }
            self.place = Some((path.to_owned(), n.saturating_add(1)));
            if origin == Origin::InputFile && !self.settings.silent && out.is_terminal() {
                self.show_line(line, out);
            } else if origin == Origin::InputFile {
                self.echo(line, out);
            }
            ended = ended.then(self.line(line, out));
        }
        if self.draft.is_some() != drafted {
            ended = ended.then(self.left_open(out));
        }
        self.sources.pop();
        self.place = place;
        self.settings.reading = outer;
        ended
    }

    /// Shows a line of a script, where that is wanted.
    fn echo(&self, line: &str, out: &mut Output) {
        if self.options.echo {
            self.show_line(line.trim_end(), out);
        }
    }

    fn show_line(&self, line: &str, out: &mut Output) {
        if self.options.format == Format::Text {
            let _ = out.message(&Clean::of(format!("{}{line}", self.prompt())));
        }
    }

    pub(crate) fn line(&mut self, line: &str, out: &mut Output) -> Ended {
        if let Some(ended) = self.drafted(line, out) {
            return ended;
        }
        let line = commands::expand_alias(&self.settings.aliases, line);
        let action = match commands::parse_line(&line, &|name| Path::new(name).is_file()) {
            Ok(action) => action,
            Err(e) => {
                let name = line.split_whitespace().next().unwrap_or_default();
                let _ = self.trouble(name, &format!("{}{e}", self.placed()), out);
                return Ended::Usage;
            }
        };
        match action {
            Action::Nothing => Ended::Good,
            Action::Shell(command) => match shell_command(&command) {
                Ok(ended) => ended,
                Err(why) => self.trouble("!", &why, out),
            },
            Action::Source(file, redirect) => self.redirected(&redirect, out, |shell, out| {
                shell.source(Path::new(&file), Origin::InputFile, out)
            }),
            Action::Run { words, .. } if words.first().is_some_and(|w| w == "h") && self.interactive => {
                for (i, line) in self.history.iter().enumerate() {
                    let _ = out.message(&Clean::of(format!("[{}] {line}", i.saturating_add(1))));
                }
                Ended::Good
            }
            Action::Run { words, arguments, redirect } => {
                self.redirected(&redirect, out, |shell, out| match &arguments {
                    None if shell.is_macro(&words) => shell.call(&words, out),
                    None => shell.command(&words, out),
                    Some(file) => shell.for_each_line(&words, Path::new(file), out),
                })
            }
        }
    }

    /// Runs `body` with the output that the line names.
    fn redirected(
        &mut self,
        redirect: &Redirect,
        out: &mut Output,
        body: impl FnOnce(&mut Self, &mut Output) -> Ended,
    ) -> Ended {
        if let Redirect::File(name, _) = redirect
            && let Some(why) = self.dump.and_then(|layers| layers.why_not_written(Path::new(name)))
        {
            return self.trouble(">", &format!("{}{why}", self.placed()), out);
        }
        match Output::redirected(redirect) {
            Ok(None) => body(self, out),
            Ok(Some(mut own)) => {
                let ended = body(self, &mut own);
                ended.then(self.close(own))
            }
            Err(e) => {
                let name = match redirect {
                    Redirect::File(name, _) | Redirect::Pipe(name) => name.as_str(),
                    Redirect::None => "output",
                };
                let sign = if matches!(redirect, Redirect::Pipe(_)) { "|" } else { ">" };
                self.trouble(sign, &format!("{}{name}: {e}", self.placed()), out)
            }
        }
    }

    fn for_each_line(&mut self, words: &[String], file: &Path, out: &mut Output) -> Ended {
        let text = match std::fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => return self.trouble("<", &format!("{}: {e}", file.display()), out),
        };
        let mut ended = Ended::Good;
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')) {
            if self.stops(ended) || self.cancel.is_cancelled() || out.is_gone() {
                break;
            }
            let words: Vec<String> = words.iter().cloned().chain(commands::split_words(line)).collect();
            ended = ended.then(self.command(&words, out));
        }
        ended
    }

    /// The one door for what failed beside a command: on standard error behind the program's name, in JSON as an answer of its
    /// own. `about` stands where a command's name does.
    pub(crate) fn trouble(&self, about: &str, text: &str, out: &mut Output) -> Ended {
        if self.options.format == Format::Json {
            let dump = self.settings.dumpfile.as_deref();
            let text = format!("{}: {text}", self.options.name);
            let _ = render::json_error(about, &text, Source { dump, args: &[] }, &mut out.rendered());
            return Ended::Failed;
        }
        self.said(text)
    }

    /// Says what failed to the person alone: where the output itself failed, no answer is left to put it into.
    fn said(&self, text: &str) -> Ended {
        self.notice(text);
        Ended::Failed
    }

    /// A line to the person, behind the program's name.
    fn notice(&self, text: &str) {
        say(&format!("{}: {text}", self.options.name));
    }

    /// `FILE:LINE: ` of the line that runs, where it comes from a file.
    pub(crate) fn placed(&self) -> String {
        self.place.as_ref().map(|(path, n)| format!("{}:{n}: ", path.display())).unwrap_or_default()
    }

    /// Runs one command and writes its answer.
    pub(crate) fn command(&mut self, words: &[String], out: &mut Output) -> Ended {
        self.cancel.reset();
        self.settings.undetermined = false;
        let began = Instant::now();
        let colour = match self.options.colour {
            When::Always => Colour::Ansi,
            When::Auto if out.is_terminal() && wants_colour() => Colour::Ansi,
            When::Auto | When::Never => Colour::Plain,
        };
        let mut dump = self.settings.dumpfile.clone();
        // where the dump lies may name a person or a customer
        if commands::names_no_place(&self.settings.aliases, words) {
            dump = dump.map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
        }
        let source = Source { dump: dump.as_deref(), args: words.get(1..).unwrap_or(&[]) };
        // nobody sees the lines of an rc file, or knows which command it was
        let reads_rc = self.settings.reading.is_some_and(Origin::is_rc);
        let lead = if reads_rc { self.placed() } else { String::new() };
        let within = self.options.errors_within;
        let errors = Errors { to: self.settings.error.clone(), lead, program: self.options.name, within };
        let writer = Writer { format: self.options.format, colour, source, words, errors };
        let mut failed_write = None;
        // how the parts that were written before the answer's end ended
        let mut shown = Ended::Good;
        let failures = || self.dump.map_or(0, |dump| dump.image().dump.failures());
        let failed_before = failures();
        let read_at_once = out.is_terminal() && self.options.format == Format::Text;
        let late = self.cancel.ended().is_some();
        let result = if let Some(why) = self.cancel.ended() {
            Err(limited::error(words, format!("not begun: {why}")))
        } else {
            let progress = &self.progress;
            let mut sink = |part: &Report| {
                progress.clear();
                shown = shown.beside(Ended::from(part));
                if let Err(e) = writer.report(part, out) {
                    failed_write = Some(e);
                    return ControlFlow::Break(());
                }
                if out.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let mut cx = Cx::new(self.dump, &mut self.settings, &self.cancel, &mut sink)
                .with_progress(progress)
                .read_at_once(read_at_once);
            commands::run(&mut cx, words)
        };
        self.progress.clear();
        for warning in self.dump.map(Layers::news).unwrap_or_default() {
            self.notice(&format!("warning: {warning}"));
        }
        let unread = self
            .dump
            .filter(|_| failures() > failed_before)
            .and_then(|dump| dump.image().dump.last_failure());
        if let Some(why) = unread {
            self.notice(&format!(
                "warning: reads of the dump failed ({why}): the answer may lack what could not be read"
            ));
        }
        let why = self.cancel.ended().filter(|_| !late);
        let result = limited::settled(result, words, why);
        let ended = match result {
            // settings made in .crashrc are silent, as in crash
            Ok(report) if reads_rc && matches!(&*report.command, "set" | "alias") => Ended::from(&report),
            Ok(report) => {
                if !(report.command == "exit" || report.is_empty() && self.options.format == Format::Text)
                    && let Err(e) = writer.report(&report, out)
                {
                    failed_write = Some(e);
                }
                shown.beside(Ended::from(&report))
            }
            Err(CommandError::Cancelled(_)) if out.is_gone() || failed_write.is_some() => Ended::Good,
            Err(error) => {
                let error = self.pointed(error);
                if matches!(error, CommandError::Cancelled(_)) && !self.interactive {
                    self.settings.quit = true;
                }
                self.failed(&error, &writer, out);
                shown.beside(Ended::from(&error))
            }
        };
        if self.settings.debug > 0 {
            let name = words.first().map_or("", String::as_str);
            say(&format!("{name}: {:.3} ms", began.elapsed().as_secs_f64() * 1000.0));
        }
        match failed_write {
            Some(e) => self.said(&format!("output: {e}")),
            None if unread.is_some() => ended.with_unread(),
            None if self.settings.undetermined => ended.with_undetermined(),
            None => ended,
        }
    }

    /// The error with what to do, where the command line shows what was meant.
    fn pointed(&self, error: CommandError) -> CommandError {
        match error {
            CommandError::NeedsDump(command) => match &self.options.missing {
                Some(missing) => no_such_file(missing, &command),
                None => CommandError::NeedsDump(command),
            },
            // `info nosuch`: a command that takes no operands
            CommandError::Usage { command, message, usage } => match &self.options.missing {
                Some(missing) if self.dump.is_none() && message.ends_with(&format!(": {missing}")) => {
                    no_such_file(missing, &command)
                }
                _ => CommandError::Usage { command, message, usage },
            },
            CommandError::NotFound { word, .. } if self.dump.is_none() && Path::new(&word).exists() => {
                CommandError::Usage {
                    command: "crashlens".to_owned(),
                    message: format!("{word} is a file, not a command; -c takes a command"),
                    usage: format!("crashlens {word}\ncrashlens {word} -c COMMAND"),
                }
            }
            error => error,
        }
    }

    /// Says that a command failed, where `set error` wants it.
    fn failed(&self, error: &CommandError, writer: &Writer<'_>, out: &mut Output) {
        let mut lines = error.lines();
        let lead = match error {
            CommandError::NotFound { .. } if self.options.errors_within => "crash: ".to_owned(),
            CommandError::NotFound { .. } => format!("{}: {}", self.options.name, self.placed()),
            // crash does not say which line it was
            _ if self.options.errors_within => String::new(),
            // a mistake in a line of a file
            CommandError::Usage { .. } | CommandError::Argument(_) => self.placed(),
            _ => writer.errors.lead.clone(),
        };
        if let Some(first) = lines.first_mut() {
            first.insert_str(0, &lead);
        }
        if writer.format == Format::Json {
            let name = commands::name_of(writer.words);
            let _ = render::json_error(&name, &lines.join("\n"), writer.source, &mut out.rendered());
            return;
        }
        if writer.format == Format::Html {
            // the page says what failed, as it says what was answered
            let mut answer = Report::new(writer.words.first().cloned().unwrap_or_default());
            lines.iter().for_each(|line| answer.error(line.clone()));
            let _ = writer.report(&answer, out);
        }
        writer.errors.tell(&lines, out);
    }
}

/// The files of settings that are there: `~/.crashrc`, then `./.crashrc`, where that is another one.
#[must_use]
pub fn rc_files() -> Vec<(PathBuf, Origin)> {
    let home = std::env::home_dir().map(|home| (home.join(".crashrc"), Origin::HomeRc));
    let all = home.into_iter().chain([(PathBuf::from(".crashrc"), Origin::LocalRc)]);
    let mut out: Vec<(PathBuf, Origin)> = all.filter(|(path, _)| path.is_file()).collect();
    out.dedup_by_key(|(path, _)| path.canonicalize().ok());
    out
}

/// The word that should have been the dump is no file.
fn no_such_file(word: &str, command: &str) -> CommandError {
    CommandError::Failed(commands::Message::alone(format_args!(
        "crashlens: {word}: no such file (crashlens {command} DUMP [VMLINUX] [ARGUMENTS])"
    )))
}

fn shell_command(command: &str) -> Result<Ended, String> {
    let shell = || std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    let status = match command {
        "" => std::process::Command::new(shell()).status(),
        line => crate::pager::shell(line).status(),
    };
    match status {
        Ok(status) => Ok(Ended::of(status.success())),
        Err(e) => Err(format!("{command}: {e}")),
    }
}
