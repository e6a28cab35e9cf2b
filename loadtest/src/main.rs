//! The load test's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    forebay_loadtest::cli::main()
}
