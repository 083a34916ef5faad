//! What commands answer: data, text, HTML.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyList, PyString};
use report::{self as tree, Cell, Line, Record, Role};

/// The answer of a command.
#[pyclass(frozen, module = "crashlens", subclass)]
pub(crate) struct Report {
    pub(crate) report: tree::Report,
    args: Vec<String>,
    dump: Option<String>,
    data: PyOnceLock<Py<PyAny>>,
}

fn unwritten(e: std::io::Error) -> PyErr {
    PyRuntimeError::new_err(e.to_string())
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> PyResult<String> {
    let mut out = Vec::new();
    write(&mut out).map_err(unwritten)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

impl Report {
    pub(crate) fn new(report: tree::Report, args: Vec<String>, dump: Option<String>) -> Self {
        Self { report, args, dump, data: PyOnceLock::new() }
    }
}

#[pymethods]
impl Report {
    #[getter]
    fn command(&self) -> &str {
        &self.report.command
    }
    #[getter]
    fn json(&self) -> PyResult<String> {
        let source = render::Source { dump: self.dump.as_deref(), args: &self.args };
        written(|out| render::json(&self.report, source, out))
    }
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let make = || -> PyResult<Py<PyAny>> {
            let all = py.import("json")?.call_method1("loads", (self.json()?,))?;
            Ok(all.get_item("data")?.unbind())
        };
        Ok(self.data.get_or_try_init(py, make)?.bind(py).clone())
    }
    #[getter]
    fn text(&self) -> PyResult<String> {
        written(|out| render::text(&self.report, render::Colour::Plain, out))
    }
    #[getter]
    fn html(&self) -> PyResult<String> {
        let words = std::iter::once(&*self.report.command).chain(self.args.iter().map(String::as_str));
        let words = words.collect::<Vec<_>>().join(" ");
        written(|out| {
            render::html_head(&words, out)?;
            render::html_body(&self.report, &words, out)?;
            render::html_foot(out)
        })
    }
    #[getter]
    fn is_incomplete(&self) -> bool {
        self.report.is_incomplete()
    }
    #[getter]
    fn failed(&self) -> bool {
        self.report.failed()
    }
    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.data(py)?.get_item(key)
    }
    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.data(py)?.contains(key)
    }
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.data(py)?.try_iter()?.into_any())
    }
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.data(py)?.len()
    }
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.data(py)?.call_method0("keys")
    }
    fn __str__(&self) -> PyResult<String> {
        self.text()
    }
    fn __repr__(&self) -> PyResult<String> {
        // who types a command into a Python shell wants to read its answer
        self.text()
    }
    fn _repr_html_(&self) -> PyResult<String> {
        written(|out| render::html_piece(&self.report, out))
    }
}

