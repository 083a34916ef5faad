//! Many dumps: which files are dumps, and what one of them died of, as `crashlens triage` tells it.

use crate::dump::{Files, WORKSPACE};
use crate::errors::raised;
use crate::remote::Transfers;
use crate::reports::Report;
use crate::work::watched;
use crashlens::{Cancel, Options};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};

/// The dumps in folders: their files, and why a folder could not be looked at.
#[pyfunction]
pub(crate) fn find(py: Python<'_>, places: Vec<PathBuf>) -> PyResult<(Vec<PathBuf>, Vec<String>)> {
    let found = watched(py, move || fleet::find(&places), || ())?;
    Ok((found.dumps, found.problems))
}

/// The row of one dump, or of one on a server. One that cannot be opened is a row that says why.
#[pyfunction]
#[pyo3(signature = (file, known = None, search = true))]
pub(crate) fn row(py: Python<'_>, file: PathBuf, known: Option<PathBuf>, search: bool) -> PyResult<Report> {
    let cancel = Cancel::new();
    let own = cancel.clone();
    let looked = watched(py, move || look(file, known.as_deref(), search, &own), move || cancel.cancel())?;
    let (row, name) = looked.map_err(|e| raised(py, &e))?;
    Ok(Report::new(fleet::row_report(&row), Vec::new(), Some(name)))
}

fn look(
    file: PathBuf,
    known: Option<&Path>,
    search: bool,
    cancel: &Cancel,
) -> Result<(fleet::Row, String), crashlens::Error> {
    let name = Files::shown(&file);
    let options = Options::new().search(search).workspace(&WORKSPACE).cancel(cancel);
    let opened = Files::of(vec![file], cancel).and_then(|files| files.open(options));
    let row = match &opened {
        Err(e) => fleet::Row::unopened(&name, &e.to_string()),
        Ok((dump, remote)) => {
            let mut row = fleet::Row::of(&name, dump.layers(), known);
            row.bytes = remote.iter().map(Transfers::len).fold(row.bytes, u64::saturating_add);
            row
        }
    };
    // what was stopped says nothing of the dump
    if cancel.is_cancelled() {
        Err(crashlens::Error::Interrupted)
    } else {
        Ok((row, name.display().to_string()))
    }
}
