//! What is timed at a peer: orders that are accepted, or refused in one of two ways.

use crate::form::{Crowd, OrderForm};
use crate::lap::Expected;

pub(super) const SKU: &str = "phone";
/// Timed: never sold out.
pub(super) const RACE: &str = "race";
/// Checked, and then sold out.
pub(super) const CHECK: &str = "check";
/// Checked: two orders of each buyer.
pub(super) const LIMIT: &str = "limit";

/// Every sale with its units. In all of them a buyer may have one.
pub(super) const SALES: [(&str, u64); 3] = [(CHECK, 150), (LIMIT, 1_000), (RACE, 100_000_000)];

/// One column of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A new buyer and a new key each time, one line, a payload of 100 bytes.
    Accepted,
    /// The same in a sale that has nothing left.
    SoldOut,
    /// One buyer, far above his rate.
    RateLimited,
}

impl Lane {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::SoldOut => "refused, sold out",
            Self::RateLimited => "refused, rate limited",
        }
    }

    /// The order, by a crowd of its own.
    pub(crate) fn form(self, crowd: &str) -> OrderForm {
        let form = match self {
            Self::Accepted => OrderForm::new(RACE, SKU, Crowd::new(crowd, 1)),
            Self::SoldOut => OrderForm::new(CHECK, SKU, Crowd::new(crowd, 1)),
            Self::RateLimited => {
                OrderForm::new(CHECK, SKU, Crowd::new(format!("{crowd}-hammer"), u64::MAX))
            }
        };
        form.with_payload_of_100_bytes()
    }

    pub(crate) fn expected(self) -> Expected {
        match self {
            Self::Accepted => Expected::Each(202),
            Self::SoldOut => Expected::Each(409),
            // Those whom the rate lets through find nothing left.
            Self::RateLimited => Expected::Most(429, 409),
        }
    }
}
