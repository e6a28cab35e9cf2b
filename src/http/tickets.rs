//! Tickets: a read of memory while the order waits, one question to the ledger once it is settled.
//!
//! A ticket is the right to read. A wrong, foreign, forged or cut one is 404, always the same bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Serialize;

use super::answer::{Answer, json};
use super::gateway::Caller;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::ledger::{Cancel, Cancelled, Fault, FaultKind, OrderDoc};
use crate::order::{Buyer, Line, Place, State, Ticket};
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

/// Documents of settled orders, which never change again. Two generations: when the younger is full, the older
/// goes. Bounded by twice [`Self::GENERATION`].
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    kept: Mutex<(Generation, Generation)>,
}

type Generation = HashMap<(SaleNo, Place), Bytes>;

impl Outcomes {
    const GENERATION: usize = 32_768;

    fn get(&self, key: (SaleNo, Place)) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.get(&key).or_else(|| kept.1.get(&key)).cloned()
    }

    fn put(&self, key: (SaleNo, Place), document: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0.len() >= Self::GENERATION {
            kept.1 = std::mem::take(&mut kept.0);
        }
        kept.0.insert(key, document);
    }
}

/// A ticket that was found good, with its sale.
struct Known<'a> {
    text: &'a str,
    ticket: Ticket,
    sale: std::sync::Arc<SaleView>,
}

impl Caller {
    /// `GET /v1/tickets/{ticket}`.
    pub(super) async fn ticket(&self, text: &str, head: &Parts) -> Result<Answer, Problem> {
        waits_not_built(head)?;
        let (limits, client) = (&self.gateway.parts.limits, || self.client(head));
        limits.poll(client).map_err(|limited| self.limited(limited))?;
        let known = self.known(text, self.buyer_at_hand(head))?;
        self.gateway.meters.poll();
        let key = (known.ticket.sale_no, known.ticket.place);
        let state = match known.sale.standing(known.ticket.place) {
            Standing::Queued { position } => {
                return Ok(self.waiting(&known, State::Queued, Some(position)));
            }
            Standing::Left(State::Placing) => {
                return Ok(self.waiting(&known, State::Placing, None));
            }
            Standing::Left(state) => Some(state),
            Standing::Unknown => None,
        };
        if let Some(document) =
            self.gateway.outcomes.get(key).filter(|_| state.is_some_and(State::is_terminal))
        {
            return Ok(json(StatusCode::OK, document));
        }
        let asked = self.gateway.parts.ledger.tickets(key.0, vec![key.1]).await;
        let order = asked.map_err(unavailable)?.into_iter().flatten().next();
        let Some(order) = order else { return Ok(self.lost(&known)) };
        let document = self.document(&known, &order);
        if order.state.is_terminal() {
            self.gateway.outcomes.put(key, document.clone());
        }
        Ok(json(StatusCode::OK, document))
    }

    /// `DELETE /v1/tickets/{ticket}`: needs the identity.
    pub(super) async fn cancel(&self, text: &str, head: &Parts) -> Result<Answer, Problem> {
        let parts = &self.gateway.parts;
        let buyer = self.buyer(head).await?;
        let known = self.known(text, Some(buyer))?;
        let cancel = Cancel { sale_no: known.ticket.sale_no, place: known.ticket.place };
        let asked = parts.ledger.cancel(vec![cancel]).await.map_err(unavailable)?;
        match asked.into_iter().next() {
            Some(Cancelled::Done(order)) => Ok(json(StatusCode::OK, self.document(&known, &order))),
            Some(Cancelled::TooLate(order)) => Ok(self.too_late(&known, &order)),
            Some(Cancelled::Unknown) | None => Err(Problem::UnknownTicket),
        }
    }

