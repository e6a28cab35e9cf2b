//! The semantics of the ledger as a pure state machine: `decide` on commands, `apply` of events.
//!
//! Each command method looks at the book, answers, and commits the events of its answer into a [`Batch`]:
//! encoded for the journal, applied to the book, and told to the tail. It reads no clock and no randomness:
//! both come in by parameter. An engine is this book plus something durable; nothing of a batch may be seen
//! before the batch is durable (L2).
//!
//! The pacer is volatile on purpose: it starts empty at each open, so that two lives of the ledger never grant more than
//! one could (L7). It is asked without the book ([`Pacer`]).

mod apply;
mod audit;
mod change;
mod claim;
mod codec;
mod event;
mod orders;
mod pacer;
mod read;
mod reserve;
#[cfg(test)]
pub(crate) mod sabotage;
mod sale;
mod settle;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use audit::Finding;
pub use claim::PayloadAt;
pub use codec::{Reader, Truncated, Writer};
pub use event::{Event, Return};
use hashbrown::HashMap;
pub use pacer::Pacer;
use sale::SaleBook;

use super::{DrainDoc, DrainOrigin, Level, PaceEra, TailEvent};
use crate::clock::Timestamp;
use crate::order::State;
use crate::sale::{Rate, SaleName, SaleNo};

/// Attempts that an order's timeline keeps.
pub const NOTES_MAX: usize = 32;

/// Paces that the ledger keeps for `verify`.
pub const ERAS_MAX: usize = 256;

/// Claims without an answer after which an order is dead (`poison`).
pub const POISON_CLAIMS: u8 = 20;

/// Decided orders over which the refusal brake looks.
pub const REFUSAL_WINDOW: usize = 20;

/// The instant of a command: ledger time for what happens, wall time for the phases of sales.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Ledger time; never goes back.
    pub ledger: Timestamp,
    /// The host's wall clock.
    pub wall: Timestamp,
}

/// What the commands of one commit did.
#[derive(Debug, Default)]
pub struct Batch {
    out: Writer,
    base: u64,
    tail: Vec<TailEvent>,
}

impl Batch {
    /// An empty batch whose first byte will lie at `base` in the journal.
    #[must_use]
    pub fn at(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// The same, with a buffer to reuse.
    #[must_use]
    pub fn reuse(base: u64, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { out: Writer::over(buffer), base, tail: Vec::new() }
    }

    /// Nothing happened: there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The encoded events.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.out.as_slice()
    }

    /// The buffer and what the tail is told, once the bytes are durable.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<TailEvent>) {
        (self.out.into_inner(), self.tail)
    }
}

/// The last decided orders, for the refusal brake.
#[derive(Clone, Debug, Default)]
struct Refusals {
    window: VecDeque<bool>,
}

impl Refusals {
    fn note(&mut self, refused: bool) {
        if self.window.len() == REFUSAL_WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(refused);
    }

    /// More than `percent` of a full window were refused.
    fn above(&self, percent: u8) -> bool {
        let refused = self.window.iter().filter(|refused| **refused).count();
        self.window.len() == REFUSAL_WINDOW && refused * 100 > usize::from(percent) * REFUSAL_WINDOW
    }
}

/// The drain's settings as they are kept.
#[derive(Clone, Debug, PartialEq)]
struct DrainSettings {
    configured: (Rate, Option<u32>),
    operator_rate: Option<Rate>,
    operator_burst: Option<u32>,
    paused: Option<Box<str>>,
    eras: VecDeque<PaceEra>,
}

impl DrainSettings {
    fn rate(&self) -> Rate {
        self.operator_rate.unwrap_or(self.configured.0)
    }

    /// The burst that was asked for; `None` is `auto`. A file's burst belongs to the file's rate.
    fn burst(&self) -> Option<u32> {
        let of_file = if self.operator_rate.is_none() { self.configured.1 } else { None };
        self.operator_burst.or(of_file)
    }
}

/// The whole ledger in memory.
#[derive(Clone, Debug)]
pub struct Book {
    sales: HashMap<SaleNo, SaleBook>,
    names: BTreeMap<SaleName, SaleNo>,
    epoch: u16,
    /// The latest instant of any event.
    last_at: Timestamp,
    leases_given: u64,
    /// Answers of the store about any order.
    answers: u64,
    refusals: Refusals,
    drain: DrainSettings,
    pacer: Pacer,
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}

