//! `cargo xtask test`.

use crate::run::Error;

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Not written yet: says so.
pub(crate) fn run(_args: &Args) -> Result<(), Error> {
    Err(Error::Other("`test` is not there yet".into()))
}
