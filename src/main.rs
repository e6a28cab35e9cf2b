//! Forebay: a flash-sale peak-shaving gateway.
use std::process::ExitCode;

fn main() -> ExitCode {
    forebay::cli::main(std::env::args_os())
}
