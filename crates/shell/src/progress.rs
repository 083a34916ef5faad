//! Progress of long work: one line on a terminal's standard error, gone when the work ends. Elsewhere nothing, but of
//! downloads lines where `DEBUGINFOD_PROGRESS` asks for them, as other clients of debuginfod do.

use crate::terminal::is_dumb;
use base::Progress;
use render::Clean;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line is written that stays.
const REPEAT: Duration = Duration::from_secs(2);
/// How the text of downloads begins.
const DOWNLOAD: &str = "fetching ";

/// Where progress goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Nowhere,
    /// One line that is drawn anew.
    Terminal,
    /// Of downloads, lines that stay.
    Downloads,
}

impl Mode {
    fn of(wanted: bool, terminal: bool, dumb: bool, downloads: bool) -> Self {
        match (wanted && terminal && !dumb, downloads && (!terminal || dumb)) {
            (true, _) => Self::Terminal,
            (_, true) => Self::Downloads,
            _ => Self::Nowhere,
        }
    }

    /// The text to write, where it is time for one.
    fn text(
        self,
        what: &str,
        done: u64,
        total: u64,
        since: Duration,
        drawn: Option<Duration>,
    ) -> Option<String> {
        let (patience, repeat) = match self {
            Self::Nowhere => return None,
            Self::Terminal => (PATIENCE, REDRAW),
            Self::Downloads if what.starts_with(DOWNLOAD) => (Duration::ZERO, REPEAT),
            Self::Downloads => return None,
        };
        if since < patience || drawn.is_some_and(|ago| ago < repeat) {
            return None;
        }
        let what = Clean::of(what);
        let text = match done.saturating_mul(100).checked_div(total) {
            Some(percent) => format!("{what}: {}%", percent.min(100)),
            None => format!("{what}: {done}"),
        };
        Some(if self == Self::Terminal { format!("\r\x1b[K{text}") } else { format!("{text}\n") })
    }
}

#[derive(Debug)]
struct State {
    since: Instant,
    drawn: Option<Instant>,
}

/// Draws on standard error.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    mode: Mode,
}

impl Line {
    pub(crate) fn new(wanted: bool) -> Self {
        let state = State { since: Instant::now(), drawn: None };
        let downloads = std::env::var_os("DEBUGINFOD_PROGRESS").is_some();
        Self {
            state: Mutex::new(state),
            mode: Mode::of(wanted, std::io::stderr().is_terminal(), is_dumb(), downloads),
        }
    }
    fn with(&self, f: impl FnOnce(&mut State)) {
        if self.mode != Mode::Nowhere {
            f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
    /// Takes the line away; the time for patience starts anew.
    pub(crate) fn clear(&self) {
        self.with(|state| {
            if state.drawn.take().is_some() && self.mode == Mode::Terminal {
                let _ = std::io::stderr().write_all(b"\r\x1b[K");
            }
            state.since = Instant::now();
        });
    }
}

impl Progress for Line {
    fn step(&self, what: &str, done: u64, total: u64) {
        self.with(|state| {
            let drawn = state.drawn.map(|at| at.elapsed());
            if let Some(text) = self.mode.text(what, done, total, state.since.elapsed(), drawn) {
                state.drawn = Some(Instant::now());
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
        });
    }
    fn finish(&self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_one_line_and_a_file_the_downloads_that_were_asked_for() {
        assert_eq!(Mode::of(true, true, false, true), Mode::Terminal);
        assert_eq!(Mode::of(false, true, false, true), Mode::Nowhere, "-s");
        assert_eq!(Mode::of(false, false, false, true), Mode::Downloads);
        assert_eq!(Mode::of(true, false, false, false), Mode::Nowhere);
        assert_eq!(Mode::of(true, true, true, false), Mode::Nowhere, "TERM=dumb");
        let long = Duration::from_secs(3);
        let text = |mode: Mode, what, drawn| mode.text(what, 1, 4, long, drawn);
        assert_eq!(text(Mode::Terminal, "searching", None).as_deref(), Some("\r\x1b[Ksearching: 25%"));
        assert_eq!(text(Mode::Terminal, "searching", Some(Duration::ZERO)), None);
        assert_eq!(Mode::Terminal.text("searching", 1, 4, Duration::ZERO, None), None, "it may end soon");
        assert_eq!(text(Mode::Downloads, "searching", None), None);
        assert_eq!(text(Mode::Downloads, "fetching from x", None).as_deref(), Some("fetching from x: 25%\n"));
        assert_eq!(text(Mode::Downloads, "fetching from x", Some(Duration::from_secs(1))), None);
        assert_eq!(
            Mode::Downloads.text("fetching from x", 7, 0, long, None).as_deref(),
            Some("fetching from x: 7\n")
        );
    }
}
