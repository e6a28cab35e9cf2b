//! The document of a ticket, as polls and streams show it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::gateway::Gateway;
use super::outcomes::Outcome;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::ledger::{Fault, FaultKind, OrderDoc};
use crate::order::{Line, Place, State, Ticket};
use crate::sale::{SaleName, SaleNo};
use crate::watch::{SaleView, Standing};

/// What a buyer sees of his order.
#[derive(Debug, Serialize)]
struct Document<'a> {
    ticket: &'a str,
    sale: &'a SaleName,
    state: &'static str,
    position: Option<u64>,
    eta_ms: Option<u64>,
    poll_after_ms: Option<u64>,
    order_no: Option<&'a str>,
    reason: Option<&'a str>,
    lines: Option<&'a [Line]>,
    accepted_at: Timestamp,
    settled_at: Option<Timestamp>,
}

/// A ticket that was found good, with its sale.
pub(super) struct Known<'a> {
    pub(super) text: &'a str,
    pub(super) ticket: Ticket,
    pub(super) sale: Arc<SaleView>,
}

impl Known<'_> {
    pub(super) fn order(&self) -> (SaleNo, Place) {
        (self.ticket.sale_no, self.ticket.place)
    }

    fn blank(&self, state: State) -> Document<'_> {
        let since_made = Duration::from_millis(self.ticket.accepted_ms);
        Document {
            ticket: self.text,
            sale: self.sale.name(),
            state: state.public_name(),
            position: None,
            eta_ms: None,
            poll_after_ms: None,
            order_no: None,
            reason: None,
            lines: None,
            accepted_at: self.sale.terms().doc.made_at.plus(since_made),
            settled_at: None,
        }
    }
}

/// Where an order stands.
#[derive(Debug)]
pub(super) enum View {
    /// Memory knows all that there is to know.
    Waits { state: State, position: Option<u64> },
    /// As the ledger had it when it was asked.
    Read(Outcome),
}

/// The version of an order that was lost and that the ledger does not know: above all others.
const LOST: u32 = u32::MAX;

impl View {
    pub(super) fn state(&self) -> State {
        match self {
            Self::Waits { state, .. } => *state,
            Self::Read(outcome) => outcome.state,
        }
    }

    pub(super) fn position(&self) -> Option<u64> {
        match self {
            Self::Waits { position, .. } => *position,
            Self::Read(_) => None,
        }
    }

    /// The state's version: below that of the end for every state before it. What memory tells has the least
    /// that the order may have; the ledger counts from 1, each change.
    pub(super) fn version(&self) -> u32 {
        match self {
            Self::Waits { state: State::Queued, .. } => 1,
            Self::Waits { state: State::Placing, .. } => 2,
            Self::Waits { .. } => 3,
            Self::Read(outcome) => outcome.version,
        }
    }
}

impl Gateway {
    /// Where an order stands: from memory while it waits, else asked once and kept.
    pub(super) async fn view(&self, known: &Known<'_>) -> Result<View, Problem> {
        let order = known.order();
        match known.sale.standing(order.1) {
            Standing::Queued { position } => {
                return Ok(View::Waits { state: State::Queued, position: Some(position) });
            }
            Standing::Left(state @ (State::Placing | State::Dead)) => {
                return Ok(View::Waits { state, position: None });
            }
            Standing::Left(_) | Standing::Unknown => {}
        }
        if let Some(outcome) = self.outcomes.get(order) {
            return Ok(View::Read(outcome));
        }
        let asked = self.parts.ledger.tickets(order.0, vec![order.1]).await;
        let outcome =
            match asked.map_err(|fault| self.unavailable(&fault))?.into_iter().flatten().next() {
                Some(read) => self.outcome(known, &read),
                // A good ticket of a life of the ledger whose end the ledger does not remember.
                None => {
                    let lost = Document { reason: Some("failover"), ..known.blank(State::Lost) };
                    Outcome { state: State::Lost, version: LOST, document: written(&lost) }
                }
            };
        if outcome.state.is_terminal() {
            self.outcomes.put(order, outcome.clone());
        }
        Ok(View::Read(outcome))
    }

