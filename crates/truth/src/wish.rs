//! What the environment says of the things that a test compares with: `required`, `none`, or as they are there.

/// What is wanted of a corpus or of the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Its absence is a failure.
    Required,
    /// It is left out, even where it is there.
    LeftOut,
    /// It is used where it is there.
    AsThere,
}

impl Wish {
    /// What `CRASHLENS_CORPUS` says.
    pub(crate) fn corpus() -> Self {
        Self::of("CRASHLENS_CORPUS")
    }

    /// What `CRASHLENS_PEERS` says.
    pub(crate) fn peers() -> Self {
        Self::of("CRASHLENS_PEERS")
    }

    fn of(name: &str) -> Self {
        match std::env::var(name).as_deref() {
            Ok("required") => Self::Required,
            Ok("none") => Self::LeftOut,
            _ => Self::AsThere,
        }
    }
}
