//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/`, which is a workspace of its own.

use std::path::Path;

use crate::run::{Error, command, live, root};

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target; without one, all of them, one after the other.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Where the random numbers start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only lists the targets.
    #[arg(long)]
    list: bool,
}

/// Runs them.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if args.list {
        return driver(&[]);
    }
    let target = args.target.as_deref().unwrap_or("all");
    driver(&[target, "--seconds", &args.seconds.to_string(), "--seed", &args.seed.to_string()])
}

/// Runs every target for a few seconds: enough to see that it builds and that its seeds are understood.
pub(crate) fn smoke(seconds: u32) -> Result<(), Error> {
    driver(&["all", "--seconds", &seconds.to_string()])
}

fn driver(args: &[&str]) -> Result<(), Error> {
    let manifest = root().join("fuzz/Cargo.toml");
    let mut cargo = command("cargo", ["run", "--release", "--quiet", "--manifest-path"]);
    cargo.arg(manifest).arg("--").args(args).current_dir(root().join(Path::new("fuzz")));
    // counters of which code ran; in a folder of its own, as nothing else is built so
    cargo.env("RUSTC_WRAPPER", root().join("fuzz/rustc-with-counters"));
    cargo.env("CARGO_TARGET_DIR", root().join("fuzz/target/counted"));
    cargo.env("LLVM_PROFILE_FILE", "/dev/null");
    live(&mut cargo)
}
