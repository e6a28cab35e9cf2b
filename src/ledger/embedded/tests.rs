//! The engine under the shared suite, and what only an engine on disk can do.

mod engine;
