//! What goes over the seam about orders: reserve, cancel, grant, claim, settle, and reads.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::order::{Buyer, ItemLines, Line, Place, SaleSeal, State, TicketText};
use crate::sale::{SaleNo, StockChange};

/// How much may wait in one sale; the gateway computes it from the settings that it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Orders that are queued or placing.
    pub orders: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// One order call.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// The sale.
    pub sale_no: SaleNo,
    /// Who orders.
    pub buyer: Buyer,
    /// [`crate::order::SaleSeal::buyer_hash`] of the buyer.
    pub buyer_hash: u64,
    /// [`crate::order::SaleSeal::key_hash`] of the idempotency key; belongs to (sale, buyer).
    pub key: u64,
    /// [`crate::order::SaleSeal::fingerprint`] of lines and payload.
    pub fingerprint: u64,
    /// What is asked for; items that the sale has, each once, quantities 1 to `QUANTITY_MAX`.
    pub lines: ItemLines,
    /// Raw JSON for the shop; empty when there is none.
    pub payload: Bytes,
    /// The backlog that the sale may have.
    pub bound: Bound,
}

/// What a ticket is made of, and where the order stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Epoch and sequence.
    pub place: Place,
    /// Ledger time of acceptance.
    pub accepted_at: Timestamp,
    /// The state at the time of the answer.
    pub state: State,
}

/// The answer to one order call. None is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Accepted now.
    Accepted(Receipt),
    /// Accepted before with this key and this body: the first ticket.
    Replay(Receipt),
    /// The key was used with another body.
    KeyReused,
    /// The sale opens later.
    NotOpen {
        /// When.
        opens_at: Timestamp,
    },
    /// The sale is closed.
    Closed,
    /// An operator stopped the intake.
    Paused,
    /// The buyer holds what he may hold, or asks for more than that in one order.
    LimitReached {
        /// His newest ticket, if he has one.
        newest: Option<Receipt>,
    },
    /// An item has fewer units left than asked for.
    SoldOut,
    /// The sale's backlog has reached its bound.
    BacklogFull,
    /// The ledger has no such sale, or not this item: what the gateway remembers is old.
    UnknownSale,
    /// A new epoch began, and the sale waits for orders that gateways remember or the store has: nothing was taken,
    /// ask again.
    Recovering,
}

/// One cancel call; identity was checked by the gateway against the ticket's buyer tag.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// The sale.
    pub sale_no: SaleNo,
    /// The order.
    pub place: Place,
}

/// The answer to one cancel call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// Cancelled, now or before.
    Done(OrderDoc),
    /// Claimed, of an ended epoch, or terminal otherwise; the document says where it stands.
    TooLate(OrderDoc),
    /// The ledger has no such order.
    Unknown,
}

/// Permits of the pacer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How many attempts may start; 0 to what was wanted.
    pub granted: u32,
    /// The instant of the grant, kept with each order as `attempted_at`.
    pub at: Timestamp,
    /// When nothing was granted: ask again after this; `None` while paused, until the settings change.
    pub retry_in: Option<Duration>,
}

/// A claim's lease. Unique in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// Asks for due orders.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The sale.
    pub sale_no: SaleNo,
    /// How many, at most what was granted.
    pub max: u32,
    /// How long the lease lasts.
    pub lease: Duration,
    /// [`Grant::at`].
    pub granted_at: Timestamp,
    /// The newest [`StockChange::number`] of this sale that the caller knows to be in the store; 0 at first.
    pub stock_seen: u64,
}

/// Orders under a lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The lease.
    pub lease: LeaseId,
    /// Ledger time at which it ends.
    pub until: Timestamp,
    /// The orders; empty when none is due.
    pub orders: Vec<ClaimedOrder>,
    /// Stock changes after `stock_seen`; the store must have them before an order of this claim is placed.
    pub changes: Vec<StockChange>,
    /// More orders are due now.
    pub more: bool,
    /// When the next order is due that is not due now (retries, leases of others); `None` if there is none.
    pub next_due: Option<Timestamp>,
}

/// A claimed order with all that an attempt needs.
#[derive(Clone, Debug)]
pub struct ClaimedOrder {
    /// Epoch and sequence.
    pub place: Place,
    /// Who ordered.
    pub buyer: Buyer,
    /// Hash of the buyer, for the ticket.
    pub buyer_hash: u64,
    /// What was ordered, by name.
    pub lines: Vec<Line>,
    /// Raw JSON for the shop.
    pub payload: Bytes,
    /// Ledger time of acceptance.
    pub accepted_at: Timestamp,
    /// Attempts that were spent before this one (answers about this order).
    pub attempts: u32,
    /// Claims before this one: above 0 the store may know the ticket.
    pub claims: u32,
}

