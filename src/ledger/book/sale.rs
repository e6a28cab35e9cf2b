//! One sale in the book: items, orders, buyers, keys, the queue and the leases.
//!
//! Invariants (the audit recomputes each): an order is exactly one of: waiting at or after the cursor
//! (`queued`); under a lease or due again (`placing`); dead; or terminal. All before the cursor is not
//! `queued`. An item's `available + held + sold` is `initial + added − cut`.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::orders::{Buyers, Keys, MultiLines, Order, Tries};
use crate::clock::Timestamp;
use crate::ledger::{AttemptNote, EpochSpan};
use crate::order::{ItemLines, Line, Place, State};
use crate::sale::{SaleName, SaleNo, Sku, Terms};

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) sku: Sku,
    pub(super) initial: u64,
    pub(super) added: u64,
    pub(super) cut: u64,
    pub(super) available: u64,
    pub(super) held: u64,
    pub(super) sold: u64,
    /// Goes up each time that `available` becomes 0 or stops being 0.
    pub(super) generation: u64,
}

/// A numbered change of stock; its number is its place in the list, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct StockMove {
    pub(super) item: u16,
    pub(super) creates: bool,
    pub(super) delta: i64,
}

/// What an order ended with.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) order_no: Option<Box<str>>,
    pub(super) reason: Option<Box<str>>,
    /// Its attempts, where they do not follow from the order itself.
    pub(super) notes: Box<[AttemptNote]>,
}

/// One sale.
#[derive(Clone, Debug)]
pub(super) struct SaleBook {
    pub(super) sale_no: SaleNo,
    pub(super) name: SaleName,
    pub(super) terms: Terms,
    pub(super) made_at: Timestamp,
    pub(super) key_id: u8,
    pub(super) paused: bool,
    pub(super) closed: bool,
    pub(super) purged_at: Option<Timestamp>,
    /// Ledger time of the last event of this sale.
    pub(super) touched_at: Timestamp,
    pub(super) revision: u64,
    /// See [`crate::ledger::SaleDoc::limit_loosest`].
    pub(super) limit_loosest: Option<u64>,
    pub(super) items: Vec<Item>,
    pub(super) moves: Vec<StockMove>,
    pub(super) operations: HashMap<Box<str>, (u16, i64)>,
    pub(super) orders: Vec<Order>,
    pub(super) multi: MultiLines,
    pub(super) buyers: Buyers,
    pub(super) keys: Keys,
    pub(super) spans: Vec<EpochSpan>,
    /// Index of the first order that was never claimed and may be queued.
    pub(super) cursor: u32,
    /// Orders by state code.
    pub(super) counts: [u64; State::ALL.len()],
    /// Payload bytes of orders that are queued or placing.
    pub(super) backlog_bytes: u64,
    pub(super) tries: HashMap<u32, Tries>,
    /// Orders that came back, by the time at which they are due.
    pub(super) due: BTreeSet<(Timestamp, u32)>,
    /// Orders under a lease, by its end.
    pub(super) leases: BTreeSet<(Timestamp, u32)>,
    pub(super) outcomes: HashMap<u32, Outcome>,
}

/// Room for so many orders is made at once, so that a burst never pays for moving them. It takes addresses; memory
/// comes with the orders.
const PRESIZED_MAX: u64 = 1 << 20;

impl SaleBook {
    pub(super) fn new(
        sale_no: SaleNo,
        name: SaleName,
        terms: Terms,
        made_at: Timestamp,
        key_id: u8,
        epoch: u16,
    ) -> Self {
        let units: u64 = terms.items.iter().filter_map(|item| item.stock).sum();
        let expected = usize::try_from(units.min(PRESIZED_MAX)).unwrap_or(0);
        let mut sale = Self {
            sale_no,
            name,
            limit_loosest: terms.limit_per_buyer,
            terms: Terms { items: Vec::new(), ..terms.clone() },
            made_at,
            key_id,
            paused: false,
            closed: false,
            purged_at: None,
            touched_at: made_at,
            revision: 0,
            items: Vec::new(),
            moves: Vec::new(),
            operations: HashMap::new(),
            orders: Vec::with_capacity(expected),
            multi: MultiLines::default(),
            buyers: Buyers::with_capacity(expected),
            keys: Keys::with_capacity(expected),
            spans: vec![EpochSpan { epoch, first_index: 0 }],
            cursor: 0,
            counts: [0; State::ALL.len()],
            backlog_bytes: 0,
            tries: HashMap::new(),
            due: BTreeSet::new(),
            leases: BTreeSet::new(),
            outcomes: HashMap::new(),
        };
        sale.amend(terms);
        sale
    }

