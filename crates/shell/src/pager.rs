//! The user's pager. What it is given is kept until it ends well: a pager that cannot start, or that dies, loses
//! nothing, since the text is then shown without it.

use crate::say::say;
use base::Cancel;
use commands::Scroll;
use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// Colours shown as such, no wait at the end of what fits, the screen left as it is, Ctrl-C ends it.
const LESS: &str = "-RFXK";

/// Bytes that are kept at most. A pager that took so much has started.
const KEPT: usize = 64 << 20;

/// Why a pager takes no more.
pub(crate) enum Stopped {
    /// The reader has seen enough.
    Left,
    /// It did not start, or it died: this is what it was given.
    Failed(Vec<u8>),
}

/// A pager; started at the first byte, so that a silent command starts none.
pub(crate) struct Pager {
    /// The name that ours was called by.
    program: &'static str,
    command: Command,
    name: String,
    running: Option<(Child, Option<ChildStdin>)>,
    kept: Vec<u8>,
    /// How much at the front is not kept any more.
    dropped: usize,
    cancel: Cancel,
}

impl Pager {
    /// The pager that `scroll` asks for; `None` where it asks for none.
    pub(crate) fn new(program: &'static str, scroll: &Scroll, cancel: &Cancel) -> Option<Self> {
        let named = |variable: &str| std::env::var(variable).ok().filter(|v| !v.trim().is_empty());
        let (name, command) = match scroll {
            Scroll::Off => return None,
            Scroll::On => named("PAGER").map_or_else(less, own),
            Scroll::Less => less(),
            Scroll::More => more(),
            Scroll::CrashPager => named("CRASHPAGER").map_or_else(less, own),
        };
        Some(Self { program, ..Self::with(name, command, cancel) })
    }

    fn with(name: String, command: Command, cancel: &Cancel) -> Self {
        let program = "crashlens";
        Self { program, command, name, running: None, kept: Vec::new(), dropped: 0, cancel: cancel.clone() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        self.keep(bytes);
        if self.running.is_none() {
            // what was printed so far comes before what the pager shows
            let _ = io::stdout().lock().flush();
            match self.command.stdin(Stdio::piped()).spawn() {
                Ok(mut child) => {
                    let input = child.stdin.take();
                    self.running = Some((child, input));
                }
                Err(e) => return Err(self.failed(&format!("cannot be started: {e}"))),
            }
        }
        let taken = match &mut self.running {
            Some((_, Some(input))) => input.write_all(bytes).is_ok(),
            _ => false,
        };
        if taken { Ok(()) } else { Err(self.ended().err().unwrap_or(Stopped::Left)) }
    }

    /// Tells the pager that this is all, and waits until the reader has seen enough.
    pub(crate) fn finish(mut self) -> Result<(), Stopped> {
        self.ended()
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        // half of it goes at once, so that this is rare
        if self.kept.len() > KEPT {
            let surplus = self.kept.len().saturating_sub(KEPT / 2);
            self.kept.drain(..surplus);
            self.dropped = self.dropped.saturating_add(surplus);
        }
    }

    fn ended(&mut self) -> Result<(), Stopped> {
        let Some((mut child, input)) = self.running.take() else { return Ok(()) };
        drop(input);
        match child.wait() {
            Ok(status) if status.success() || self.interrupted(status) => Ok(()),
            Ok(status) => Err(self.failed(&format!("failed ({status})"))),
            Err(e) => Err(self.failed(&format!("failed: {e}"))),
        }
    }

    fn interrupted(&self, status: ExitStatus) -> bool {
        use std::os::unix::process::ExitStatusExt;
        const SIGINT: i32 = 2;
        self.cancel.is_cancelled() || status.signal() == Some(SIGINT) || status.code() == Some(128 + SIGINT)
    }

    fn failed(&mut self, why: &str) -> Stopped {
        say(&format!("{}: the pager {:?} {why}; the text follows without it", self.program, self.name));
        if self.dropped > 0 {
            say(&format!("{}: its first {} bytes are not shown again", self.program, self.dropped));
        }
        Stopped::Failed(std::mem::take(&mut self.kept))
    }
}

fn less() -> (String, Command) {
    let mut command = Command::new("less");
    command.arg(LESS);
    ("less".to_owned(), command)
}

/// `more` ends behind the last line where it is told to, else it waits for a key even where all fits.
fn more() -> (String, Command) {
    let mut command = Command::new("more");
    end_of_more(&mut command);
    ("more".to_owned(), command)
}

fn end_of_more(command: &mut Command) {
    if std::env::var_os("MORE").is_none() {
        command.env("MORE", "-e");
    }
}

/// A pager that the user chose: if it is `less` or `more`, with these options where the user has none.
fn own(line: String) -> (String, Command) {
    let mut command = shell(&line);
    end_of_more(&mut command);
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    (line, command)
}

/// A command line for the user's shell.
pub(crate) fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(command: Command, text: &[u8]) -> Option<Vec<u8>> {
        let mut pager = Pager::with("x".to_owned(), command, &Cancel::new());
        let stopped = match text.chunks(1000).try_for_each(|part| pager.write(part)) {
            Ok(()) => pager.finish().err(),
            stopped => stopped.err(),
        };
        match stopped {
            Some(Stopped::Failed(bytes)) => Some(bytes),
            Some(Stopped::Left) | None => None,
        }
    }

    #[test]
    fn a_pager_that_cannot_start_or_dies_gives_the_text_back() {
        let text = b"0123456789\n".repeat(20);
        let (_, missing) = own("/nosuch/pager".to_owned());
        assert_eq!(kept(missing, &text).as_deref(), Some(&text[..]));
        assert_eq!(kept(Command::new("/nosuch/pager"), &text).as_deref(), Some(&text[..]));
        for line in ["exit 3", "read x; kill -9 $$", "cat > /dev/null; exit 1"] {
            assert_eq!(kept(shell(line), &text).as_deref(), Some(&text[..]), "{line}");
        }
    }

    #[test]
    fn what_was_given_before_it_died_comes_first() {
        // more than a pipe holds: the death is seen while there is more to write
        let text: Vec<u8> = (0..40_000).flat_map(|n: u32| n.to_le_bytes()).collect();
        let back = kept(shell("exit 1"), &text).unwrap();
        assert!(!back.is_empty() && text.starts_with(&back));
    }

    #[test]
    fn a_reader_that_has_seen_enough_gets_no_second_text() {
        assert_eq!(kept(shell("cat > /dev/null"), b"x"), None);
        assert_eq!(kept(shell("exit 0"), &b"x".repeat(1 << 20)), None);
        assert_eq!(kept(shell("exit 130"), &b"x".repeat(1 << 20)), None);
    }
}
