//! The Redis engine: everything of a sale in one hash slot, changed by a library of server-side functions.

mod address;
mod client;
mod config;
mod engine;

pub use address::{Address, BadAddress};
pub use client::{BadClient, client, reach};
pub use config::{BadSetting, Config, Durability};
pub use engine::Redis;
