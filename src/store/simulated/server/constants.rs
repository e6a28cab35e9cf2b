//! What the model's stations take. The defaults are those of the measured server.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// The longest time that a constant may say.
const LONGEST: Duration = Duration::from_secs(3_600);

/// `[store.simulated.server]`: how fast the server is. `docs/store-model.md` says what each was measured from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constants {
    /// Cores that work on statements.
    pub cores: u32,
    /// A transaction's time on the way, in which no core works for it, in microseconds.
    pub exchange_micros: u64,
    /// Work of one transaction on a core, in microseconds.
    pub work_micros: u64,
    /// Work of each row on top, in nanoseconds.
    pub work_row_nanos: u64,
    /// Connections in use up to which a transaction is no dearer.
    pub work_knee: u32,
    /// By how much of its work each connection beyond makes it dearer, in thousandths.
    pub work_crowd_permille: u64,
    /// How long a stock row is held, from the decrement to the commit, in microseconds.
    pub lock_micros: u64,
    /// How much longer for each row of the transaction, in nanoseconds.
    pub lock_row_nanos: u64,
    /// Transactions in line for a row up to which it is held no longer.
    pub lock_knee: u32,
    /// By how much of its time each one beyond makes it be held longer, in thousandths.
    pub lock_crowd_permille: u64,
    /// After this long in line for a row a transaction is told 1205.
    pub lock_wait_timeout: Span,
    /// One flush of the log to the disk, in microseconds.
    pub flush_micros: u64,
    /// Each row in it on top, in nanoseconds.
    pub flush_row_nanos: u64,
}

impl Default for Constants {
    fn default() -> Self {
        Self {
            cores: 2,
            exchange_micros: 32,
            work_micros: 240,
            work_row_nanos: 1_206,
            work_knee: 51,
            work_crowd_permille: 1,
            lock_micros: 206,
            lock_row_nanos: 7_826,
            lock_knee: 16,
            lock_crowd_permille: 1,
            lock_wait_timeout: Span(Duration::from_secs(50)),
            flush_micros: 242,
            flush_row_nanos: 821,
        }
    }
}

impl Constants {
    /// A server that takes no time at all: what its tables do, and nothing else.
    #[must_use]
    pub fn timeless() -> Self {
        Self {
            exchange_micros: 0,
            work_micros: 0,
            work_row_nanos: 0,
            lock_micros: 0,
            lock_row_nanos: 0,
            flush_micros: 0,
            flush_row_nanos: 0,
            ..Self::default()
        }
    }

    /// The keys of times that are longer than an hour, which no server is meant to take.
    #[must_use]
    pub fn too_long(&self) -> Vec<&'static str> {
        let (micros, nanos) = (Duration::from_micros, Duration::from_nanos);
        let times = [
            ("store.simulated.server.exchange_micros", micros(self.exchange_micros)),
            ("store.simulated.server.work_micros", micros(self.work_micros)),
            ("store.simulated.server.work_row_nanos", nanos(self.work_row_nanos)),
            ("store.simulated.server.lock_micros", micros(self.lock_micros)),
            ("store.simulated.server.lock_row_nanos", nanos(self.lock_row_nanos)),
            ("store.simulated.server.lock_wait_timeout", self.lock_wait_timeout.0),
            ("store.simulated.server.flush_micros", micros(self.flush_micros)),
            ("store.simulated.server.flush_row_nanos", nanos(self.flush_row_nanos)),
        ];
        times.into_iter().filter(|(_, time)| *time > LONGEST).map(|(name, _)| name).collect()
    }

    /// Each constant for a reader: its name, its value, and what it was measured from. The figures are those of
    /// `docs/measured/mariadb-10.11.csv`.
    #[must_use]
    pub fn table(&self) -> [(&'static str, String, &'static str); 13] {
        let micros = |value: u64| format!("{value} \u{b5}s");
        let nanos = |value: u64| format!("{value} ns");
        let permille = |value: u64| format!("{value} \u{2030}");
        let (work_crowd, lock_crowd) = (self.work_crowd_permille, self.lock_crowd_permille);
        [
            ("cores", self.cores.to_string(), "the machine"),
            ("exchange_micros", micros(self.exchange_micros), "one order, 1 and 2 connections"),
            (
                "work_micros",
                micros(self.work_micros),
                "one order, 1,000 stock rows, 4 to 64 connections",
            ),
            (
                "work_row_nanos",
                nanos(self.work_row_nanos),
                "batches of 10, 100 and 500, 1 connection",
            ),
            (
                "work_knee",
                self.work_knee.to_string(),
                "one order, 1,000 stock rows: where it bends",
            ),
            (
                "work_crowd_permille",
                permille(work_crowd),
                "one order, 1,000 stock rows, to 256 connections",
            ),
            (
                "lock_micros",
                micros(self.lock_micros),
                "one order, one stock row, 8 to 32 connections",
            ),
            ("lock_row_nanos", nanos(self.lock_row_nanos), "batches of 10, 4 and 16 connections"),
            ("lock_knee", self.lock_knee.to_string(), "one order, one stock row: where it bends"),
            (
                "lock_crowd_permille",
                permille(lock_crowd),
                "one order, one stock row, to 256 connections",
            ),
            (
                "lock_wait_timeout",
                self.lock_wait_timeout.to_string(),
                "innodb_lock_wait_timeout as it comes",
            ),
            ("flush_micros", micros(self.flush_micros), "one order, 1 connection"),
            (
                "flush_row_nanos",
                nanos(self.flush_row_nanos),
                "batches of 500, 4 and 16 connections",
            ),
        ]
    }

    pub(super) fn exchange(&self) -> Duration {
        Duration::from_micros(self.exchange_micros)
    }

    pub(super) fn work(&self, rows: u32, connected: u32) -> Duration {
        let row = Duration::from_nanos(self.work_row_nanos);
        let own = Duration::from_micros(self.work_micros).saturating_add(row.saturating_mul(rows));
        crowded(own, connected, self.work_knee, self.work_crowd_permille)
    }

    pub(super) fn lock(&self, rows: u32, waiting: u32) -> Duration {
        let row = Duration::from_nanos(self.lock_row_nanos);
        let own = Duration::from_micros(self.lock_micros).saturating_add(row.saturating_mul(rows));
        crowded(own, waiting, self.lock_knee, self.lock_crowd_permille)
    }

    pub(super) fn flush(&self) -> Duration {
        Duration::from_micros(self.flush_micros)
    }

    pub(super) fn flush_row(&self) -> Duration {
        Duration::from_nanos(self.flush_row_nanos)
    }
}

/// Each one beyond the knee adds the same share.
fn crowded(own: Duration, crowd: u32, knee: u32, permille: u64) -> Duration {
    let beyond = u64::from(crowd.saturating_sub(knee));
    let share = u32::try_from(beyond.saturating_mul(permille)).unwrap_or(u32::MAX);
    own.saturating_add(own.saturating_mul(share) / 1_000)
}
