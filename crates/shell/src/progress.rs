//! Progress of long work: one line on a terminal's standard error, gone when the work ends.

use base::Progress;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
const REDRAW: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct State {
    since: Instant,
    drawn: Option<Instant>,
}

/// Draws on standard error where that is a terminal.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    terminal: bool,
}

impl Line {
    pub(crate) fn new(wanted: bool) -> Self {
        let state = State { since: Instant::now(), drawn: None };
        Self { state: Mutex::new(state), terminal: wanted && std::io::stderr().is_terminal() }
    }
    fn with(&self, f: impl FnOnce(&mut State)) {
        if self.terminal {
            f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
    /// Takes the line away; the time for patience starts anew.
    pub(crate) fn clear(&self) {
        self.with(|state| {
            if state.drawn.take().is_some() {
                let _ = std::io::stderr().write_all(b"\r\x1b[K");
            }
            state.since = Instant::now();
        });
    }
}

impl Progress for Line {
    fn step(&self, what: &str, done: u64, total: u64) {
        self.with(|state| {
            let late = state.since.elapsed() > PATIENCE;
            if !late || state.drawn.is_some_and(|at| at.elapsed() < REDRAW) {
                return;
            }
            state.drawn = Some(Instant::now());
            let text = match done.saturating_mul(100).checked_div(total) {
                Some(percent) => format!("\r\x1b[K{what}: {}%", percent.min(100)),
                None => format!("\r\x1b[K{what}: {done}"),
            };
            let _ = std::io::stderr().write_all(text.as_bytes());
        });
    }
    fn finish(&self) {
        self.clear();
    }
}
