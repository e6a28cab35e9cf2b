//! Listeners, strict request checks, routes and answers.
//!
//! May not know: drain, store and verifier. What it needs of them `app` brings in as [`operations::Operations`].

pub mod admin;
mod answer;
mod body;
pub mod config;
mod edge;
mod gateway;
mod lane;
mod meters;
pub mod operations;
mod order;
mod orders;
mod problem;
mod query;
mod sales;
mod tickets;

pub use edge::{Arrival, Bounds, serve};
pub use gateway::{Gateway, GatewayParts};
