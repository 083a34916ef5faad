//! `cargo xtask bench`.

use crate::run::Error;

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Not written yet: says so.
pub(crate) fn run(_args: &Args) -> Result<(), Error> {
    Err(Error::Other("`bench` is not there yet".into()))
}
