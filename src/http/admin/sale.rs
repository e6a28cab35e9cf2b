//! Sales: terms, census, switches and stock.

use hyper::StatusCode;
use serde::Deserialize;

use super::documents::{Sale, Sales};
use super::reply::{Problem, Reply, json};
use super::route::Switch;
use super::{Admin, agreed, body};
use crate::ledger::{Change, Changed, SaleDoc};
use crate::sale::{SaleName, Sku, Terms};

/// The longest id of a stock operation, in bytes.
const OPERATION_MAX: usize = 128;

/// A sale that cannot be made anew because nothing is left to make it from.
const NOBODY_KNOWS: &str = "the ledger has no sale of this name and this process never saw it: ask a process that did, or \
                            make a new sale with the units that the store has left";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StockMove {
    sku: Sku,
    /// Wider than what is allowed, so that a number out of range is told from one that is none.
    delta: i128,
    operation: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Admin {
    pub(super) async fn sales(&self) -> Result<Reply, Problem> {
        let docs = self.parts.ledger.sales().await?;
        let now = self.parts.clock.wall();
        let sales = docs.iter().map(|doc| Sale::new(doc, now)).collect();
        Ok(json(StatusCode::OK, &Sales { sales }))
    }

    pub(super) async fn sale(&self, sale: &str) -> Result<Reply, Problem> {
        Ok(self.shown(StatusCode::OK, &self.known_sale(sale).await?))
    }

    /// The sale of a name in a path.
    pub(super) async fn known_sale(&self, sale: &str) -> Result<SaleDoc, Problem> {
        let name = sale_name(sale)?;
        self.parts.ledger.census(name).await?.ok_or_else(unknown_sale)
    }

    fn shown(&self, status: StatusCode, doc: &SaleDoc) -> Reply {
        json(status, &Sale::new(doc, self.parts.clock.wall()))
    }

    pub(super) async fn put_sale(&self, sale: &str, given: &[u8]) -> Result<Reply, Problem> {
        let name: SaleName = sale.parse().map_err(|bad| Problem::malformed(format!("{bad}")))?;
        let terms: Terms = body::parse(given)?;
        check_built(&terms)?;
        let key_id = self.newest_key()?;
        let numbers = (self.parts.numbers)();
        let change = Change::PutSale { name, terms, numbers, key_id, only_new: false };
        self.change_sale(change).await
    }

    pub(super) async fn switch(
        &self,
        sale: &str,
        switch: Switch,
        given: &[u8],
    ) -> Result<Reply, Problem> {
        let name = sale_name(sale)?;
        let _: Nothing = body::parse(given)?;
        self.change_sale(match switch {
            Switch::Pause => Change::Pause(name),
            Switch::Resume => Change::Resume(name),
            Switch::Close => Change::Close(name),
            Switch::Purge => Change::Purge(name),
            Switch::Rebuild => {
                return match self.parts.operations.rebuild(name).await? {
                    Changed::NotFound => Err(Problem::new("unknown_sale", NOBODY_KNOWS)),
                    changed => self.told(changed),
                };
            }
        })
        .await
    }

    pub(super) async fn stock(&self, sale: &str, given: &[u8]) -> Result<Reply, Problem> {
        let sale = sale_name(sale)?;
        let StockMove { sku, delta, operation } = body::parse(given)?;
        let sized = (1..=OPERATION_MAX).contains(&operation.len());
        if !sized || operation.chars().any(char::is_control) {
            return Err(Problem::new(
                "bad_operation",
                "`operation` must be 1 to 128 bytes without control characters",
            ));
        }
        let delta = i64::try_from(delta).map_err(|_| {
            Problem::new("bad_delta", "`delta` must not be 0, and at most 2^53 either way")
        })?;
        if self.parts.ledger.census(sale.clone()).await?.is_some_and(|doc| lacks(&doc, &sku)) {
            return Err(Problem::new("unknown_sku", format!("the sale has no item {sku}")));
        }
        self.change_sale(Change::Stock { sale, sku, delta, operation }).await
    }

    async fn change_sale(&self, change: Change) -> Result<Reply, Problem> {
        self.told(self.parts.ledger.change(change).await?)
    }

    fn told(&self, changed: Changed) -> Result<Reply, Problem> {
        match agreed(changed)? {
            Changed::Created(doc) => Ok(self.shown(StatusCode::CREATED, &doc)),
            Changed::Sale(doc) => Ok(self.shown(StatusCode::OK, &doc)),
            Changed::NotFound => Err(unknown_sale()),
            other => Err(Problem::unexpected(&other)),
        }
    }
}

fn lacks(doc: &SaleDoc, sku: &Sku) -> bool {
    !doc.purged && doc.census.items.iter().all(|item| item.sku != *sku)
}

/// Terms that no part keeps yet are refused by name.
fn check_built(terms: &Terms) -> Result<(), Problem> {
    if terms.payment_window_ms.is_none() {
        return Ok(());
    }
    let detail = "`payment_window_ms` is not supported by this version: leave it out, or give null";
    Err(Problem::new("not_supported", detail))
}

/// The name in a path. A text that cannot be a name is the name of no sale.
pub(super) fn sale_name(sale: &str) -> Result<SaleName, Problem> {
    sale.parse().map_err(|_| unknown_sale())
}

pub(super) fn unknown_sale() -> Problem {
    Problem::new("unknown_sale", "there is no sale of this name: GET /admin/v1/sales lists them")
}
