//! Opening in layers: the image at once, the machine and the session when a question needs them. What a higher layer
//! lacks is no reason to refuse what a lower one can answer.

use crate::error::{KernelError, Result};
use crate::log::printk::Log;
use crate::mm::slab::Caches;
use crate::module::Modules;
use crate::opening::image::Image;
use crate::opening::machine::Machine;
use crate::opening::options::{Fetch, OpenOptions};
use crate::opening::placed::{self, LogText};
use crate::opening::words::{self, Words};
use crate::session::{Session, Start};
use crate::types::OfThisKernel;
use base::Kept;
use debuginfo::find::Debuginfod;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// An opened dump, layer by layer.
#[derive(Debug)]
pub struct Layers {
    options: OpenOptions,
    image: Arc<Image>,
    machine: Kept<Result<Machine>>,
    session: Kept<Result<Session>>,
    /// The text of a log.
    log_text: Kept<LogText>,
    /// What memory says where no kernel is found in it.
    words: Kept<Words>,
    /// The log where its first message is not among them.
    records: Kept<Option<Log>>,
    /// The debuginfod servers that may be asked; what they refused is remembered here.
    servers: Option<Arc<Debuginfod>>,
    /// How many of the session's warnings were told.
    told: Mutex<usize>,
}

impl Layers {
    /// Opens the files and reads the headers; nothing is looked for in memory. One kind of dump is different: which
    /// memory a large raw image holds is told by the kernel in it, so that it is looked for at once.
    ///
    /// # Errors
    /// A file cannot be read, or there is no dump among them.
    pub fn open(options: OpenOptions) -> Result<Self> {
        let image = Image::open(&options)?;
        if !image.may_lack_a_hole() {
            return Ok(Self::new(options, image));
        }
        Self::open_raw(options, image)
    }

    /// The layers above an image that was made by itself ([`Image::of`]).
    #[must_use]
    pub fn new(options: OpenOptions, image: Image) -> Self {
        let servers = Debuginfod::from_env().filter(|_| !options.no_search && !options.no_debuginfod);
        image.dump.read_excluded_as_zeros(options.zero_excluded);
        Self {
            servers: servers.map(Arc::new),
            options,
            image: Arc::new(image),
            machine: Kept::new(),
            session: Kept::new(),
            log_text: Kept::new(),
            words: Kept::new(),
            records: Kept::new(),
            told: Mutex::new(0),
        }
    }

    /// Opens a raw image that may be RAM without the hole that PCs have below 4 GiB. Where no kernel is found in it, it
    /// is looked for as if RAM behind went on at 4 GiB: QEMU's machines leave 1 or 2 GiB.
    fn open_raw(options: OpenOptions, image: Image) -> Result<Self> {
        let plain = Self::new(options, image);
        let moved = |hole| {
            Ok::<_, KernelError>(Self::new(
                plain.options.clone(),
                Image::open_around(&plain.options, Some(hole))?,
            ))
        };
        match plain.machine() {
            Err(KernelError::Stopped(_)) => Ok(plain),
            Err(_) => {
                for hole in [1 << 30, 2 << 30] {
                    let other = moved(hole)?;
                    if other.machine().is_ok() {
                        return Ok(other);
                    }
                }
                Ok(plain)
            }
            Ok(machine) => match start(machine.clone(), &plain.options, plain.servers.clone()) {
                Ok(Start::Hole(hole)) => moved(hole),
                Ok(Start::Session(session)) => Ok(Self { session: Kept::from(Ok(*session)), ..plain }),
                Err(_) => Ok(plain),
            },
        }
    }

    /// What was to be opened, and how.
    #[must_use]
    pub fn options(&self) -> &OpenOptions {
        &self.options
    }

    /// Headers, notes, physical memory.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Why nothing may be written to a file: it is read, as one that was named, or as a debug file that was found.
    #[must_use]
    pub fn why_not_written(&self, path: &Path) -> Option<String> {
        let found = self.session.made().and_then(|s| s.as_ref().ok()).map(Session::debug_files);
        self.image.why_not_written(path, &found.unwrap_or_default())
    }

    /// Architecture, page tables, registers. Looks for the kernel the first time.
    ///
    /// # Errors
    /// The kernel is not found, or its machine is not read.
    pub fn machine(&self) -> Result<&Machine, &KernelError> {
        if let Some(Ok(session)) = self.session.made() {
            return Ok(&session.opened().machine);
        }
        let find = || match self.log_text() {
            Some(read) => read.machine(self.image.clone(), &self.options),
            None => Machine::find(self.image.clone(), &self.options),
        };
        self.kept(&self.machine, find).as_ref()
    }

