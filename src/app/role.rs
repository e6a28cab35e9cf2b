//! What a process does of the whole.

/// The part of a process in a deployment whose processes share a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Takes orders.
    Gateway,
    /// Carries orders to the store.
    Drain,
    /// Both.
    #[default]
    All,
}

impl Role {
    /// Whether buyers come in here.
    #[must_use]
    pub fn takes_orders(self) -> bool {
        self != Self::Drain
    }

    /// Whether orders go to the store from here.
    #[must_use]
    pub fn drains(self) -> bool {
        self != Self::Gateway
    }
}
