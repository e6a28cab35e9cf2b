//! What the edge refuses before there is a request that a listener could count.

use std::sync::Arc;

use metrics::{Counter, counter};

use crate::clock::SharedClock;
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

/// Counters of one listener, and the time of day for answers; a clone is the same ones.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    counters: Arc<[Counter; 7]>,
    clock: SharedClock,
}

impl Refusals {
    pub(super) fn of(listener: &'static str, clock: SharedClock) -> Self {
        let made = REASONS
            .map(|reason| counter!(EDGE_REFUSALS, "listener" => listener, "reason" => reason));
        Self { counters: Arc::new(made), clock }
    }

    pub(super) fn count(&self, problem: &Problem) {
        let (code, ..) = problem.told();
        let at = REASONS.iter().position(|reason| *reason == code).unwrap_or(REASONS.len() - 1);
        if let Some(counter) = self.counters.get(at) {
            counter.increment(1);
        }
    }

    /// The answer as it stands on the wire.
    pub(super) fn answer(&self, problem: &Problem) -> Vec<u8> {
        problem.bytes(self.clock.wall())
    }
}
