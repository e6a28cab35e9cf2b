//! Every buyer on a connection of his own is a descriptor here and one at the gateway.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What either end needs beside buyers.
pub(crate) const OWN: u64 = 300;

/// Raises the soft limit as far as it goes, for this process and those it starts, and says what it then is.
pub(crate) fn raised() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused or not: what is in force is read again.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit and says how many of `wanted` buyers it carries.
pub(crate) fn carried(wanted: u64) -> anyhow::Result<u64> {
    let now = raised();
    let carried = wanted.min(now.saturating_sub(OWN));
    ensure!(
        carried >= wanted / 2,
        "{wanted} waiting buyers need {} descriptors at either end and the hard limit is {now}: raise `ulimit -Hn`",
        wanted + OWN
    );
    Ok(carried)
}
