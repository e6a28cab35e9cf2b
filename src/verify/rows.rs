//! The store's rows against the orders of the ledger.

use std::collections::HashMap;

use super::findings::{Finding, Findings};
use super::ledger::{Orders, asked, digest};
use crate::ledger::OrderDoc;
use crate::order::{Keyring, Place, State, Ticket};
use crate::sale::{SaleName, SaleNo};
use crate::store::OrderRow;

/// Rows of one ticket that did not fit what the ledger had said of it, or of which it had said nothing.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) sale_no: SaleNo,
    /// `None` when the text is no ticket of this deployment.
    pub(super) place: Option<Place>,
    rows: Vec<OrderRow>,
}

/// Units that the store's rows took, by item.
pub(super) type Units = HashMap<(SaleNo, String), u64>;

/// What a scan of all rows found.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) suspects: Vec<Suspect>,
    pub(super) units: Units,
    pub(super) rows: u64,
    pub(super) foreign: u64,
}

/// A scan of all rows, a page at a time.
#[derive(Debug)]
pub(super) struct RowScan<'a> {
    orders: &'a mut Orders,
    keyring: &'a Keyring,
    scanned: Scanned,
}

impl<'a> RowScan<'a> {
    pub(super) fn new(orders: &'a mut Orders, keyring: &'a Keyring) -> Self {
        let scanned = Scanned { suspects: Vec::new(), units: Units::new(), rows: 0, foreign: 0 };
        Self { orders, keyring, scanned }
    }

    /// Takes a page; all lines of a ticket are on one.
    pub(super) fn page(&mut self, rows: Vec<OrderRow>) {
        self.scanned.rows += rows.len() as u64;
        for rows in rows.chunk_by(|one, next| one.ticket == next.ticket) {
            self.ticket(rows);
        }
    }

    pub(super) fn finish(self) -> Scanned {
        self.scanned
    }

    fn ticket(&mut self, rows: &[OrderRow]) {
        let Some(first) = rows.first() else { return };
        for row in rows.iter().filter(|row| sells(row)) {
            if let (Some(sku), Some(quantity)) = (&row.sku, row.quantity) {
                *self.scanned.units.entry((row.sale_no, sku.clone())).or_default() += quantity;
            }
        }
        let ticket = self.keyring.open(&first.ticket);
        // Whose it is says the ticket; a row with another sale's number does not fit that sale.
        let sale_no = ticket.map_or(first.sale_no, |ticket| ticket.sale_no);
        let Some(sale) = self.orders.sale(sale_no) else {
            self.scanned.foreign += rows.len() as u64;
            return;
        };
        let entry = ticket.and_then(|ticket| sale.entry(ticket.place));
        let fits = ticket.zip(entry).is_some_and(|(ticket, entry)| {
            entry.seen = true;
            match entry.state {
                State::Placed => digest_of(&ticket, rows) == Some(entry.digest),
                State::Refused => is_refusal(rows),
                _ => false,
            }
        });
        if !fits {
            let place = ticket.map(|ticket| ticket.place);
            self.scanned.suspects.push(Suspect { sale_no, place, rows: rows.to_vec() });
        }
    }
}

fn sells(row: &OrderRow) -> bool {
    matches!(row.state.as_str(), "placed" | "paid")
}

/// Void and refused are one row without a line.
fn is_refusal(rows: &[OrderRow]) -> bool {
    let [row] = rows else { return false };
    let empty = row.sku.is_none() && row.quantity.is_none() && row.order_no.is_none();
    row.line == 1 && empty && matches!(row.state.as_str(), "refused" | "void")
}

