//! A Redis that shall hold the ledger: what would lose orders, or refuse them, in the sale.

use std::time::Duration;

use super::Cause;
use super::Examined;
use crate::clock::Timestamp;
use crate::ledger::redis;
use crate::ledger::redis::About;
use crate::ledger::redis::Address;
use crate::ledger::redis::Config;
use crate::ledger::redis::Durability;
use crate::ledger::redis::Unseen;
use crate::units::counted;

/// How long Redis may take to answer at each step.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far its clock may be from this host's before it is told: sales open and close by its clock.
const SKEW_MAX: Duration = Duration::from_secs(1);

const NAME: &str = "ledger";

/// Everything about the server.
pub(super) fn server(config: &Config, now: Timestamp) -> Vec<Examined> {
    let place = Address::parse(&config.url).map_or_else(|bad| bad.to_string(), |at| at.to_string());
    match redis::examine(config, PATIENCE) {
        Ok(about) => {
            let version = &about.version;
            let answers = format!("Redis {version} answers at {place}");
            let mut checks = vec![Examined::ok(NAME, answers)];
            checks.extend(usable(&about));
            checks.extend(durable(config, &about));
            checks.extend(rights(&about));
            checks.extend(clock(&about, now));
            checks
        }
        Err(error) => {
            let found = format!("Redis at {place}: {error}");
            let advice = match error {
                Unseen::Settings(_) => "see [ledger.redis]",
                Unseen::Stranger(_) => {
                    "see the user in [ledger.redis] url, password_file, and config/redis-acl.conf for his rights"
                }
                Unseen::Away(_) => {
                    "see [ledger.redis] url: a gateway starts without its Redis and takes no orders until it is there"
                }
            };
            vec![Examined::fail(NAME, found, advice).because(Cause::Dependency)]
        }
    }
}

fn fail(found: impl Into<String>, advice: impl Into<String>) -> Examined {
    Examined::fail(NAME, found, advice).because(Cause::Dependency)
}

/// What no gateway would use.
fn usable(about: &About) -> Vec<Examined> {
    let mut checks = Vec::new();
    if let Some(trouble) = about.trouble() {
        let advice = "no gateway uses it like that: `/readyz` would say the same";
        checks.push(fail(trouble.to_string(), advice));
    }
    if about.maxmemory == 0 {
        let advice = "set maxmemory to what the host can spare: some 300 bytes an order, then orders are refused \
                      instead of the host running out";
        checks.push(Examined::warn(NAME, "its memory has no bound", advice));
    }
    if about.failing {
        let advice = "see its log and its disk: it may refuse all writes";
        checks.push(fail("its last write to disk failed", advice));
    }
    checks
}

/// What an accepted order survives.
fn durable(config: &Config, about: &About) -> Vec<Examined> {
    let fsync = about.fsync.as_deref().unwrap_or("unknown");
    let skips = about.skips_fsync == Some(true);
    let (file, survives) = match (about.appends, fsync) {
        (false, _) => ("no append-only file", "nothing: a restart of Redis loses them all"),
        (true, "always") => ("appendfsync always", "a power cut"),
        (true, "no") => {
            ("appendfsync no", "the death of Redis; a power cut may cost half a minute")
        }
        (true, _) => {
            ("appendfsync everysec", "the death of Redis; a power cut may cost two seconds")
        }
    };
    let told = format!(
        "durability \"{}\", {file}, {}: accepted orders survive {survives}",
        config.durability.name(),
        counted(about.replicas, "replica"),
    );
    let mut checks = vec![match config.durability {
        Durability::Disk if !about.gives_disk() => fail(
            told,
            "set appendonly yes and appendfsync always, or use a Redis from 7.2 on with appendonly yes",
        ),
        Durability::Replicated if about.replicas < u64::from(config.replicas) => fail(
            told,
            format!(
                "{} must follow it: each order waits for them",
                counted(u64::from(config.replicas), "replica")
            ),
        ),
        _ if !about.appends => Examined::warn(
            NAME,
            told,
            "set appendonly yes, or know that a restart loses what waits",
        ),
        _ => Examined::ok(NAME, told),
    }];
    if skips {
        let advice = "set no-appendfsync-on-rewrite no";
        checks.push(Examined::warn(NAME, "it does not sync while it rewrites its file", advice));
    }
    checks
}

