//! Why there is no answer.

use base::{Cancelled, Fault, Missing};
use cexpr::{Absent, ErrorKind};
use commands::CommandError;
use kernel::KernelError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The dump cannot be opened, or what was asked of its kernel is not known.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Memory at a virtual address that is not in the dump, or not mapped.
    #[error(transparent)]
    Memory(#[from] Fault),
    /// Physical memory that is not in the dump.
    #[error(transparent)]
    Physical(#[from] Missing),
    /// An expression that cannot be read, names what is not known, or needs memory that is not there.
    #[error("{text}: {why}")]
    Expression {
        /// The expression.
        text: String,
        /// What is wrong.
        why: String,
        /// What kind of thing is wrong.
        kind: Wrong,
    },
    /// A list, tree or table of the kernel that could not be walked to its end.
    #[error("{0}")]
    Walk(String),
    /// A command that has no answer.
    #[error(transparent)]
    Command(CommandError),
    /// [`crate::Dump::interrupt`] stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// What kind of thing is wrong with an expression or a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Wrong {
    /// It names a variable, function or type that is not known.
    Name,
    /// It names a member that the struct has not.
    Member,
    /// It needs memory that is not in the dump, or not mapped.
    Memory(Fault),
    /// Anything else.
    Other,
}

impl From<&ErrorKind> for Wrong {
    fn from(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::UnknownName { .. } | ErrorKind::UnknownType { .. } => Self::Name,
            ErrorKind::UnknownMember { .. } => Self::Member,
            ErrorKind::Absent(Absent::Fault(fault)) => Self::Memory(*fault),
            _ => Self::Other,
        }
    }
}

impl Error {
    /// What an expression, a type's name or a value failed with.
    pub(crate) fn expression(text: impl Into<String>, why: &ErrorKind) -> Self {
        Self::Expression { text: text.into(), why: why.to_string(), kind: why.into() }
    }

    /// Where memory is missing that the answer needs; `None` where something else is wrong.
    #[must_use]
    pub fn missing_at(&self) -> Option<u64> {
        match self {
            Self::Memory(fault) | Self::Expression { kind: Wrong::Memory(fault), .. } => Some(fault.at.0),
            Self::Physical(missing) => Some(missing.at.0),
            Self::Kernel(KernelError::Fault(fault)) => Some(fault.at.0),
            _ => None,
        }
    }
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Interrupted
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Cancelled(_) => Self::Interrupted,
            error => Self::Command(error),
        }
    }
}
