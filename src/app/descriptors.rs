//! File descriptors: as many as the system gives, and no more connections than they carry.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use super::StartError;

/// What the process needs beside its connections: journal, snapshots, the store's files, listeners, the control
/// runtime, the log, and some to spare.
const OWN: u64 = 32;

/// What each thread that takes orders needs: its runtime and its handle on the listener.
const THREAD: u64 = 5;

/// Operators and scrapers are few.
const OPERATORS_MAX: u64 = 64;

/// Fewer connections than these are not worth a start: three buyers and an operator.
const LEAST: u64 = 4;

/// How many connections may be open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) buyers: usize,
    pub(super) operators: usize,
}

/// Raises the soft limit to the hard one and says how many connections it carries: of buyers at most `wanted`.
/// `threads`: how many take orders. `questions`: how many may be asked of the shop at once.
///
/// # Errors
/// When there are too few for the process itself.
pub(super) fn connections(
    wanted: usize,
    threads: usize,
    questions: usize,
) -> Result<Connections, StartError> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Refused or not: what is in force is read again.
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let own = OWN + THREAD * threads as u64 + questions as u64;
    let whole = own + OPERATORS_MAX + wanted as u64;
    let Some(carried) = carried(limit.saturating_sub(own), wanted) else {
        let least = own + LEAST;
        return Err(StartError::runtime(format!(
            "this process may open {limit} files and needs {least} at least: raise `ulimit -n`, best to {whole}"
        )));
    };
    if carried.buyers < wanted {
        tracing::warn!(
            limit,
            wanted,
            connections = carried.buyers,
            "few file descriptors: connections are capped; raise `ulimit -n` to {whole}"
        );
    }
    Ok(carried)
}

/// Where there are few, a quarter is for operators: they must get through when buyers do not.
fn carried(spare: u64, wanted: usize) -> Option<Connections> {
    if spare < LEAST {
        return None;
    }
    let operators = (spare / 4).min(OPERATORS_MAX);
    let buyers = usize::try_from(spare - operators).map_or(wanted, |spare| spare.min(wanted));
    Some(Connections { buyers, operators: usize::try_from(operators).unwrap_or(usize::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_rest() {
        let of = |buyers, operators| Some(Connections { buyers, operators });
        assert_eq!(carried(u64::MAX, 25_000), of(25_000, 64));
        assert_eq!(carried(25_064, 25_000), of(25_000, 64));
        assert_eq!(carried(1_000, 25_000), of(936, 64));
        assert_eq!(carried(27, 25_000), of(21, 6));
        assert_eq!(carried(4, 25_000), of(3, 1));
        assert_eq!(carried(3, 25_000), None);
    }
}
