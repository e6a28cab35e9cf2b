//! The engine under the shared suite, on a real server.

mod engine;
mod process;
mod rebuild;
mod recover;
mod server;
mod versions;