    /// The text of a log, where that is all that there is.
    fn log_text(&self) -> Option<&LogText> {
        let text = self.image.dump.facts().log.clone()?;
        Some(self.kept(&self.log_text, || LogText::read(&text)))
    }

    /// A kernel with symbols, types and facts.
    ///
    /// # Errors
    /// The kernel is not found, its machine is not read, or a file that was named is not this kernel's.
    pub fn session(&self) -> Result<&Session, &KernelError> {
        let start = || {
            let machine = self.machine().map_err(Clone::clone)?.clone();
            match start(machine, &self.options, self.servers.clone())? {
                Start::Session(mut session) => {
                    if let Some(read) = self.log_text() {
                        placed::give(&mut session, read);
                    }
                    Ok(*session)
                }
                // only of raw images whose session was made when they were opened
                Start::Hole(_) => Err(KernelError::Stopped("looking for the kernel in memory")),
            }
        };
        self.kept(&self.session, start).as_ref()
    }

    /// Whether debuginfod servers may be asked from now on, for what answers gain by debug files. [`Fetch::Lacking`] is
    /// for opening a session: one that has its types gains nothing more by it.
    pub fn allow(&self, fetch: Fetch) {
        if let Some(servers) = &self.servers {
            servers.allow(fetch == Fetch::Always);
        }
    }

    /// How often an answer would have asked a server while none was to be asked.
    #[must_use]
    pub fn unasked(&self) -> u64 {
        self.servers.as_ref().map_or(0, |servers| servers.unasked())
    }

    /// What memory says in plain words, of any machine: goes through all of it the first time.
    pub fn words(&self) -> &Words {
        self.kept(&self.words, || Words::find(&self.image, &self.options.watch))
    }

    /// The log as memory has it, of any machine: goes through memory again where its first message is gone.
    pub fn log_in_memory(&self) -> Option<&Log> {
        let first = self.words().log.as_ref();
        let by_shape = || words::log_by_shape(&self.image, &self.options.watch);
        first.or_else(|| self.kept(&self.records, by_shape).as_ref())
    }

    /// The session alone.
    pub(crate) fn into_session(self) -> Result<Session> {
        match self.session() {
            Err(e) => Err(e.clone()),
            Ok(_) => self.session.into_made().unwrap_or(Err(KernelError::Stopped("opening the dump"))),
        }
    }

    fn kept<'a, T>(&self, cell: &'a Kept<T>, make: impl FnOnce() -> T) -> &'a T {
        self.image.keep(&self.options.watch.cancel, cell, make)
    }

    /// What the user ought to know of the files and was not told yet.
    #[must_use]
    pub fn news(&self) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (machine, session) = match (self.session.made(), self.machine.made()) {
            (Some(Ok(session)), _) => {
                (session.opened().machine.warnings.as_slice(), session.opened().warnings.as_slice())
            }
            (_, Some(Ok(machine))) => (machine.warnings.as_slice(), &[][..]),
            _ => (&[][..], &[][..]),
        };
        let lines = self.session.made().and_then(|s| s.as_ref().ok()).map(Session::vmcoreinfo_notes);
        let all = self.image.warnings.iter().chain(machine).chain(session).chain(lines.unwrap_or_default());
        let mut new: Vec<String> = all.skip(*told).cloned().collect();
        *told = told.saturating_add(new.len());
        let failed = self.servers.as_ref().map(|servers| servers.failures()).unwrap_or_default();
        new.extend(failed.into_iter().map(|why| format!("debuginfod: {why}; the answers do without")));
        new
    }
}

/// A session over a machine, with the facts that are not to be read.
fn start(machine: Machine, options: &OpenOptions, servers: Option<Arc<Debuginfod>>) -> Result<Start> {
    let mut start = Session::start(machine, options, servers, &OfThisKernel)?;
    if let Start::Session(session) = &mut start {
        if options.no_modules {
            session.give(Modules::switched_off());
        }
        if options.no_slab_caches {
            session.give(Caches::default());
        }
    }
    Ok(start)
}

impl Session {
    /// Opens a dump with all layers. Reads its headers and finds the kernel in it; everything else waits until it
    /// is asked for. [`Layers`] opens a layer when it is needed.
    ///
    /// # Errors
    /// The files are no dump, no kernel is found in it, or a file that was named is not this kernel's.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        Layers::open(options.clone())?.into_session()
    }

    /// A session over a dump that is open already: from memory, or from any reader. The files of `options` stand beside it.
    ///
    /// # Errors
    /// No kernel is found in the dump, or a file that was named is not this kernel's.
    pub fn from_parts(dump: dump::Dump, options: &OpenOptions) -> Result<Self> {
        Layers::new(options.clone(), Image::of(dump, options)?).into_session()
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
