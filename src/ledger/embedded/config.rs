//! `[ledger.embedded]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::units::Size;

/// What an accepted order survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A power cut: each commit is synced before it is answered.
    #[default]
    Disk,
    /// The death of the process, not that of the machine: commits are not synced. Each open without a clean
    /// close before it begins a new epoch.
    Process,
}

impl Durability {
    /// The level as a 202 names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Process => "process",
        }
    }
}

/// Settings of the embedded ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the journal, its snapshots and the ticket key are; made when it is not there.
    pub directory: PathBuf,
    /// What an accepted order survives.
    pub durability: Durability,
    /// Bytes of one segment of the journal, written ahead of use; at least 4 KiB.
    pub segment_size: Size,
    /// A snapshot is made when this much of the journal lies behind the last one, and at least as much as that
    /// snapshot is large.
    pub snapshot_after: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("./data/ledger"),
            durability: Durability::Disk,
            segment_size: Size(16 << 20),
            snapshot_after: Size(256 << 20),
        }
    }
}

/// The smallest segment.
pub const SEGMENT_SIZE_MIN: u64 = 4 << 10;
