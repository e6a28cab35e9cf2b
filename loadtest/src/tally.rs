//! The cheap recorder: latencies and counts, no memory of single orders.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::drive::{Recorder, Timing};
use crate::wire::{Answer, Broken};

/// Longest latency told apart from longer ones.
const LATENCY_MAX_US: u64 = 600_000_000;

/// Counts by status, and latencies in microseconds.
#[derive(Debug)]
pub struct Tally {
    statuses: BTreeMap<u16, u64>,
    broken: BTreeMap<Broken, u64>,
    from_intended: Histogram<u64>,
    from_sent: Histogram<u64>,
}

/// An empty histogram of latencies in microseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)
        .expect("bounds must not fail: they are constant and in order")
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            broken: BTreeMap::new(),
            from_intended: histogram(),
            from_sent: histogram(),
        }
    }
}

impl Tally {
    /// Attempts that ended, with an answer or without.
    pub fn ended(&self) -> u64 {
        self.answered() + self.broken.values().sum::<u64>()
    }

    /// Attempts that got an answer.
    pub fn answered(&self) -> u64 {
        self.from_intended.len()
    }

    /// Answers with this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Answers by status.
    pub fn statuses(&self) -> &BTreeMap<u16, u64> {
        &self.statuses
    }

    /// Attempts without an answer, by reason.
    pub fn broken(&self) -> &BTreeMap<Broken, u64> {
        &self.broken
    }

    /// Latencies from the intended time of the send, in microseconds.
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.from_intended
    }

    /// The same from the time at which requests were really sent.
    pub fn service_times(&self) -> &Histogram<u64> {
        &self.from_sent
    }

    /// The latency below which this share of the answers lay, from the intended time of the send.
    pub fn latency(&self, share: f64) -> Duration {
        Duration::from_micros(self.from_intended.value_at_quantile(share))
    }

    /// The same from the time at which the request was really sent.
    pub fn service_time(&self, share: f64) -> Duration {
        Duration::from_micros(self.from_sent.value_at_quantile(share))
    }
}

impl Recorder for Tally {
    fn record(&mut self, timing: Timing, outcome: Result<Answer<'_>, Broken>) {
        match outcome {
            Ok(answer) => {
                *self.statuses.entry(answer.status).or_default() += 1;
                let micros = |since| {
                    let latency = timing.received.saturating_duration_since(since).as_micros();
                    u64::try_from(latency).unwrap_or(LATENCY_MAX_US)
                };
                self.from_intended.saturating_record(micros(timing.intended));
                self.from_sent.saturating_record(micros(timing.sent));
            }
            Err(broken) => *self.broken.entry(broken).or_default() += 1,
        }
    }
}
