//! A user's own commands: a function of Python becomes a command of crashlens.

use crate::dump::Dump;
use crate::errors::Interrupted;
use crate::reports::{Report, made};
use commands::{CommandError, Layer, Own, OwnArg, Takes};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;

create_exception!(
    crashlens,
    UsageError,
    PyException,
    "A command was called with arguments that are none of its own."
);
create_exception!(
    crashlens,
    CommandFailed,
    PyException,
    "A command of one's own has no answer. Further arguments: lines that say more, and whether the dump lost what it needs."
);

thread_local! {
    /// The dumps that commands run on in this thread, the innermost last.
    static CURRENT: RefCell<Vec<(crashlens::Dump, Vec<PathBuf>)>> = const { RefCell::new(Vec::new()) };
}

/// Runs what may run commands of a user's own: they are given this dump.
pub(crate) fn on<T>(dump: &crashlens::Dump, names: &[PathBuf], work: impl FnOnce() -> T) -> T {
    /// Takes the dump away, also where the work panics.
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(Vec::pop);
        }
    }
    CURRENT.with_borrow_mut(|all| all.push((dump.clone(), names.to_vec())));
    let _ended = Ended;
    work()
}

/// An argument as `commands.py` tells it: name, help, what it takes, the name of its value, choices.
type Argument = (String, String, String, String, Vec<String>);

/// Adds a command. `call` is given the dump (`None` without one) and a list of names with the words given for each.
#[pyfunction]
pub(crate) fn add_command(
    name: String,
    about: String,
    details: String,
    arguments: Vec<Argument>,
    needs_dump: bool,
    call: Py<PyAny>,
) -> PyResult<()> {
    let argument = |(name, help, takes, value, choices): Argument| {
        let takes = match takes.as_str() {
            "nothing" => Takes::Nothing,
            "value" => Takes::Value,
            "required" => Takes::Operand(true),
            "operand" => Takes::Operand(false),
            "operands" => Takes::Operands,
            other => return Err(PyValueError::new_err(format!("{other}: no such kind of argument"))),
        };
        Ok(OwnArg { name, help, takes, value, choices })
    };
    let args = arguments.into_iter().map(argument).collect::<PyResult<_>>()?;
    let needs = if needs_dump { Layer::Image } else { Layer::Nothing };
    let own = name.clone();
    let call = Box::new(move |cx: &mut commands::Cx<'_>, given: commands::Given| {
        Python::attach(|py| {
            answer(py, &own, &call, given).map_err(|e| {
                // its time is over: what it had asked was stopped, while the command itself has an answer to give
                if e.value(py).hasattr("is_limit").unwrap_or(false) {
                    cx.cancel.go_on();
                }
                failure(py, &e)
            })
        })
    });
    commands::add(Own { name, about, details, args, needs, call }).map_err(PyValueError::new_err)
}

fn answer(py: Python<'_>, name: &str, call: &Py<PyAny>, given: commands::Given) -> PyResult<report::Report> {
    let dump = CURRENT.with_borrow(|all| all.last().cloned());
    let dump = dump.map(|(dump, names)| Bound::new(py, Dump::new(dump, names))).transpose()?;
    let found = call.bind(py).call1((dump, given))?;
    if let Ok(report) = found.cast::<Report>() {
        let mut report = report.get().report.clone();
        report.command = name.to_owned().into();
        return Ok(report);
    }
    made(name, found.cast::<PyList>()?)
}

/// What a command of Python failed with, as one of the program's own errors.
fn failure(py: Python<'_>, error: &PyErr) -> CommandError {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<Interrupted>(py) {
        return CommandError::Cancelled(commands::Cancelled);
    }
    let value = error.value(py);
    if error.is_instance_of::<UsageError>(py) {
        return CommandError::argument(value.to_string());
    }
    let args = value.getattr("args").and_then(|args| args.extract::<(String, Vec<String>, bool)>());
    match args {
        Ok((head, below, is_loss)) if error.is_instance_of::<CommandFailed>(py) => {
            CommandError::explained(head, below).lost_if(is_loss)
        }
        _ => CommandError::failed(error.to_string()),
    }
}

/// Runs the program itself: the words are those behind its name. Gives its exit code.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = crashlens_cli::main(words, &|layers, cancel| {
            let dump = crashlens::Dump::from_layers(layers.clone(), cancel.clone());
            let names = layers.image().dump_names.iter().map(PathBuf::from).collect();
            CURRENT.with_borrow_mut(|all| all.push((dump, names)));
        });
        CURRENT.with_borrow_mut(Vec::clear);
        code
    })
}
