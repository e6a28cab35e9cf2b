//! Counts of tokens and of questions to the shop, on handles that are made once. Mode `header` counts nothing:
//! `forebay_admissions_total` tells how many buyers were not known.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::jwt::Flaw;
use crate::metrics::{IDENTITY_LOOKUPS, IDENTITY_REQUEST_DURATION, IDENTITY_TOKENS};

/// How a token was dealt with; the order of [`TOKENS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenOutcome {
    Accepted,
    Remembered,
    Refused(Flaw),
}

const TOKENS: [&str; 11] = [
    "accepted",
    "remembered",
    "malformed",
    "header",
    "key",
    "signature",
    "expired",
    "early",
    "issuer",
    "audience",
    "subject",
];

/// Counters of mode `jwt`.
#[derive(Debug)]
pub(super) struct TokenMeters {
    counters: [Counter; TOKENS.len()],
}

impl TokenMeters {
    pub(super) fn new() -> Self {
        Self { counters: TOKENS.map(|outcome| counter!(IDENTITY_TOKENS, "outcome" => outcome)) }
    }

    pub(super) fn token(&self, outcome: TokenOutcome) {
        let at = match outcome {
            TokenOutcome::Accepted => 0,
            TokenOutcome::Remembered => 1,
            TokenOutcome::Refused(flaw) => 2 + flaw as usize,
        };
        self.counters[at].increment(1);
    }
}

/// Where an answer about a credential comes from; the order of [`LOOKUPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    Remembered,
    /// Somebody asks already.
    Joined,
    Asked,
    /// Too many questions.
    Refused,
}

const LOOKUPS: [&str; 4] = ["remembered", "joined", "asked", "refused"];

/// What became of a question; the order of [`ANSWERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Buyer,
    Nobody,
    /// It did not come to be asked.
    Crowded,
    TimedOut,
    Failed,
}

const ANSWERS: [&str; 5] = ["buyer", "nobody", "crowded", "timed_out", "failed"];

/// Counters of mode `forward`.
#[derive(Debug)]
pub(super) struct ForwardMeters {
    lookups: [Counter; LOOKUPS.len()],
    answers: [Histogram; ANSWERS.len()],
}

impl ForwardMeters {
    pub(super) fn new() -> Self {
        Self {
            lookups: LOOKUPS.map(|outcome| counter!(IDENTITY_LOOKUPS, "outcome" => outcome)),
            answers: ANSWERS
                .map(|outcome| histogram!(IDENTITY_REQUEST_DURATION, "outcome" => outcome)),
        }
    }

    pub(super) fn lookup(&self, lookup: Lookup) {
        self.lookups[lookup as usize].increment(1);
    }

    pub(super) fn answered(&self, answered: Answered, took: Duration) {
        self.answers[answered as usize].record(took);
    }
}