    /// Opens a ticket; that of somebody else than `buyer` is not there for him.
    fn known<'a>(&self, text: &'a str, buyer: Option<Buyer>) -> Result<Known<'a>, Problem> {
        let parts = &self.gateway.parts;
        let ticket = parts.keyring.open(text).ok_or(Problem::UnknownTicket)?;
        let sale = parts.watch.sale_by_no(ticket.sale_no).ok_or(Problem::UnknownTicket)?;
        if let Some(buyer) = buyer
            && sale.seal().buyer_hash(buyer.as_str()) != ticket.buyer_tag
        {
            return Err(Problem::UnknownTicket);
        }
        if sale.terms().doc.purged {
            return Err(Problem::Purged);
        }
        Ok(Known { text, ticket, sale })
    }

    /// Answered from memory: no ledger is asked while an order waits.
    fn waiting(&self, known: &Known<'_>, state: State, position: Option<u64>) -> Answer {
        let (eta_ms, poll) = self.waits(&known.sale, position);
        let document = Document {
            position,
            eta_ms,
            poll_after_ms: Some(poll.unwrap_or_else(|| self.gateway.jittered(500))),
            ..self.blank(known, state)
        };
        json(StatusCode::OK, written(&document))
    }

    /// A good ticket of a life of the ledger whose end the ledger does not remember.
    fn lost(&self, known: &Known<'_>) -> Answer {
        let document = Document { reason: Some("failover"), ..self.blank(known, State::Lost) };
        json(StatusCode::OK, written(&document))
    }

    fn blank<'a>(&self, known: &'a Known<'_>, state: State) -> Document<'a> {
        let since_made = Duration::from_millis(known.ticket.accepted_ms);
        Document {
            ticket: known.text,
            sale: known.sale.name(),
            state: state.public_name(),
            position: None,
            eta_ms: None,
            poll_after_ms: None,
            order_no: None,
            reason: None,
            lines: None,
            accepted_at: known.sale.terms().doc.made_at.plus(since_made),
            settled_at: None,
        }
    }

    fn document(&self, known: &Known<'_>, order: &OrderDoc) -> Bytes {
        let over = order.state.is_terminal();
        let poll = || self.gateway.jittered(if order.state == State::Dead { 10_000 } else { 500 });
        written(&Document {
            order_no: order.order_no.as_deref(),
            reason: order.reason.as_deref().filter(|_| over),
            lines: over.then_some(&*order.lines),
            settled_at: order.settled_at.filter(|_| over),
            poll_after_ms: (!over).then(poll),
            ..self.blank(known, order.state)
        })
    }

    fn too_late(&self, known: &Known<'_>, order: &OrderDoc) -> Answer {
        let mut problem = serde_json::json!({
            "type": "/problems/too-late",
            "title": "The order cannot be cancelled any more",
            "status": 409,
            "code": "too_late",
            "detail": "only orders that still wait in the queue can be cancelled",
        });
        let document = self.document(known, order);
        if let (Some(fields), Ok(serde_json::Value::Object(state))) =
            (problem.as_object_mut(), serde_json::from_slice(&document))
        {
            fields.extend(state.into_iter().filter(|(name, _)| name != "reason"));
        }
        let mut answer = json(StatusCode::CONFLICT, problem.to_string());
        let media = hyper::header::HeaderValue::from_static("application/problem+json");
        answer.headers_mut().insert(hyper::header::CONTENT_TYPE, media);
        answer
    }
}

fn written(document: &Document<'_>) -> Bytes {
    // A document of strings and numbers can always be written.
    Bytes::from(serde_json::to_vec(document).unwrap_or_default())
}

fn unavailable(fault: Fault) -> Problem {
    match fault.kind {
        FaultKind::InDoubt => Problem::InDoubt { key: String::new() },
        FaultKind::Unavailable | FaultKind::Corrupt => {
            Problem::LedgerUnavailable { reason: fault.reason.to_string() }
        }
    }
}

/// Held answers are not built yet, and are refused by name. A `Prefer` may always be ignored (RFC 7240).
fn waits_not_built(head: &Parts) -> Result<(), Problem> {
    match head.uri.query() {
        None => Ok(()),
        Some(query) if query.split('&').any(|pair| pair.split('=').next() == Some("wait")) => {
            Err(Problem::NotImplemented("`wait` is not built yet: poll after `poll_after_ms`"))
        }
        Some(_) => Err(Problem::Malformed("a ticket has no such query")),
    }
}
