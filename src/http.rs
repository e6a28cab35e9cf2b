//! Listeners, strict request checks, routes and answers.
//!
//! May not know: drain, store and verifier. What it needs of them `app` brings in as [`operations::Operations`].

pub mod admin;
mod answer;
mod body;
mod buyer;
pub mod config;
mod document;
mod edge;
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
mod query;
mod room;
mod sales;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod tickets;
mod wait;
mod wheel;

pub use edge::{Arrival, Bounds, serve};
pub use gateway::{Gateway, GatewayParts, NewSettings};
