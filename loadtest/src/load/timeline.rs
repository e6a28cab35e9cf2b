//! The run second by second.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::seen::Seen;
use crate::history::Attempt;
use crate::verdict::Verdict;

/// One second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// From the beginning.
    pub second: u64,
    /// Order calls that were due.
    pub due: u64,
    /// Answers to order calls by what they said: `accepted`, the name of a refusal, `unnamed`, `unknown`.
    pub answers: BTreeMap<String, u64>,
    /// Polls answered and events received.
    pub looks: u64,
    /// Latency of the answers, from the time at which the order was due; none without an answer.
    pub p50_us: Option<u64>,
    /// The same.
    pub p99_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
    /// Orders that wait for the store, at the end of the second, if the ledger was asked.
    pub waiting: Option<u64>,
    /// Orders that the store has decided within the second, if the ledger was asked.
    pub settled: Option<u64>,
}

/// Two digits are enough for a second.
fn histogram() -> Histogram<u64> {
    Histogram::new(2).expect("two digits are a valid precision")
}

/// Lays out what was seen.
pub(super) fn timeline(seen: &Seen) -> Vec<Second> {
    let mut seconds: Vec<Second> = Vec::new();
    let mut latencies: Vec<Histogram<u64>> = Vec::new();
    for attempt in seen.histories.iter().flat_map(|history| history.attempts()) {
        let due = at(&mut seconds, attempt.intended_us);
        due.due += 1;
        let second = at(&mut seconds, attempt.received_us);
        *second.answers.entry(kind(attempt).to_owned()).or_default() += 1;
        if attempt.status != 0 {
            let index = usize::try_from(second.second).unwrap_or_default();
            if latencies.len() <= index {
                latencies.resize_with(index + 1, histogram);
            }
            if let Some(latencies) = latencies.get_mut(index) {
                // A value that is too large for memory is no latency of a run.
                let _ = latencies.record(attempt.received_us.saturating_sub(attempt.intended_us));
            }
        }
    }
    for (second, looks) in (0_u64..).zip(&seen.looks) {
        at(&mut seconds, second * 1_000_000).looks = *looks;
    }
    for (second, latencies) in seconds.iter_mut().zip(&latencies) {
        if !latencies.is_empty() {
            second.p50_us = Some(latencies.value_at_quantile(0.5));
            second.p99_us = Some(latencies.value_at_quantile(0.99));
            second.max_us = Some(latencies.max());
        }
    }
    ledger(seen, &mut seconds);
    seconds
}

/// The last sample within each second, and what was settled since the one before.
fn ledger(seen: &Seen, seconds: &mut Vec<Second>) {
    let mut before = None;
    for sample in &seen.samples {
        let second = at(seconds, sample.at_us);
        second.waiting = Some(sample.waiting);
        if let Some(before) = before.replace(sample.settled) {
            *second.settled.get_or_insert(0) += sample.settled.saturating_sub(before);
        }
    }
}

fn at(seconds: &mut Vec<Second>, at_us: u64) -> &mut Second {
    let index = usize::try_from(at_us / 1_000_000).unwrap_or_default();
    while seconds.len() <= index {
        let second = seconds.len() as u64;
        seconds.push(Second { second, ..Second::default() });
    }
    &mut seconds[index]
}

fn kind(attempt: &Attempt) -> &str {
    match &attempt.verdict {
        Verdict::Accepted { .. } => "accepted",
        Verdict::Refused { code } => code,
        Verdict::Unnamed => "unnamed",
        Verdict::Unknown { .. } => "unknown",
    }
}
