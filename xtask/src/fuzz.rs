//! `cargo xtask fuzz`.

use crate::run::Error;

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Not written yet: says so.
pub(crate) fn run(_args: &Args) -> Result<(), Error> {
    Err(Error::Other("`fuzz` is not there yet".into()))
}
