//! File descriptors: as many as the system gives, and no more connections than they carry.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use super::Role;
use super::StartError;
use super::public;
use crate::config::Settings;
use crate::identity::Means;

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

/// File descriptors: how many there may be, and what the settings ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorNeeds {
    /// The hard limit, to which a start raises the soft one.
    pub limit: u64,
    /// With fewer it does not start.
    pub least: u64,
    /// With so many every connection of the settings is taken.
    pub whole: u64,
}

/// What the settings ask for, and what there is.
#[must_use]
pub fn descriptor_needs(settings: &Settings) -> DescriptorNeeds {
    let own = own(settings);
    DescriptorNeeds {
        limit: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
        least: own + LEAST,
        whole: own + OPERATORS_MAX + settings.public.limits.connections as u64,
    }
}

/// What is left for nobody's connection.
fn own(settings: &Settings) -> u64 {
    let questions = match &settings.identity {
        Means::Forward(question) => question.max_in_flight,
        Means::Header(_) | Means::Jwt(_) => 0,
    };
    OWN + THREAD * public::threads(settings.public.threads) as u64 + questions as u64
}

/// Raises the soft limit of open files to the hard one, and says what is in force then.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Refused or not: what is in force is read again.
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one and says how many connections it carries, at most those of the settings.
///
/// # Errors
/// When there are too few for the process itself.
pub(super) fn connections(settings: &Settings, role: Role) -> Result<Connections, StartError> {
    let limit = raise_open_files();
    let wanted = if role.takes_orders() { settings.public.limits.connections } else { 0 };
    let DescriptorNeeds { least, whole, .. } = descriptor_needs(settings);
    let Some(carried) = carried(limit.saturating_sub(own(settings)), wanted) else {
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
