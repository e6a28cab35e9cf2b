//! Monotonic and wall time behind a trait, and a manual clock for tests.
//!
//! Ledger time, leases and pace must not jump with the wall clock; phases of a sale must follow it. So the two
//! are asked for separately, and nothing else in the crate reads the operating system's clocks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An instant in microseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The instant `by` later; stays at the end of time instead of overflowing.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// The instant as HTTP writes it, in whole seconds; empty beyond what a calendar holds.
    #[must_use]
    pub fn http_date(self) -> String {
        let micros = i64::try_from(self.0).ok();
        let instant = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        let written = instant.map(|instant| printer.timestamp_to_rfc9110_string(&instant));
        written.and_then(Result::ok).unwrap_or_default()
    }

    /// How long after `earlier` this instant is; zero when it is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Whole microseconds of a duration, at most `u64::MAX`.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 UTC with six decimals, `2026-11-27T02:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let instant = jiff::Timestamp::from_microsecond(micros).map_err(|_| fmt::Error)?;
        write!(f, "{instant:.6}")
    }
}

/// A text is not an RFC 3339 instant with a zone, between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 instant with a zone, such as 2026-11-27T02:00:00Z")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| BadTimestamp)?;
        u64::try_from(instant.as_microsecond()).map(Self).map_err(|_| BadTimestamp)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since some fixed point; never goes back and never jumps with the wall clock.
    fn monotonic(&self) -> Duration;

    /// The host's wall clock.
    fn wall(&self) -> Timestamp;
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
    fn wall(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, micros))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

impl ManualClock {
    /// A clock whose wall time is `wall` and whose monotonic time is zero.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self { monotonic: AtomicU64::new(0), wall: AtomicU64::new(wall.0) }
    }

    /// Both times go on by `by`.
    pub fn advance(&self, by: Duration) {
        self.monotonic.fetch_add(micros(by), Ordering::SeqCst);
        self.wall.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// The wall clock is set, as an operator or NTP would; monotonic time does not notice.
    pub fn step_wall(&self, to: Timestamp) {
        self.wall.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }
}

/// Ledger time of an engine without a server: monotonic, from `max(last journalled, wall)` at open.
///
/// It never goes back over restarts, and a step of the wall clock while it runs does not move it.
#[derive(Clone, Debug)]
pub struct LedgerClock {
    clock: SharedClock,
    base: Timestamp,
    opened: Duration,
}

impl LedgerClock {
    /// Ledger time that goes on from `last_journalled`, or from the wall clock if that is later.
    #[must_use]
    pub fn open(clock: SharedClock, last_journalled: Timestamp) -> Self {
        let base = clock.wall().max(last_journalled);
        let opened = clock.monotonic();
        Self { clock, base, opened }
    }

    /// Ledger time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.base.plus(self.clock.monotonic().saturating_sub(self.opened))
    }

    /// The host's wall clock now, by which the phases of sales go.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.clock.wall()
    }
}
