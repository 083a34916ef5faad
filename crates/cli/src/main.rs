//! The crashlens program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(crashlens_cli::main(std::env::args_os().skip(1).collect(), &|_, _| {}))
}
