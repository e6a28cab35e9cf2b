//! The load test against a gateway in memory that behaves, or misbehaves in a known way.

mod acl;
mod fake;
mod lean;
mod load;
mod process;
mod proxy;
mod redis;
mod schema;
mod shop;
mod witnesses;
