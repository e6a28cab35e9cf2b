//! The result as one JSON document; `docs/load-result.schema.json` publishes its form.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::baseline::Comparison;
use super::environment::Environment;
use super::outcome::{Ended, Judged};
use super::timeline::Second;
use crate::judge::Finding;

/// The form's name and number: fields are added under the same number, and a change of meaning takes a new one.
pub const FORM: &str = "forebay-load/1";

/// A whole result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Document {
    /// [`FORM`].
    pub form: String,
    /// The scenario's name, or the path of its file.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// Where to.
    pub target: String,
    /// When the load began (RFC 3339).
    pub started_at: String,
    /// From the first to the last moment of the load.
    pub elapsed_ms: u64,
    /// Where all chance came from.
    pub seed: u64,
    /// Keep-alive connections for orders.
    pub connections: u64,
    /// When buyers came.
    pub phases: Vec<PhaseOf>,
    /// How often things happened.
    pub counts: BTreeMap<String, u64>,
    /// Answers to orders and accepted orders, a second.
    pub rates: Rates,
    /// By what they are latencies of: `orders`, `service`, `polls`, `outcome`.
    pub latencies: BTreeMap<String, Latencies>,
    /// Answers to orders by status.
    pub statuses: BTreeMap<String, u64>,
    /// Orders refused in the end, by name.
    pub refused: BTreeMap<String, u64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Each threshold.
    pub thresholds: Vec<Judged>,
    /// How it ended.
    pub ended: Ended,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// Where it was made.
    pub environment: Environment,
    /// Beside an earlier result, if one was given.
    pub baseline: Option<Comparison>,
}

/// A stretch of time in which buyers came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseOf {
    /// Its name.
    pub name: String,
    /// When it began.
    pub begins_ms: u64,
    /// How long it took.
    pub length_ms: u64,
    /// Orders a second at its beginning and its end; none in a closed loop.
    pub rates: Option<(f64, f64)>,
}

/// A second's worth.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Answers to orders.
    pub answers: f64,
    /// Accepted orders.
    pub accepted: f64,
}

/// A distribution in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latencies {
    pub samples: u64,
    pub mean_us: f64,
    pub p50_us: u64,
    pub p75_us: u64,
    pub p90_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub p9999_us: u64,
    pub max_us: u64,
}

impl Latencies {
    /// Of a histogram that holds something.
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |share: f64| histogram.value_at_quantile(share);
        (!histogram.is_empty()).then(|| Self {
            samples: histogram.len(),
            mean_us: (histogram.mean() * 10.0).round() / 10.0,
            p50_us: at(0.5),
            p75_us: at(0.75),
            p90_us: at(0.9),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: histogram.max(),
        })
    }
}

/// What was promised and whether it was kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    /// No promise was broken.
    pub ok: bool,
    /// Who was heard: a count of 0 means nothing where the one who would know was not asked.
    pub witnesses: Vec<String>,
    /// How often each promise was broken.
    pub broken: BTreeMap<String, u64>,
    /// Orders of which it was not known at first whether they were taken, and those found by their key.
    pub unknown: u64,
    /// The same.
    pub recovered: u64,
    /// Accepted orders that were sent again at the end, and those that got a ticket.
    pub asked_again: (u64, u64),
    /// The pace that attempts at the store were held against; none: it was not known, or did not stay.
    pub pace: Option<String>,
    /// What must not be.
    pub findings: Vec<Finding>,
}
