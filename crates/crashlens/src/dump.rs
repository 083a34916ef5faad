//! An opened dump.

use crate::handle::Handle;
use crate::{Error, Task, Type, Value};
use ::dump::ReadAt;
use base::{Cancel, PhysAddr, PhysRead as _, VirtAddr};
use commands::Settings;
use kernel::{Fetch, Image, KernelError, Layers, OpenOptions, Session, Workspace};
use report::Report;
use std::path::PathBuf;
use std::sync::Arc;
use verdict::Verdict;

/// How a dump is opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    open: OpenOptions,
    cancel: Option<Cancel>,
}

impl Options {
    /// Debug files are looked for where distributions put them; no server is asked but those of `DEBUGINFOD_URLS`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a file: the dump (each part of a split one), a vmlinux, a System.map, a module, a package, in any order.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.open.files.push(path.into());
        self
    }
    /// Adds a folder to look for debug files in.
    #[must_use]
    pub fn debug_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.open.debug_dirs.push(path.into());
        self
    }
    /// Whether debug files that were not named are looked for.
    #[must_use]
    pub fn search(mut self, yes: bool) -> Self {
        self.open.no_search = !yes;
        self
    }
    /// Whether a vmlinux of another build is taken.
    #[must_use]
    pub fn force(mut self, yes: bool) -> Self {
        self.open.force = yes;
        self
    }
    /// Shares what depends on the kernel's build with other dumps.
    #[must_use]
    pub fn workspace(mut self, workspace: &Arc<Workspace>) -> Self {
        self.open.workspace = Some(Arc::clone(workspace));
        self
    }

    /// What stops the work of the dump, its opening too: [`Cancel::cancel`]. Without it each dump has its own, for
    /// [`Dump::interrupt`].
    #[must_use]
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    /// What one dump is opened with: what stops work is its own, also where clones of these options open others.
    fn for_one(mut self) -> (OpenOptions, Cancel) {
        let cancel = self.cancel.take().unwrap_or_default();
        self.open.watch.cancel = cancel.clone();
        (self.open, cancel)
    }
}

/// An opened dump. A clone is the same dump.
#[derive(Clone, Debug)]
pub struct Dump(Handle);

/// A symbol, and how far into it an address is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Its address in the dump.
    pub address: u64,
    /// Bytes from the symbol to the address that was asked for.
    pub offset: u64,
    /// The module that it is of; `None` for the kernel's own.
    pub module: Option<String>,
}

impl Dump {
    /// Opens a dump: one file or all parts of a split one, and perhaps a vmlinux.
    ///
    /// # Errors
    /// A file cannot be read, or none is a dump. That no kernel is found in it is told when a question needs one.
    pub fn open<P: Into<PathBuf>>(files: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        Self::open_with(files.into_iter().fold(Options::new(), Options::file))
    }

