//! What a run is to do.

use kernel::OpenOptions;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The dumps.
    pub dumps: Vec<PathBuf>,
    /// How each is opened; their files stand beside each dump.
    pub open: OpenOptions,
    /// A folder of known issues beside those that are built in.
    pub known: Option<PathBuf>,
    /// Threads; as many as there are processors where `None`.
    pub jobs: Option<NonZeroUsize>,
    /// Where finished rows are kept, so that a run that was stopped goes on there.
    pub state: Option<PathBuf>,
}
