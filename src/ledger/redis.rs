//! The Redis engine: everything of a sale in one hash slot, changed by a library of server-side functions.
//!
//! Any number of processes share it. Each has its own connections and no state that another needs: what one
//! accepts, any other polls, claims and settles. Every call bears the run id of the server that it is sent to; a
//! server that is another than the one whose epoch is in force does nothing (`FENCED`) until the epoch is its own.

mod address;
mod change;
mod client;
mod config;
mod core;
mod docs;
mod engine;
mod entry;
mod examine;
mod faults;
mod follow;
mod keeper;
mod lane;
mod library;
mod link;
mod names;
mod orders;
mod rebuild;
mod record;
mod recover;
mod remembered;
mod reply;
mod rights;
mod rounds;
mod seam;
mod server;
mod snapshot;
#[cfg(test)]
mod tests;

pub use address::{Address, BadAddress};
pub use client::{BadClient, client};
pub use config::{Config, Durability};
pub use engine::{LookError, Redis};
pub use examine::{About, Unseen, examine};
pub use server::Trouble;
