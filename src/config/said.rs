//! Every section of the settings, as it is read; each component owns its own.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::log::Log;
use crate::admission;
use crate::drain;
use crate::http::config::AdminListener;
use crate::http::config::Public;
use crate::http::config::Queue;
use crate::identity;
use crate::ledger::embedded;
use crate::ledger::redis;
use crate::store::http;
use crate::store::mysql;
use crate::store::simulated;
use crate::units::Every;
use crate::units::Span;

/// All sections but `[[sale]]`, which is a list and read on its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Said {
    pub(super) public: Public,
    pub(super) admin: AdminListener,
    pub(super) identity: identity::Config,
    pub(super) tickets: Tickets,
    pub(super) limits: admission::Config,
    pub(super) ledger: Ledger,
    pub(super) queue: Queue,
    pub(super) drain: drain::Config,
    pub(super) retry: drain::Retry,
    pub(super) store: Store,
    pub(super) verify: Verify,
    pub(super) retention: Retention,
    pub(super) log: Log,
}

/// `[tickets]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tickets {
    /// Files with ticket keys, beside the ledger's own; the same on all processes.
    pub(super) key_files: Vec<PathBuf>,
}

/// `[ledger]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// Which engine.
    pub engine: Engine,
    /// The embedded one.
    pub embedded: embedded::Config,
    /// Redis.
    pub redis: redis::Config,
}

/// The engines of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A journal in a directory; no server.
    #[default]
    Embedded,
    /// A Redis server, which any number of processes share.
    Redis,
}

/// `[store]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Which store.
    pub kind: StoreKind,
    /// The simulated one.
    pub simulated: simulated::Config,
    /// MySQL or MariaDB.
    pub mysql: mysql::Config,
    /// An endpoint of the shop.
    pub http: http::Config,
}

/// The kinds of stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// SQLite tables behind the behaviour of a MySQL server.
    #[default]
    Simulated,
    /// A MySQL or MariaDB server.
    Mysql,
    /// An endpoint of the shop.
    Http,
}

/// `[verify]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// How often a process that carries orders proves ledger and store by itself.
    pub every: Every,
}

/// `[retention]`: how long what is over is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// From the end of a sale (closed and all terminal) to its purge.
    pub tickets: Span,
    /// From the purge of a sale until its name and census are forgotten too.
    pub sales: Span,
}

/// One day.
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

impl Default for Retention {
    fn default() -> Self {
        Self { tickets: Span(DAY * 7), sales: Span(DAY * 90) }
    }
}
