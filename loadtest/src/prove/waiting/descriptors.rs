//! Every buyer who waits is a descriptor here and one at the gateway.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What either end needs beside waiting buyers.
const OWN: u64 = 300;

/// Raises the soft limit, which the gateway inherits, and says how many of `wanted` buyers it carries.
pub(super) fn carried(wanted: u64) -> anyhow::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused or not: what is in force is read again.
    let _ = setrlimit(Resource::Nofile, raised);
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let carried = wanted.min(now.saturating_sub(OWN));
    ensure!(
        carried >= wanted / 2,
        "{wanted} waiting buyers need {} descriptors at either end and the hard limit is {now}: raise `ulimit -Hn`",
        wanted + OWN
    );
    Ok(carried)
}
