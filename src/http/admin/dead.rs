//! Dead orders: those that the drain gave up. They keep their stock until an operator decides.

use hyper::StatusCode;
use serde::Deserialize;

use super::documents::{self, Dead, DeadChanged};
use super::export;
use super::query::Query;
use super::reply::{Problem, Reply, json};
use super::route::DeadAct;
use super::ticket::{page_of, unknown_ticket, wants_lines};
use super::{Admin, agreed, body};
use crate::http::operations::{DeadOrder, DeadRefused};
use crate::ledger::{Change, Changed, OrderDoc, SaleDoc, Which};
use crate::order::State;

/// Dead orders that are read at once when all are refused.
const PAGE: usize = 256;

/// What may be said about a retry or a refusal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// Of a refusal: also where the store cannot void.
    #[serde(default)]
    force: bool,
}

fn not_dead() -> Problem {
    Problem::new("not_dead", "the order is not dead, or not any more: read its timeline")
}

impl Admin {
    pub(super) async fn dead(&self, sale: &str, query: &Query<'_>) -> Result<Reply, Problem> {
        if wants_lines(query)? {
            return self.exported(sale, query, export::Which::Dead).await;
        }
        let (from, limit) = page_of(query)?;
        let doc = self.sale_with_orders(sale).await?;
        let seal = self.seal_of(&doc)?;
        let page = self.parts.ledger.dead(doc.sale_no, from, limit).await?;
        let dead = page.orders.iter().map(|dead| documents::DeadOrder::new(&seal, dead)).collect();
        Ok(json(StatusCode::OK, &Dead { dead, next: page.next }))
    }

    /// `which` is a ticket, or `all`.
    pub(super) async fn change_dead(
        &self,
        sale: &str,
        which: &str,
        act: DeadAct,
        given: &[u8],
    ) -> Result<Reply, Problem> {
        let Decision { force } = body::parse(given)?;
        let doc = self.sale_with_orders(sale).await?;
        let changed = match (act, which) {
            (DeadAct::Retry, "all") => self.retry(&doc, Which::All).await?,
            (DeadAct::Retry, ticket) => {
                let order = self.order_of(&doc, ticket).await?;
                // One that waits for its attempt was retried by this request, made before.
                if order.state.is_terminal() {
                    return Err(not_dead());
                }
                self.retry(&doc, Which::Places(vec![order.place])).await?
            }
            (DeadAct::Refuse, "all") => self.refuse_all(&doc, force).await?,
            (DeadAct::Refuse, ticket) => {
                let order = self.order_of(&doc, ticket).await?;
                self.refuse_one(&doc, order, force).await?
            }
        };
        Ok(json(StatusCode::OK, &changed))
    }

    /// The order of a ticket, which must be of this sale.
    async fn order_of(&self, doc: &SaleDoc, ticket: &str) -> Result<OrderDoc, Problem> {
        let opened = self.opened(ticket)?;
        if opened.sale_no != doc.sale_no {
            return Err(unknown_ticket());
        }
        let found = self.parts.ledger.tickets(doc.sale_no, vec![opened.place]).await?;
        let order = found.into_iter().next().flatten();
        order.filter(|order| order.buyer_hash == opened.buyer_tag).ok_or_else(unknown_ticket)
    }

    async fn retry(&self, doc: &SaleDoc, which: Which) -> Result<DeadChanged, Problem> {
        let change = Change::RetryDead { sale: doc.name.clone(), which };
        match agreed(self.parts.ledger.change(change).await?)? {
            Changed::Count(changed) => Ok(DeadChanged { changed, ..DeadChanged::default() }),
            Changed::NotFound => Err(unknown_ticket()),
            other => Err(Problem::unexpected(&other)),
        }
    }

    async fn refuse_one(
        &self,
        doc: &SaleDoc,
        order: OrderDoc,
        force: bool,
    ) -> Result<DeadChanged, Problem> {
        let mut tally = Tally::default();
        // An order that is refused already was refused by this request, made before: the same answer again.
        if order.state == State::Refused {
            return Ok(tally.document());
        }
        match self.refused(doc, order, force).await? {
            DeadRefused::NotDead => Err(not_dead()),
            DeadRefused::NeedsForce => Err(Problem::new(
                "needs_force",
                "the store cannot void, so it may still take the order: give {\"force\":true} to refuse it \
                 all the same",
            )),
            done => {
                tally.count(done);
                Ok(tally.document())
            }
        }
    }

    /// Orders are decided one by one: what was decided before a fault stays decided, and asking again goes on.
    async fn refuse_all(&self, doc: &SaleDoc, force: bool) -> Result<DeadChanged, Problem> {
        let mut tally = Tally::default();
        let mut from = Some(0);
        while let Some(index) = from {
            let page = self.parts.ledger.dead(doc.sale_no, index, PAGE).await?;
            for dead in page.orders {
                tally.count(self.refused(doc, dead.order, force).await?);
            }
            from = page.next;
        }
        Ok(tally.document())
    }

    async fn refused(
        &self,
        doc: &SaleDoc,
        order: OrderDoc,
        force: bool,
    ) -> Result<DeadRefused, Problem> {
        let ticket = order.ticket(&self.seal_of(doc)?);
        let dead = DeadOrder { sale: doc.name.clone(), ticket, order, force };
        Ok(self.parts.operations.refuse_dead(dead).await?)
    }
}

#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    placed: u64,
    needs_force: u64,
}

impl Tally {
    fn count(&mut self, done: DeadRefused) {
        match done {
            DeadRefused::Refused => self.refused += 1,
            DeadRefused::Placed => self.placed += 1,
            DeadRefused::NeedsForce => self.needs_force += 1,
            DeadRefused::NotDead => {}
        }
    }

    fn document(&self) -> DeadChanged {
        DeadChanged {
            changed: self.refused + self.placed,
            refused: Some(self.refused),
            placed: Some(self.placed),
            needs_force: Some(self.needs_force),
        }
    }
}
