//! What a run sees while it goes on. It notes and concludes nothing.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::sampling::Sample;
use crate::clock;
use crate::drive::{Recorder, Timing};
use crate::history::History;
use crate::tally::{Tally, histogram};
use crate::trail::{Asked, Trails};
use crate::wire::{Answer, Broken};

/// How often things happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// Orders that were due.
    pub(super) orders: u64,
    /// Their first sends.
    pub(super) sends: u64,
    pub(super) late: u64,
    pub(super) waited: u64,
    pub(super) retries: u64,
    pub(super) accepted: u64,
    pub(super) polls: u64,
    pub(super) poll_failures: u64,
    pub(super) events: u64,
    pub(super) outcomes: u64,
    pub(super) cancelled: u64,
    pub(super) cancelled_too_late: u64,
    /// Buyers who still waited for their order's end when the run was over.
    pub(super) left_waiting: u64,
}

/// All that is seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) began: Instant,
    pub(super) began_wall_us: i64,
    /// Every attempt at each sale.
    pub(super) histories: Vec<History>,
    /// Orders of those who are not slow on purpose.
    pub(super) orders: Tally,
    pub(super) polls: Histogram<u64>,
    pub(super) outcomes: Histogram<u64>,
    pub(super) trails: Trails,
    pub(super) counts: Counts,
    /// Polls and events by the second in which they came.
    pub(super) looks: Vec<u64>,
    /// What the ledger said meanwhile.
    pub(super) samples: Vec<Sample>,
}

impl Seen {
    /// Nothing, of so many sales, from now on.
    pub(super) fn new(sales: usize) -> Self {
        let (began, began_wall_us) = (clock::now(), clock::wall_micros());
        Self {
            began,
            began_wall_us,
            histories: (0..sales).map(|_| History::since(began, began_wall_us)).collect(),
            orders: Tally::default(),
            polls: histogram(),
            outcomes: histogram(),
            trails: Trails::default(),
            counts: Counts::default(),
            looks: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Microseconds from the beginning.
    pub(super) fn since(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.began))
    }

    /// The time between which an answer was true.
    pub(super) fn asked(&self, timing: Timing) -> Asked {
        Asked { sent_us: self.since(timing.sent), answered_us: self.since(timing.received) }
    }

    /// An attempt at an order ended.
    pub(super) fn order(
        &mut self,
        sale: usize,
        measured: bool,
        timing: Timing,
        outcome: Result<Answer<'_>, Broken>,
    ) {
        if measured {
            self.orders.record(timing, outcome);
        }
        if let Some(history) = self.histories.get_mut(sale) {
            history.record(timing, outcome);
        }
    }

    /// A buyer was told something of his order.
    pub(super) fn look(&mut self, at: Instant) {
        let second = usize::try_from(self.since(at) / 1_000_000).unwrap_or(usize::MAX);
        // A run of a day has 86,400.
        if second < 1_000_000 {
            if self.looks.len() <= second {
                self.looks.resize(second + 1, 0);
            }
            if let Some(looks) = self.looks.get_mut(second) {
                *looks += 1;
            }
        }
    }

    /// A buyer learned the end of his order.
    pub(super) fn outcome(&mut self, ask: u64, at: Instant) {
        let since = self.since(at);
        if let Some(trail) = self.trails.of(ask) {
            self.outcomes.saturating_record(since.saturating_sub(trail.accepted_us));
            self.counts.outcomes += 1;
        }
    }
}

/// Whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
