//! Forebay: a flash-sale peak-shaving gateway.
use std::process::ExitCode;

/// Memory is taken on one thread and given back on another with every order: glibc's own allocator paid for it
/// with locks.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    forebay::cli::main(std::env::args_os())
}
