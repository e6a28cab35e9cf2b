//! The Redis engine: everything of a sale in one hash slot, changed by a library of server-side functions.

mod config;

pub use config::{Config, Durability};
