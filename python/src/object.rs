//! Values of C: members, elements, numbers, casts, as Python writes them.

use crate::errors::{of_attribute, raised};
use crate::numbers::number;
use crate::reports::preformatted;
use crate::types::{Type, word};
use crate::walks;
use crate::work::ask;
use crashlens::{Error, Kind, Scalar, Value};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySlice};

/// The longest array that becomes a Python list as a whole.
const MOST: u64 = 1 << 20;

/// So many bytes are read by a helper, so that Ctrl-C ends it.
const LONG: u64 = 1 << 20;

/// What a walk meets, each with its key, and why there may be more.
type Walked = (Vec<(u64, Object)>, Vec<String>);

/// A value of C in a dump: a variable, a member, an element, what a pointer leads to.
#[pyclass(frozen, module = "crashlens")]
pub(crate) struct Object(pub(crate) Value);

impl Object {
    fn new(py: Python<'_>, value: Result<Value, Error>) -> PyResult<Self> {
        value.map(Self).map_err(|e| raised(py, &e))
    }
    fn kind(&self, py: Python<'_>) -> PyResult<Kind> {
        self.0.kind().map_err(|e| raised(py, &e))
    }
    fn scalar(&self, py: Python<'_>) -> PyResult<Scalar> {
        self.0.scalar().map_err(|e| raised(py, &e))
    }
    /// The address that it stands for: a pointer's or a number's value, else where it lies.
    pub(crate) fn as_address(&self, py: Python<'_>) -> PyResult<u64> {
        match (self.kind(py)?, self.0.address()) {
            (Kind::Struct | Kind::Union | Kind::Array | Kind::Function, Some(at)) => Ok(at),
            _ => match self.scalar(py)? {
                Scalar::Int(n) => Ok(n as u64),
                Scalar::Float(_) => Err(PyTypeError::new_err("a floating-point number is no address")),
            },
        }
    }
    fn length(&self, py: Python<'_>) -> PyResult<u64> {
        match self.0.ty().len().map_err(|e| raised(py, &e))? {
            Some(length) => Ok(length),
            None => Err(PyTypeError::new_err(format!("{} has no length", self.0.ty()))),
        }
    }
    fn element(&self, py: Python<'_>, at: i128) -> PyResult<Self> {
        Self::new(py, self.0.index(at))
    }
    /// A number beside Python's, or beside another object's.
    fn plain<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = other.py();
        let own = number(py, self.scalar(py)?)?;
        let other = match other.cast::<Self>() {
            Ok(object) => number(py, object.get().scalar(py)?)?,
            Err(_) => other.clone(),
        };
        Ok((own, other))
    }
    /// A pointer so many elements further.
    fn moved(&self, py: Python<'_>, by: i128) -> PyResult<Self> {
        Self::new(py, self.0.index(by).and_then(|element| element.address_of()))
    }
}

