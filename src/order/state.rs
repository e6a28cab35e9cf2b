//! The states of an order and the one table of legal transitions.

use serde::Serialize;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum State {
    /// Accepted, never claimed.
    Queued = 0,
    /// Claimed at least once, fate unknown.
    Placing = 1,
    /// The store has it.
    Placed = 2,
    /// Paid within the payment window.
    Paid = 3,
    /// The store refused it.
    Refused = 4,
    /// The buyer cancelled it while it was queued.
    Cancelled = 5,
    /// Not paid within the payment window.
    Expired = 6,
    /// Given up by the drain; an operator retries or refuses it. Keeps its stock.
    Dead = 7,
    /// A failover lost it and nobody could bring it back.
    Lost = 8,
}

impl State {
    /// All states, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Placing,
        Self::Placed,
        Self::Paid,
        Self::Refused,
        Self::Cancelled,
        Self::Expired,
        Self::Dead,
        Self::Lost,
    ];

    /// The state with this code, as journals and tails keep it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The state's code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state's name in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Placing => "placing",
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Dead => "dead",
            Self::Lost => "lost",
        }
    }

    /// The state's name for buyers, who read `dead` as `delayed`.
    #[must_use]
    pub fn public_name(self) -> &'static str {
        match self {
            Self::Dead => "delayed",
            other => other.name(),
        }
    }

    /// Never left again. `placed` is terminal without a payment window, and windows are not built yet.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Placed
                | Self::Paid
                | Self::Refused
                | Self::Cancelled
                | Self::Expired
                | Self::Lost
        )
    }

    /// Whether the order's units count as sold.
    #[must_use]
    pub fn is_sold(self) -> bool {
        matches!(self, Self::Placed | Self::Paid)
    }
}

/// The only transitions there are (DESIGN section 3), for sales without a payment window.
#[must_use]
pub fn may_follow(from: State, to: State) -> bool {
    use State::{Cancelled, Dead, Lost, Placed, Placing, Queued, Refused};
    matches!(
        (from, to),
        (Queued, Placing | Cancelled | Lost)
            | (Placing, Placed | Refused | Dead | Lost)
            | (Dead, Placing | Refused)
    )
}
