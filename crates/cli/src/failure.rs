//! Why the program could not begin.

use base::Cancel;
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
    /// A limit of time or memory was reached before there was an answer.
    Limit(String),
}

impl Failure {
    pub(crate) const fn ended(&self) -> Ended {
        match self {
            Self::Usage(_) => Ended::Usage,
            Self::Page(_) => Ended::Good,
            Self::Failed(_) => Ended::Failed,
            Self::Stopped(_) => Ended::Interrupted,
            Self::Limit(_) => Ended::Incomplete,
        }
    }
    /// A failure to open the dump.
    pub(crate) fn of_dump(error: KernelError) -> Self {
        match error {
            KernelError::Stopped(_) => Self::Stopped(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
    /// The same, where a limit and not Ctrl-C made it.
    pub(crate) fn within(self, cancel: &Cancel) -> Self {
        match (self, cancel.ended()) {
            (Self::Stopped(_), Some(why)) => Self::Limit(why.to_owned()),
            (failure, _) => failure,
        }
    }
    /// A failure of the output.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        Self::Failed(format!("output: {error}"))
    }
}
