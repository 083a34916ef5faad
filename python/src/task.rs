//! Tasks.

use crate::errors::raised;
use crate::object::Object;
use crate::stack::Stack;
use crate::work::ask;
use pyo3::prelude::*;

/// A task of the kernel.
#[pyclass(frozen, module = "crashlens")]
pub(crate) struct Task(pub(crate) crashlens::Task, pub(crate) crashlens::Dump);

/// A lock that a task waits for.
#[pyclass(frozen, module = "crashlens")]
pub(crate) struct Lock {
    #[pyo3(get)]
    kind: &'static str,
    #[pyo3(get)]
    address: u64,
    owner: Option<crashlens::Task>,
    dump: crashlens::Dump,
}

#[pymethods]
impl Task {
    #[getter]
    fn pid(&self) -> i32 {
        self.0.pid()
    }
    #[getter]
    fn tgid(&self) -> i32 {
        self.0.tgid()
    }
    #[getter]
    fn comm(&self) -> &str {
        self.0.comm()
    }
    #[getter]
    fn address(&self) -> u64 {
        self.0.address()
    }
    #[getter]
    fn cpu(&self) -> Option<u32> {
        self.0.cpu()
    }
    #[getter]
    fn is_active(&self) -> bool {
        self.0.is_active()
    }
    #[getter]
    fn is_kernel(&self) -> Option<bool> {
        self.0.is_kernel()
    }
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        self.0.state().map_err(|e| raised(py, &e))
    }
    #[getter]
    fn object(&self, py: Python<'_>) -> PyResult<Object> {
        self.0.value().map(Object).map_err(|e| raised(py, &e))
    }
    pub(crate) fn stack(&self, py: Python<'_>) -> PyResult<Stack> {
        let task = self.0.clone();
        let trace = ask(py, &self.1, move |_| task.backtrace())?;
        Ok(Stack::new(self.1.clone(), self.0.clone(), trace))
    }
    fn waits_for(&self, py: Python<'_>) -> PyResult<Option<Lock>> {
        let task = self.0.clone();
        let found = ask(py, &self.1, move |_| task.waits_for())?;
        Ok(found.map(|lock| Lock {
            kind: lock.kind,
            address: lock.address,
            owner: lock.owner,
            dump: self.1.clone(),
        }))
    }
    fn __int__(&self) -> u64 {
        self.0.address()
    }
    fn __index__(&self) -> u64 {
        self.0.address()
    }
    fn __eq__(&self, other: &Self) -> bool {
        self.0.address() == other.0.address()
    }
    fn __hash__(&self) -> u64 {
        self.0.address()
    }
    fn __repr__(&self) -> String {
        format!("<task {} at {:#x}>", self.0, self.0.address())
    }
}

#[pymethods]
impl Lock {
    #[getter]
    fn owner(&self) -> Option<Task> {
        self.owner.clone().map(|task| Task(task, self.dump.clone()))
    }
    fn __repr__(&self) -> String {
        format!("<{} at {:#x}>", self.kind, self.address)
    }
}
