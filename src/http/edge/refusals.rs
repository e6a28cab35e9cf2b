//! What the edge refuses before there is a request that a listener could count.

use std::sync::Arc;

use metrics::{Counter, counter};

use crate::http::problem::Problem;
use crate::metrics::EDGE_REFUSALS;

const REASONS: [&str; 7] = [
    "malformed",
    "uri_too_long",
    "headers_too_large",
    "too_large",
    "timeout",
    "too_many_connections",
    "other",
];

/// Counters of one listener; a clone is the same ones.
#[derive(Clone, Debug)]
pub(super) struct Refusals(Arc<[Counter; 7]>);

impl Refusals {
    pub(super) fn of(listener: &'static str) -> Self {
        let made = REASONS
            .map(|reason| counter!(EDGE_REFUSALS, "listener" => listener, "reason" => reason));
        Self(Arc::new(made))
    }

    pub(super) fn count(&self, problem: &Problem) {
        let (code, ..) = problem.told();
        let at = REASONS.iter().position(|reason| *reason == code).unwrap_or(REASONS.len() - 1);
        if let Some(counter) = self.0.get(at) {
            counter.increment(1);
        }
    }
}