fn rights(about: &About) -> Vec<Examined> {
    const SEE: &str = "see config/redis-acl.conf for the rights that are needed";
    let mut checks = Vec::new();
    if !about.lacks.is_empty() {
        let found = format!("this user may not: {}", about.lacks.join("; "));
        checks.push(fail(found, format!("no gateway can work as this user: {SEE}")));
    }
    if !about.denied.is_empty() {
        let found = format!("this user may not ask: {}", about.denied.join("; "));
        checks.push(Examined::warn(NAME, found, SEE));
    }
    checks.push(match (about.library, about.loads) {
        (true, _) => Examined::ok(NAME, "the function library of this version is loaded"),
        (false, true) => Examined::ok(
            NAME,
            "the function library of this version is not loaded yet: the first gateway loads it",
        ),
        (false, false) => fail(
            "the function library of this version is not loaded, and this user may not load it",
            "start one gateway of this version as a user who may (+function|load): it loads it for all",
        ),
    });
    checks
}

fn clock(about: &About, now: Timestamp) -> Option<Examined> {
    let time = about.time?;
    let skew = time.since(now).max(now.since(time));
    (skew > SKEW_MAX).then(|| {
        let found = format!("its clock is {skew:.0?} from this host's");
        let advice = "sales open and close by the clock of Redis: let both hosts follow NTP";
        Examined::warn(NAME, found, advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn good() -> About {
        About {
            version: "7.0.15".to_owned(),
            role: "master".to_owned(),
            eviction: "noeviction".to_owned(),
            maxmemory: 1 << 30,
            appends: true,
            fsync: Some("everysec".to_owned()),
            skips_fsync: Some(false),
            ..About::default()
        }
    }

    fn worst(checks: &[Examined]) -> Grade {
        checks.iter().map(|check| check.grade).max().unwrap_or(Grade::Ok)
    }

    #[test]
    fn what_would_lose_orders_fails() {
        assert_eq!(worst(&usable(&good())), Grade::Ok);
        for bad in [
            About { version: "6.2.14".to_owned(), ..good() },
            About { role: "slave".to_owned(), ..good() },
            About { eviction: "allkeys-lru".to_owned(), ..good() },
            About { cluster: true, ..good() },
            About { failing: true, ..good() },
        ] {
            assert_eq!(worst(&usable(&bad)), Grade::Fail, "{bad:?}");
        }
        assert_eq!(worst(&usable(&About { maxmemory: 0, ..good() })), Grade::Warn);
    }

    #[test]
    fn the_level_is_what_the_server_gives() {
        let level = |durability, about: &About| {
            worst(&durable(&Config { durability, ..Config::default() }, about))
        };
        let always = About { fsync: Some("always".to_owned()), ..good() };
        let newer = About { version: "7.2.4".to_owned(), ..good() };
        assert_eq!(level(Durability::Memory, &good()), Grade::Ok);
        assert_eq!(level(Durability::Memory, &About { appends: false, ..good() }), Grade::Warn);
        assert_eq!(level(Durability::Disk, &good()), Grade::Fail);
        assert_eq!(level(Durability::Disk, &always), Grade::Ok);
        assert_eq!(level(Durability::Disk, &newer), Grade::Ok);
        assert_eq!(level(Durability::Replicated, &good()), Grade::Fail);
        assert_eq!(level(Durability::Replicated, &About { replicas: 1, ..good() }), Grade::Ok);
        assert_eq!(
            level(Durability::Memory, &About { skips_fsync: Some(true), ..good() }),
            Grade::Warn
        );
    }

    #[test]
    fn what_a_user_may_not_is_as_bad_as_it_is_needed() {
        let loaded = About { library: true, ..good() };
        let loads = About { loads: true, ..good() };
        let some = || vec!["HGET".to_owned()];
        for (about, grade) in [
            (loaded.clone(), Grade::Ok),
            (loads, Grade::Ok),
            (good(), Grade::Fail),
            (About { denied: some(), ..loaded.clone() }, Grade::Warn),
            (About { lacks: some(), ..loaded }, Grade::Fail),
        ] {
            assert_eq!(worst(&rights(&about)), grade, "{about:?}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_told() {
        let at = |seconds: u64| Timestamp(seconds * 1_000_000);
        let about = About { time: Some(at(100)), ..good() };
        assert!(clock(&about, at(100)).is_none());
        assert!(clock(&about, at(90)).is_some() && clock(&about, at(110)).is_some());
    }
}
