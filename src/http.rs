//! Listeners, strict request checks, routes and answers.
//!
//! May not know: drain, store and verifier. What it needs of them `app` brings in as [`operations::Operations`].

pub mod admin;
mod answer;
mod body;
mod buyer;
pub mod config;
mod gateway;
mod lane;
mod meters;
pub mod operations;
mod order;
mod orders;
mod problem;
mod sales;
mod serve;
mod tickets;

pub use gateway::{Gateway, GatewayParts};
pub use serve::{Bounds, serve};
