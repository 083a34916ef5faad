//! How commands end, and the exit code that a script sees.

use commands::CommandError;
use report::Report;

/// How a command, or a run of several, ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub enum Ended {
    /// All went well.
    #[default]
    Good,
    /// It ran and failed, or a part of what was asked failed.
    Failed,
    /// It was not called as it is to be called.
    Usage,
    /// `verdict` found nothing that the dump tells.
    Undetermined,
    /// The dump is cut off, could not be read in part or lacks a part of the answer: what was said may be incomplete.
    Incomplete,
    /// Ctrl-C stopped it.
    Interrupted,
}

impl Ended {
    /// Good, or failed.
    pub const fn of(ok: bool) -> Self {
        if ok { Self::Good } else { Self::Failed }
    }
    /// The end of two that ran one after the other: the first that was not good counts.
    pub const fn then(self, next: Self) -> Self {
        if self.is_good() { next } else { self }
    }
    /// The end of a command of which this is the end of one part and `other` that of another: as in one report, a part that
    /// failed counts before one that is not whole.
    pub(crate) const fn beside(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
    const fn rank(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Incomplete | Self::Undetermined => 1,
            Self::Failed => 2,
            Self::Usage | Self::Interrupted => 3,
        }
    }
    /// The end of what could not read a part of the dump, which is why it failed where it did.
    pub(crate) const fn with_unread(self) -> Self {
        match self {
            Self::Usage | Self::Interrupted => self,
            _ => Self::Incomplete,
        }
    }
    /// The end of a verdict that found nothing, perhaps because of what the dump lost.
    pub(crate) const fn with_undetermined(self) -> Self {
        match self {
            Self::Good | Self::Incomplete => Self::Undetermined,
            _ => self,
        }
    }
    /// True where all went well.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }
    /// The program's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Undetermined => 3,
            Self::Incomplete => 4,
            // as shells have it for SIGINT
            Self::Interrupted => 130,
        }
    }
}

impl From<&Report> for Ended {
    /// A part that failed counts before one that is not in the dump.
    fn from(report: &Report) -> Self {
        match (report.failed(), report.is_incomplete()) {
            (true, _) => Self::Failed,
            (_, true) => Self::Incomplete,
            _ => Self::Good,
        }
    }
}

impl From<&CommandError> for Ended {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Usage { .. }
            | CommandError::Argument(_)
            | CommandError::NotFound { .. }
            | CommandError::NeedsDump(_) => Self::Usage,
            CommandError::Cancelled(_) => Self::Interrupted,
            lost if lost.is_loss() => Self::Incomplete,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_counts() {
        assert_eq!(Ended::Good.then(Ended::Usage).then(Ended::Failed), Ended::Usage);
        assert_eq!(Ended::Failed.then(Ended::Good), Ended::Failed);
        assert_eq!(Ended::Undetermined.then(Ended::Failed).code(), 3);
        let codes = [Ended::Usage, Ended::Undetermined, Ended::Incomplete, Ended::Interrupted];
        assert_eq!(codes.map(Ended::code), [2, 3, 4, 130]);
        for [one, other, both] in [
            [Ended::Incomplete, Ended::Failed, Ended::Failed],
            [Ended::Incomplete, Ended::Good, Ended::Incomplete],
            [Ended::Incomplete, Ended::Interrupted, Ended::Interrupted],
            [Ended::Failed, Ended::Interrupted, Ended::Interrupted],
            [Ended::Failed, Ended::Good, Ended::Failed],
        ] {
            assert_eq!([one.beside(other), other.beside(one)], [both; 2]);
        }
        let failed = CommandError::failed("an address that leads nowhere");
        assert_eq!(Ended::from(&failed), Ended::Failed);
        assert_eq!(Ended::from(&failed.lost_if(true)), Ended::Incomplete);
        assert_eq!(Ended::Incomplete.with_undetermined(), Ended::Undetermined);
        assert_eq!(Ended::Failed.with_undetermined(), Ended::Failed);
    }
}