#[pymethods]
impl Object {
    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Self> {
        // Python's own protocols ask for these of every object
        if name.starts_with("__") && name.ends_with("__")
            || name.starts_with("_repr_")
            || name.starts_with("_ipython_")
        {
            return Err(pyo3::exceptions::PyAttributeError::new_err(name.to_owned()));
        }
        self.0.member(name).map(Self).map_err(|e| of_attribute(py, &e))
    }
    fn member_(&self, py: Python<'_>, name: &str) -> PyResult<Self> {
        Self::new(py, self.0.member(name))
    }
    fn __getitem__<'py>(&self, py: Python<'py>, at: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = at.cast::<PySlice>() {
            let length = self.length(py)?;
            let range = slice.indices(isize::try_from(length)?)?;
            let out = PyList::empty(py);
            let mut next = range.start;
            for _ in 0..range.slicelength {
                out.append(self.element(py, next as i128)?)?;
                next = next.saturating_add(range.step);
            }
            return Ok(out.into_any());
        }
        let at = match at.cast::<Self>() {
            Ok(object) => match object.get().scalar(py)? {
                Scalar::Int(n) => n,
                Scalar::Float(_) => return Err(PyTypeError::new_err("an index is a whole number")),
            },
            Err(_) => i128::from(at.extract::<i64>()?),
        };
        // as C has it: arrays whose length is not known, and pointers, have no end
        let end = self.0.ty().len().map_err(|e| raised(py, &e))?;
        let at = match end {
            Some(end) if at.is_negative() => at.saturating_add(i128::from(end)),
            _ => at,
        };
        if end.is_some_and(|end| at.is_negative() || at >= i128::from(end)) {
            return Err(PyIndexError::new_err(format!("{at} is no index of {}", self.0.ty())));
        }
        Ok(Bound::new(py, self.element(py, at)?)?.into_any())
    }
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(usize::try_from(self.length(py)?)?)
    }
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let length = self.length(py)?;
        if length > MOST {
            return Err(PyTypeError::new_err(format!("{} is too long: take slices of it", self.0.ty())));
        }
        let out = PyList::empty(py);
        for at in 0..length {
            out.append(self.element(py, i128::from(at))?)?;
        }
        Ok(out.try_iter()?.into_any())
    }
    fn __dir__(slf: &Bound<'_, Self>) -> PyResult<Vec<String>> {
        let ty = slf.get().0.ty();
        let inner = ty.inner().ok().flatten();
        let mut names = [Some(ty), inner]
            .into_iter()
            .flatten()
            .find_map(|ty| ty.member_names().ok().filter(|names| !names.is_empty()));
        let own = slf.get_type().dir()?;
        let names = names.get_or_insert_default();
        names.extend(own.iter().filter_map(|name| name.extract::<String>().ok()));
        Ok(std::mem::take(names))
    }
    fn value_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, own) = (slf.py(), slf.get());
        match own.kind(py)? {
            Kind::Bool => {
                Ok((number(py, own.scalar(py)?)?.is_truthy()?).into_pyobject(py)?.to_owned().into_any())
            }
            Kind::Integer { .. } | Kind::Enum | Kind::Pointer | Kind::Float => number(py, own.scalar(py)?),
            Kind::Array => {
                let out = PyList::empty(py);
                for element in own.__iter__(py)?.try_iter()? {
                    out.append(Self::value_(element?.cast::<Self>()?)?)?;
                }
                Ok(out.into_any())
            }
            Kind::Struct | Kind::Union => {
                let out = PyDict::new(py);
                for name in own.0.ty().member_names().map_err(|e| raised(py, &e))? {
                    let member = Bound::new(py, own.member_(py, &name)?)?;
                    // how much of an array without a length is there the type does not say
                    let is_open = member.get().kind(py)? == Kind::Array
                        && member.get().0.ty().len().map_err(|e| raised(py, &e))?.is_none();
                    let value = if is_open { py.None().into_bound(py) } else { Self::value_(&member)? };
                    out.set_item(name, value)?;
                }
                Ok(out.into_any())
            }
            other => Err(PyTypeError::new_err(format!("{} ({}) has no value", own.0.ty(), word(other)))),
        }
    }
    #[getter]
    fn address_(&self) -> Option<u64> {
        self.0.address()
    }
    #[getter]
    fn type_(&self) -> Type {
        Type(self.0.ty())
    }
    #[getter]
    fn enumerator_(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.enumerator().map_err(|e| raised(py, &e))
    }
    fn address_of_(&self, py: Python<'_>) -> PyResult<Self> {
        Self::new(py, self.0.address_of())
    }
    fn deref_(&self, py: Python<'_>) -> PyResult<Self> {
        Self::new(py, self.0.deref())
    }
    fn cast_(&self, py: Python<'_>, to: &str) -> PyResult<Self> {
        Self::new(py, self.0.cast(to))
    }
    fn container_of_(&self, py: Python<'_>, of: &str, member: &str) -> PyResult<Self> {
        Self::new(py, self.0.container_of(of, member))
    }
    fn per_cpu_(&self, py: Python<'_>, cpu: u32) -> PyResult<Self> {
        Self::new(py, self.0.per_cpu(cpu))
    }
    #[pyo3(signature = (max = 4096))]
    fn string_<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.string(max).map_err(|e| raised(py, &e))?))
    }
    fn bytes_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let value = self.0.clone();
        let is_long = self.0.ty().size().is_ok_and(|size| size > LONG);
        let bytes = match is_long {
            true => ask(py, &crashlens::Dump::of(&self.0), move |_| value.bytes())?,
            false => value.bytes().map_err(|e| raised(py, &e))?,
        };
        Ok(PyBytes::new(py, &bytes))
    }
    fn text_(&self, py: Python<'_>) -> PyResult<String> {
        let value = self.0.clone();
        ask(py, &crashlens::Dump::of(&self.0), move |_| value.text())
    }
    /// The entries of a list, tree or table that begins here, and why there may be more.
    #[pyo3(signature = (how, of = None, member = None))]
    fn walk_(
        &self,
        py: Python<'_>,
        how: &str,
        of: Option<String>,
        member: Option<String>,
    ) -> PyResult<Walked> {
        walks::walk(py, &self.0, how, of, member)
    }
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("crashlens._numpy")?.call_method1("array", (slf, dtype, copy))
    }
    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes_(py)
    }
    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.scalar(py)? {
            Scalar::Float(n) => number(py, Scalar::Int(n as i128)),
            whole @ Scalar::Int(_) => number(py, whole),
        }
    }
    fn __index__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.scalar(py)? {
            Scalar::Float(_) => Err(PyTypeError::new_err("a floating-point number is no index")),
            whole @ Scalar::Int(_) => number(py, whole),
        }
    }
    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(match self.scalar(py)? {
            Scalar::Float(n) => n,
            Scalar::Int(n) => n as f64,
        })
    }
    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(match self.scalar(py)? {
            Scalar::Float(n) => n != 0.0,
            Scalar::Int(n) => n != 0,
        })
    }
    fn __mul__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.mul(other)
    }
    fn __rmul__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.mul(own)
    }
    fn __truediv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.div(other)
    }
    fn __rtruediv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.div(own)
    }
    fn __floordiv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.floor_div(other)
    }
    fn __rfloordiv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.floor_div(own)
    }
    fn __mod__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.rem(other)
    }
    fn __rmod__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.rem(own)
    }
    fn __and__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.bitand(other)
    }
    fn __rand__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.bitand(own)
    }
    fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.bitor(other)
    }
    fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.bitor(own)
    }
    fn __xor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.bitxor(other)
    }
    fn __rxor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.bitxor(own)
    }
    fn __lshift__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.lshift(other)
    }
    fn __rlshift__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.lshift(own)
    }
    fn __rshift__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        own.rshift(other)
    }
    fn __rrshift__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.rshift(own)
    }
    fn __neg__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        number(py, self.scalar(py)?)?.neg()
    }
    fn __invert__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        number(py, self.scalar(py)?)?.bitnot()
    }
    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let (own, other) = self.plain(other)?;
        match self.kind(py)? {
            Kind::Pointer | Kind::Array => {
                Ok(Bound::new(py, self.moved(py, i128::from(other.extract::<i64>()?))?)?.into_any())
            }
            _ => own.add(other),
        }
    }
    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.__add__(other)
    }
    fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let is_place = |kind: Kind| matches!(kind, Kind::Pointer | Kind::Array);
        // between pointers: how many elements, as C has it
        if let Ok(other) = other.cast::<Self>()
            && is_place(other.get().kind(py)?)
            && is_place(self.kind(py)?)
        {
            let apart = self.0.elements_from(&other.get().0).map_err(|e| raised(py, &e))?;
            return number(py, Scalar::Int(apart));
        }
        let (own, other) = self.plain(other)?;
        match self.kind(py)? {
            Kind::Pointer | Kind::Array => {
                let by = i128::from(other.extract::<i64>()?);
                Ok(Bound::new(py, self.moved(py, by.saturating_neg())?)?.into_any())
            }
            _ => own.sub(other),
        }
    }
    fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (own, other) = self.plain(other)?;
        other.sub(own)
    }
    fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, how: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let is_whole = |kind: Kind| matches!(kind, Kind::Struct | Kind::Union);
        if is_whole(self.kind(py)?) {
            let same = match other.cast::<Self>() {
                Ok(other) => {
                    let ty = |object: &Self| object.0.ty().name().map_err(|e| raised(py, &e));
                    let at = |object: &Self| object.0.address();
                    at(self).is_some() && at(self) == at(other.get()) && ty(self)? == ty(other.get())?
                }
                Err(_) => false,
            };
            return match how {
                CompareOp::Eq => Ok(same.into_pyobject(py)?.to_owned().into_any()),
                CompareOp::Ne => Ok((!same).into_pyobject(py)?.to_owned().into_any()),
                _ => Ok(py.NotImplemented().into_bound(py)),
            };
        }
        let (own, other) = self.plain(other)?;
        own.rich_compare(other, how)
    }
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        match self.kind(py)? {
            Kind::Struct | Kind::Union => self.0.address().into_pyobject(py)?.hash(),
            _ => number(py, self.scalar(py)?)?.hash(),
        }
    }
    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        self.text_(py)
    }
    fn __repr__(&self) -> String {
        let text = self.0.to_string();
        match text.starts_with('(') {
            true => text,
            false => format!("({}){text}", self.0.ty()),
        }
    }
    fn _repr_html_(&self) -> String {
        preformatted(&self.__repr__())
    }
}
