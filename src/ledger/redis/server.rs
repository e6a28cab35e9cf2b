//! What a server must be to hold a ledger, read off its own words.

use std::collections::HashMap;

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::config::Durability;
use super::library::Library;

/// Why a server cannot be used now; each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No connection yet.
    #[error("Redis at {0} is being connected")]
    Connecting(String),
    /// No connection: its address, and why.
    #[error("Redis at {0} cannot be reached: {1}")]
    Away(String, String),
    /// The connection broke.
    #[error("the connection to Redis broke: {0}")]
    Broke(String),
    /// Not an answer that a server gives.
    #[error("Redis gave no sensible answer to {0}")]
    Strange(&'static str),
    /// It loads its data.
    #[error("Redis is loading its data")]
    Loading,
    /// Functions came with 7.0.
    #[error("Redis {0} is too old: functions are needed, from 7.0 on (or Valkey)")]
    TooOld(String),
    /// It follows another server.
    #[error("Redis is a replica: [ledger.redis] url must name the primary")]
    Replica,
    /// Keys would be thrown away.
    #[error(
        "Redis throws keys away when memory is full (maxmemory-policy {0}): orders would be lost. \
         Set maxmemory-policy noeviction"
    )]
    Evicts(String),
    /// A cluster.
    #[error("Redis is a cluster, which is not built yet: name a single server")]
    Cluster,
    /// The level cannot be kept.
    #[error(
        "durability = \"disk\" is not what this Redis gives: set appendonly yes and appendfsync always, \
         or use a Redis from 7.2 on with appendonly yes"
    )]
    NotOnDisk,
    /// The library is not there and cannot be loaded.
    #[error("the function library {name} cannot be loaded: {why}")]
    NoLibrary {
        /// Its name.
        name: String,
        /// What the server said.
        why: String,
    },
}

/// What a server says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Changes with each start of a server.
    pub(super) run_id: String,
    /// Its version.
    pub(super) version: String,
    /// `WAITAOF` must follow each call to keep the level `disk`.
    pub(super) waits_for_disk: bool,
}

/// What `INFO` says, by field.
pub(super) fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

fn is_at_least(version: &str, wanted: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= wanted
}

async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<Value, String> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query_async::<Value>(connection).await.map_err(|error| error.to_string())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Functions came with 7.0.
pub(super) fn is_too_old(version: &str) -> bool {
    !is_at_least(version, (7, 0))
}

/// Why a server of this role and with these settings would lose orders.
pub(super) fn misused(role: &str, cluster: bool, eviction: &str) -> Option<Trouble> {
    if role != "master" {
        return Some(Trouble::Replica);
    }
    if cluster {
        return Some(Trouble::Cluster);
    }
    (eviction != "noeviction").then(|| Trouble::Evicts(eviction.to_owned()))
}

/// Whether the level `disk` can be kept: by each write's sync, or by `WAITAOF`, which came with 7.2.
pub(super) fn gives_disk(appends: bool, always: bool, version: &str) -> bool {
    appends && (always || is_at_least(version, (7, 2)))
}

impl Server {
    /// Asks a server what it is.
    ///
    /// # Errors
    /// What makes it unusable.
    pub(super) async fn look(
        connection: &mut MultiplexedConnection,
        durability: Durability,
    ) -> Result<Self, Trouble> {
        let info = ask(connection, &["INFO"]).await.map_err(Trouble::Broke)?;
        let info = text(info).ok_or(Trouble::Strange("INFO"))?;
        let mut server = Self::read(&info)?;
        if durability == Durability::Disk {
            let said = ask(connection, &["CONFIG", "GET", "appendfsync"]).await;
            let words = if let Ok(Value::Array(words)) = said { words } else { Vec::new() };
            let always = words.into_iter().filter_map(text).any(|word| word == "always");
            let kept = fields(&info).get("aof_enabled") == Some(&"1");
            server.waits_for_disk = !always;
            if !gives_disk(kept, always, &server.version) {
                return Err(Trouble::NotOnDisk);
            }
        }
        Ok(server)
    }

    fn read(info: &str) -> Result<Self, Trouble> {
        let said = fields(info);
        let of = |field: &str| said.get(field).copied().unwrap_or_default();
        let (run_id, version) = (of("run_id").to_owned(), of("redis_version").to_owned());
        if is_too_old(&version) {
            return Err(Trouble::TooOld(version));
        }
        if of("loading") == "1" {
            return Err(Trouble::Loading);
        }
        let cluster = of("cluster_enabled") == "1";
        if let Some(trouble) = misused(of("role"), cluster, of("maxmemory_policy")) {
            return Err(trouble);
        }
        if run_id.is_empty() {
            return Err(Trouble::Strange("INFO"));
        }
        Ok(Self { run_id, version, waits_for_disk: false })
    }
}

/// Loads the library where it is not there, if it `may`. A user without the right finds it loaded by an operator.
pub(super) async fn load(
    connection: &mut MultiplexedConnection,
    library: &Library,
    may: bool,
) -> Result<(), Trouble> {
    let listed = ask(connection, &["FUNCTION", "LIST", "LIBRARYNAME", &library.name]).await;
    if matches!(listed, Ok(Value::Array(found)) if !found.is_empty()) {
        return Ok(());
    }
    if !may {
        let why = "start a gateway of this version once: it loads it".to_owned();
        return Err(Trouble::NoLibrary { name: library.name.clone(), why });
    }
    match ask(connection, &["FUNCTION", "LOAD", &library.text]).await {
        Err(why) if !why.contains("already exists") => {
            Err(Trouble::NoLibrary { name: library.name.clone(), why })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\n\
                        maxmemory_policy:noeviction\r\ncluster_enabled:0\r\nloading:0\r\n";

    #[test]
    fn a_server_that_would_lose_orders_is_not_used() {
        assert_eq!(Server::read(GOOD).unwrap().run_id, "abc");
        for (was, is, trouble) in [
            ("7.0.15", "6.2.14", Trouble::TooOld("6.2.14".to_owned())),
            ("loading:0", "loading:1", Trouble::Loading),
            ("role:master", "role:slave", Trouble::Replica),
            ("cluster_enabled:0", "cluster_enabled:1", Trouble::Cluster),
            ("noeviction", "allkeys-lru", Trouble::Evicts("allkeys-lru".to_owned())),
        ] {
            assert_eq!(Server::read(&GOOD.replace(was, is)).unwrap_err(), trouble);
        }
        assert!(is_at_least("8.0.1", (7, 2)) && !is_at_least("7.0.15", (7, 2)));
    }
}
