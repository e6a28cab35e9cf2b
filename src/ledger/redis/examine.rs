//! What a server says of itself, for the doctor: read once, and nothing is changed.

use std::time::Duration;

use super::client::{BadClient, client};
use super::config::Config;
use super::server::{self, Trouble};
use super::{library, rights};
use crate::clock::Timestamp;

/// What was seen of a server. A field is `None` where the server would not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its version.
    pub version: String,
    /// `master` or `slave`.
    pub role: String,
    /// It is part of a cluster.
    pub cluster: bool,
    /// What it throws away when memory is full.
    pub eviction: String,
    /// Bytes that it may take; 0 is no bound.
    pub maxmemory: u64,
    /// It keeps an append-only file.
    pub appends: bool,
    /// How often that is synced.
    pub fsync: Option<String>,
    /// It may skip syncs while it rewrites that file.
    pub skips_fsync: Option<bool>,
    /// Replicas that follow it now.
    pub replicas: u64,
    /// Its last snapshot or rewrite failed.
    pub failing: bool,
    /// Its time.
    pub time: Option<Timestamp>,
    /// The function library of this version is there.
    pub library: bool,
    /// What this user may not ask, which leaves something unknown here; in the server's words.
    pub denied: Vec<String>,
    /// What this user may not do, and every gateway must.
    pub lacks: Vec<String>,
    /// This user may load a library.
    pub loads: bool,
}

impl About {
    /// Why no gateway would use it.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        if server::is_too_old(&self.version) {
            return Some(Trouble::TooOld(self.version.clone()));
        }
        server::misused(&self.role, self.cluster, &self.eviction)
    }

    /// Whether it can keep the level `disk`.
    #[must_use]
    pub fn gives_disk(&self) -> bool {
        server::gives_disk(self.appends, self.fsync.as_deref() == Some("always"), &self.version)
    }
}

/// Why nothing was seen of a server; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// The settings, or the files that they name, cannot be used.
    #[error(transparent)]
    Settings(#[from] BadClient),
    /// It does not let this user in, or tells him nothing.
    #[error("{0}")]
    Stranger(String),
    /// It cannot be reached, or does not speak as Redis does.
    #[error("{0}")]
    Away(String),
}

impl From<redis::RedisError> for Unseen {
    fn from(error: redis::RedisError) -> Self {
        let knows_nobody = error.kind() == redis::ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        if knows_nobody { Self::Stranger(error.to_string()) } else { Self::Away(error.to_string()) }
    }
}

/// Asks a server; blocks for at most `patience` at each step.
///
/// # Errors
/// When nothing can be learnt of it.
pub fn examine(config: &Config, patience: Duration) -> Result<About, Unseen> {
    let connection = client(config)?.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    let mut asking = Asking { connection, denied: Vec::new() };
    let info: String = asking.ask(&["INFO"])?;
    let said = server::fields(&info);
    let of = |field: &str| said.get(field).copied().unwrap_or_default();
    let mut about = About {
        version: of("redis_version").to_owned(),
        role: of("role").to_owned(),
        cluster: of("cluster_enabled") == "1",
        eviction: of("maxmemory_policy").to_owned(),
        maxmemory: of("maxmemory").parse().unwrap_or(0),
        appends: of("aof_enabled") == "1",
        replicas: of("connected_slaves").parse().unwrap_or(0),
        failing: [of("rdb_last_bgsave_status"), of("aof_last_write_status")].contains(&"err"),
        ..About::default()
    };
    about.fsync = asking.setting("appendfsync");
    about.skips_fsync = asking.setting("no-appendfsync-on-rewrite").map(|said| said == "yes");
    let time: Option<(u64, u64)> = asking.may(&["TIME"]);
    about.time = time.map(|(seconds, micros)| Timestamp(seconds * 1_000_000 + micros));
    let name = library::SHIPPED.name.as_str();
    let listed: Option<redis::Value> = asking.may(&["FUNCTION", "LIST", "LIBRARYNAME", name]);
    about.library = matches!(listed, Some(redis::Value::Array(found)) if !found.is_empty());
    about.loads = asking.is_allowed(&rights::LOADS.map(str::to_owned))?;
    for words in rights::needed(config) {
        if !asking.is_allowed(&words)? {
            about.lacks.push(words.join(" "));
        }
    }
    about.denied = asking.denied;
    Ok(about)
}

/// A connection, and what was refused on it.
struct Asking {
    connection: redis::Connection,
    denied: Vec<String>,
}

impl Asking {
    fn ask<T: redis::FromRedisValue>(
        &mut self,
        words: &[impl AsRef<str>],
    ) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(word.as_ref());
        });
        command.query(&mut self.connection)
    }

    /// Whether the server would do this for this user, whatever it says of it else.
    fn is_allowed(&mut self, words: &[String]) -> redis::RedisResult<bool> {
        match self.ask::<redis::Value>(words) {
            Err(error) if error.is_io_error() => Err(error),
            Err(error) => Ok(error.code() != Some("NOPERM")),
            Ok(_) => Ok(true),
        }
    }

    /// A refusal is kept and told.
    fn may<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> Option<T> {
        match self.ask(words) {
            Ok(value) => Some(value),
            Err(why) => {
                self.denied.push(format!("{}: {why}", words.join(" ")));
                None
            }
        }
    }

    fn setting(&mut self, name: &str) -> Option<String> {
        let said: Option<Vec<String>> = self.may(&["CONFIG", "GET", name]);
        said.and_then(|words| words.into_iter().nth(1))
    }
}
