//! Where a command's bytes go: standard output, a pager, a shell command, a file.

use commands::{Redirect, Scroll};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
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
    /// A pager that is started at the first byte, so that a silent command starts none.
    Pager(Command),
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
    pub(crate) const fn stdout() -> Self {
        Self { to: To::Stdout, gone: false, redirected: false }
    }
    #[cfg(test)]
    pub(crate) const fn memory() -> Self {
        Self { to: To::Memory(Vec::new()), gone: false, redirected: false }
    }
    #[cfg(test)]
    pub(crate) fn into_text(self) -> String {
        match self.to {
            To::Memory(bytes) => String::from_utf8(bytes).unwrap(),
            _ => panic!("not in memory"),
        }
    }
    /// The user's pager.
    pub(crate) fn pager(scroll: &Scroll) -> Self {
        let named = |variable: &str| std::env::var(variable).ok().filter(|v| !v.trim().is_empty());
        let command = match scroll {
            Scroll::Off => return Self::stdout(),
            Scroll::On => named("PAGER").map_or_else(less, |p| own(&p)),
            Scroll::Less => less(),
            Scroll::More => Command::new("more"),
            Scroll::CrashPager => named("CRASHPAGER").map_or_else(less, |p| own(&p)),
        };
        Self { to: To::Pager(command), gone: false, redirected: false }
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
        Ok(Some(Self { to, gone: false, redirected: true }))
    }
    /// True where the reader is a person at a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        match self.to {
            To::Stdout | To::Pager(_) => io::stdout().is_terminal(),
            // a pager that runs
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
    pub(crate) const fn is_stdout(&self) -> bool {
        matches!(self.to, To::Stdout)
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let To::Pager(command) = &mut self.to {
            self.to = match spawn(command) {
                Ok(reader) => To::Reader(reader),
                // no pager on this machine: show the text all the same
                Err(_) => To::Stdout,
            };
        }
        match &mut self.to {
            To::Stdout | To::Pager(_) => io::stdout().lock().write_all(bytes),
            To::Reader(Reader { input: Some(input), .. }) => input.write_all(bytes),
            To::Reader(_) => Ok(()),
            To::File(file) => file.write_all(bytes),
            To::Memory(memory) => memory.write_all(bytes),
        }
    }

    /// Ends the output and waits for its reader.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match &mut self.to {
            To::Stdout => match io::stdout().lock().flush() {
                Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
                other => other,
            },
            To::Reader(reader) => {
                drop(reader.input.take());
                reader.child.wait().map(drop)
            }
            To::File(file) => file.flush(),
            To::Pager(_) | To::Memory(_) => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.gone {
            match self.write_once(bytes) {
                // the reader has seen enough: no failure
                Err(e) if e.kind() == ErrorKind::BrokenPipe => self.gone = true,
                other => other?,
            }
        }
        Ok(bytes.len())
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

/// Colours shown as such, no wait at the end of what fits, the screen left as it is, Ctrl-C ends it.
const LESS: &str = "-RFXK";

fn less() -> Command {
    let mut command = Command::new("less");
    command.arg(LESS);
    command
}

/// A pager that the user chose: if it is `less`, with these options where the user has none.
fn own(line: &str) -> Command {
    let mut command = shell(line);
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    command
}

/// A command line for the user's shell.
pub(crate) fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    command
}
