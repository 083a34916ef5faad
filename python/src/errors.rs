//! The library's errors as exceptions.

use crashlens::Wrong;
use pyo3::create_exception;
use pyo3::exceptions::{PyAttributeError, PyException, PyKeyError, PyLookupError};
use pyo3::prelude::*;

create_exception!(crashlens, Error, PyException, "Why there is no answer.");
create_exception!(
    crashlens,
    FaultError,
    Error,
    "Memory that is not in the dump, or not mapped; `address` says where."
);
create_exception!(crashlens, ExpressionError, Error, "An expression, type or value that C has not.");
create_exception!(
    crashlens,
    WalkError,
    Error,
    "A list, tree or table of the kernel that could not be walked to its end; what was found came before."
);
create_exception!(
    crashlens,
    CommandError,
    Error,
    "A command that has no answer; `is_loss` is true where the dump lost what it needs."
);
create_exception!(crashlens, Interrupted, Error, "`Dump.interrupt` stopped the question.");

/// An error of the library as an exception.
pub(crate) fn raised(py: Python<'_>, error: &crashlens::Error) -> PyErr {
    use crashlens::Error as E;
    let text = error.to_string();
    if let Some(at) = error.missing_at() {
        let fault = FaultError::new_err(text);
        // an exception without its attribute is still right
        let _ = fault.value(py).setattr("address", at);
        return fault;
    }
    match error {
        E::Interrupted => Interrupted::new_err(text),
        E::Expression { .. } => ExpressionError::new_err(text),
        E::Walk(_) => WalkError::new_err(text),
        E::Command(why) => {
            let raised = CommandError::new_err(text);
            let _ = raised.value(py).setattr("is_loss", why.is_loss());
            raised
        }
        _ => Error::new_err(text),
    }
}

/// The same of `object.name`: what has no such member is an `AttributeError`, as Python's own functions expect.
pub(crate) fn of_attribute(py: Python<'_>, error: &crashlens::Error) -> PyErr {
    match error {
        crashlens::Error::Expression { kind: Wrong::Member, why, .. } => {
            PyAttributeError::new_err(why.clone())
        }
        // a number has no members at all
        crashlens::Error::Expression { kind: Wrong::Other, why, .. } => {
            PyAttributeError::new_err(why.clone())
        }
        other => raised(py, other),
    }
}

/// The same of `dump["name"]`: a name that is not known is a `KeyError`.
pub(crate) fn of_key(py: Python<'_>, error: &crashlens::Error) -> PyErr {
    match error {
        crashlens::Error::Expression { kind: Wrong::Name, why, .. } => PyKeyError::new_err(why.clone()),
        other => raised(py, other),
    }
}

/// What was looked for is not there.
pub(crate) fn not_there(text: String) -> PyErr {
    PyLookupError::new_err(text)
}
