//! The orders of the ledger as the store must show them: a few bytes each, found by their place.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::findings::{Finding, Findings};
use super::rows::Suspect;
use super::{Accounts, VerifyError};
use crate::clock::Timestamp;
use crate::ledger::{OrderDoc, SaleDoc};
use crate::order::{Line, Place, SaleSeal, State, TicketText};
use crate::sale::{SaleName, SaleNo};

/// Orders asked for at once.
const BATCH: usize = 256;

/// What one order has to look like at the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// [`digest`] of what the rows must say.
    pub(super) digest: u64,
    /// The state when the order was read.
    pub(super) state: State,
    /// The store has rows of it.
    pub(super) seen: bool,
}

/// The orders of one sale, in admission order.
#[derive(Debug)]
pub(super) struct SaleOrders {
    sale_no: SaleNo,
    pub(super) name: SaleName,
    made_at: Timestamp,
    pub(super) seal: SaleSeal,
    entries: Vec<Entry>,
    /// Where each epoch begins: its number, and the index of its first order.
    spans: Vec<(u16, usize)>,
}

/// What the rows of a placed order say, as one number.
pub(super) fn digest<'a>(
    accepted_ms: u64,
    buyer_hash: u64,
    buyer: &str,
    order_no: &str,
    lines: impl ExactSizeIterator<Item = (&'a str, u64)>,
) -> u64 {
    let mut hash = DefaultHasher::new();
    (accepted_ms, buyer_hash, buyer, order_no, lines.len()).hash(&mut hash);
    lines.for_each(|line| line.hash(&mut hash));
    hash.finish()
}

pub(super) fn asked(lines: &[Line]) -> impl ExactSizeIterator<Item = (&str, u64)> {
    lines.iter().map(|line| (line.sku.as_str(), u64::from(line.quantity)))
}

impl SaleOrders {
    pub(super) fn new(doc: &SaleDoc, seal: SaleSeal) -> Self {
        let (sale_no, name, made_at) = (doc.sale_no, doc.name.clone(), doc.made_at);
        Self { sale_no, name, made_at, seal, entries: Vec::new(), spans: Vec::new() }
    }

    pub(super) fn ticket(&self, order: &OrderDoc) -> TicketText {
        order.ticket(&self.seal)
    }

    /// Takes the next order; `false` when its place is not the next one (L6).
    pub(super) fn add(&mut self, order: &OrderDoc) -> bool {
        let next = self.next_place();
        let Place { epoch, sequence } = order.place;
        if next.is_none_or(|next| next.epoch != epoch) {
            self.spans.push((epoch, self.entries.len()));
        }
        self.entries.push(Entry { digest: self.digest(order), state: order.state, seen: false });
        match next {
            Some(next) if epoch == next.epoch => sequence == next.sequence,
            Some(next) => epoch > next.epoch && sequence == 1,
            None => sequence == 1,
        }
    }

    fn next_place(&self) -> Option<Place> {
        let (epoch, first) = *self.spans.last()?;
        Some(Place { epoch, sequence: (self.entries.len() - first) as u64 + 1 })
    }

    /// See [`digest`].
    fn digest(&self, order: &OrderDoc) -> u64 {
        let accepted = order.accepted_at.since(self.made_at).as_millis();
        let accepted = u64::try_from(accepted).unwrap_or(u64::MAX);
        let order_no = order.order_no.as_deref().unwrap_or_default();
        digest(accepted, order.buyer_hash, order.buyer.as_str(), order_no, asked(&order.lines))
    }

    /// The order at a place, as it was read; `None` when there was none.
    pub(super) fn entry(&mut self, place: Place) -> Option<&mut Entry> {
        let at = self.spans.iter().position(|(epoch, _)| *epoch == place.epoch)?;
        let first = self.spans.get(at)?.1;
        let end = self.spans.get(at + 1).map_or(self.entries.len(), |(_, next)| *next);
        let index = usize::try_from(place.sequence.checked_sub(1)?).ok()?.checked_add(first)?;
        (index < end).then(|| self.entries.get_mut(index))?
    }

    /// Indexes of orders that ended at the store by what the ledger says, and of which it has nothing.
    fn unseen(&self) -> impl Iterator<Item = u64> {
        let ended = |entry: &Entry| entry.state.is_sold() || entry.state == State::Refused;
        let entries = (0..).zip(&self.entries);
        entries.filter(move |(_, entry)| ended(entry) && !entry.seen).map(|(index, _)| index)
    }
}

/// The orders of all sales.
#[derive(Debug, Default)]
pub(super) struct Orders {
    sales: HashMap<SaleNo, SaleOrders>,
    /// Instants of the last grant of each order that was ever tried.
    pub(super) attempts: Vec<Timestamp>,
    /// Orders that an operator refused by force: the store may have them.
    pub(super) forced: Vec<TicketText>,
}

impl Orders {
    pub(super) fn add(&mut self, sale: SaleOrders) {
        self.sales.insert(sale.sale_no, sale);
    }

    pub(super) fn count(&self) -> u64 {
        self.sales.values().map(|sale| sale.entries.len() as u64).sum()
    }

    pub(super) fn sale(&mut self, sale_no: SaleNo) -> Option<&mut SaleOrders> {
        self.sales.get_mut(&sale_no)
    }

    /// Asks the ledger again for orders whose rows did not fit what it said before the store was read.
    pub(super) async fn resolve(
        &self,
        accounts: &impl Accounts,
        suspects: &[Suspect],
        findings: &mut Findings,
    ) -> Result<(), VerifyError> {
        for (sale_no, sale) in &self.sales {
            let ours: Vec<&Suspect> =
                suspects.iter().filter(|suspect| suspect.sale_no == *sale_no).collect();
            for batch in ours.chunks(BATCH) {
                let places: Vec<Place> = batch.iter().filter_map(|suspect| suspect.place).collect();
                let mut docs = accounts.tickets(*sale_no, places).await?.into_iter();
                for suspect in batch {
                    let doc = suspect.place.and_then(|_| docs.next().flatten());
                    suspect.judge(&sale.name, doc.as_ref(), findings);
                }
            }
        }
        Ok(())
    }

    /// Names the orders that the ledger has as placed or refused, and of which the store has no row.
    pub(super) async fn missing(
        &self,
        accounts: &impl Accounts,
        findings: &mut Findings,
    ) -> Result<(), VerifyError> {
        for (sale_no, sale) in &self.sales {
            for index in sale.unseen() {
                let page = accounts.export(*sale_no, index, 1).await?;
                let Some(order) = page.orders.first() else { continue };
                let finding = if order.state == State::Refused {
                    Finding::new("L5", "a row that says refused or void", "no row at the store")
                } else {
                    let order_no = order.order_no.as_deref().unwrap_or_default();
                    Finding::new("S1", format!("placed as {order_no}"), "no row at the store")
                };
                findings.add(finding.of_sale(&sale.name).of_ticket(&sale.ticket(order)));
            }
        }
        Ok(())
    }
}
