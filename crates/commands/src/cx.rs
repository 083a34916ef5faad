//! What a command runs with.

use crate::{CommandError, Settings};
use base::{Cancel, Cancelled, NoProgress, Progress};
use kernel::Session;
use report::Report;
use std::ops::ControlFlow;

/// What a command runs with: the dump, the user's settings, and the ways out.
pub struct Cx<'s> {
    session: Option<&'s Session>,
    /// The user's settings; `set`, `alias` and `exit` change them.
    pub settings: &'s mut Settings,
    /// The switch that stops long work; loops over kernel data ask it.
    pub cancel: &'s Cancel,
    /// Where long work says how far it is.
    pub progress: &'s dyn Progress,
    sink: &'s mut dyn FnMut(&Report) -> ControlFlow<()>,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("session", &self.session.is_some()).finish_non_exhaustive()
    }
}

impl<'s> Cx<'s> {
    /// A context; `sink` shows what [`Cx::emit`] gives and breaks where nobody reads any more.
    pub fn new(
        session: Option<&'s Session>,
        settings: &'s mut Settings,
        cancel: &'s Cancel,
        sink: &'s mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> Self {
        Self { session, settings, cancel, progress: &NoProgress, sink }
    }
    /// The same, with progress shown.
    #[must_use]
    pub fn with_progress(mut self, progress: &'s dyn Progress) -> Self {
        self.progress = progress;
        self
    }
    /// The open dump; an error that names `command` where there is none.
    pub fn session(&self, command: &str) -> Result<&'s Session, CommandError> {
        self.session.ok_or_else(|| CommandError::NeedsDump(command.to_owned()))
    }
    /// The open dump, where there is one.
    #[must_use]
    pub const fn session_if_open(&self) -> Option<&'s Session> {
        self.session
    }
    /// The address of a symbol, for words that may be one; `None` without a dump.
    #[must_use]
    pub fn symbol_value(&self, name: &str) -> Option<u64> {
        self.session?.need_symbol(name).ok().map(|at| at.0)
    }
    /// Shows a part of the answer now, for commands whose answer is long or has no end; what `run`
    /// returns comes after it. Stops the command where nobody reads any more.
    pub fn emit(&mut self, part: &Report) -> Result<(), Cancelled> {
        self.cancel.check()?;
        match (self.sink)(part) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Cancelled),
        }
    }
}
