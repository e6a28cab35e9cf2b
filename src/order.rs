//! Orders: who asks for what, where an order stands, and the receipt for it.

mod keyring;
mod state;
mod ticket;

use std::fmt;

pub use keyring::{BadKey, KEY_BYTES, Keyring, SaleSeal, TicketKey};
use serde::{Deserialize, Serialize};
pub use state::{State, may_follow};
pub use ticket::{TICKET_CHARS, Ticket, TicketText, tickets_of};

use crate::sale::Sku;

/// The most lines of one order.
pub const LINES_MAX: usize = 8;

/// The largest quantity of one line.
pub const QUANTITY_MAX: u32 = 1_000_000;

/// The largest payload of one order in bytes.
pub const PAYLOAD_MAX: usize = 4_096;

/// The reason of an order that an operator had refused although the store could not void it: the shop may have it.
pub const FORCED: &str = "forced";

/// A verified identity: 1 to 128 bytes of UTF-8 without control characters, compared bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Buyer(Box<str>);

/// A text cannot be a buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a buyer is 1 to 128 bytes of UTF-8 without control characters")]
pub struct BadBuyer;

impl Buyer {
    /// A buyer from the bytes of a header or a claim.
    ///
    /// # Errors
    /// When the bytes break the rule above.
    pub fn new(bytes: &[u8]) -> Result<Self, BadBuyer> {
        if !(1..=128).contains(&bytes.len()) {
            return Err(BadBuyer);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadBuyer)?;
        if text.chars().any(char::is_control) { Err(BadBuyer) } else { Ok(Self(text.into())) }
    }

    /// The identity as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Buyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Buyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one line of an order asks for, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The item.
    pub sku: Sku,
    /// Units, 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
}

/// A line by the item's place in the sale's list of items, which never changes: items are only added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemLine {
    /// Index into the sale's items.
    pub item: u16,
    /// Units, 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
}

/// The lines of one order, 1 to [`LINES_MAX`], each of another item. Most orders have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemLines {
    /// The usual case, without an allocation.
    One(ItemLine),
    /// Two lines or more.
    Many(Box<[ItemLine]>),
}

impl ItemLines {
    /// The lines in the order in which the buyer wrote them.
    #[must_use]
    pub fn as_slice(&self) -> &[ItemLine] {
        match self {
            Self::One(line) => std::slice::from_ref(line),
            Self::Many(lines) => lines,
        }
    }

    /// Units over all lines.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.as_slice().iter().map(|line| u64::from(line.quantity)).sum()
    }
}

impl From<Vec<ItemLine>> for ItemLines {
    fn from(lines: Vec<ItemLine>) -> Self {
        match lines.as_slice() {
            [line] => Self::One(*line),
            _ => Self::Many(lines.into()),
        }
    }
}

/// An order's place in the admission order of its sale; unique for ever.
///
/// `sequence` counts from 1 without gaps within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The life of the ledger in which the order was accepted.
    pub epoch: u16,
    /// Its number in that epoch, from 1, at most 2^48 − 1.
    pub sequence: u64,
}

#[cfg(test)]
mod tests;
