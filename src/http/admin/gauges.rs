//! What follows from the census and the drain's settings, set when `/metrics` is read. It is the ledger's, not this
//! process's: where several processes share a ledger, each tells the same.
//!
//! Sales are named by operators, so their number is bounded by what operators make; series of a purged sale are
//! let go.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, Gauge, counter, gauge};

use crate::ledger::{Census, DrainDoc, ItemCensus, SaleDoc};
use crate::metrics as names;
use crate::sale::{SaleName, SaleNo, Sku};

/// Skus of one sale with series of their own.
const SKUS_MAX: usize = 100;

/// The label of the others together; no sku is called so.
const REST: &str = "(other)";

/// Handles of the gauges, cached so that a read of the metrics looks up no label.
#[derive(Default)]
pub(super) struct Gauges {
    sales: Mutex<BTreeMap<SaleNo, OfSale>>,
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
    /// By outcome, in the order of [`ended`].
    orders: [Counter; 6],
    stock: BTreeMap<Sku, [Gauge; 3]>,
    /// The skus beyond [`SKUS_MAX`] together.
    rest: Option<[Gauge; 3]>,
}

/// Orders of a sale by their terminal states.
fn ended(census: &Census) -> [(&'static str, u64); 6] {
    [
        ("placed", census.placed),
        ("paid", census.paid),
        ("refused", census.refused),
        ("cancelled", census.cancelled),
        ("expired", census.expired),
        ("lost", census.lost),
    ]
}

impl OfSale {
    fn new(doc: &SaleDoc) -> Self {
        let sale = &doc.name;
        let of = |name: &'static str| gauge!(name, "sale" => sale.to_string());
        let counter = |(outcome, _)| counter!(names::ORDERS, "sale" => sale.to_string(), "outcome" => outcome);
        Self {
            depth: of(names::QUEUE_DEPTH),
            oldest: of(names::QUEUE_OLDEST_AGE),
            dead: of(names::DEAD_ORDERS),
            orders: ended(&doc.census).map(counter),
            stock: BTreeMap::new(),
            rest: None,
        }
    }

    fn set(&mut self, doc: &SaleDoc) {
        let census = &doc.census;
        self.depth.set(float(census.queued + census.placing));
        self.oldest.set(float(census.oldest_waiting_ms) / 1_000.0);
        self.dead.set(float(census.dead));
        for (counter, (_, orders)) in self.orders.iter().zip(ended(census)) {
            counter.absolute(orders);
        }
        let shown = census.items.len().min(SKUS_MAX);
        for item in &census.items[..shown] {
            let gauges = self.stock.entry(item.sku.clone());
            let gauges = gauges.or_insert_with(|| of_item(&doc.name, item.sku.as_str()));
            show(gauges, &[item.available, item.held, item.sold]);
        }
        let rest = &census.items[shown..];
        if !rest.is_empty() {
            let sum = |units: fn(&ItemCensus) -> u64| rest.iter().map(units).sum::<u64>();
            let units = [sum(|item| item.available), sum(|item| item.held), sum(|item| item.sold)];
            show(self.rest.get_or_insert_with(|| of_item(&doc.name, REST)), &units);
        }
    }
}

fn show(gauges: &[Gauge; 3], units: &[u64; 3]) {
    for (gauge, units) in gauges.iter().zip(units) {
        gauge.set(float(*units));
    }
}

fn of_item(sale: &SaleName, sku: &str) -> [Gauge; 3] {
    ["available", "held", "sold"].map(|state| {
        let (sale, sku) = (sale.to_string(), sku.to_owned());
        gauge!(names::STOCK_UNITS, "sale" => sale, "sku" => sku, "state" => state)
    })
}

#[expect(clippy::cast_precision_loss, reason = "stock is at most 2^53, and metrics are floats")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Gauges {
    /// Sets the gauges of every sale, and lets go of those of sales that are gone.
    pub(super) fn sales(&self, docs: &[SaleDoc]) {
        let mut sales = self.sales.lock().unwrap_or_else(PoisonError::into_inner);
        let living = || docs.iter().filter(|doc| !doc.purged);
        sales.retain(|sale_no, _| living().any(|doc| doc.sale_no == *sale_no));
        for doc in living() {
            sales.entry(doc.sale_no).or_insert_with(|| OfSale::new(doc)).set(doc);
        }
    }

    /// Sets the gauge of the drain's rate: 0 while it is paused, for then it may start nothing.
    pub(super) fn drain(&self, doc: &DrainDoc) {
        let rate = if doc.paused { 0.0 } else { doc.rate.as_per_second() };
        gauge!(names::DRAIN_RATE_LIMIT).set(rate);
    }
}
