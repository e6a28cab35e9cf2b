//! File descriptors: as many as the system gives, and no more connections than they carry.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// What the process needs beside connections of buyers: journal, snapshots, the store's files and
/// connections, both listeners, runtimes, the log, and a few connections of operators.
const OWN: u64 = 96;

/// Raises the soft limit to the hard one and says how many connections of buyers it carries: at most `wanted`,
/// and at least 1.
pub(super) fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Refused or not: what is in force is read again.
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let now = getrlimit(Resource::Nofile).current;
    let carried = carried(now, wanted);
    if carried < wanted {
        tracing::warn!(
            limit = now,
            wanted,
            connections = carried,
            "few file descriptors: connections are capped; raise `ulimit -n` to {}",
            wanted as u64 + OWN
        );
    }
    carried
}

/// Of a small limit the half is kept back.
fn carried(limit: Option<u64>, wanted: usize) -> usize {
    let Some(limit) = limit else { return wanted };
    let spare = limit.saturating_sub(OWN).max(limit / 2).max(1);
    usize::try_from(spare).map_or(wanted, |spare| spare.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_rest() {
        assert_eq!(carried(None, 25_000), 25_000);
        assert_eq!(carried(Some(1 << 20), 25_000), 25_000);
        assert_eq!(carried(Some(1_024), 25_000), 928);
        assert_eq!(carried(Some(64), 25_000), 32);
        assert_eq!(carried(Some(0), 25_000), 1);
    }
}
