//! Backtraces, frame by frame.

use crate::object::Object;
use crate::reports::preformatted;
use crate::work::ask;
use pyo3::exceptions::{PyIndexError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The frames of a task, innermost first.
#[pyclass(frozen, module = "crashlens", sequence)]
pub(crate) struct Stack {
    dump: crashlens::Dump,
    task: crashlens::Task,
    trace: crashlens::Backtrace,
}

/// A frame.
#[pyclass(frozen, module = "crashlens")]
pub(crate) struct Frame {
    dump: crashlens::Dump,
    task: crashlens::Task,
    place: usize,
    frame: crashlens::Frame,
}

impl Stack {
    pub(crate) fn new(dump: crashlens::Dump, task: crashlens::Task, trace: crashlens::Backtrace) -> Self {
        Self { dump, task, trace }
    }
}

#[pymethods]
impl Stack {
    #[getter]
    fn stopped(&self) -> &str {
        &self.trace.stopped
    }
    #[getter]
    const fn is_whole(&self) -> bool {
        self.trace.is_whole
    }
    #[getter]
    fn remark(&self) -> Option<&str> {
        self.trace.remark.as_deref()
    }
    fn __len__(&self) -> usize {
        self.trace.frames.len()
    }
    fn __getitem__(&self, at: isize) -> PyResult<Frame> {
        let count = self.trace.frames.len();
        let place = if at < 0 { count.checked_add_signed(at) } else { usize::try_from(at).ok() };
        let found = place.and_then(|place| Some((place, self.trace.frames.get(place)?)));
        let (place, frame) =
            found.ok_or_else(|| PyIndexError::new_err(format!("{at}: there are {count} frames")))?;
        Ok(Frame { dump: self.dump.clone(), task: self.task.clone(), place, frame: frame.clone() })
    }
    fn __str__(&self) -> String {
        let lines = self.trace.frames.iter().enumerate().map(|(n, frame)| format!("#{n} {frame}"));
        let end = (!self.trace.is_whole).then(|| format!("-- {}", self.trace.stopped));
        lines.chain(end).collect::<Vec<_>>().join("\n")
    }
    fn __repr__(&self) -> String {
        self.__str__()
    }
    fn _repr_html_(&self) -> String {
        preformatted(&self.__str__())
    }
}

#[pymethods]
impl Frame {
    #[getter]
    const fn pc(&self) -> u64 {
        self.frame.pc
    }
    #[getter]
    const fn sp(&self) -> u64 {
        self.frame.sp
    }
    #[getter]
    fn name(&self) -> Option<&str> {
        self.frame.function.as_deref()
    }
    #[getter]
    const fn offset(&self) -> Option<u64> {
        self.frame.offset
    }
    #[getter]
    fn module(&self) -> Option<&str> {
        self.frame.module.as_deref()
    }
    #[getter]
    fn source(&self) -> Option<(String, u32)> {
        self.frame.source.clone()
    }
    #[getter]
    const fn is_guess(&self) -> bool {
        self.frame.is_guess
    }
    fn locals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (task, place) = (self.task.clone(), self.place);
        let out = PyDict::new(py);
        for local in ask(py, &self.dump, move |_| task.locals(place))? {
            // the innermost of a name is the one that C means
            if !out.contains(&local.name)? {
                out.set_item(local.name, Bound::new(py, Object(local.value))?)?;
            }
        }
        Ok(out)
    }
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let found = self.locals(py)?.get_item(name)?;
        found.ok_or_else(|| {
            PyKeyError::new_err(format!("{name}: no variable of this frame that debug information tells"))
        })
    }
    fn __str__(&self) -> String {
        self.frame.to_string()
    }
    fn __repr__(&self) -> String {
        format!("#{} {}", self.place, self.frame)
    }
}
