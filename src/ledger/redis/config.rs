//! `[ledger.redis]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

/// What an accepted order survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// What the server's own persistence gives; with `appendfsync everysec` a power cut may cost the last two
    /// seconds.
    #[default]
    Memory,
    /// The loss of the primary: an order is acknowledged when `replicas` replicas have it.
    Replicated,
    /// A power cut: the server has the order on disk before it answers (`appendfsync always`, or `WAITAOF`).
    Disk,
}

impl Durability {
    /// The level as a 202 names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Replicated => "replicated",
            Self::Disk => "disk",
        }
    }
}

/// Settings of the Redis ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `redis://[user@]host[:port][/db]`, or `rediss://` with TLS. A password in it is never shown.
    pub url: String,
    /// A file whose first line is the password, read again at each connect.
    pub password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that sign the server's; the system's when it is absent.
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: String,
    /// What an accepted order survives.
    pub durability: Durability,
    /// Replicas that must have an order, at level `replicated`.
    pub replicas: u8,
    /// The longest that one call may take; beyond it the call is in doubt.
    pub timeout: Span,
    /// Memory for accepted orders that could be admitted again after a failover.
    pub remember: Size,
    /// How long a sale is held for them in a new epoch.
    pub recover_hold: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            password_file: None,
            ca_file: None,
            prefix: "forebay".to_owned(),
            durability: Durability::Memory,
            replicas: 1,
            timeout: Span(Duration::from_millis(500)),
            remember: Size(64 << 20),
            recover_hold: Span(Duration::from_secs(2)),
        }
    }
}