/// The digest of the rows of a placed order; `None` when they are not the rows of one.
fn digest_of(ticket: &Ticket, rows: &[OrderRow]) -> Option<u64> {
    let first = rows.first()?;
    let alike = |row: &OrderRow| {
        sells(row)
            && row.buyer == first.buyer
            && row.order_no == first.order_no
            && row.sale_no == ticket.sale_no
    };
    let numbered = (1..).zip(rows).all(|(line, row)| row.line == line);
    if !numbered || !rows.iter().all(alike) {
        return None;
    }
    let lines: Option<Vec<(&str, u64)>> =
        rows.iter().map(|row| Some((row.sku.as_deref()?, row.quantity?))).collect();
    let order_no = first.order_no.as_deref()?;
    let (ms, tag) = (ticket.accepted_ms, ticket.buyer_tag);
    Some(digest(ms, tag, &first.buyer, order_no, lines?.into_iter()))
}

impl Suspect {
    /// Says what is wrong with the rows, given the order as the ledger has it after they were read.
    pub(super) fn judge(&self, sale: &SaleName, order: Option<&OrderDoc>, findings: &mut Findings) {
        let mut find = |law, expected: String, found: String| {
            let mut finding = Finding::new(law, expected, found).of_sale(sale);
            finding.ticket = self.rows.first().map(|row| row.ticket.clone());
            findings.add(finding);
        };
        let said = self.said();
        let Some(order) = order else {
            return find("L4", "no row: the ledger never accepted this order".to_owned(), said);
        };
        let refusal = is_refusal(&self.rows);
        match order.state {
            State::Queued | State::Cancelled | State::Expired | State::Lost => {
                let law = if order.state == State::Queued { "L4" } else { "L5" };
                find(law, format!("no row: the order is {}", order.state.name()), said);
            }
            State::Refused if !refusal => {
                find("L5", "refused or void: stock and limit came back".to_owned(), said);
            }
            State::Placed | State::Paid if refusal => {
                let order_no = order.order_no.as_deref().unwrap_or_default();
                find("S1", format!("placed as {order_no}"), said);
            }
            // What is at the store and what is dead may have been refused or voided there a moment ago.
            _ if refusal => {}
            _ => self.compare(order, &mut find),
        }
    }

    /// Line by line. An order whose fate the ledger does not know yet has no number there.
    fn compare(&self, order: &OrderDoc, find: &mut dyn FnMut(&'static str, String, String)) {
        let lines: Vec<_> = asked(&order.lines).collect();
        if lines.len() != self.rows.len() {
            return find("S1", format!("{} lines", lines.len()), self.said());
        }
        for ((number, row), (sku, quantity)) in (1u32..).zip(&self.rows).zip(lines) {
            let expected = Line { number, sku: Some(sku), quantity: Some(quantity) };
            let (sku, quantity) = (row.sku.as_deref(), row.quantity);
            let found = Line { number: row.line, sku, quantity };
            if expected != found {
                find("S1", expected.to_string(), found.to_string());
            }
            if row.buyer != order.buyer.as_str() {
                find("S1", format!("buyer {}", order.buyer), format!("buyer {}", row.buyer));
            }
            if row.sale_no != order.sale_no || !sells(row) {
                let expected = format!("sale {}, placed", order.sale_no.0);
                find("S1", expected, format!("sale {}, {}", row.sale_no.0, row.state));
            }
            if order.state.is_sold() && row.order_no.as_deref() != order.order_no.as_deref() {
                let number = |no: Option<&str>| format!("number {}", no.unwrap_or("none"));
                let found = number(row.order_no.as_deref());
                find("S1", number(order.order_no.as_deref()), found);
            }
        }
    }

    /// The rows in short.
    fn said(&self) -> String {
        let row = |row: &OrderRow| {
            let (sku, quantity) = (row.sku.as_deref(), row.quantity);
            let line = Line { number: row.line, sku, quantity };
            format!("{} {line}", row.state)
        };
        self.rows.iter().map(row).collect::<Vec<_>>().join("; ")
    }
}

/// A line as a report shows it.
#[derive(PartialEq)]
struct Line<'a> {
    number: u32,
    sku: Option<&'a str>,
    quantity: Option<u64>,
}

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.number)?;
        if let (Some(sku), Some(quantity)) = (self.sku, self.quantity) {
            write!(f, ": {quantity} of {sku}")?;
        }
        Ok(())
    }
}
