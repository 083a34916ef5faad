//! Why the program could not begin.

use kernel::KernelError;
use shell::Ended;

/// Why the program could not begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The command line is not one: the text is laid out, several lines long.
    Usage(String),
    /// The page that was asked for: no failure.
    Page(String),
    /// A file cannot be read, or is not what it should be.
    Failed(String),
    /// Ctrl-C stopped it.
    Stopped(String),
}

impl Failure {
    pub(crate) const fn ended(&self) -> Ended {
        match self {
            Self::Usage(_) => Ended::Usage,
            Self::Page(_) => Ended::Good,
            Self::Failed(_) => Ended::Failed,
            Self::Stopped(_) => Ended::Interrupted,
        }
    }
    /// A failure to open the dump.
    pub(crate) fn of_dump(error: KernelError) -> Self {
        match error {
            KernelError::Stopped(_) => Self::Stopped(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
    /// A failure of the output.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        Self::Failed(format!("output: {error}"))
    }
}
