//! The JSON documents of the admin API, field for field as the contract has them.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::http::operations::{AdaptiveLive, DrainLive};
use crate::ledger::{Census, DeadDoc, DrainDoc, DrainOrigin, OrderDoc, SaleDoc, Timeline};
use crate::order::{Line, SaleSeal, TicketText};
use crate::sale::{Phase, Rate, Terms};

/// One sale: its terms and its census.
#[derive(Debug, Serialize)]
pub(super) struct Sale<'a> {
    sale: &'a str,
    phase: Phase,
    terms: &'a Terms,
    census: &'a Census,
    /// The number under which the store keeps it.
    sale_no: u32,
    purged: bool,
}

impl<'a> Sale<'a> {
    /// The sale as it is at wall time `now`.
    pub(super) fn new(doc: &'a SaleDoc, now: Timestamp) -> Self {
        Self {
            sale: doc.name.as_str(),
            phase: phase(doc, now),
            terms: &doc.terms,
            census: &doc.census,
            sale_no: doc.sale_no.0,
            purged: doc.purged,
        }
    }
}

/// The phase that a sale shows at wall time `now`.
pub(super) fn phase(doc: &SaleDoc, now: Timestamp) -> Phase {
    let sold_out = doc.census.items.iter().all(|item| item.available == 0);
    doc.terms.intake(doc.closed || doc.purged, doc.paused, now).phase(sold_out)
}

/// Every sale.
#[derive(Debug, Serialize)]
pub(super) struct Sales<'a> {
    pub(super) sales: Vec<Sale<'a>>,
}

/// The drain's settings in force, and the figures of this process.
#[derive(Debug, Serialize)]
pub(super) struct Drain<'a> {
    rate: Rate,
    burst: Option<u32>,
    paused: bool,
    reason: Option<&'a str>,
    configured_rate: Rate,
    origin: DrainOrigin,
    attempts_per_second: f64,
    waiting: u64,
    in_flight: u64,
    workers: u64,
    adaptive: Option<AdaptiveLive>,
}

impl<'a> Drain<'a> {
    pub(super) fn new(doc: &'a DrainDoc, live: DrainLive) -> Self {
        Self {
            rate: doc.rate,
            burst: doc.burst,
            paused: doc.paused,
            reason: doc.reason.as_deref(),
            configured_rate: doc.configured_rate,
            origin: doc.origin,
            attempts_per_second: live.attempts_per_second,
            waiting: live.waiting,
            in_flight: live.in_flight,
            workers: live.workers,
            adaptive: live.adaptive,
        }
    }
}

/// One order: a line of the export, and the head of a timeline.
#[derive(Debug, Serialize)]
pub(super) struct Order<'a> {
    ticket: TicketText,
    buyer: &'a str,
    lines: &'a [Line],
    state: &'static str,
    reason: Option<&'a str>,
    epoch: u16,
    sequence: u64,
    accepted_at: Timestamp,
    attempted_at: Option<Timestamp>,
    settled_at: Option<Timestamp>,
    attempts: u32,
    order_no: Option<&'a str>,
}

impl<'a> Order<'a> {
    /// The order under the ticket that its sale's seal makes.
    pub(super) fn new(seal: &SaleSeal, order: &'a OrderDoc) -> Self {
        Self {
            ticket: order.ticket(seal),
            buyer: order.buyer.as_str(),
            lines: &order.lines,
            state: order.state.name(),
            reason: order.reason.as_deref(),
            epoch: order.place.epoch,
            sequence: order.place.sequence,
            accepted_at: order.accepted_at,
            attempted_at: order.attempted_at,
            settled_at: order.settled_at,
            attempts: order.attempts,
            order_no: order.order_no.as_deref(),
        }
    }
}

/// A page of orders.
#[derive(Debug, Serialize)]
pub(super) struct Tickets<'a> {
    pub(super) tickets: Vec<Order<'a>>,
    /// `from` of the next page.
    pub(super) next: Option<u64>,
}

/// A dead order: one of a page, and a line of their export.
#[derive(Debug, Serialize)]
pub(super) struct DeadOrder<'a> {
    #[serde(flatten)]
    order: Order<'a>,
    last_error: Option<&'a str>,
}

impl<'a> DeadOrder<'a> {
    pub(super) fn new(seal: &SaleSeal, dead: &'a DeadDoc) -> Self {
        Self { order: Order::new(seal, &dead.order), last_error: dead.last_error.as_deref() }
    }
}

/// A page of dead orders.
#[derive(Debug, Serialize)]
pub(super) struct Dead<'a> {
    pub(super) dead: Vec<DeadOrder<'a>>,
    /// `from` of the next page.
    pub(super) next: Option<u64>,
}

/// One thing that happened to an order.
#[derive(Debug, Serialize)]
pub(super) struct Happening<'a> {
    at: Timestamp,
    /// `accepted`, `attempt`, or the state in which the order ended.
    event: &'static str,
    /// Of an attempt: when its outcome was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// Of an attempt: what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// One order with all that happened to it.
#[derive(Debug, Serialize)]
pub(super) struct TicketTimeline<'a> {
    #[serde(flatten)]
    order: Order<'a>,
    sale: &'a str,
    leased_until: Option<Timestamp>,
    due_at: Option<Timestamp>,
    /// Oldest first.
    timeline: Vec<Happening<'a>>,
}

impl<'a> TicketTimeline<'a> {
    pub(super) fn new(seal: &SaleSeal, sale: &'a SaleDoc, timeline: &'a Timeline) -> Self {
        let order = &timeline.order;
        let at = |at, event| Happening { at, event, ended_at: None, outcome: None, reason: None };
        let mut happened = vec![at(order.accepted_at, "accepted")];
        happened.extend(timeline.attempts.iter().map(|attempt| Happening {
            ended_at: attempt.ended_at,
            outcome: Some(attempt.outcome),
            reason: attempt.reason.as_deref(),
            ..at(attempt.at, "attempt")
        }));
        happened.extend(order.settled_at.map(|settled| Happening {
            reason: order.reason.as_deref(),
            ..at(settled, order.state.name())
        }));
        Self {
            order: Order::new(seal, order),
            sale: sale.name.as_str(),
            leased_until: timeline.leased_until,
            due_at: timeline.due_at,
            timeline: happened,
        }
    }
}

/// How many dead orders a change reached, and what became of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct DeadChanged {
    /// Orders that are not dead any more by this change.
    pub(super) changed: u64,
    /// Of these: refused, stock and limit came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<u64>,
    /// Of these: found at the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) placed: Option<u64>,
    /// Still dead: the store cannot void, and `force` was not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needs_force: Option<u64>,
}
