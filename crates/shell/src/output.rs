//! Where a command's bytes go: standard output, a pager, a shell command, a file.

use crate::pager::{Pager, Stopped, shell};
use base::Cancel;
use commands::{Redirect, Scroll};
use render::{Clean, Keep};
use report::Report;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdin, Command, Stdio};

/// How reports are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// crash's layouts.
    #[default]
    Text,
    /// One line of JSON a command.
    Json,
    /// One page.
    Html,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A child that reads what is written.
struct Reader {
    child: Child,
    input: Option<ChildStdin>,
}

enum To {
    Stdout,
    Pager(Box<Pager>),
    Reader(Reader),
    File(File),
    /// What a test wants to see.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests keep the bytes"))]
    Memory(Vec<u8>),
}

/// A place for bytes. Once its reader went away it swallows the rest, and says so.
pub(crate) struct Output {
    to: To,
    gone: bool,
    /// True where the line named it: a pipe or a file, not a pager.
    redirected: bool,
}

impl Output {
    const fn new(to: To, redirected: bool) -> Self {
        Self { to, gone: false, redirected }
    }
    pub(crate) const fn stdout() -> Self {
        Self::new(To::Stdout, false)
    }

    #[cfg(test)]
    pub(crate) const fn memory() -> Self {
        Self::new(To::Memory(Vec::new()), false)
    }
    #[cfg(test)]
    pub(crate) fn into_text(self) -> String {
        match self.to {
            To::Memory(bytes) => String::from_utf8(bytes).unwrap(),
            _ => panic!("not in memory"),
        }
    }
    /// The user's pager; `cancel` says whether Ctrl-C ended it.
    pub(crate) fn pager(program: &'static str, scroll: &Scroll, cancel: &Cancel) -> Self {
        match Pager::new(program, scroll, cancel) {
            Some(pager) => Self::new(To::Pager(Box::new(pager)), false),
            None => Self::stdout(),
        }
    }
    /// What a line's redirection names; `None` where it has none.
    pub(crate) fn redirected(redirect: &Redirect) -> io::Result<Option<Self>> {
        let to = match redirect {
            Redirect::None => return Ok(None),
            Redirect::Pipe(command) => To::Reader(spawn(&mut shell(command))?),
            Redirect::File(name, append) => To::File(
                OpenOptions::new().create(true).write(true).append(*append).truncate(!*append).open(name)?,
            ),
        };
        Ok(Some(Self::new(to, true)))
    }
    /// True where the reader is a person at a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        match self.to {
            To::Stdout | To::Pager(_) => io::stdout().is_terminal(),
            To::Reader(_) | To::File(_) | To::Memory(_) => false,
        }
    }
    /// True once nobody reads any more.
    pub(crate) const fn is_gone(&self) -> bool {
        self.gone
    }
    pub(crate) const fn is_redirected(&self) -> bool {
        self.redirected
    }
    pub(crate) const fn is_pager(&self) -> bool {
        matches!(self.to, To::Pager(_))
    }
    pub(crate) const fn is_stdout(&self) -> bool {
        matches!(self.to, To::Stdout)
    }
    /// The door for what `render` writes, which is clean. Whoever has other text to write uses [`Output::message`].
    pub(crate) const fn rendered(&mut self) -> Rendered<'_> {
        Rendered(self)
    }
    /// A line of text.
    pub(crate) fn message(&mut self, text: &Clean<'_>) -> io::Result<()> {
        self.write(format!("{text}\n").as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        match self.write_once(bytes) {
            // the reader has seen enough: no failure
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other,
        }
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.to {
            To::Stdout => io::stdout().lock().write_all(bytes),
            To::Pager(pager) => match pager.write(bytes) {
                Ok(()) => Ok(()),
                Err(Stopped::Left) => Err(ErrorKind::BrokenPipe.into()),
                Err(Stopped::Failed(kept)) => {
                    self.to = To::Stdout;
                    io::stdout().lock().write_all(&kept)
                }
            },
            To::Reader(Reader { input: Some(input), .. }) => input.write_all(bytes),
            To::Reader(_) => Ok(()),
            To::File(file) => file.write_all(bytes),
            To::Memory(memory) => memory.write_all(bytes),
        }
    }

    /// Ends the output and waits for its reader.
    pub(crate) fn finish(self) -> io::Result<()> {
        let flushed = |result: io::Result<()>| match result {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        };
        match self.to {
            To::Stdout => flushed(io::stdout().lock().flush()),
            To::Reader(mut reader) => {
                drop(reader.input.take());
                let status = reader.child.wait()?;
                // as shells have it: the command is not there, or is none
                match status.code() {
                    Some(code @ (126 | 127)) => {
                        Err(io::Error::other(format!("the command behind | did not run (exit code {code})")))
                    }
                    _ => Ok(()),
                }
            }
            To::File(mut file) => file.flush(),
            To::Pager(pager) => match pager.finish() {
                Ok(()) | Err(Stopped::Left) => Ok(()),
                Err(Stopped::Failed(kept)) => {
                    let mut out = io::stdout().lock();
                    flushed(out.write_all(&kept).and_then(|()| out.flush()))
                }
            },
            To::Memory(_) => Ok(()),
        }
    }
}

