//! What is in the ledger and in the store already.

use std::path::Path;

use super::Cause;
use super::Examined;
use super::http;
use super::mysql;
use super::redis;
use crate::app;
use crate::clock::Timestamp;
use crate::config::Engine;
use crate::config::Settings;
use crate::config::StoreKind;
use crate::ledger::SaleDoc;
use crate::ledger::embedded::OpenError;
use crate::ledger::embedded::offline;
use crate::order::Keyring;
use crate::store::simulated;
use crate::units::counted;
use crate::verify::OfflineAccounts;

/// Whether the ledger can be used, and whether the settings agree with it. Also: whether a gateway may be at work.
pub(super) fn ledger(settings: &Settings, now: Timestamp) -> (Vec<Examined>, bool) {
    match settings.ledger.engine {
        Engine::Embedded => directory(settings),
        // Any number of gateways may be at work with it, here too.
        Engine::Redis => (redis::server(&settings.ledger.redis, now), true),
    }
}

fn directory(settings: &Settings) -> (Vec<Examined>, bool) {
    let directory = &settings.ledger.embedded.directory;
    if !directory.join("lock").exists() {
        return (
            vec![Examined::ok("ledger", "there is none yet: it is made at the first start")],
            false,
        );
    }
    let keyring = Keyring::default();
    for key in &settings.ticket_keys {
        if let Err(error) = keyring.add(key.clone()) {
            let failed = Examined::fail("ledger", error.to_string(), "see [tickets] key_files");
            return (vec![failed.because(Cause::Settings)], false);
        }
    }
    match offline::read(directory, &keyring) {
        Ok(read) => (told(settings, &OfflineAccounts(read)), false),
        Err(OpenError::Locked { pid, .. }) => {
            (vec![Examined::ok("ledger", format!("the gateway with pid {pid} has it open"))], true)
        }
        Err(error) => {
            let advice = "a gateway would not start with it";
            (vec![Examined::fail("ledger", error.to_string(), advice)], false)
        }
    }
}

fn told(settings: &Settings, ledger: &OfflineAccounts) -> Vec<Examined> {
    let sales = ledger.all_sales();
    let waiting: u64 = sales.iter().map(|sale| sale.census.queued + sale.census.placing).sum();
    let torn = ledger.0.torn_bytes;
    let mut found =
        format!("{}, {} waiting", counted(sales.len(), "sale"), counted(waiting, "order"));
    if torn > 0 {
        found.push_str(&format!(
            "; {torn} bytes of a torn tail, for which nobody was answered, will be cut off"
        ));
    }
    let mut checks = vec![Examined::ok("ledger", found)];
    for wanted in &settings.sales {
        let held = sales.iter().find(|sale: &&SaleDoc| sale.name == wanted.name);
        if held.is_some_and(|held| !held.purged && app::sale_differs(&wanted.terms, &held.terms)) {
            let found = format!(
                "[[sale]] `{}` and the ledger differ; the ledger's terms are in force",
                wanted.name
            );
            let advice = "`forebay sale show` shows them, `forebay sale put` changes them";
            checks.push(Examined::warn("sales", found, advice));
        }
    }
    checks
}

/// Whether the store is there and is what it must be.
pub(super) fn store(settings: &Settings) -> Vec<Examined> {
    match settings.store.kind {
        StoreKind::Simulated => vec![simulated(&settings.store.simulated.directory)],
        StoreKind::Mysql => mysql::server(&settings.store.mysql),
        StoreKind::Http => vec![http::shop(&settings.store.http)],
    }
}

fn simulated(directory: &Path) -> Examined {
    if !directory.join("store.sqlite").exists() {
        return Examined::ok(
            "store",
            "simulated; there is none yet: it is made at the first start",
        );
    }
    match simulated::offline::read(directory) {
        Ok(_) => Examined::ok("store", format!("simulated, in {}", directory.display())),
        Err(error) => {
            let advice = "orders could not be placed there";
            Examined::fail("store", error.to_string(), advice).because(Cause::Dependency)
        }
    }
}
