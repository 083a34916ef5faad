//! `cargo xtask tidy`.

use crate::run::Error;

/// Arguments of `tidy`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Not written yet: says so.
pub(crate) fn run(_args: &Args) -> Result<(), Error> {
    Err(Error::Other("`tidy` is not there yet".into()))
}
