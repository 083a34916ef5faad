//! Why there is no answer.

use base::{Cancelled, Fault, Missing};
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
    },
    /// A command that has no answer.
    #[error(transparent)]
    Command(CommandError),
    /// [`crate::Dump::interrupt`] stopped it.
    #[error("interrupted")]
    Interrupted,
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
