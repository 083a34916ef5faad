//! Lists, trees and tables of the kernel.

use crate::object::Object;
use crate::work::ask;
use crashlens::{Error, Value, Walk};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

type Found = (Vec<(u64, Object)>, Vec<String>);

/// Walks what begins at `head`. A list may be long, so that this is done without the interpreter's lock.
pub(crate) fn walk(
    py: Python<'_>,
    head: &Value,
    how: &str,
    of: Option<String>,
    member: Option<String>,
) -> PyResult<Found> {
    let (head, dump) = (head.clone(), crashlens::Dump::of(head));
    let work: Box<dyn FnOnce() -> Result<Walk, Error> + Send> = match (how, of, member) {
        ("list", Some(of), Some(member)) => Box::new(move || head.list(&of, &member)),
        ("hlist", Some(of), Some(member)) => Box::new(move || head.hlist(&of, &member)),
        ("rbtree", Some(of), Some(member)) => Box::new(move || head.rbtree(&of, &member)),
        ("xarray", of, None) => Box::new(move || head.xarray(of.as_deref())),
        ("idr", of, None) => Box::new(move || head.idr(of.as_deref())),
        ("maple", of, None) => Box::new(move || head.maple(of.as_deref())),
        _ => return Err(PyValueError::new_err(format!("{how}: no list, tree or table is walked so"))),
    };
    let found = ask(py, &dump, move |_| work())?;
    let entries = found.entries.into_iter().map(|entry| (entry.index, Object(entry.value))).collect();
    Ok((entries, found.problems))
}
