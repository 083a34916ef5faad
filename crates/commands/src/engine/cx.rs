//! What a command runs with.

use crate::{CommandError, Settings};
use base::{Cancel, Cancelled, NoProgress, Progress};
use kernel::log::printk::Log;
use kernel::{Fetch, Image, KernelError, Layers, Machine, Session, Words};
use report::Report;
use std::ops::ControlFlow;

/// What of an opened dump a command needs; each layer has those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// Nothing: it runs without a dump too.
    Nothing,
    /// Headers, notes, physical memory.
    Image,
    /// Architecture, page tables, registers of the CPUs.
    Machine,
    /// A kernel: symbols, types, tasks and all else.
    Session,
}

/// What a command runs with: the dump, the user's settings, and the ways out.
pub struct Cx<'s> {
    layers: Option<&'s Layers>,
    /// The user's settings; `set`, `alias` and `exit` change them.
    pub settings: &'s mut Settings,
    /// The switch that stops long work; loops over kernel data ask it.
    pub cancel: &'s Cancel,
    /// Where long work says how far it is.
    pub progress: &'s dyn Progress,
    sink: &'s mut dyn FnMut(&Report) -> ControlFlow<()>,
    /// Someone reads what [`Cx::emit`] gives as it comes: a terminal.
    read_at_once: bool,
    /// How many commands run this one for several things, and hand out its answers in their own order.
    within: u32,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("layers", &self.layers).finish_non_exhaustive()
    }
}