impl Book {
    /// A ledger in which nothing ever happened; epoch 0 until it is opened.
    #[must_use]
    pub fn new() -> Self {
        let rate = Rate::per_second(500);
        Self {
            sales: HashMap::new(),
            names: BTreeMap::new(),
            epoch: 0,
            last_at: Timestamp(0),
            leases_given: 0,
            answers: 0,
            refusals: Refusals::default(),
            drain: DrainSettings {
                configured: (rate, None),
                operator_rate: None,
                operator_burst: None,
                paused: None,
                eras: VecDeque::new(),
            },
            pacer: Pacer::new(rate, None, Timestamp(0)),
        }
    }

    /// The epoch in force.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The latest instant of any event: ledger time goes on from here.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// Opens the book for a new life: all leases end and the pacer starts empty. With `new_epoch`, something
    /// that was acknowledged may be missing: sequences start again at 1 under the next epoch.
    ///
    /// # Panics
    /// After 65,535 epochs.
    pub fn open(&mut self, new_epoch: bool, now: Now, batch: &mut Batch) {
        let next = if new_epoch || self.epoch == 0 { 1 } else { 0 };
        let epoch = self.epoch.checked_add(next).expect("a ledger has at most 65,535 epochs");
        self.commit(batch, &Event::Opened { at: now.ledger, epoch });
        self.pacer.buckets().empty(now.ledger);
    }

    /// Where permits are asked for; the same for the book's whole life.
    #[must_use]
    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// From now on this book's settings rule a pacer that others ask already, and that has nothing saved then (L7).
    pub fn take_over(&mut self, pacer: &Pacer, now: Timestamp) {
        let mut own = self.pacer.buckets().clone();
        own.empty(now);
        *pacer.buckets() = own;
        self.pacer = pacer.share();
    }

    fn tell_pacer(&self, at: Timestamp) {
        let mut buckets = self.pacer.buckets();
        buckets.set(self.drain.rate(), self.drain.burst(), at);
        buckets.pause(self.drain.paused.is_some());
    }

    fn tell_pacer_of(&self, sale: &SaleBook) {
        self.pacer.buckets().set_own(sale.sale_no, sale.terms.drain_rate);
    }

    /// Encodes an event, applies it, and tells the tail.
    pub(in crate::ledger) fn commit(&mut self, batch: &mut Batch, event: &Event) {
        let levels = self.levels_before(event);
        let payload_at = batch.base + event.encode(&mut batch.out) as u64;
        self.apply(event, payload_at);
        self.tell(event, &levels, &mut batch.tail);
    }

