//! The result of a run: what was counted, the verdict, and the thresholds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::scenario::threshold::{At, Counter, Measured, Of, Threshold};
use super::seen::{Counts, Seen};
use super::timeline::{Second, timeline};
use crate::drive::{Shared, look};
use crate::judge::{Broke, Evidence, Judgement};

/// How a run ended. The first that applies is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every promise and every threshold held.
    Held,
    /// A promise was broken.
    InvariantBroken,
    /// A threshold was missed, or the generator could not do what it was asked.
    ThresholdFailed,
}

/// A threshold and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// As it is written.
    pub threshold: String,
    /// It was.
    pub kept: bool,
    /// What was found.
    pub found: String,
}

/// A run with all that is known of it.
#[derive(Debug)]
pub struct Outcome {
    /// From the first to the last moment of the load.
    pub elapsed: Duration,
    /// The verdict over all sales.
    pub judgement: Judgement,
    /// Each threshold.
    pub thresholds: Vec<Judged>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// Accepted orders that were sent again at the end, and those that got a ticket.
    pub asked_again: (u64, u64),
    /// The pace that attempts were held against, in words.
    pub pace: Option<String>,
    pub(super) seen: Shared<Seen>,
    pub(super) counts: Counts,
    /// Attempts at orders, and those that got an answer.
    attempts: (u64, u64),
    /// Orders dropped.
    dropped: u64,
    /// Units that are sold or held, and all units.
    units: (u64, u64),
    /// How much worse than the baseline.
    pub(super) regress: Option<f64>,
}

impl Outcome {
    /// What the load itself showed; nothing that comes after it is counted.
    pub(super) fn new(engine: &Engine, elapsed: Duration) -> Self {
        let seen = look(&engine.seen);
        let attempts = seen.histories.iter().fold((0, 0), |(attempts, answered), history| {
            (attempts + history.attempts().len() as u64, answered + history.tally().answered())
        });
        Self {
            elapsed,
            judgement: Judgement::default(),
            thresholds: Vec::new(),
            timeline: timeline(&seen),
            asked_again: (0, 0),
            pace: None,
            counts: seen.counts.clone(),
            attempts,
            dropped: engine.errands.dropped(),
            units: (0, 0),
            regress: None,
            seen: engine.seen.clone(),
        }
    }

    /// Adds the verdict on one sale.
    pub(super) fn heard(&mut self, judgement: Judgement, evidence: &Evidence) {
        self.judgement.add(judgement);
        for item in evidence.census.iter().flat_map(|census| &census.items) {
            self.units.0 += item.held + item.sold;
            self.units.1 += item.total();
        }
    }

    /// Holds what was measured against each threshold.
    pub(super) fn judge_thresholds(&mut self, keep: &[Threshold]) {
        let judged = keep.iter().map(|threshold| {
            let (kept, found) = threshold.judge(self);
            Judged { threshold: threshold.to_string(), kept, found }
        });
        self.thresholds = judged.collect();
    }

    /// The one result.
    pub fn ended(&self) -> Ended {
        // What could not be found out is no broken promise, and no kept one.
        let soft = self.judgement.count(Broke::Unsettled) + self.judgement.count(Broke::Unresolved);
        let (asked, given) = self.asked_again;
        if self.judgement.findings.len() > soft {
            Ended::InvariantBroken
        } else if soft > 0 || given < asked || self.thresholds.iter().any(|judged| !judged.kept) {
            Ended::ThresholdFailed
        } else {
            Ended::Held
        }
    }

    /// Counts by name, as the document and the table have them.
    pub(super) fn counted(&self) -> BTreeMap<String, u64> {
        let counted =
            Counter::ALL.map(|counter| (counter.name().to_owned(), self.count(counter).0));
        let more = [
            ("attempts", self.attempts.0),
            ("poll_failures", self.counts.poll_failures),
            ("cancelled_too_late", self.counts.cancelled_too_late),
            ("left_waiting", self.counts.left_waiting),
        ];
        counted.into_iter().chain(more.map(|(name, n)| (name.to_owned(), n))).collect()
    }
}

impl Measured for Outcome {
    fn latency(&self, of: Of, at: At) -> Option<Duration> {
        let seen = look(&self.seen);
        let histogram = match of {
            Of::Orders => seen.orders.latencies(),
            Of::Service => seen.orders.service_times(),
            Of::Polls => &seen.polls,
            Of::Outcome => &seen.outcomes,
        };
        if histogram.is_empty() {
            return None;
        }
        Some(match at {
            At::Quantile(share) => Duration::from_micros(histogram.value_at_quantile(share)),
            At::Mean => Duration::from_secs_f64(histogram.mean() / 1e6),
            At::Max => Duration::from_micros(histogram.max()),
        })
    }

    fn count(&self, counter: Counter) -> (u64, u64) {
        let counts = &self.counts;
        let (attempts, answered) = self.attempts;
        let orders = counts.orders + self.dropped;
        match counter {
            Counter::Orders => (orders, orders),
            Counter::Answers => (answered, attempts),
            Counter::Accepted => (self.judgement.accepted, orders),
            Counter::Refused => (self.judgement.refused.values().sum(), orders),
            Counter::Errors => (self.judgement.errors, attempts),
            Counter::Retries => (counts.retries, attempts),
            Counter::Polls => (counts.polls, counts.polls + counts.poll_failures),
            Counter::Events => (counts.events, counts.events),
            Counter::Outcomes => (counts.outcomes, counts.outcomes + counts.left_waiting),
            Counter::Cancelled => (counts.cancelled, self.judgement.accepted),
            Counter::Late => (counts.late, counts.sends),
            Counter::Dropped => (self.dropped, orders),
            Counter::Waited => (counts.waited, counts.sends),
        }
    }

    fn refused_as(&self, code: &str) -> (u64, u64) {
        let refused = self.judgement.refused.get(code).copied().unwrap_or_default();
        (refused, self.counts.orders + self.dropped)
    }

    #[expect(clippy::cast_precision_loss, reason = "units here are far below 2^52")]
    fn sold(&self) -> Option<f64> {
        (self.units.1 > 0).then(|| self.units.0 as f64 / self.units.1 as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
    fn rates(&self) -> Option<(f64, f64)> {
        let seconds = self.elapsed.as_secs_f64();
        let rate = |count: u64| count as f64 / seconds;
        let answered = self.attempts.1;
        (answered > 0 && seconds > 0.0).then(|| (rate(answered), rate(self.judgement.accepted)))
    }

    fn regress(&self) -> Option<f64> {
        self.regress
    }
}
