//! The ledger against itself: counters recomputed ticket by ticket, limits, sequences.

use std::collections::HashMap;

use super::findings::{Finding, Findings};
use super::ledger::{Orders, SaleOrders};
use super::{Accounts, VerifyError};
use crate::clock::Timestamp;
use crate::ledger::{OrderDoc, SaleDoc};
use crate::order::{FORCED, Keyring, Place, SaleSeal, State};

/// Orders read at once: small, so that no order call waits long behind a read.
const PAGE: usize = 256;

/// The counters of a sale against each other, at one instant (L1).
pub(super) fn census(doc: &SaleDoc, findings: &mut Findings) {
    let census = &doc.census;
    for item in &census.items {
        let made = u128::from(item.initial) + u128::from(item.added);
        let there = [item.cut, item.available, item.held, item.sold].map(u128::from);
        findings.compare(made, there.iter().sum(), |expected, found| {
            let what = "initial + added";
            let parts = "cut + available + held + sold";
            Finding::new("L1", format!("{expected} ({what})"), format!("{found} ({parts})"))
                .of_sale(&doc.name)
                .of_item(&item.sku)
        });
    }
    let states = [
        census.queued,
        census.placing,
        census.placed,
        census.paid,
        census.refused,
        census.cancelled,
        census.expired,
        census.dead,
        census.lost,
    ];
    findings.compare(census.accepted, states.iter().sum(), |expected, found| {
        let (expected, found) = (format!("{expected} accepted"), format!("{found} in all states"));
        Finding::new("L1", expected, found).of_sale(&doc.name)
    });
}

/// Reads all orders of a sale and holds the counters to them. The orders stay for the look at the store.
pub(super) async fn sale(
    accounts: &impl Accounts,
    keyring: &Keyring,
    doc: &SaleDoc,
    orders: &mut Orders,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let seal = keyring.seal(doc.key_id, doc.sale_no, doc.made_at);
    let seal = seal.ok_or_else(|| VerifyError::Key(doc.key_id, doc.name.to_string()))?;
    let mut recount = Recount::new(doc);
    let mut read = SaleOrders::new(doc, seal);
    let mut from = Some(0);
    while let Some(at) = from {
        let page = accounts.export(doc.sale_no, at, PAGE).await?;
        for order in &page.orders {
            recount.add(order);
            orders.attempts.extend(order.attempted_at);
            if order.reason.as_deref() == Some(FORCED) {
                orders.forced.push(read.ticket(order));
            }
            if !read.add(order) {
                findings.add(
                    Finding::new("L6", "the next sequence", format!("{:?}", order.place))
                        .of_sale(&doc.name)
                        .of_ticket(&read.ticket(order)),
                );
            }
        }
        from = page.next;
    }
    recount.compare(&read.seal, findings);
    orders.add(read);
    Ok(())
}

/// What the counters must be, from the orders, as of the instant of the census.
///
/// An order that ended in the very microsecond of the census may or may not be counted in it: it makes the
/// bounds of every figure differ by what it is.
struct Recount<'a> {
    doc: &'a SaleDoc,
    orders: u64,
    /// By state; orders that had not ended stand under `queued`.
    states: [Bounds; State::ALL.len()],
    held: HashMap<String, Bounds>,
    sold: HashMap<String, Bounds>,
    /// By the buyers' hashes.
    buyers: HashMap<u64, Holding>,
}

/// What a buyer surely held, and the newest of his orders in it.
#[derive(Clone, Copy, Debug)]
struct Holding {
    units: u64,
    place: Place,
    accepted_at: Timestamp,
}

/// A figure that lies between two others, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    fn add(&mut self, count: u64, surely: bool) {
        self.least += if surely { count } else { 0 };
        self.most += count;
    }

    fn hold(self, found: u64) -> bool {
        (self.least..=self.most).contains(&found)
    }

    fn said(self, what: &str) -> String {
        let Self { least, most } = self;
        if least == most { format!("{least} {what}") } else { format!("{least} to {most} {what}") }
    }
}

/// Where an order stood at the instant of the census.
enum Then {
    Open,
    Ended,
    Either,
}

impl<'a> Recount<'a> {
    fn new(doc: &'a SaleDoc) -> Self {
        let bounds = || {
            let items = doc.census.items.iter();
            items.map(|item| (item.sku.to_string(), Bounds::default())).collect()
        };
        let states = [Bounds::default(); State::ALL.len()];
        Self { doc, orders: 0, states, held: bounds(), sold: bounds(), buyers: HashMap::new() }
    }