    /// Generations of the items that an event may bring to another level.
    fn levels_before(&self, event: &Event) -> Vec<(u16, u64)> {
        let (Event::Admitted { sale_no, .. }
        | Event::Cancelled { sale_no, .. }
        | Event::Refused { sale_no, .. }
        | Event::StockMoved { sale_no, .. }) = event
        else {
            return Vec::new();
        };
        let Some(sale) = self.sales.get(sale_no) else { return Vec::new() };
        let of = |item: u16| (item, sale.items[usize::from(item)].generation);
        match event {
            Event::Admitted { lines, .. } => {
                // Only an item that this order empties changes its level: most orders touch none.
                let empties = |line: &&crate::order::ItemLine| {
                    sale.items[usize::from(line.item)].available == u64::from(line.quantity)
                };
                lines.as_slice().iter().filter(empties).map(|line| of(line.item)).collect()
            }
            Event::StockMoved { item, .. } => vec![of(*item)],
            Event::Cancelled { index, .. } | Event::Refused { index, .. } => {
                sale.lines(*index).as_slice().iter().map(|line| of(line.item)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn tell(&self, event: &Event, levels: &[(u16, u64)], tail: &mut Vec<TailEvent>) {
        match event {
            Event::Admitted { sale_no, buyer_hash, .. } => {
                self.tell_admitted(*sale_no, *buyer_hash, tail);
            }
            Event::Claimed { sale_no, indexes, .. } => {
                let Some(sale) = self.sales.get(sale_no) else { return };
                let moved = indexes.iter().map(|index| (sale.place(*index), State::Placing));
                tail.push(TailEvent::Moved { sale_no: *sale_no, orders: moved.collect() });
            }
            Event::Cancelled { sale_no, index, .. }
            | Event::Placed { sale_no, index, .. }
            | Event::Refused { sale_no, index, .. }
            | Event::Died { sale_no, index, .. }
            | Event::Retried { sale_no, index, .. }
            | Event::Returned { sale_no, index, .. } => {
                let Some(sale) = self.sales.get(sale_no) else { return };
                let now = (sale.place(*index), sale.order(*index).state);
                match tail.last_mut() {
                    Some(TailEvent::Moved { sale_no: last, orders }) if last == sale_no => {
                        orders.push(now);
                    }
                    _ => tail.push(TailEvent::Moved { sale_no: *sale_no, orders: vec![now] }),
                }
            }
            Event::SaleMade { sale_no, .. }
            | Event::SaleAmended { sale_no, .. }
            | Event::SaleSwitched { sale_no, .. }
            | Event::SalePurged { sale_no, .. }
            | Event::StockMoved { sale_no, .. } => {
                if let Some(sale) = self.sales.get(sale_no) {
                    tail.push(TailEvent::Sale(Arc::new(sale.doc(self.last_at))));
                }
            }
            Event::SaleForgotten { sale_no } => tail.push(TailEvent::Forgotten(*sale_no)),
            Event::DrainSet { .. } => tail.push(TailEvent::Drain(Arc::new(self.drain_doc()))),
            Event::Opened { .. } | Event::PayloadMoved { .. } => {}
        }
        self.tell_levels(event, levels, tail);
    }

    fn tell_admitted(&self, sale_no: SaleNo, buyer_hash: u64, tail: &mut Vec<TailEvent>) {
        if let Some(TailEvent::Admitted { sale_no: last, buyers, .. }) = tail.last_mut()
            && *last == sale_no
        {
            buyers.push(buyer_hash);
        } else if let Some(sale) = self.sales.get(&sale_no) {
            let index = u32::try_from(sale.orders.len() - 1).unwrap_or(u32::MAX);
            let first = sale.place(index);
            tail.push(TailEvent::Admitted { sale_no, first, buyers: vec![buyer_hash] });
        }
    }

    fn tell_levels(&self, event: &Event, levels: &[(u16, u64)], tail: &mut Vec<TailEvent>) {
        let sale_no = match event {
            Event::Admitted { sale_no, .. }
            | Event::Cancelled { sale_no, .. }
            | Event::Refused { sale_no, .. }
            | Event::StockMoved { sale_no, .. } => sale_no,
            _ => return,
        };
        let Some(sale) = self.sales.get(sale_no) else { return };
        for (item, before) in levels {
            let Some(now) = sale.items.get(usize::from(*item)) else { continue };
            if now.generation != *before {
                tail.push(TailEvent::Level(Level {
                    sale_no: *sale_no,
                    item: *item,
                    generation: now.generation,
                    sold_out: now.available == 0,
                }));
            }
        }
    }

    fn set_drain(&mut self, event: &Event) {
        let Event::DrainSet { at, configured, operator_rate, operator_burst, paused } = event
        else {
            return;
        };
        if self.drain.paused.is_some() && paused.is_none() {
            self.refusals.window.clear();
        }
        self.drain.configured = *configured;
        self.drain.operator_rate = *operator_rate;
        self.drain.operator_burst = *operator_burst;
        self.drain.paused.clone_from(paused);
        self.last_at = self.last_at.max(*at);
        let (rate, burst) = (self.drain.rate(), self.drain.burst());
        self.tell_pacer(*at);
        let era = PaceEra { from: *at, rate, burst: burst.or(rate.burst_auto()) };
        let same = |last: &PaceEra| last.rate == era.rate && last.burst == era.burst;
        if !self.drain.eras.back().is_some_and(same) {
            if self.drain.eras.len() == ERAS_MAX {
                self.drain.eras.pop_front();
            }
            self.drain.eras.push_back(era);
        }
    }

    /// The drain's settings in force.
    #[must_use]
    pub fn drain_doc(&self) -> DrainDoc {
        let rate = self.drain.rate();
        let by_operator = self.drain.operator_rate.is_some();
        DrainDoc {
            rate,
            burst: match rate {
                Rate::Unlimited => None,
                Rate::Per { .. } => self.drain.burst().or(rate.burst_auto()),
            },
            paused: self.drain.paused.is_some(),
            reason: self.drain.paused.clone(),
            configured_rate: self.drain.configured.0,
            origin: if by_operator { DrainOrigin::Operator } else { DrainOrigin::Config },
            eras: self.drain.eras.iter().copied().collect(),
        }
    }
}