    /// Opens a dump as `options` say.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub fn open_with(options: Options) -> Result<Self, Error> {
        let (open, cancel) = options.for_one();
        Ok(Self(Handle::new(Arc::new(Layers::open(open)?), cancel)))
    }

    /// A dump that is open already, and what stops its work.
    #[must_use]
    pub fn from_layers(layers: Arc<Layers>, cancel: Cancel) -> Self {
        Self(Handle::new(layers, cancel))
    }

    /// The files, the machine and the kernel below, for the crates beside this one.
    #[must_use]
    pub fn layers(&self) -> &Layers {
        self.0.layers()
    }

    /// The dump that a value is of.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self(value.handle().clone())
    }

    /// Opens a dump that is in memory: one file's bytes, or those of each part of a split one.
    ///
    /// # Errors
    /// The bytes are no dump, or a file that `options` name cannot be read.
    pub fn from_bytes(files: Vec<Vec<u8>>, options: Options) -> Result<Self, Error> {
        Self::from_dump(::dump::Dump::from_bytes(files), options)
    }

    /// Opens a dump through readers of one's own: over a network, out of an archive. The names are those that messages have.
    ///
    /// # Errors
    /// See [`Self::from_bytes`].
    pub fn from_readers(readers: Vec<(PathBuf, Box<dyn ReadAt>)>, options: Options) -> Result<Self, Error> {
        Self::from_dump(::dump::Dump::from_readers(readers), options)
    }

    fn from_dump(dump: Result<::dump::Dump, ::dump::DumpError>, options: Options) -> Result<Self, Error> {
        let dump = dump.map_err(|e| KernelError::Open(e.to_string()))?;
        let (open, cancel) = options.for_one();
        let image = Image::of(dump, &open)?;
        Ok(Self(Handle::new(Arc::new(Layers::new(open, image)), cancel)))
    }

    /// Stops what other threads ask of this dump now: it ends with [`Error::Interrupted`]. What is asked once that has ended is
    /// answered.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// True while what is asked of it is being stopped.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.0.cancel().is_cancelled()
    }

    /// The kernel in the dump, for what has no method here.
    ///
    /// # Errors
    /// No kernel is found in the dump, or its machine is not read.
    pub fn session(&self) -> Result<&Session, Error> {
        Ok(self.0.layers().session().map_err(Clone::clone)?)
    }

    /// The dump's format, in words.
    #[must_use]
    pub fn format(&self) -> &str {
        self.0.layers().image().dump.format()
    }

    /// The kernel's release.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn release(&self) -> Result<Option<String>, Error> {
        self.0.answer(|s| Ok(kernel::machine::system::release(s)))
    }

    /// All tasks, by pid; the idle tasks, one for each CPU, first. [`Self::lacks_tasks`] says whether there may be more.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn tasks(&self) -> Result<Vec<Task>, Error> {
        self.0.answer(|s| Ok(s.tasks().all.iter().map(|task| Task::new(&self.0, task)).collect()))
    }

    /// The task of a thread id; of 0 the idle task of the first CPU. `None` where no task has it.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn task(&self, pid: i32) -> Result<Option<Task>, Error> {
        self.0.answer(|s| Ok(s.tasks().with_pid(pid).next().map(|task| Task::new(&self.0, task))))
    }

    /// The task whose `task_struct` is at an address.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn task_at(&self, address: u64) -> Result<Option<Task>, Error> {
        self.0.answer(|s| Ok(s.tasks().at(VirtAddr(address)).map(|task| Task::new(&self.0, task))))
    }

    /// The CPUs that could be there, by number.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn possible_cpus(&self) -> Result<Vec<u32>, Error> {
        self.0.answer(|s| Ok(s.cpus().possible.clone()))
    }

    /// The CPUs that were on; `None` where that is not known.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn online_cpus(&self) -> Result<Option<Vec<u32>>, Error> {
        self.0.answer(|s| Ok(s.cpus().online.clone()))
    }

    /// A type, as C writes it: `struct task_struct`, `pid_t`, `unsigned long *`.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn type_named(&self, text: &str) -> Result<Type, Error> {
        Type::named(&self.0, text)
    }

    /// Why there may be more tasks than [`Self::tasks`] gives; `None` where it gives all.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn lacks_tasks(&self) -> Result<Option<String>, Error> {
        self.0.answer(|s| Ok(s.tasks().lack()))
    }

    /// The task in which the machine died; `None` where it did not, or where that is not known.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn panic_task(&self) -> Result<Option<Task>, Error> {
        self.0.answer(|s| Ok(kernel::sched::panic::known_panic_task(s).map(|task| Task::new(&self.0, task))))
    }

    /// Reads memory of the kernel at a virtual address.
    ///
    /// # Errors
    /// It is not mapped, or not in the dump.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Error> {
        self.0.answer(|s| Ok(s.mem().read(VirtAddr(address), into)?))
    }

    /// Reads physical memory. It needs no kernel in the dump.
    ///
    /// # Errors
    /// It is not in the dump.
    pub fn read_physical(&self, address: u64, into: &mut [u8]) -> Result<(), Error> {
        let _work = self.0.begin();
        Ok(self.0.layers().image().dump.read_phys(PhysAddr(address), into)?)
    }

    /// The address of a symbol, of the kernel or a module; `None` where there is none of this name.
    ///
    /// # Errors
    /// See [`Self::session`]. The dump lacks symbols, and this may be one of them.
    pub fn symbol(&self, name: &str) -> Result<Option<u64>, Error> {
        self.0.answer(|s| {
            let found = s.symbol(name).or_else(|| s.named(name).first().map(|symbol| symbol.addr));
            Ok(found.map_or_else(|| s.optional_symbol(name), |at| Ok(Some(at)))?.map(|at| at.0))
        })
    }

    /// The symbol that an address lies in; `None` where it is in none.
    ///
    /// # Errors
    /// See [`Self::session`]. The dump lacks symbols, and one of them may have it.
    pub fn locate(&self, address: u64) -> Result<Option<Symbol>, Error> {
        self.0.answer(|s| {
            let found = s.locate(VirtAddr(address)).map(|found| Symbol {
                name: found.symbol.name.to_owned(),
                address: found.symbol.addr.0,
                offset: found.offset,
                module: found.symbol.module.map(str::to_owned),
            });
            match found {
                None => Ok(s.optional_symbol(&format!("of {address:#x}")).map(|_| None)?),
                found => Ok(found),
            }
        })
    }

    /// The value of a C expression: symbols, members, casts, pointers, arrays, operators.
    ///
    /// # Errors
    /// It cannot be read, or names what is not known. Memory that is missing is an error of what needs it.
    pub fn eval(&self, text: &str) -> Result<Value, Error> {
        Value::eval(&self.0, text)
    }

    /// Runs a command of the program, in its syntax, with its settings at their start: `bt -a`, `struct page -o`. The answer
    /// is a tree of typed cells; [`Self::command_json`] gives it as text.
    ///
    /// # Errors
    /// There is no such command, its arguments are wrong, or it has no answer.
    pub fn command(&self, line: &str) -> Result<Report, Error> {
        let _work = self.0.begin();
        let (mut settings, words) = (Settings::default(), commands::split_words(line));
        let report =
            commands::whole(Some(self.0.layers()), &mut settings, self.0.cancel(), &words, usize::MAX);
        // a command may not ask servers once it has ended; other questions may
        self.0.layers().allow(Fetch::Always);
        self.0.cancel().check()?;
        Ok(report?.0)
    }

    /// [`Self::command`] as the JSON that `crashlens --json` prints.
    ///
    /// # Errors
    /// See [`Self::command`].
    pub fn command_json(&self, line: &str) -> Result<String, Error> {
        let report = self.command(line)?;
        let mut out = Vec::new();
        let written = render::json(&report, render::Source::default(), &mut out);
        debug_assert!(written.is_ok(), "memory takes all");
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// What killed the machine.
    ///
    /// # Errors
    /// See [`Self::session`].
    pub fn verdict(&self) -> Result<Verdict, Error> {
        self.0.answer(|s| Ok(verdict::analyse(s, &verdict::Options::default())))
    }
}
