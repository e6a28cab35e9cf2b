//! Tickets: one order's timeline, and the export of a sale's orders.

use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;

use super::Admin;
use super::documents::{Order, TicketTimeline, Tickets};
use super::export::{Export, Which};
use super::query::Query;
use super::reply::{Problem, Reply, json, streamed};
use crate::ledger::{Fault, SaleDoc};
use crate::order::{SaleSeal, Ticket};

/// Orders on a page of JSON, when the query does not say how many.
const LIMIT: u64 = 100;
/// The most orders on a page of JSON.
const LIMIT_MAX: u64 = 1_000;
/// Indexes of orders are 32 bits wide.
const FROM_MAX: u64 = u32::MAX as u64;

/// Where a page begins and how many orders it holds.
pub(super) fn page_of(query: &Query<'_>) -> Result<(u64, usize), Problem> {
    let from = query.number("from", 0, 0, FROM_MAX).map_err(Problem::malformed)?;
    let limit = query.number("limit", LIMIT, 1, LIMIT_MAX).map_err(Problem::malformed)?;
    Ok((from, usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Whether all orders are wanted, a line each, and not a page of them.
pub(super) fn wants_lines(query: &Query<'_>) -> Result<bool, Problem> {
    match query.get("format") {
        Some("ndjson") => Ok(true),
        None | Some("json") => Ok(false),
        Some(_) => Err(Problem::malformed("`format` must be `ndjson` or `json`".to_owned())),
    }
}

impl Admin {
    /// What makes the tickets of a sale.
    pub(super) fn seal_of(&self, doc: &SaleDoc) -> Result<SaleSeal, Problem> {
        self.parts.keyring.seal(doc.key_id, doc.sale_no, doc.made_at).ok_or_else(|| {
            let detail = format!("ticket key {} of this sale is not known here", doc.key_id);
            Problem::new("key_missing", detail)
        })
    }

    /// A sale of which the orders are still there.
    pub(super) async fn sale_with_orders(&self, sale: &str) -> Result<SaleDoc, Problem> {
        let doc = self.known_sale(sale).await?;
        if doc.purged { Err(purged()) } else { Ok(doc) }
    }

    /// What a ticket in a path says. Every text that is not a ticket of this deployment is the same 404.
    pub(super) fn opened(&self, ticket: &str) -> Result<Ticket, Problem> {
        match self.parts.keyring.open(ticket) {
            Some(opened) => Ok(opened),
            None => {
                self.newest_key()?;
                Err(unknown_ticket())
            }
        }
    }

    /// The key for new sales. The ledger's own comes with the first answer of the ledger.
    pub(super) fn newest_key(&self) -> Result<u8, Problem> {
        self.parts.keyring.newest().ok_or_else(|| match self.parts.ledger.trouble() {
            Some(trouble) => Fault::unavailable(&trouble).into(),
            None => Problem::new("key_missing", "there is no ticket key yet: ask again"),
        })
    }

    pub(super) async fn ticket(&self, ticket: &str) -> Result<Reply, Problem> {
        let opened = self.opened(ticket)?;
        let sales = self.parts.ledger.sales().await?;
        let sale = sales.iter().find(|sale| sale.sale_no == opened.sale_no);
        let sale = sale.ok_or_else(unknown_ticket)?;
        if sale.purged {
            return Err(purged());
        }
        let timeline = self.parts.ledger.timeline(opened.sale_no, opened.place).await?;
        let timeline = timeline
            .filter(|timeline| timeline.order.buyer_hash == opened.buyer_tag)
            .ok_or_else(unknown_ticket)?;
        let seal = self.seal_of(sale)?;
        Ok(json(StatusCode::OK, &TicketTimeline::new(&seal, sale, &timeline)))
    }

    pub(super) async fn tickets(&self, sale: &str, query: &Query<'_>) -> Result<Reply, Problem> {
        if wants_lines(query)? {
            return self.exported(sale, query, Which::All).await;
        }
        let (from, limit) = page_of(query)?;
        let doc = self.sale_with_orders(sale).await?;
        let seal = self.seal_of(&doc)?;
        let page = self.parts.ledger.export(doc.sale_no, from, limit).await?;
        let tickets = page.orders.iter().map(|order| Order::new(&seal, order)).collect();
        Ok(json(StatusCode::OK, &Tickets { tickets, next: page.next }))
    }

    pub(super) async fn exported(
        &self,
        sale: &str,
        query: &Query<'_>,
        which: Which,
    ) -> Result<Reply, Problem> {
        if query.get("limit").is_some() {
            let detail = "an export has no `limit`: it ends with the last order".to_owned();
            return Err(Problem::malformed(detail));
        }
        let (from, _) = page_of(query)?;
        let doc = self.sale_with_orders(sale).await?;
        let seal = self.seal_of(&doc)?;
        let ledger = self.parts.ledger.clone();
        let lines = Export { ledger, sale_no: doc.sale_no, seal, which }.lines(from).await?;
        let lines = lines.inspect_err(|fault| tracing::warn!(%fault, "an export was broken off"));
        Ok(streamed(
            "application/x-ndjson",
            StreamBody::new(lines.map_ok(Frame::data)).boxed_unsync(),
        ))
    }
}

pub(super) fn unknown_ticket() -> Problem {
    Problem::new("unknown_ticket", "there is no order with this ticket")
}

fn purged() -> Problem {
    Problem::new("purged", "the sale is purged: only its census is left")
}
