//! Tickets: a read of memory while the order waits, one question to the ledger once it is settled. A read may be
//! held until there is news.
//!
//! A ticket is the right to read. A wrong, foreign, forged or cut one is 404, always the same bytes.

use std::future::poll_fn;
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;

use super::answer::{Answer, json};
use super::document::{Known, View};
use super::gateway::Caller;
use super::problem::Problem;
use super::wait;
use crate::ledger::{Cancel, Cancelled, OrderDoc};
use crate::order::Buyer;

impl Caller {
    /// `GET /v1/tickets/{ticket}`.
    pub(super) async fn ticket(&self, text: &str, head: &Parts) -> Result<Answer, Problem> {
        let wait = wait::wished(head)?;
        let (limits, client) = (&self.gateway.parts.limits, || self.client(head));
        limits.poll(client).map_err(|limited| self.limited(limited))?;
        let known = self.known(text, self.buyer_at_hand(head))?;
        self.gateway.meters.poll();
        if wait.is_zero() {
            let view = self.gateway.view(&known).await?;
            return Ok(json(StatusCode::OK, self.gateway.document(&known, &view)));
        }
        // Few are held, and what they need is not to weigh on every other request.
        let (known, view) = Box::pin(self.held(known, wait)).await?;
        let mut answer = json(StatusCode::OK, self.gateway.document(&known, &view));
        wait::applied(&mut answer, wait);
        Ok(answer)
    }

    /// Waits until the order has another state than now, the time is up, or the gateway stops.
    async fn held<'a>(
        &self,
        mut known: Known<'a>,
        wait: Duration,
    ) -> Result<(Known<'a>, View), Problem> {
        let parts = &self.gateway.parts;
        let (sale_no, place) = known.order();
        let seated = parts.watch.sit(sale_no, place, self.room.bell());
        let until = parts.clock.monotonic().saturating_add(wait);
        let was = self.gateway.view(&known).await?;
        if was.state().is_terminal() || self.room.is_closing() {
            return Ok((known, was));
        }
        self.room.call_after(seated.seat(), wait);
        loop {
            poll_fn(|cx| seated.seat().poll_called(cx)).await;
            known.sale = parts.watch.sale_by_no(sale_no).ok_or(Problem::UnknownTicket)?;
            let now = self.gateway.view(&known).await?;
            let over = parts.clock.monotonic() >= until || self.room.is_closing();
            if over || now.state() != was.state() {
                return Ok((known, now));
            }
        }
    }

    /// `DELETE /v1/tickets/{ticket}`: needs the identity.
    pub(super) async fn cancel(&self, text: &str, head: &Parts) -> Result<Answer, Problem> {
        let parts = &self.gateway.parts;
        let buyer = self.buyer(head).await?;
        let known = self.known(text, Some(buyer))?;
        let cancel = Cancel { sale_no: known.ticket.sale_no, place: known.ticket.place };
        let asked = parts
            .ledger
            .cancel(vec![cancel])
            .await
            .map_err(|fault| self.gateway.unavailable(&fault))?;
        match asked.into_iter().next() {
            Some(Cancelled::Done(order)) => {
                Ok(json(StatusCode::OK, self.gateway.outcome(&known, &order).document))
            }
            Some(Cancelled::TooLate(order)) => Ok(self.too_late(&known, &order)),
            Some(Cancelled::Unknown) | None => Err(Problem::UnknownTicket),
        }
    }

    /// Opens a ticket; that of somebody else than `buyer` is not there for him.
    pub(super) fn known<'a>(
        &self,
        text: &'a str,
        buyer: Option<Buyer>,
    ) -> Result<Known<'a>, Problem> {
        let parts = &self.gateway.parts;
        // The key of a good ticket may come with the ledger.
        self.gateway.knows()?;
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

    fn too_late(&self, known: &Known<'_>, order: &OrderDoc) -> Answer {
        let mut problem = serde_json::json!({
            "type": "/problems/too-late",
            "title": "The order cannot be cancelled any more",
            "status": 409,
            "code": "too_late",
            "detail": "only orders that still wait in the queue can be cancelled",
        });
        let document = self.gateway.outcome(known, order).document;
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
