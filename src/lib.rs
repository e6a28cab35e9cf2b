//! Forebay: a flash-sale peak-shaving gateway. `ARCHITECTURE.md` is the map.
#![forbid(unsafe_code)]

pub mod admission;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod drain;
pub mod http;
pub mod identity;
pub mod ledger;
pub mod metrics;
pub mod order;
pub mod sale;
pub mod setting;
pub mod store;
pub mod tasks;
pub mod tools;
pub mod units;
pub mod verify;
pub mod watch;
