//! The listener's own metrics, and gauges that follow from the census and the drain's settings, set when `/metrics` is read.
//!
//! The recorder cannot take a series back: those of a sale that the ledger forgot stay at 0 until the process
//! ends. Sales and skus are named by operators, so their number is bounded by what operators make.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, StatusCode};
use metrics::{Gauge, gauge, histogram};

use super::route::Resource;
use crate::ledger::{DrainDoc, SaleDoc};
use crate::metrics as names;
use crate::sale::{SaleName, Sku};

/// Handles of the gauges, cached so that a read of the metrics looks up no label.
#[derive(Default)]
pub(super) struct Gauges {
    sales: Mutex<BTreeMap<SaleName, OfSale>>,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

struct OfSale {
    depth: Gauge,
    oldest: Gauge,
    dead: Gauge,
    stock: BTreeMap<Sku, [Gauge; 3]>,
}

impl OfSale {
    fn new(sale: &SaleName) -> Self {
        let of = |name: &'static str| gauge!(name, "sale" => sale.to_string());
        Self {
            depth: of(names::QUEUE_DEPTH),
            oldest: of(names::QUEUE_OLDEST_AGE),
            dead: of(names::DEAD_ORDERS),
            stock: BTreeMap::new(),
        }
    }

    fn set(&mut self, doc: &SaleDoc) {
        let census = &doc.census;
        self.depth.set(float(census.queued + census.placing));
        self.oldest.set(float(census.oldest_waiting_ms) / 1_000.0);
        self.dead.set(float(census.dead));
        for item in &census.items {
            let [available, held, sold] =
                self.stock.entry(item.sku.clone()).or_insert_with(|| of_item(&doc.name, &item.sku));
            available.set(float(item.available));
            held.set(float(item.held));
            sold.set(float(item.sold));
        }
    }

    fn clear(&self) {
        let stock = self.stock.values().flatten();
        [&self.depth, &self.oldest, &self.dead].into_iter().chain(stock).for_each(|g| g.set(0.0));
    }
}

fn of_item(sale: &SaleName, sku: &Sku) -> [Gauge; 3] {
    ["available", "held", "sold"].map(|state| {
        let (sale, sku) = (sale.to_string(), sku.to_string());
        gauge!(names::STOCK_UNITS, "sale" => sale, "sku" => sku, "state" => state)
    })
}

#[expect(clippy::cast_precision_loss, reason = "stock is at most 2^53, and metrics are floats")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Gauges {
    /// Sets the gauges of every sale; those of sales that are gone to 0.
    pub(super) fn sales(&self, docs: &[SaleDoc]) {
        let mut sales = self.sales.lock().unwrap_or_else(PoisonError::into_inner);
        sales.retain(|name, of_sale| {
            let there = docs.iter().any(|doc| doc.name == *name);
            if !there {
                of_sale.clear();
            }
            there
        });
        for doc in docs {
            sales.entry(doc.name.clone()).or_insert_with(|| OfSale::new(&doc.name)).set(doc);
        }
    }

    /// Sets the gauge of the drain's rate: 0 while it is paused, for then it may start nothing.
    pub(super) fn drain(&self, doc: &DrainDoc) {
        let rate = if doc.paused { 0.0 } else { doc.rate.as_per_second() };
        gauge!(names::DRAIN_RATE_LIMIT).set(rate);
    }
}

/// Notes one answered request. The time of a stream ends where it begins to be sent. The labels are closed
/// sets, whatever is asked for.
pub(super) fn request(
    resource: Option<Resource<'_>>,
    method: &Method,
    status: StatusCode,
    took: Duration,
) {
    let route = resource.map_or("other", Resource::template);
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let code = status.as_str().to_owned();
    let name = names::HTTP_REQUEST_DURATION;
    histogram!(name, "route" => route, "method" => method, "code" => code).record(took);
}
