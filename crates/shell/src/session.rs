//! The running front end: from a line to the bytes of its answer.

use crate::complete::Completer;
use crate::edit::{Lines, Typed};
use crate::output::{self, Format, Output, When};
use crate::{interrupt, progress};
use base::Cancel;
use commands::{Action, CommandError, Cx, ErrorsTo, Origin, Redirect, Scroll, Settings};
use kernel::Layers;
use render::{Colour, Source};
use report::Report;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Files of lines may name files of lines; deeper than this is a loop.
const DEPTH: u32 = 16;

/// How the front end behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How reports are written.
    pub format: Format,
    /// When to use colours.
    pub colour: When,
    /// Whether long output may go through a pager.
    pub pager: bool,
    /// The prompt.
    pub prompt: String,
    /// What Ctrl-C turns on; shared with the work that was begun before the shell.
    pub cancel: Cancel,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Text,
            colour: When::Auto,
            pager: true,
            prompt: "crashlens> ".to_owned(),
            cancel: Cancel::new(),
        }
    }
}

/// The front end of one session.
pub struct Shell<'s> {
    dump: Option<&'s Layers>,
    options: Options,
    /// The user's settings.
    pub settings: Settings,
    cancel: Cancel,
    progress: progress::Line,
    interactive: bool,
    depth: u32,
    history: Vec<String>,
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
        Self { dump, options, settings, cancel, progress, interactive: false, depth: 0, history: Vec::new() }
    }
    /// Lets Ctrl-C stop the running command and keep the session.
    pub fn catch_interrupts(&self) {
        interrupt::connect(&self.options.cancel);
    }
    /// Runs `~/.crashrc`, then `./.crashrc`, where they are.
    pub fn run_rc_files(&mut self) -> bool {
        let home = std::env::home_dir().map(|home| home.join(".crashrc"));
        let local = Path::new(".crashrc");
        let same = |a: &Path| a.canonicalize().ok() == local.canonicalize().ok();
        let mut ok = true;
        if let Some(home) = home.filter(|p| p.is_file()) {
            ok &= self.run_file(&home, Origin::HomeRc);
            if same(&home) {
                return ok;
            }
        }
        if local.is_file() {
            ok &= self.run_file(local, Origin::LocalRc);
        }
        ok
    }
    /// Runs the lines of a file; false where the file or its last command failed.
    pub fn run_file(&mut self, path: &Path, origin: Origin) -> bool {
        let mut out = self.terminal();
        let ok = self.source(path, origin, &mut out);
        self.close(out) && ok
    }
    /// Runs one line; false where it failed.
    pub fn run_line(&mut self, line: &str) -> bool {
        let mut out = self.terminal();
        let ok = self.line(line, &mut out);
        self.close(out) && ok
    }
    /// Runs one command given as words; false where it failed.
    pub fn run_words(&mut self, words: &[String]) -> bool {
        let mut out = self.terminal();
        let ok = self.command(words, &mut out);
        self.close(out) && ok
    }
    /// Writes what comes before the first answer (HTML has a head).
    pub fn begin(&self, title: &str) -> io::Result<()> {
        match self.options.format {
            Format::Html => render::html_head(title, &mut io::stdout().lock()),
            Format::Text | Format::Json => Ok(()),
        }
    }
    /// Writes what comes after the last answer.
    pub fn end(&self) -> io::Result<()> {
        match self.options.format {
            Format::Html => render::html_foot(&mut io::stdout().lock()),
            Format::Text | Format::Json => Ok(()),
        }
    }
    /// Reads lines until the user leaves. Where standard input is no terminal, says whether the last line
    /// failed; `None` where there was none.
    pub fn interact(&mut self, completer: &dyn Completer) -> Option<bool> {
        if !io::stdin().is_terminal() {
            return self.script();
        }
        self.interactive = true;
        let mut lines = match Lines::new(&self.settings, completer) {
            Ok(lines) => lines,
            Err(e) => {
                self.complain(&format!("crashlens: line editing is not available: {e}"));
                return self.script();
            }
        };
        while !self.settings.quit {
            let prompt = self.options.prompt.clone();
            match lines.read(&prompt, &self.settings) {
                Typed::Line(line) => {
                    self.history = lines.typed();
                    let line = self.recalled(&line);
                    self.run_line(&line);
                }
                Typed::Dropped => {}
                Typed::End => break,
            }
        }
        // the user saw each failure
        Some(true)
    }
    /// Lines from a standard input that is no terminal.
    fn script(&mut self) -> Option<bool> {
        let mut ok = None;
        let mut line = String::new();
        while !self.settings.quit {
            line.clear();
            match io::stdin().read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => ok = Some(self.run_line(&line)),
                Err(e) => {
                    self.complain(&format!("crashlens: standard input: {e}"));
                    return Some(false);
                }
            }
        }
        ok
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
            && io::stdout().is_terminal();
        if paged { Output::pager(&self.settings.scroll) } else { Output::stdout() }
    }
    fn close(&mut self, out: Output) -> bool {
        if out.is_gone() && out.is_stdout() && !self.interactive {
            // the reader of our output went away: nothing more to do
            self.settings.quit = true;
        }
        match out.finish() {
            Ok(()) => true,
            Err(e) => {
                self.complain(&format!("crashlens: output: {e}"));
                false
            }
        }
    }

    pub(crate) fn source(&mut self, path: &Path, origin: Origin, out: &mut Output) -> bool {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => {
                self.complain(&format!("crashlens: {}: {e}", path.display()));
                return false;
            }
        };
        if self.depth >= DEPTH {
            self.complain(&format!("crashlens: {}: input files name each other", path.display()));
            return false;
        }
        let outer = self.settings.reading.replace(origin);
        self.depth = self.depth.saturating_add(1);
        let mut ok = true;
        for line in text.lines() {
            if self.settings.quit || self.cancel.is_cancelled() || out.is_gone() {
                break;
            }
            let echo = origin == Origin::InputFile
                && !self.settings.silent
                && self.options.format == Format::Text
                && out.is_terminal();
            if echo {
                let _ = writeln!(out, "{}{line}", self.options.prompt);
            }
            ok = self.line(line, out);
        }
        self.depth = self.depth.saturating_sub(1);
        self.settings.reading = outer;
        ok
    }

    pub(crate) fn line(&mut self, line: &str, out: &mut Output) -> bool {
        let line = commands::expand_alias(&self.settings.aliases, line);
        let action = match commands::parse_line(&line, &|name| Path::new(name).is_file()) {
            Ok(action) => action,
            Err(e) => {
                self.complain(&format!("crashlens: {e}"));
                return false;
            }
        };
        match action {
            Action::Nothing => true,
            Action::Shell(command) => self.shell_command(&command),
            Action::Source(file, redirect) => self.redirected(&redirect, out, |shell, out| {
                shell.source(Path::new(&file), Origin::InputFile, out)
            }),
            Action::Run { words, .. } if words.first().is_some_and(|w| w == "h") && self.interactive => {
                for (i, line) in self.history.iter().enumerate() {
                    let _ = writeln!(out, "[{}] {line}", i.saturating_add(1));
                }
                true
            }
            Action::Run { words, arguments, redirect } => {
                self.redirected(&redirect, out, |shell, out| match &arguments {
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
        body: impl FnOnce(&mut Self, &mut Output) -> bool,
    ) -> bool {
        match Output::redirected(redirect) {
            Ok(None) => body(self, out),
            Ok(Some(mut own)) => {
                let ok = body(self, &mut own);
                self.close(own) && ok
            }
            Err(e) => {
                let name = match redirect {
                    Redirect::File(name, _) | Redirect::Pipe(name) => name.as_str(),
                    Redirect::None => "output",
                };
                self.complain(&format!("crashlens: {name}: {e}"));
                false
            }
        }
    }

    fn for_each_line(&mut self, words: &[String], file: &Path, out: &mut Output) -> bool {
        let text = match std::fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => {
                self.complain(&format!("crashlens: {}: {e}", file.display()));
                return false;
            }
        };
        let mut ok = true;
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')) {
            if self.settings.quit || self.cancel.is_cancelled() || out.is_gone() {
                break;
            }
            let words: Vec<String> = words.iter().cloned().chain(commands::split_words(line)).collect();
            ok = self.command(&words, out);
        }
        ok
    }

    fn shell_command(&self, command: &str) -> bool {
        let shell = || std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
        let status = match command {
            "" => std::process::Command::new(shell()).status(),
            line => output::shell(line).status(),
        };
        match status {
            Ok(status) => status.success(),
            Err(e) => {
                self.complain(&format!("crashlens: {command}: {e}"));
                false
            }
        }
    }

    /// Runs one command and writes its answer.
    pub(crate) fn command(&mut self, words: &[String], out: &mut Output) -> bool {
        self.cancel.reset();
        let began = Instant::now();
        let colour = match self.options.colour {
            When::Always => Colour::Ansi,
            When::Auto if out.is_terminal() && std::env::var_os("NO_COLOR").is_none() => Colour::Ansi,
            When::Auto | When::Never => Colour::Plain,
        };
        let dump = self.settings.dumpfile.clone();
        let source = Source { dump: dump.as_deref(), args: words.get(1..).unwrap_or(&[]) };
        let writer = Writer { format: self.options.format, colour, source, words };
        let reading_rc = matches!(self.settings.reading, Some(Origin::HomeRc | Origin::LocalRc));
        let mut failed_write = None;
        let result = {
            let progress = &self.progress;
            let mut sink = |part: &Report| {
                progress.clear();
                if let Err(e) = writer.report(part, out) {
                    failed_write = Some(e);
                    return ControlFlow::Break(());
                }
                if out.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let mut cx =
                Cx::new(self.dump, &mut self.settings, &self.cancel, &mut sink).with_progress(progress);
            commands::run(&mut cx, words)
        };
        self.progress.clear();
        for warning in self.dump.map(Layers::news).unwrap_or_default() {
            self.complain(&format!("crashlens: warning: {warning}"));
        }
        let ok = match result {
            // settings made in .crashrc are silent, as in crash
            Ok(report) if reading_rc && matches!(&*report.command, "set" | "alias") => !report.failed(),
            Ok(report) => {
                let ok = !report.failed();
                if !(report.command == "exit" || report.is_empty() && self.options.format == Format::Text)
                    && let Err(e) = writer.report(&report, out)
                {
                    failed_write = Some(e);
                }
                ok
            }
            Err(CommandError::Cancelled(_)) if out.is_gone() || failed_write.is_some() => true,
            Err(error) => {
                if matches!(error, CommandError::Cancelled(_)) && !self.interactive {
                    self.settings.quit = true;
                }
                self.failed(&error, &writer, out);
                false
            }
        };
        if self.settings.debug > 0 {
            let name = words.first().map_or("", String::as_str);
            self.complain(&format!("{name}: {:.3} ms", began.elapsed().as_secs_f64() * 1000.0));
        }
        match failed_write {
            Some(e) => {
                self.complain(&format!("crashlens: output: {e}"));
                false
            }
            None => ok,
        }
    }

    /// Says that a command failed, where `set error` wants it.
    fn failed(&self, error: &CommandError, writer: &Writer<'_>, out: &mut Output) {
        let mut text = error.to_string();
        if matches!(error, CommandError::NotFound { .. }) {
            text.insert_str(0, "crashlens: ");
        }
        if writer.format == Format::Json {
            let name = writer.words.first().map_or("", String::as_str);
            let _ = render::json_error(name, &text, writer.source, out);
            return;
        }
        match &self.settings.error {
            ErrorsTo::Default => {
                self.complain(&text);
                if out.is_redirected() {
                    let _ = writeln!(out, "{text}");
                }
            }
            ErrorsTo::Redirect if out.is_redirected() => {
                let _ = writeln!(out, "{text}");
            }
            ErrorsTo::Redirect => self.complain(&text),
            ErrorsTo::File(name) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(name);
                if let Err(e) = file.and_then(|mut f| writeln!(f, "{text}")) {
                    self.complain(&format!("crashlens: {name}: {e}"));
                    self.complain(&text);
                }
            }
        }
    }

    #[expect(clippy::unused_self, reason = "where messages go is the front end's to decide")]
    fn complain(&self, text: &str) {
        // what was printed before comes before; nobody is left to tell where standard error is gone
        let _ = io::stdout().lock().flush();
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// How one command's reports become bytes.
struct Writer<'a> {
    format: Format,
    colour: Colour,
    source: Source<'a>,
    words: &'a [String],
}

impl Writer<'_> {
    fn report(&self, report: &Report, out: &mut Output) -> io::Result<()> {
        // one write for each some thousand lines, not one for each span
        let mut out = io::BufWriter::with_capacity(1 << 16, out);
        match self.format {
            Format::Text => render::text(report, self.colour, &mut out)?,
            Format::Json => render::json(report, self.source, &mut out)?,
            Format::Html => render::html_body(report, &self.words.join(" "), &mut out)?,
        }
        out.flush()
    }
}
