//! Every section of the settings, as it is read; each component owns its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::log::Log;
use crate::drain;
use crate::ledger::embedded;
use crate::store::simulated;
use crate::units::Span;

/// All sections but `[[sale]]`, which is a list and read on its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Said {
    pub(super) public: Public,
    pub(super) admin: Admin,
    pub(super) tickets: Tickets,
    pub(super) ledger: Ledger,
    pub(super) drain: drain::Config,
    pub(super) retry: drain::Retry,
    pub(super) store: Store,
    pub(super) retention: Retention,
    pub(super) log: Log,
}

/// `[public]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Public {
    pub(super) listen: SocketAddr,
}

impl Default for Public {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// The listener's address.
    pub(super) listen: SocketAddr,
    /// Who may use it.
    pub(super) token_file: Option<PathBuf>,
    /// Names under which browsers may reach it.
    pub(super) hosts: Vec<String>,
    /// `/metrics` needs no token.
    pub(super) metrics_open: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9180)),
            token_file: None,
            hosts: Vec::new(),
            metrics_open: true,
        }
    }
}

/// `[tickets]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tickets {
    /// Files with ticket keys, beside the ledger's own; the same on all processes.
    pub(super) key_files: Vec<PathBuf>,
}

/// `[ledger]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// Which engine.
    pub engine: Engine,
    /// The embedded one.
    pub embedded: embedded::Config,
}

/// The engines of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A journal in a directory; no server.
    #[default]
    Embedded,
}

/// `[store]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Which store.
    pub kind: StoreKind,
    /// The simulated one.
    pub simulated: simulated::Config,
}

/// The kinds of stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// SQLite tables behind the behaviour of a MySQL server.
    #[default]
    Simulated,
}

/// `[retention]`: how long what is over is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