/// Text for a notebook: nothing of it is markup.
pub(crate) fn preformatted(text: &str) -> String {
    let mut report = tree::Report::new("");
    text.lines().for_each(|line| report.text(line.to_owned()));
    let mut out = Vec::new();
    // memory takes all
    let _ = render::html_piece(&report, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A report of what a command of Python gave: a list of parts (`commands.py` makes them).
pub(crate) fn made(name: &str, parts: &Bound<'_, PyList>) -> PyResult<tree::Report> {
    let mut report = tree::Report::new(name.to_owned());
    for part in parts.iter() {
        let kind: String = part.get_item(0)?.extract()?;
        match kind.as_str() {
            "lines" => {
                let (_, lines): (String, Vec<String>) = part.extract()?;
                let line = |line: String| Record::of(Line::new().field("text", line));
                report.list("lines", lines.into_iter().map(line).collect());
            }
            "record" => {
                let (_, fields): (String, Vec<(String, Bound<'_, PyAny>)>) = part.extract()?;
                let width = fields.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
                for (key, value) in fields {
                    let name = Line::new().cell(key.clone()).right(width).text(": ");
                    report.line(name.field(key, cell(&value)?));
                }
            }
            "table" => {
                let (_, key, columns, rows): (String, String, Vec<String>, Vec<Vec<Bound<'_, PyAny>>>) =
                    part.extract()?;
                table(&mut report, key, &columns, &rows)?;
            }
            "note" => {
                let (_, kind, text): (String, String, String) = part.extract()?;
                match kind.as_str() {
                    "missing" => report.missing(text),
                    "warning" => report.warning(text),
                    "error" => report.error(text),
                    _ => report.info(text),
                }
            }
            other => return Err(PyValueError::new_err(format!("{other}: no part of a report"))),
        }
    }
    Ok(report)
}

fn table(
    report: &mut tree::Report,
    key: String,
    columns: &[String],
    rows: &[Vec<Bound<'_, PyAny>>],
) -> PyResult<()> {
    let rows = rows.iter().map(|row| row.iter().map(cell).collect::<PyResult<Vec<_>>>());
    let rows = rows.collect::<PyResult<Vec<_>>>()?;
    let long = |text: &str| text.chars().count();
    let columns: Vec<(&String, usize, bool)> = columns
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let cells = || rows.iter().filter_map(|row| row.get(n));
            let width = cells().map(|cell| long(&cell.to_string())).max().unwrap_or_default().max(long(name));
            let is_number =
                cells().all(|cell| matches!(cell.role(), Role::Number | Role::Absent) || *cell == Cell::Null);
            (name, width, is_number && cells().next().is_some())
        })
        .collect();
    let last = columns.len().saturating_sub(1);
    let mut heading = Line::new();
    for (n, (name, width, is_number)) in columns.iter().enumerate() {
        let cell = heading.cell(name.to_uppercase());
        let cell = match (is_number, n == last) {
            (true, _) => cell.right(*width),
            (false, true) => cell,
            (false, false) => cell.left(*width),
        };
        heading = cell.role(Role::Heading).text(if n == last { "" } else { "  " });
    }
    // dicts name the columns: where there is none, there is no column to name
    if !columns.is_empty() {
        report.line(heading);
    }
    let row = |cells: Vec<Cell>| {
        let mut line = Line::new();
        for (n, ((name, width, is_number), cell)) in columns.iter().zip(cells).enumerate() {
            let field = line.field((*name).clone(), cell);
            let field = match (is_number, n == last) {
                (true, _) => field.right(*width),
                (false, true) => field,
                (false, false) => field.left(*width),
            };
            line = field.text(if n == last { "" } else { "  " });
        }
        Record::of(line)
    };
    report.list(key, rows.into_iter().map(row).collect());
    Ok(())
}

/// A value of Python as a cell.
fn cell(value: &Bound<'_, PyAny>) -> PyResult<Cell> {
    if value.is_none() {
        return Ok(Cell::Null);
    }
    if let Ok(yes) = value.cast::<PyBool>() {
        return Ok(Cell::Bool(yes.is_true()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Cell::from(text.to_string_lossy().into_owned()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cell::Bytes(bytes.as_bytes().to_vec()));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Cell::shown(Cell::Float(number.value(), 6), value.str()?.to_string()));
    }
    if let Ok(list) = value.cast::<PyList>() {
        let cells = list.iter().map(|item| cell(&item)).collect::<PyResult<_>>()?;
        return Ok(Cell::Many(cells, ", "));
    }
    if let Ok((kind, value)) = value.extract::<(String, Bound<'_, PyAny>)>() {
        return match kind.as_str() {
            "addr" => Ok(Cell::Addr(value.extract()?)),
            "hex" => Ok(Cell::hex(value.extract()?)),
            "absent" => Ok(Cell::absent("?", value.extract::<String>()?)),
            "lost" => Ok(Cell::absent("?", value.extract::<String>()?).lost_if(true)),
            other => Err(PyValueError::new_err(format!("{other}: no kind of a value"))),
        };
    }
    Ok(Cell::Int(value.extract::<i128>()?))
}
