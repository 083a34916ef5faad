//! Values of C expressions.

use crate::Error;
use crate::handle::Handle;
use cexpr::FormatOptions;
use inspect::SessionScope;
use kernel::Session;
use std::fmt;

/// A value: a type and a place. Its memory is read when its bits are asked for.
#[derive(Clone)]
pub struct Value {
    dump: Handle,
    value: cexpr::Value,
}

impl Value {
    fn new(dump: &Handle, value: cexpr::Value) -> Self {
        Self { dump: dump.clone(), value }
    }

    pub(crate) fn eval(dump: &Handle, text: &str) -> Result<Self, Error> {
        dump.answer(|s| {
            let value = inspect::eval(&SessionScope::new(s), text);
            let value =
                value.map_err(|why| Error::Expression { text: text.to_owned(), why: why.to_string() })?;
            Ok(Self::new(dump, value))
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&Session) -> Result<T, cexpr::ErrorKind>) -> Result<T, Error> {
        self.dump.answer(|s| {
            ask(s).map_err(|why| Error::Expression {
                text: s.types().name(self.value.ty),
                why: why.to_string(),
            })
        })
    }

    fn derived(
        &self,
        ask: impl FnOnce(&Session) -> Result<cexpr::Value, cexpr::ErrorKind>,
    ) -> Result<Self, Error> {
        self.with(ask).map(|value| Self::new(&self.dump, value))
    }

    /// The name of its type.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn type_name(&self) -> Result<String, Error> {
        self.with(|s| Ok(s.types().name(self.value.ty)))
    }
    /// Where it lies, for a value in memory.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        self.value.address().map(|at| at.0)
    }
    /// Its number: of an integer, an enumerator, a pointer.
    ///
    /// # Errors
    /// It is none, or its memory is missing.
    pub fn number(&self) -> Result<i128, Error> {
        self.with(|s| self.value.to_int(s.types(), s.mem()))
    }
    /// A member of a struct, or of what a pointer leads to.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn member(&self, name: &str) -> Result<Self, Error> {
        self.derived(|s| {
            let types = s.types();
            if self.value.is_pointer(types)? {
                return self.value.deref(types, s.mem())?.member(types, name);
            }
            self.value.member(types, name)
        })
    }
    /// What a pointer leads to.
    ///
    /// # Errors
    /// It is no pointer, or its own memory is missing.
    pub fn deref(&self) -> Result<Self, Error> {
        self.derived(|s| self.value.deref(s.types(), s.mem()))
    }
    /// An element of an array, or behind a pointer.
    ///
    /// # Errors
    /// It is neither, or its own memory is missing.
    pub fn index(&self, at: i128) -> Result<Self, Error> {
        self.derived(|s| self.value.index(s.types(), s.mem(), at))
    }
    /// Its text, as `p` shows it. Memory that is missing is marked in it.
    ///
    /// # Errors
    /// See [`crate::Dump::session`].
    pub fn text(&self) -> Result<String, Error> {
        self.with(|s| {
            let scope = SessionScope::new(s);
            Ok(cexpr::format_value(&scope, &self.value, &FormatOptions::default()).to_text())
        })
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("value", &self.value).finish_non_exhaustive()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Ok(text) => f.write_str(&text),
            Err(e) => write!(f, "<{e}>"),
        }
    }
}
