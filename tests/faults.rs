//! Bad input and faults, done to the real process: each is refused or survived with a clear word, and nothing
//! that was accepted is lost, doubled or sold twice.
//!
//! `FOREBAY_TEST_SCALE` makes pauses, outages and crowds larger.

#![cfg(test)]

#[path = "faults/away.rs"]
mod away;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/command.rs"]
mod command;
#[path = "faults/crowded.rs"]
mod crowded;
#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/descriptors.rs"]
mod descriptors;
#[path = "faults/doctor.rs"]
mod doctor;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/input.rs"]
mod input;
#[path = "faults/late.rs"]
mod late;
#[path = "faults/ledger.rs"]
mod ledger;
#[path = "faults/mysql/mod.rs"]
mod mysql;
#[path = "faults/pause.rs"]
mod pause;
#[path = "faults/proof.rs"]
mod proof;
#[path = "faults/redis/mod.rs"]
mod redis;
#[path = "faults/reload.rs"]
mod reload;
#[path = "faults/rig.rs"]
mod rig;
#[path = "faults/shop.rs"]
mod shop;
#[path = "faults/start.rs"]
mod start;
#[path = "faults/stop.rs"]
mod stop;
#[path = "faults/wire.rs"]
mod wire;
