//! Carries orders from the queue to the store at the pace of the ledger: grant, claim, place, settle.

mod config;

pub use config::{BadSetting, Batch, Burst, Config, RefusalBrake, Retry};
