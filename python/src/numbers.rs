//! Numbers between C and Python, and addresses as callers may give them.

use crate::object::Object;
use crate::task::Task;
use crashlens::Scalar;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A number of C as Python's.
pub(crate) fn number<'py>(py: Python<'py>, scalar: Scalar) -> PyResult<Bound<'py, PyAny>> {
    match scalar {
        Scalar::Float(n) => Ok(n.into_pyobject(py)?.into_any()),
        Scalar::Int(n) => match (i64::try_from(n), u64::try_from(n)) {
            (Ok(n), _) => Ok(n.into_pyobject(py)?.into_any()),
            (_, Ok(n)) => Ok(n.into_pyobject(py)?.into_any()),
            _ => Ok(n.into_pyobject(py)?.into_any()),
        },
    }
}

/// An address: a number, an object (a pointer's value, else where it lies), a task, or text as JSON has it (`0x…`).
pub(crate) fn address(from: &Bound<'_, PyAny>) -> PyResult<u64> {
    if let Ok(object) = from.cast::<Object>() {
        return object.get().as_address(from.py());
    }
    if let Ok(task) = from.cast::<Task>() {
        return Ok(task.get().0.address());
    }
    if let Ok(text) = from.extract::<String>() {
        let digits = text.strip_prefix("0x").ok_or_else(|| wrong(&text))?;
        return u64::from_str_radix(digits, 16).map_err(|_| wrong(&text));
    }
    match from.extract::<u64>() {
        Ok(at) => Ok(at),
        Err(e) if e.is_instance_of::<PyOverflowError>(from.py()) => {
            Err(PyValueError::new_err("no address of 64 bits"))
        }
        Err(_) => Err(PyTypeError::new_err("an address is a number, an object or \"0x…\"")),
    }
}

fn wrong(text: &str) -> PyErr {
    PyValueError::new_err(format!("{text:?} is no address: \"0x…\""))
}