    /// Takes over terms; their items are the old ones in their order, then new ones.
    pub(super) fn amend(&mut self, terms: Terms) {
        for item in terms.items.iter().skip(self.items.len()) {
            let stock = item.stock.unwrap_or(0);
            self.moves.push(StockMove {
                item: u16::try_from(self.items.len()).expect("a sale has at most 1,000 items"),
                creates: true,
                delta: i64::try_from(stock).expect("stock is at most 2^53"),
            });
            self.items.push(Item {
                sku: item.sku.clone(),
                initial: stock,
                added: 0,
                cut: 0,
                available: stock,
                held: 0,
                sold: 0,
                generation: 1,
            });
        }
        let limits = self.limit_loosest.zip(terms.limit_per_buyer);
        self.limit_loosest = limits.map(|(loosest, limit)| loosest.max(limit));
        self.terms = terms;
        self.revision += 1;
    }

    /// Another epoch begins; sequences count from 1 again.
    pub(super) fn open_epoch(&mut self, epoch: u16) {
        let first_index = self.orders.len() as u64;
        if self.spans.last().is_none_or(|span| span.epoch != epoch) {
            self.spans.retain(|span| span.first_index < first_index);
            self.spans.push(EpochSpan { epoch, first_index });
        }
    }

    /// The epoch in force.
    pub(super) fn epoch(&self) -> u16 {
        self.spans.last().map_or(0, |span| span.epoch)
    }

    /// The place of the order at `index`.
    pub(super) fn place(&self, index: u32) -> Place {
        let index = u64::from(index);
        let span = self.spans.iter().rev().find(|span| span.first_index <= index);
        let (epoch, first) = span.map_or((0, 0), |span| (span.epoch, span.first_index));
        Place { epoch, sequence: index - first + 1 }
    }

    /// The index of the order at `place`, if there is one.
    pub(super) fn index(&self, place: Place) -> Option<u32> {
        let at = self.spans.iter().position(|span| span.epoch == place.epoch)?;
        let span = self.spans.get(at)?;
        let end = self.spans.get(at + 1).map_or(self.orders.len() as u64, |next| next.first_index);
        let index = span.first_index.checked_add(place.sequence.checked_sub(1)?)?;
        (index < end).then(|| u32::try_from(index).ok())?
    }

    pub(super) fn count(&self, state: State) -> u64 {
        self.counts[usize::from(state.code())]
    }

    /// Orders that are not settled.
    pub(super) fn open_orders(&self) -> u64 {
        self.count(State::Queued) + self.count(State::Placing) + self.count(State::Dead)
    }

    pub(super) fn lines(&self, index: u32) -> ItemLines {
        let order = self.order(index);
        self.multi.of(order)
    }

    /// The lines of an order by name.
    pub(super) fn named_lines(&self, index: u32) -> Vec<Line> {
        let named = |line: &crate::order::ItemLine| Line {
            sku: self.items[usize::from(line.item)].sku.clone(),
            quantity: line.quantity,
        };
        self.lines(index).as_slice().iter().map(named).collect()
    }

    pub(super) fn order(&self, index: u32) -> &Order {
        self.orders.get(index as usize).expect("an event names an order that was admitted")
    }

    pub(super) fn order_mut(&mut self, index: u32) -> &mut Order {
        self.orders.get_mut(index as usize).expect("an event names an order that was admitted")
    }

    /// Index of the first queued order at or after the cursor.
    pub(super) fn first_queued(&self) -> Option<u32> {
        (self.count(State::Queued) > 0).then(|| {
            let from = self.cursor as usize;
            let ahead = self.orders[from..].iter().position(|order| order.state == State::Queued);
            self.cursor + u32::try_from(ahead.unwrap_or(0)).unwrap_or(0)
        })
    }

    /// An estimate of the memory that the sale holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.orders.len() * size_of::<Order>()
            + self.buyers.bytes()
            + self.keys.bytes()
            + self.tries.capacity() * size_of::<(u32, Tries)>()
            + self.outcomes.capacity() * size_of::<(u32, Outcome)>()
    }
}

/// Takes `count` from a counter. Going below zero is a broken law and not an answer.
pub(super) fn less(counter: &mut u64, count: u64) {
    *counter = counter.checked_sub(count).expect("L1: no counter goes below zero");
}

/// Adds `count` to a counter.
pub(super) fn more(counter: &mut u64, count: u64) {
    *counter = counter.checked_add(count).expect("L1: no counter overflows");
}
