//! Listeners, strict request checks, routes and answers.
//!
//! May not know: drain, store and verifier. What it needs of them `app` brings in as [`operations::Operations`].

pub mod admin;
mod answer;
mod body;
mod buyer;
pub mod config;
mod document;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gateway;
mod lane;
mod meters;
pub mod operations;
mod order;
mod orders;
mod outcomes;
mod problem;
mod room;
mod sales;
mod serve;
mod stream;
mod streams;
mod takeover;
#[cfg(test)]
mod tests;
mod tickets;
mod wait;
mod wheel;

pub use gateway::{Gateway, GatewayParts};
pub use serve::{Bounds, serve};
