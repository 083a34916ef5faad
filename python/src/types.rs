//! Types of the kernel.

use crate::errors::{of_key, raised};
use crate::object::Object;
use crate::reports::preformatted;
use crashlens::Kind;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// A type of the kernel.
#[pyclass(frozen, module = "crashlens")]
pub(crate) struct Type(pub(crate) crashlens::Type);

/// A member of a struct or union.
#[pyclass(frozen, module = "crashlens")]
pub(crate) struct Member(crashlens::Member);

pub(crate) const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Void => "void",
        Kind::Integer { .. } => "int",
        Kind::Bool => "bool",
        Kind::Float => "float",
        Kind::Pointer => "pointer",
        Kind::Array => "array",
        Kind::Struct => "struct",
        Kind::Union => "union",
        Kind::Enum => "enum",
        Kind::Function => "function",
        _ => "other",
    }
}

#[pymethods]
impl Type {
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.0.name().map_err(|e| raised(py, &e))
    }
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.0.kind().map(word).map_err(|e| raised(py, &e))
    }
    #[getter]
    fn is_signed(&self, py: Python<'_>) -> PyResult<bool> {
        self.0.is_signed().map_err(|e| raised(py, &e))
    }
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.size().map_err(|e| raised(py, &e))
    }
    #[getter]
    fn length(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.0.len().map_err(|e| raised(py, &e))
    }
    #[getter]
    fn type_(&self, py: Python<'_>) -> PyResult<Option<Self>> {
        Ok(self.0.inner().map_err(|e| raised(py, &e))?.map(Self))
    }
    #[getter]
    fn members(&self, py: Python<'_>) -> PyResult<Vec<Member>> {
        Ok(self.0.members().map_err(|e| raised(py, &e))?.into_iter().map(Member).collect())
    }
    #[getter]
    fn enumerators<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        for (name, value) in self.0.enumerators().map_err(|e| raised(py, &e))? {
            out.set_item(name, crate::numbers::number(py, crashlens::Scalar::Int(value))?)?;
        }
        Ok(out)
    }
    fn has_member(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        Ok(self.0.member_names().map_err(|e| raised(py, &e))?.iter().any(|known| known == name))
    }
    fn offsetof(&self, py: Python<'_>, member: &str) -> PyResult<u64> {
        self.0.offset(member).map_err(|e| raised(py, &e))
    }
    fn at(&self, address: &Bound<'_, PyAny>) -> PyResult<Object> {
        Ok(Object(self.0.at(crate::numbers::address(address)?)))
    }
    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        self.0.text().map_err(|e| raised(py, &e))
    }
    fn __repr__(&self) -> String {
        format!("<type {}>", self.0)
    }
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        Ok(preformatted(&self.__str__(py)?))
    }
    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        Ok(self.name(py)? == other.name(py)?)
    }
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyString::new(py, &self.name(py)?).hash()
    }
}

#[pymethods]
impl Member {
    #[getter]
    fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }
    #[getter]
    fn type_(&self) -> Type {
        Type(self.0.ty.clone())
    }
    #[getter]
    const fn offset(&self) -> u64 {
        self.0.bit_offset / 8
    }
    #[getter]
    const fn bit_offset(&self) -> u64 {
        self.0.bit_offset
    }
    #[getter]
    const fn bit_field_size(&self) -> Option<u32> {
        self.0.bit_size
    }
    fn __repr__(&self) -> String {
        let name = self.0.name.as_deref().unwrap_or("(unnamed)");
        format!("<member {name} of type {} at byte {}>", self.0.ty, self.0.bit_offset / 8)
    }
}

/// A type by its name in C.
pub(crate) fn named(py: Python<'_>, dump: &crashlens::Dump, name: String) -> PyResult<Type> {
    let found = crate::work::ask(py, dump, move |dump| Ok(dump.type_named(&name)))?;
    found.map(Type).map_err(|e| of_key(py, &e))
}
