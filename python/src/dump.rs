//! Opened dumps.

use crate::errors::{not_there, of_key, raised};
use crate::numbers::address;
use crate::object::Object;
use crate::own;
use crate::remote::{self, Remote, Transfers};
use crate::reports::Report;
use crate::stack::Stack;
use crate::task::Task;
use crate::types::{Type, named};
use crate::work::{ask, watched};
use crashlens::kernel::KernelError;
use crashlens::{Cancel, Options, ReadAt, Workspace};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// What depends on a kernel's build alone, shared by all dumps that this process opens.
pub(crate) static WORKSPACE: LazyLock<Arc<Workspace>> = LazyLock::new(Arc::default);

/// The most bytes that one call reads.
const MOST: u64 = 1 << 32;

/// An opened dump.
#[pyclass(frozen, module = "crashlens", weakref)]
pub(crate) struct Dump {
    pub(crate) dump: crashlens::Dump,
    names: Vec<PathBuf>,
    remote: Vec<Transfers>,
}

/// The files that a dump is opened of, here and on servers.
pub(crate) struct Files {
    here: Vec<PathBuf>,
    remote: Vec<(PathBuf, Remote)>,
}

impl Files {
    /// Asks the servers for the beginnings of theirs.
    pub(crate) fn of(names: Vec<PathBuf>, cancel: &Cancel) -> Result<Self, crashlens::Error> {
        let mut out = Self { here: Vec::new(), remote: Vec::new() };
        for name in names {
            let Some(url) = remote::url(&name) else {
                out.here.push(name);
                continue;
            };
            let shown = remote::shown(url);
            let failed = |e| KernelError::Open(format!("{}: {e}", shown.display()));
            let object = Remote::open(url, cancel).map_err(failed)?;
            out.remote.push((shown, object));
        }
        Ok(out)
    }
    /// A file's name as it is told.
    pub(crate) fn shown(name: &Path) -> PathBuf {
        remote::url(name).map_or_else(|| name.to_owned(), remote::shown)
    }
    /// Opens the dump; also what tells how much is asked of servers.
    pub(crate) fn open(
        self,
        options: Options,
    ) -> Result<(crashlens::Dump, Vec<Transfers>), crashlens::Error> {
        let options = self.here.iter().fold(options, |options, file| options.file(file));
        let transfers = self.remote.iter().map(|(_, object)| object.transfers()).collect();
        if self.remote.is_empty() {
            return Ok((crashlens::Dump::open_with(options)?, transfers));
        }
        let readers =
            self.remote.into_iter().map(|(name, object)| (name, Box::new(object) as Box<dyn ReadAt>));
        Ok((crashlens::Dump::from_readers(readers.collect(), options)?, transfers))
    }
}

/// A symbol, and how far into it an address is.
#[pyclass(frozen, module = "crashlens", get_all)]
pub(crate) struct Symbol {
    name: String,
    address: u64,
    offset: u64,
    module: Option<String>,
}

/// Opens a dump, and perhaps a vmlinux and other files beside it.
#[pyfunction]
#[pyo3(signature = (*files, debug_dirs = Vec::new(), search = true, force = false))]
pub(crate) fn open(
    py: Python<'_>,
    files: Vec<PathBuf>,
    debug_dirs: Vec<PathBuf>,
    search: bool,
    force: bool,
) -> PyResult<Dump> {
    if files.is_empty() {
        return Err(PyTypeError::new_err("open() takes the path of a dump"));
    }
    let cancel = Cancel::new();
    let mut options = Options::new().search(search).force(force).workspace(&WORKSPACE).cancel(&cancel);
    options = debug_dirs.iter().fold(options, |options, dir| options.debug_dir(dir));
    let names = files.iter().map(|file| Files::shown(file)).collect();
    let own = cancel.clone();
    let open = move || Files::of(files, &own).and_then(|files| files.open(options));
    let opened = watched(py, open, move || cancel.cancel())?;
    let (dump, remote) = opened.map_err(|e| raised(py, &e))?;
    Ok(Dump { dump, names, remote })
}

/// How many builds of a kernel were read so far: dumps of one build share what depends on it.
#[pyfunction]
pub(crate) fn builds_read() -> u64 {
    WORKSPACE.builds_parsed()
}

impl Dump {
    pub(crate) const fn new(dump: crashlens::Dump, names: Vec<PathBuf>) -> Self {
        Self { dump, names, remote: Vec::new() }
    }
    fn tasks_of(&self, tasks: Vec<crashlens::Task>) -> Vec<Task> {
        tasks.into_iter().map(|task| Task(task, self.dump.clone())).collect()
    }
    fn names(&self) -> String {
        self.names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>().join(" ")
    }
}

