//! Why the program could not begin.

use shell::Ended;

/// Why the program could not begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The command line is not one: the text is laid out, several lines long.
    Usage(String),
    /// A file cannot be read, or is not what it should be.
    Failed(String),
}

impl Failure {
    pub(crate) const fn ended(&self) -> Ended {
        match self {
            Self::Usage(_) => Ended::Usage,
            Self::Failed(_) => Ended::Failed,
        }
    }
    /// A failure of the output.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        Self::Failed(format!("output: {error}"))
    }
}
