//! The load-test kit of Forebay: sends orders over HTTP, keeps a history of every attempt, and judges
//! it against what the gateway and its store say. It imports nothing of the gateway, so that a verdict
//! never rests on the code that it judges.
#![forbid(unsafe_code)]

pub mod admin;
mod alarm;
pub mod bare;
pub mod bench;
pub mod call;
mod carrier;
pub mod certificate;
pub mod cli;
pub mod clock;
mod cpu;
mod descriptors;
pub mod drive;
#[cfg(target_os = "linux")]
pub mod floor;
pub mod form;
pub mod gateway;
pub mod history;
pub mod judge;
mod lap;
pub mod load;
pub mod mariadb;
pub mod measure;
mod median;
mod on_mysql;
mod on_redis;
pub mod output;
pub mod pace;
pub mod page;
mod plant;
pub mod prove;
pub mod proxy;
pub mod recover;
pub mod redis;
pub mod report;
pub mod resp;
pub mod sabotage;
pub mod scrape;
pub mod shop;
pub mod store;
pub mod tally;
pub mod target;
mod trail;
pub mod verdict;
pub mod wire;
mod yardstick;
