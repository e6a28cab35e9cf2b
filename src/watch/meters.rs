//! Counters of order calls, made once a sale: a look-up by name costs ten times the count.

use metrics::{Counter, counter};

use crate::metrics::ADMISSIONS;
use crate::sale::SaleName;

macro_rules! admissions {
    ($($kind:ident = $name:literal),* $(,)?) => {
        /// What became of an order call; the label `outcome`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the code of the contract that it counts")]
        pub enum Admission { $($kind),* }

        const OUTCOMES: &[&str] = &[$($name),*];
    };
}

admissions! {
    Accepted = "accepted",
    Replayed = "replayed",
    KeyReused = "key_reused",
    RateLimited = "rate_limited",
    NotOpen = "not_open",
    Closed = "closed",
    Stopping = "stopping",
    Paused = "paused",
    Overloaded = "overloaded",
    SoldOut = "sold_out",
    LimitReached = "limit_reached",
    BacklogFull = "backlog_full",
    UnknownBuyer = "unknown_buyer",
    IdentityUnavailable = "identity_unavailable",
    Malformed = "malformed",
    LedgerUnavailable = "ledger_unavailable",
    InDoubt = "in_doubt",
}

/// Counters of one sale, all there from the start; those of a purged sale are gone.
#[derive(Debug, Default)]
pub struct Admissions {
    counters: Vec<Counter>,
}

impl Admissions {
    pub(super) fn of(sale: &SaleName) -> Self {
        let counter = |outcome: &&'static str| counter!(ADMISSIONS, "sale" => sale.to_string(), "outcome" => *outcome);
        Self { counters: OUTCOMES.iter().map(counter).collect() }
    }

    /// Counts one order call.
    pub fn count(&self, admission: Admission) {
        if let Some(counter) = self.counters.get(admission as usize) {
            counter.increment(1);
        }
    }
}