    /// Whether an order has ended and its end is not here yet.
    pub(super) fn must_ask(&self, sale_no: SaleNo, place: Place) -> bool {
        let sale = self.parts.watch.sale_by_no(sale_no);
        let ended = |sale: Arc<SaleView>| matches!(sale.standing(place), Standing::Left(state) if state.is_terminal());
        sale.is_some_and(ended) && self.outcomes.get((sale_no, place)).is_none()
    }

    /// Asks for the ends of several orders of a sale at once, and keeps them.
    pub(super) async fn learn(&self, sale_no: SaleNo, places: Vec<Place>) -> Result<(), Fault> {
        let Some(sale) = self.parts.watch.sale_by_no(sale_no) else { return Ok(()) };
        let (key_id, made_at) = (sale.terms().doc.key_id, sale.terms().doc.made_at);
        let orders = self.parts.ledger.tickets(sale_no, places).await?;
        for order in orders.into_iter().flatten().filter(|order| order.state.is_terminal()) {
            let text = order.ticket(sale.seal());
            let since_made = order.accepted_at.since(made_at).as_millis();
            let ticket = Ticket {
                key_id,
                sale_no,
                place: order.place,
                accepted_ms: u64::try_from(since_made).unwrap_or(u64::MAX),
                buyer_tag: order.buyer_hash,
            };
            let known = Known { text: text.as_str(), ticket, sale: Arc::clone(&sale) };
            self.outcomes.put((sale_no, order.place), self.outcome(&known, &order));
        }
        Ok(())
    }

    /// What the ledger says of an order.
    pub(super) fn outcome(&self, known: &Known<'_>, order: &OrderDoc) -> Outcome {
        let over = order.state.is_terminal();
        let document = written(&Document {
            order_no: order.order_no.as_deref(),
            reason: order.reason.as_deref().filter(|_| over),
            lines: over.then_some(&*order.lines),
            settled_at: order.settled_at.filter(|_| over),
            poll_after_ms: (!over).then(|| self.poll_after(order.state)),
            ..known.blank(order.state)
        });
        Outcome { state: order.state, version: order.version, document }
    }

    /// The document of a view.
    pub(super) fn document(&self, known: &Known<'_>, view: &View) -> Bytes {
        let (state, position) = match view {
            View::Read(outcome) => return outcome.document.clone(),
            View::Waits { state, position } => (*state, *position),
        };
        let (eta_ms, poll) = self.waits(&known.sale, position);
        written(&Document {
            position,
            eta_ms,
            poll_after_ms: Some(poll.unwrap_or_else(|| self.poll_after(state))),
            ..known.blank(state)
        })
    }

    /// When to ask again for an order that has left the queue: soon, or once an operator may have looked at it.
    fn poll_after(&self, state: State) -> u64 {
        self.jittered(if state == State::Dead { 10_000 } else { 500 })
    }

    /// Estimated milliseconds until the order goes to the store, and until asking again is worth it. Both are
    /// `None` for an order that does not wait in the queue; the first also while the drain is paused.
    pub(super) fn waits(
        &self,
        sale: &SaleView,
        position: Option<u64>,
    ) -> (Option<u64>, Option<u64>) {
        let Some(position) = position else { return (None, None) };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; a float saturates when it is cast"
        )]
        let eta = (position as f64 * 1_000.0 / sale.rate().max(1e-6)) as u64;
        let poll = self.jittered((eta / 2).clamp(500, 30_000));
        let paused = self.parts.watch.drain_paused();
        ((!paused).then_some(eta), Some(poll))
    }

    /// What a buyer is told when the ledger cannot answer.
    pub(super) fn unavailable(&self, fault: &Fault) -> Problem {
        match fault.kind {
            FaultKind::InDoubt => self.in_doubt(String::new()),
            FaultKind::Unavailable | FaultKind::Corrupt => self.ledger_unavailable(fault),
        }
    }
}

fn written(document: &Document<'_>) -> Bytes {
    // A document of strings and numbers can always be written.
    Bytes::from(serde_json::to_vec(document).unwrap_or_default())
}