/// Where `render` writes.
pub(crate) struct Rendered<'a>(&'a mut Output);

impl Write for Rendered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spawn(command: &mut Command) -> io::Result<Reader> {
    // what was printed so far comes before what the child prints
    io::stdout().lock().flush()?;
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let input = child.stdin.take();
    Ok(Reader { child, input })
}

/// A page on standard output: a man page, the help, one value. A reader that went away is no failure.
///
/// # Errors
/// What the system says of a write that failed.
pub fn print(page: &str) -> io::Result<()> {
    let mut out = Output::stdout();
    out.message(&Clean::keep(page.trim_end_matches('\n'), Keep::Lines))?;
    out.finish()
}

/// A report on standard output, beside any shell: `dump` is the file that it is of. A reader that went away is no failure: there is
/// nothing more to do ([`ControlFlow::Break`]).
///
/// # Errors
/// What the system says of a write that failed.
pub fn print_report(report: &Report, format: Format, dump: Option<&str>) -> io::Result<ControlFlow<()>> {
    written(Output::stdout(), report, format, dump)
}

fn written(
    mut out: Output,
    report: &Report,
    format: Format,
    dump: Option<&str>,
) -> io::Result<ControlFlow<()>> {
    let source = render::Source { dump, ..render::Source::default() };
    match format {
        Format::Text => render::text(report, render::Colour::Plain, &mut out.rendered())?,
        Format::Json => render::json(report, source, &mut out.rendered())?,
        Format::Html => render::html_body(report, &report.command, &mut out.rendered())?,
    }
    let is_gone = out.is_gone();
    out.finish()?;
    Ok(if is_gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

/// A page that `write` renders, on standard output. A reader that went away is no failure.
///
/// # Errors
/// What the system says of a write that failed.
pub fn print_page(write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = Output::stdout();
    {
        let mut buffer = io::BufWriter::with_capacity(1 << 16, out.rendered());
        write(&mut buffer)?;
        buffer.flush()?;
    }
    out.finish()
}

/// The program's own failure, as one line of JSON on standard output.
pub fn print_error_json(message: &str) {
    let mut out = Output::stdout();
    let _ = render::json_error("open", message, render::Source::default(), &mut out.rendered());
    let _ = out.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_told_to_who_prints() {
        let mut report = Report::new("x");
        report.text("y".repeat(1 << 20));
        let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        child.wait().unwrap();
        let gone = Output::new(To::Reader(Reader { child, input }), false);
        assert!(written(gone, &report, Format::Json, None).unwrap().is_break());
        assert!(written(Output::memory(), &report, Format::Json, None).unwrap().is_continue());
    }
}
