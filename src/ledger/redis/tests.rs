//! The engine under the shared suite, on a real server.

mod engine;
mod recover;
mod server;
mod versions;