impl<'s> Cx<'s> {
    /// A context; `sink` shows what [`Cx::emit`] gives and breaks where nobody reads any more.
    pub fn new(
        layers: Option<&'s Layers>,
        settings: &'s mut Settings,
        cancel: &'s Cancel,
        sink: &'s mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> Self {
        Self { layers, settings, cancel, progress: &NoProgress, sink, read_at_once: false, within: 0 }
    }
    /// The same, where someone reads each part of an answer as it comes.
    #[must_use]
    pub const fn read_at_once(mut self, yes: bool) -> Self {
        self.read_at_once = yes;
        self
    }
    /// True where someone reads each part of an answer as it comes.
    pub(crate) const fn is_read_at_once(&self) -> bool {
        self.read_at_once
    }
    /// Does something of which the answers are a part of this command's: what runs there shows nothing by itself.
    pub(crate) fn inside<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.within = self.within.saturating_add(1);
        let out = run(self);
        self.within = self.within.saturating_sub(1);
        out
    }
    /// True where a command's answer is no part of another's, so that it may show parts of it as they come.
    pub(crate) const fn is_outermost(&self) -> bool {
        self.within == 0
    }
    /// The same, with progress shown.
    #[must_use]
    pub fn with_progress(mut self, progress: &'s dyn Progress) -> Self {
        self.progress = progress;
        self
    }
    fn layers(&self) -> Result<&'s Layers, CommandError> {
        self.layers.ok_or_else(|| CommandError::NeedsDump(String::new()))
    }
    /// Headers, notes and physical memory of the dump; an error where there is none.
    ///
    /// # Errors
    /// No dump is open.
    pub fn image(&self) -> Result<&'s Image, CommandError> {
        Ok(self.layers()?.image())
    }
    /// The machine of the dump; an error that says why there is none.
    ///
    /// # Errors
    /// No dump is open, or its machine is not read.
    pub fn machine(&self) -> Result<&'s Machine, CommandError> {
        self.layers()?.machine().map_err(lacks)
    }
    /// The kernel of the dump; an error that says why there is none.
    ///
    /// # Errors
    /// No dump is open, or no kernel is found in it.
    pub fn session(&self) -> Result<&'s Session, CommandError> {
        self.layers()?.session().map_err(lacks)
    }
    /// The bits of an address within a page: those of the dump's machine, else the usual ones.
    pub(crate) fn page_shift(&self) -> Result<u32, CommandError> {
        let machine = self.layers.and_then(|layers| layers.machine().ok());
        self.cancel.check()?;
        let usual = base::GRANULE.trailing_zeros();
        Ok(machine.map_or(usual, |machine| machine.boot.tables.paging.page_shift()))
    }
    /// True where no kernel can be read because the dump lost what tells of it.
    pub(crate) fn is_session_lost(&self) -> bool {
        let session = self.layers.map(Layers::session);
        session.and_then(Result::err).is_some_and(KernelError::is_loss)
    }
    /// What memory says in plain words, where no kernel is found in it.
    pub(crate) fn words(&self) -> Result<&'s Words, CommandError> {
        let words = self.layers()?.words();
        self.cancel.check()?;
        Ok(words)
    }
    /// The log by its own shape, where no kernel is found in memory.
    pub(crate) fn log_in_memory(&self) -> Result<Option<&'s Log>, CommandError> {
        let log = self.layers()?.log_in_memory();
        self.cancel.check()?;
        Ok(log)
    }
    /// Opens what a command needs.
    pub(crate) fn reach(&self, layer: Layer) -> Result<(), CommandError> {
        match layer {
            Layer::Nothing => Ok(()),
            Layer::Image => self.image().map(|_| ()),
            Layer::Machine => self.machine().map(|_| ()),
            Layer::Session => self.session().map(|_| ()),
        }
    }
    /// Whether debuginfod servers may be asked from now on.
    pub(crate) fn allow(&self, fetch: Fetch) {
        if let Some(layers) = self.layers {
            layers.allow(if self.settings.at_hand { Fetch::Never } else { fetch });
        }
    }
    /// How often a server would have been asked while none was to be asked.
    pub(crate) fn unasked(&self) -> u64 {
        self.layers.map_or(0, Layers::unasked)
    }
    /// The dump, where there is one.
    #[must_use]
    pub fn image_if_open(&self) -> Option<&'s Image> {
        Some(self.layers?.image())
    }
    /// An error where files that arguments name are not to be touched.
    pub(crate) fn may_name_files(&self) -> Result<(), CommandError> {
        if self.settings.files { Ok(()) } else { Err(CommandError::failed(NO_FILES)) }
    }
    /// Why nothing may be written to a file: it is open as the dump or beside it, or no file may be named.
    pub(crate) fn why_not_written(&self, path: &str) -> Option<String> {
        if !self.settings.files {
            return Some(NO_FILES.to_owned());
        }
        self.layers?.why_not_written(std::path::Path::new(path))
    }
    /// An error where nothing may be written to a file.
    pub(crate) fn may_write(&self, path: &str) -> Result<(), CommandError> {
        self.why_not_written(path).map_or(Ok(()), |why| Err(CommandError::failed(why)))
    }
    /// The kernel of the dump, where there is one.
    #[must_use]
    pub fn session_if_open(&self) -> Option<&'s Session> {
        self.layers?.session().ok()
    }
    /// The address of a symbol, for words that may be one; `None` without a dump.
    #[must_use]
    pub fn symbol_value(&self, name: &str) -> Option<u64> {
        crate::engine::symbols::value(self.session_if_open()?, name)
    }
    /// Shows a part of the answer now, for commands whose answer is long or has no end; what `run`
    /// returns comes after it. Stops the command where nobody reads any more.
    ///
    /// # Errors
    /// Nobody reads any more, or Ctrl-C came.
    pub fn emit(&mut self, part: &Report) -> Result<(), Cancelled> {
        self.cancel.check()?;
        match (self.sink)(part) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Cancelled),
        }
    }
}

const NO_FILES: &str = "no file may be named here: it is neither read nor written";

/// Why a layer is not there.
fn lacks(e: &KernelError) -> CommandError {
    match e {
        KernelError::Stopped(_) => CommandError::Cancelled(Cancelled),
        e if e.is_without_kernel() => CommandError::Lacks { command: String::new(), why: e.to_string() },
        other => CommandError::failed(other),
    }
}
