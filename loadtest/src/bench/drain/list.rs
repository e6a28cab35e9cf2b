//! What is carried: the sale of a turn, and its orders as a shop would queue them.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::form::{Crowd, OrderForm};

/// When all orders were accepted: no peer looks at it.
const ACCEPTED_AT: &str = "2026-11-27 02:00:00.000001";

/// A sale in which each buyer orders one unit.
#[derive(Debug, Clone)]
pub(super) struct Sale {
    /// The table's number for it. A gateway numbers its sales itself.
    pub(super) number: u32,
    pub(super) form: OrderForm,
    pub(super) orders: u64,
}

impl Sale {
    pub(super) fn new(number: u32, name: &str, orders: u64) -> Self {
        let form = OrderForm::new(name, "phone", Crowd::new(name, 1)).with_payload_of_100_bytes();
        Self { number, form, orders }
    }

    /// Twice what is ordered: an order that is doubled finds a unit too, and is seen.
    pub(super) fn units(&self) -> u64 {
        self.orders * 2
    }
}

/// One order of one line.
#[derive(Debug, Serialize)]
pub(super) struct Order {
    pub(super) ticket: String,
    pub(super) sale: String,
    pub(super) sale_no: u32,
    pub(super) order_no: String,
    pub(super) sku: String,
    pub(super) buyer: String,
    pub(super) quantity: u64,
    pub(super) payload: String,
    pub(super) sequence: u64,
    pub(super) accepted_at: &'static str,
}

/// All orders of the sale, by the buyers who would come to a gateway.
pub(super) fn orders(sale: &Sale) -> Arc<[Order]> {
    let Sale { number, form, orders } = sale;
    let payload = form.payload.as_ref().map(ToString::to_string).unwrap_or_default();
    let order = |ask: u64| Order {
        // As long as a gateway's, and ascending as those do, so that nobody's rows lie better in the table.
        ticket: format!("AQEAAAAB{number:02}{ask:010}BZ4mQxN1r8vKc2LtYw7HsPfD5gJ0aU3EkW9yTb"),
        sale: form.sale.clone(),
        sale_no: *number,
        order_no: format!("F{number:05}{ask:010}"),
        sku: form.sku.clone(),
        buyer: form.crowd.buyer(ask),
        quantity: form.quantity,
        payload: payload.clone(),
        sequence: ask + 1,
        accepted_at: ACCEPTED_AT,
    };
    (0..*orders).map(order).collect()
}

/// Writes them to a file, one JSON document a line.
pub(super) fn write(orders: &[Order], to: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(to)?);
    for order in orders {
        serde_json::to_writer(&mut file, order)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}
