//! A sale's terms and its phase at a time.

mod name;
mod rate;

use std::time::Duration;

pub use name::{BadName, SaleName, Sku};
pub use rate::{BadRate, Rate};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The largest stock of an item: 2^53, the largest integer that every JSON reader keeps exact.
pub const STOCK_MAX: u64 = 1 << 53;

/// The most items of one sale.
pub const ITEMS_MAX: usize = 1_000;

/// A sale's number: 32 random bits, unique in its ledger, never used again for another sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SaleNo(pub u32);

/// An item as the operator states it: a sku with its stock at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemTerms {
    /// What is sold.
    pub sku: Sku,
    /// Units at creation. Absent on an amendment: unchanged.
    #[serde(default)]
    pub stock: Option<u64>,
}

/// What an operator states about a sale (`PUT /admin/v1/sales/{sale}`); only `items` is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Opens by the wall clock; `None` is now.
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    /// Closes by the wall clock; `None` is never.
    #[serde(default)]
    pub closes_at: Option<Timestamp>,
    /// Units one buyer may hold in this sale; `None` is no limit.
    #[serde(default)]
    pub limit_per_buyer: Option<u64>,
    /// Time to pay after the order was placed, in milliseconds. Not built yet: refused by name.
    #[serde(default)]
    pub payment_window_ms: Option<u64>,
    /// This sale's own token bucket at admission. Not built yet: refused by name.
    #[serde(default)]
    pub admit_rate: Option<Rate>,
    /// This sale's cap at the drain.
    #[serde(default)]
    pub drain_rate: Option<Rate>,
    /// What is sold, in the order in which the items were added.
    pub items: Vec<ItemTerms>,
}

/// A numbered change of the stock that a store guards, made in the ledger. A store applies it once by
/// (`sale_no`, `number`), in the order of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    /// The sale.
    pub sale_no: SaleNo,
    /// The sale's name.
    pub sale: SaleName,
    /// Counts from 1 in each sale: its creation's skus first, then each `/stock` call and new sku.
    pub number: u64,
    /// The item.
    pub sku: Sku,
    /// `true` when this change makes the row (`delta` is its `initial`); `false` when it adds or cuts.
    pub creates: bool,
    /// Units added, or cut when negative.
    pub delta: i64,
}

/// What is wrong with the terms of a sale, in a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTerms(pub String);

impl Terms {
    /// Checks what can be checked without knowing the sale as it is.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), BadTerms> {
        let bad = |text: &str| Err(BadTerms(text.to_owned()));
        if self.items.is_empty() || self.items.len() > ITEMS_MAX {
            return bad("`items` must hold 1 to 1,000 items");
        }
        let mut skus: Vec<&str> = self.items.iter().map(|item| item.sku.as_str()).collect();
        skus.sort_unstable();
        if skus.windows(2).any(|pair| pair.first() == pair.last()) {
            return bad("a `sku` is listed twice in `items`");
        }
        if self.items.iter().any(|item| item.stock.is_some_and(|stock| stock > STOCK_MAX)) {
            return bad("`stock` must be 0 to 9007199254740992");
        }
        if let (Some(opens), Some(closes)) = (self.opens_at, self.closes_at)
            && opens >= closes
        {
            return bad("`opens_at` must be before `closes_at`");
        }
        if self.limit_per_buyer == Some(0) {
            return bad("`limit_per_buyer` must be at least 1; leave it out for no limit");
        }
        Ok(())
    }
}

/// What the clock and the operator say of a sale's intake. What the stock says comes on top ([`Phase`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Not open before the instant given.
    Scheduled(Timestamp),
    /// Takes orders.
    Open,
    /// Stopped by an operator, who may resume it.
    Paused,
    /// Closed by an operator or by the clock.
    Closed,
}

/// A sale's phase as the public sees it: closed > paused > scheduled > sold out > open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Opens later.
    Scheduled,
    /// Takes orders.
    Open,
    /// Takes orders, but no item has a unit left.
    SoldOut,
    /// Intake stopped by an operator; the drain goes on.
    Paused,
    /// No more orders.
    Closed,
}

impl Terms {
    /// The intake at wall time `now`; `closed` and `paused` are the operator's switches.
    #[must_use]
    pub fn intake(&self, closed: bool, paused: bool, now: Timestamp) -> Intake {
        if closed || self.closes_at.is_some_and(|closes| now >= closes) {
            Intake::Closed
        } else if paused {
            Intake::Paused
        } else if let Some(opens) = self.opens_at.filter(|opens| now < *opens) {
            Intake::Scheduled(opens)
        } else {
            Intake::Open
        }
    }

    /// How long until the clock changes the intake next; `None` when it never will.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Duration> {
        [self.opens_at, self.closes_at]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .map(|at| at.since(now))
            .min()
    }
}

impl Intake {
    /// The phase that is shown, given whether every item is sold out.
    #[must_use]
    pub fn phase(self, sold_out: bool) -> Phase {
        match self {
            Self::Closed => Phase::Closed,
            Self::Paused => Phase::Paused,
            Self::Scheduled(_) => Phase::Scheduled,
            Self::Open if sold_out => Phase::SoldOut,
            Self::Open => Phase::Open,
        }
    }
}