#[pymethods]
impl Dump {
    fn __getitem__(&self, py: Python<'_>, name: String) -> PyResult<Object> {
        if !name.chars().all(|c| c.is_alphanumeric() || "_.$".contains(c)) {
            return Err(PyValueError::new_err(format!("{name:?} is no name: eval() takes expressions")));
        }
        let found = ask(py, &self.dump, move |dump| Ok(dump.eval(&name)))?;
        found.map(Object).map_err(|e| of_key(py, &e))
    }
    fn __contains__(&self, py: Python<'_>, name: String) -> PyResult<bool> {
        ask(py, &self.dump, move |dump| Ok(dump.eval(&name).is_ok()))
    }
    fn eval(&self, py: Python<'_>, text: String) -> PyResult<Object> {
        ask(py, &self.dump, move |dump| dump.eval(&text)).map(Object)
    }
    fn r#type(&self, py: Python<'_>, name: String) -> PyResult<Type> {
        named(py, &self.dump, name)
    }
    fn object(&self, py: Python<'_>, r#type: String, address: &Bound<'_, PyAny>) -> PyResult<Object> {
        let at = crate::numbers::address(address)?;
        Ok(Object(named(py, &self.dump, r#type)?.0.at(at)))
    }
    fn symbol(&self, py: Python<'_>, which: &Bound<'_, PyAny>) -> PyResult<Symbol> {
        let at = match which.extract::<String>() {
            Ok(name) if !name.starts_with("0x") => {
                let wanted = name.clone();
                let found = ask(py, &self.dump, move |dump| dump.symbol(&wanted))?;
                found.ok_or_else(|| not_there(format!("no symbol {name}")))?
            }
            _ => address(which)?,
        };
        let found = ask(py, &self.dump, move |dump| dump.locate(at))?;
        let found = found.ok_or_else(|| not_there(format!("{at:#x} is in no symbol")))?;
        Ok(Symbol { name: found.name, address: found.address, offset: found.offset, module: found.module })
    }
    #[pyo3(signature = (address, size, physical = false))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        address: &Bound<'_, PyAny>,
        size: u64,
        physical: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        if size > MOST {
            return Err(PyValueError::new_err(format!("{size} bytes: one call reads at most {MOST}")));
        }
        let at = crate::numbers::address(address)?;
        let bytes = ask(py, &self.dump, move |dump| {
            // by pieces: a size that memory has not costs no more than what is there
            const PIECE: u64 = 1 << 20;
            let mut out = Vec::new();
            while (out.len() as u64) < size {
                let done = out.len();
                let piece = PIECE.min(size.saturating_sub(done as u64));
                let from = at.wrapping_add(done as u64);
                let mut bytes = vec![0; piece as usize];
                match physical {
                    true => dump.read_physical(from, &mut bytes)?,
                    false => dump.read(from, &mut bytes)?,
                }
                out.extend(bytes);
            }
            Ok(out)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }
    fn tasks(&self, py: Python<'_>) -> PyResult<Vec<Task>> {
        Ok(self.tasks_of(ask(py, &self.dump, crashlens::Dump::tasks)?))
    }
    fn lacks_tasks(&self, py: Python<'_>) -> PyResult<Option<String>> {
        ask(py, &self.dump, crashlens::Dump::lacks_tasks)
    }
    fn task(&self, py: Python<'_>, which: &Bound<'_, PyAny>) -> PyResult<Task> {
        let pid = which
            .extract::<i32>()
            .ok()
            .filter(|_| which.cast::<Object>().is_err() && which.cast::<Task>().is_err());
        let (found, what) = match pid {
            Some(pid) => {
                (ask(py, &self.dump, move |dump| dump.task(pid))?, format!("no task has the pid {pid}"))
            }
            None => {
                let at = address(which)?;
                (ask(py, &self.dump, move |dump| dump.task_at(at))?, format!("there is no task at {at:#x}"))
            }
        };
        found.map(|task| Task(task, self.dump.clone())).ok_or_else(|| not_there(what))
    }
    fn panic_task(&self, py: Python<'_>) -> PyResult<Option<Task>> {
        let found = ask(py, &self.dump, crashlens::Dump::panic_task)?;
        Ok(found.map(|task| Task(task, self.dump.clone())))
    }
    fn stack(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<Stack> {
        match task.cast::<Task>() {
            Ok(task) => task.get().stack(py),
            Err(_) => self.task(py, task)?.stack(py),
        }
    }
    fn run(&self, py: Python<'_>, line: String) -> PyResult<Report> {
        let args = commands::split_words(&line).into_iter().skip(1).collect();
        let names = self.names.clone();
        let report = ask(py, &self.dump, move |dump| own::on(dump, &names, || dump.command(&line)))?;
        Ok(Report::new(report, args, Some(self.names())))
    }
    fn verdict(&self, py: Python<'_>) -> PyResult<Report> {
        self.run(py, "verdict".to_owned())
    }
    #[pyo3(signature = (online = true))]
    fn cpus(&self, py: Python<'_>, online: bool) -> PyResult<Vec<u32>> {
        if !online {
            return ask(py, &self.dump, crashlens::Dump::possible_cpus);
        }
        let known = ask(py, &self.dump, crashlens::Dump::online_cpus)?;
        known.ok_or_else(|| not_there("which CPUs were on is not known".to_owned()))
    }
    #[getter]
    fn release(&self, py: Python<'_>) -> PyResult<Option<String>> {
        ask(py, &self.dump, crashlens::Dump::release)
    }
    #[getter]
    fn format(&self) -> &str {
        self.dump.format()
    }
    #[getter]
    fn files(&self) -> Vec<String> {
        self.names.iter().map(|name| name.display().to_string()).collect()
    }
    /// Requests to servers and bytes that they sent; `None` where all files are here.
    #[getter]
    fn transferred(&self) -> Option<(u64, u64)> {
        let all = self.remote.iter().map(Transfers::so_far);
        all.reduce(|one, other| (one.0.saturating_add(other.0), one.1.saturating_add(other.1)))
    }
    fn interrupt(&self) {
        self.dump.interrupt();
    }
    #[getter]
    fn is_interrupted(&self) -> bool {
        self.dump.is_interrupted()
    }
    fn __repr__(&self) -> String {
        format!("<dump {} ({})>", self.names(), self.dump.format())
    }
}

#[pymethods]
impl Symbol {
    fn __index__(&self) -> u64 {
        self.address
    }
    fn __repr__(&self) -> String {
        let module = self.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
        match self.offset {
            0 => format!("<symbol {}{module} at {:#x}>", self.name, self.address),
            offset => format!("<symbol {}+{offset:#x}{module}>", self.name),
        }
    }
}
