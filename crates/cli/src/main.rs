//! The crashlens program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(crashlens_cli::program(std::env::args_os(), &|_, _| {}))
}