    fn add(&mut self, order: &OrderDoc) {
        if self.orders == self.doc.census.accepted {
            // Accepted later: the export is in admission order.
            return;
        }
        self.orders += 1;
        let then = match order.settled_at {
            Some(at) if order.state.is_terminal() => match at.cmp(&self.doc.as_of) {
                std::cmp::Ordering::Less => Then::Ended,
                std::cmp::Ordering::Equal => Then::Either,
                std::cmp::Ordering::Greater => Then::Open,
            },
            None if order.state.is_terminal() => Then::Ended,
            _ => Then::Open,
        };
        let open = !matches!(then, Then::Ended);
        let ended = !matches!(then, Then::Open);
        if open {
            let surely = matches!(then, Then::Open);
            self.states[usize::from(State::Queued.code())].add(1, surely);
            Self::units(&mut self.held, order, surely);
        }
        if ended {
            let surely = matches!(then, Then::Ended);
            self.states[usize::from(order.state.code())].add(1, surely);
            if order.state.is_sold() {
                Self::units(&mut self.sold, order, surely);
            }
        }
        if !ended || order.state.is_sold() {
            let units: u64 = order.lines.iter().map(|line| u64::from(line.quantity)).sum();
            let (place, accepted_at) = (order.place, order.accepted_at);
            let before = self.buyers.get(&order.buyer_hash).map_or(0, |held| held.units);
            let holding = Holding { units: before + units, place, accepted_at };
            self.buyers.insert(order.buyer_hash, holding);
        }
    }

    fn units(bounds: &mut HashMap<String, Bounds>, order: &OrderDoc, surely: bool) {
        for line in &order.lines {
            let bounds = bounds.entry(line.sku.to_string()).or_default();
            bounds.add(u64::from(line.quantity), surely);
        }
    }

    fn compare(self, seal: &SaleSeal, findings: &mut Findings) {
        self.compare_states(findings);
        self.compare_units(findings);
        let Self { doc, buyers, .. } = self;
        let Some(limit) = doc.limit_loosest else { return };
        for (buyer, held) in buyers.into_iter().filter(|(_, held)| held.units > limit) {
            let expected = format!("at most {limit} units a buyer");
            let finding = Finding::new("L3", expected, format!("{} units", held.units));
            let ticket = seal.mint(held.place, held.accepted_at, buyer);
            findings.add(finding.of_sale(&doc.name).of_ticket(&ticket));
        }
    }

    fn compare_states(&self, findings: &mut Findings) {
        let Self { doc, orders, states, .. } = self;
        let census = &doc.census;
        findings.compare(census.accepted, *orders, |expected, found| {
            let (expected, found) = (format!("{expected} accepted"), format!("{found} orders"));
            Finding::new("L1", expected, found).of_sale(&doc.name)
        });
        let open = census.queued + census.placing + census.dead;
        let counted = [
            (State::Queued, open, "queued, placing or dead"),
            (State::Placed, census.placed, "placed"),
            (State::Paid, census.paid, "paid"),
            (State::Refused, census.refused, "refused"),
            (State::Cancelled, census.cancelled, "cancelled"),
            (State::Expired, census.expired, "expired"),
            (State::Lost, census.lost, "lost"),
        ];
        for (state, counter, what) in counted {
            let bounds = states[usize::from(state.code())];
            if !bounds.hold(counter) {
                let said = format!("{counter} {what} by the counter");
                findings.add(Finding::new("L1", bounds.said(what), said).of_sale(&doc.name));
            }
        }
    }

    fn compare_units(&self, findings: &mut Findings) {
        let Self { doc, held, sold, .. } = self;
        for item in &doc.census.items {
            for (bounds, counter, what) in
                [(held, item.held, "units held"), (sold, item.sold, "units sold")]
            {
                let bounds = bounds.get(item.sku.as_str()).copied().unwrap_or_default();
                if !bounds.hold(counter) {
                    let said = format!("{counter} {what} by the counter");
                    let finding = Finding::new("L1", bounds.said(what), said);
                    findings.add(finding.of_sale(&doc.name).of_item(&item.sku));
                }
            }
        }
    }
}
