//! Listeners, strict request checks, routes and answers.
//!
//! May not know: drain, store and verifier. What it needs of them `app` brings in as [`operations::Operations`].

pub mod admin;
pub mod config;
pub mod operations;