/// What became of a claimed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The store has it. Accepted from old leases too: it is the truth.
    Placed {
        /// The shop's number.
        order_no: String,
    },
    /// The store refused or voided it: stock and limit come back. Accepted from old leases too.
    Refused {
        /// Why.
        reason: String,
    },
    /// Try again later.
    Later {
        /// Not before this long from now.
        after: Duration,
        /// What was seen.
        reason: String,
        /// The answer was about this order: one of its attempts is spent.
        spends: bool,
    },
    /// Its attempts are spent, or an answer says that trying again cannot help.
    Dead {
        /// Why, as a code that stays: `attempts`, `conflict`.
        reason: String,
        /// What the store said at this attempt.
        seen: Option<String>,
    },
    /// The attempt was never started: the order goes back as if it had not been claimed now, due at once.
    Unstarted,
}

/// Records the fate of one claimed order.
#[derive(Clone, Debug)]
pub struct Settle {
    /// The sale.
    pub sale_no: SaleNo,
    /// The order.
    pub place: Place,
    /// The lease under which it was tried.
    pub lease: LeaseId,
    /// What became of it.
    pub fate: Fate,
    /// `refusal_brake` in percent: the drain pauses itself when more than this share of the last 20 decided
    /// orders were refused; `None` is off.
    pub brake: Option<u8>,
}

/// The answer to one settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Recorded, now or before.
    Done,
    /// The lease is not the order's any more: nothing changed.
    Stale,
    /// The ledger has no such order.
    Unknown,
}

/// All that the ledger keeps about one order, but its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDoc {
    /// The sale.
    pub sale_no: SaleNo,
    /// Epoch and sequence.
    pub place: Place,
    /// Who ordered.
    pub buyer: Buyer,
    /// Hash of the buyer, for the ticket.
    pub buyer_hash: u64,
    /// What was ordered, by name.
    pub lines: Vec<Line>,
    /// Where it stands.
    pub state: State,
    /// Why, for refused, dead, lost.
    pub reason: Option<Box<str>>,
    /// The shop's number, once placed.
    pub order_no: Option<Box<str>>,
    /// Ledger time of acceptance.
    pub accepted_at: Timestamp,
    /// Ledger time of the last grant; `None` before the first claim.
    pub attempted_at: Option<Timestamp>,
    /// Ledger time of the terminal state, or of death.
    pub settled_at: Option<Timestamp>,
    /// Attempts spent (answers about this order).
    pub attempts: u32,
    /// Changes at each change of the order; a version for streams.
    pub version: u32,
}

impl OrderDoc {
    /// Its ticket, as its sale's seal makes it.
    #[must_use]
    pub fn ticket(&self, seal: &SaleSeal) -> TicketText {
        seal.mint(self.place, self.accepted_at, self.buyer_hash)
    }
}

/// One attempt at an order, for its timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptNote {
    /// Instant of the grant.
    pub at: Timestamp,
    /// When its outcome was recorded; `None` while it is open.
    pub ended_at: Option<Timestamp>,
    /// `open`, `placed`, `refused`, `later`, `dead`, `unstarted`, `lease_ended`.
    pub outcome: &'static str,
    /// What was seen; `None` where nobody said anything.
    pub reason: Option<Box<str>>,
}

/// What was said last of an order with these attempts, oldest first.
pub(super) fn last_error(attempts: &[AttemptNote]) -> Option<Box<str>> {
    attempts.iter().rev().find_map(|attempt| attempt.reason.clone())
}

/// A dead order, and what was said last of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadDoc {
    /// The order; its `reason` is the code of its death.
    pub order: OrderDoc,
    /// The reason of its newest attempt that has one, of the last [`crate::ledger::book::NOTES_MAX`].
    pub last_error: Option<Box<str>>,
}

/// One order and its attempts, the last [`crate::ledger::book::NOTES_MAX`] of them; in Redis a death of which something was
/// seen takes the place of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The order.
    pub order: OrderDoc,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptNote>,
    /// The lease that it is under ends then.
    pub leased_until: Option<Timestamp>,
    /// It is due again then.
    pub due_at: Option<Timestamp>,
}

/// A page of orders.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// In admission order.
    pub orders: Vec<T>,
    /// Ask again from here; `None` at the end.
    pub next: Option<u64>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { orders: Vec::new(), next: None }
    }
}

/// A page of all orders.
pub type ExportPage = Page<OrderDoc>;

/// A page of dead orders.
pub type DeadPage = Page<DeadDoc>;
