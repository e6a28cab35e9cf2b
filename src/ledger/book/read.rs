//! What is read of the book: census, orders, pages, and what a gateway remembers.

use super::sale::SaleBook;
use super::{Book, Now};
use crate::clock::Timestamp;
use crate::ledger::orders::last_error;
use crate::ledger::{
    AttemptNote, Census, DeadDoc, DeadPage, ExportPage, ItemCensus, Level, OrderDoc, SaleDoc,
    SaleSnapshot, Snapshot, TailId, Timeline,
};
use crate::order::{Buyer, Place, State};
use crate::sale::{SaleName, SaleNo};

impl Book {
    /// One sale with its census.
    #[must_use]
    pub fn census(&self, name: &SaleName, now: Now) -> Option<SaleDoc> {
        let sale = self.names.get(name).and_then(|sale_no| self.sales.get(sale_no))?;
        Some(sale.doc(now.ledger))
    }

    /// All sales by name.
    #[must_use]
    pub fn sales(&self, now: Now) -> Vec<SaleDoc> {
        let sales = self.names.values().filter_map(|sale_no| self.sales.get(sale_no));
        sales.map(|sale| sale.doc(now.ledger)).collect()
    }

    /// All that is kept about orders.
    #[must_use]
    pub fn tickets(&self, sale_no: SaleNo, places: &[Place]) -> Vec<Option<OrderDoc>> {
        let sale = self.sales.get(&sale_no);
        let doc = |place: &Place| {
            let sale = sale?;
            Some(sale.order_doc(sale.index(*place)?))
        };
        places.iter().map(doc).collect()
    }

    /// One order with its attempts.
    #[must_use]
    pub fn timeline(&self, sale_no: SaleNo, place: Place) -> Option<Timeline> {
        let sale = self.sales.get(&sale_no)?;
        Some(sale.timeline(sale.index(place)?))
    }

    /// Orders in admission order from an index.
    #[must_use]
    pub fn export(&self, sale_no: SaleNo, from: u64, max: usize) -> ExportPage {
        let Some(sale) = self.sales.get(&sale_no) else { return ExportPage::default() };
        let indexes =
            (from..sale.orders.len() as u64).filter_map(|index| u32::try_from(index).ok());
        let orders: Vec<OrderDoc> = indexes.take(max).map(|index| sale.order_doc(index)).collect();
        let next = from + orders.len() as u64;
        ExportPage { orders, next: (next < sale.orders.len() as u64).then_some(next) }
    }

    /// Dead orders in admission order from an index, with what was said last of each.
    #[must_use]
    pub fn dead(&self, sale_no: SaleNo, from: u64, max: usize) -> DeadPage {
        let Some(sale) = self.sales.get(&sale_no) else { return DeadPage::default() };
        let is_dead = |index: &u32| sale.order(*index).state == State::Dead;
        let mut indexes: Vec<u32> = sale
            .tries
            .keys()
            .copied()
            .filter(|index| u64::from(*index) >= from)
            .filter(is_dead)
            .collect();
        indexes.sort_unstable();
        let next = indexes.get(max).map(|index| u64::from(*index));
        let orders = indexes.iter().take(max).map(|index| sale.dead_doc(*index)).collect();
        DeadPage { orders, next }
    }

    /// All that a gateway remembers, true as of `tail`.
    #[must_use]
    pub fn gateway_snapshot(&self, tail: TailId, now: Now) -> Snapshot {
        let sales = self.sales.values().map(|sale| sale.gateway_snapshot(now.ledger)).collect();
        Snapshot { tail, sales, drain: self.drain_doc() }
    }

    /// The first position in the journal at which a payload lies that may still be read; `None` when there
    /// is none. Dead orders do not count: see [`Self::dead_payloads_below`].
    #[must_use]
    pub fn payload_floor(&self) -> Option<u64> {
        self.sales.values().filter_map(SaleBook::payload_floor).min()
    }

    /// Dead orders whose payloads lie before `position`, to be copied on, with where they lie.
    #[must_use]
    pub fn dead_payloads_below(&self, position: u64) -> Vec<(SaleNo, u32, super::PayloadAt)> {
        let mut found = Vec::new();
        for sale in self.sales.values() {
            for index in sale.tries.keys() {
                let order = sale.order(*index);
                let at = super::PayloadAt { lsn: order.payload_at, len: order.payload_len };
                if order.state == State::Dead && at.len > 0 && at.lsn < position {
                    found.push((sale.sale_no, *index, at));
                }
            }
        }
        found
    }

    /// An estimate of the memory that the book holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.sales.values().map(SaleBook::bytes).sum()
    }
}

impl SaleBook {
    pub(super) fn doc(&self, now: Timestamp) -> SaleDoc {
        let items = self.items.iter().map(|item| ItemCensus {
            sku: item.sku.clone(),
            initial: item.initial,
            added: item.added,
            cut: item.cut,
            available: item.available,
            held: item.held,
            sold: item.sold,
        });
        let back = self.tries.keys().copied().filter(|index| self.due_at(*index).is_some());
        let waiting = back.chain(self.first_queued());
        let oldest = waiting.map(|index| self.order(index).accepted_at).min();
        let age = oldest.map_or(0, |accepted| now.since(accepted).as_millis());
        let census = Census {
            items: items.collect(),
            accepted: self.counts.iter().sum(),
            queued: self.count(State::Queued),
            placing: self.count(State::Placing),
            placed: self.count(State::Placed),
            paid: self.count(State::Paid),
            refused: self.count(State::Refused),
            cancelled: self.count(State::Cancelled),
            expired: self.count(State::Expired),
            dead: self.count(State::Dead),
            lost: self.count(State::Lost),
            oldest_waiting_ms: u64::try_from(age).unwrap_or(u64::MAX),
            epoch: self.epoch(),
            revision: self.revision,
        };
        SaleDoc {
            sale_no: self.sale_no,
            name: self.name.clone(),
            terms: self.terms.clone(),
            made_at: self.made_at,
            key_id: self.key_id,
            paused: self.paused,
            closed: self.closed,
            purged: self.purged_at.is_some(),
            limit_loosest: self.limit_loosest,
            stock_changes: self.moves.len() as u64,
            as_of: now,
            census,
        }
    }

    fn due_at(&self, index: u32) -> Option<Timestamp> {
        self.tries.get(&index).and_then(|tries| tries.due)
    }

    pub(super) fn order_doc(&self, index: u32) -> OrderDoc {
        let order = self.order(index);
        let outcome = self.outcomes.get(&index);
        let set = |at: Timestamp| (at.0 != 0).then_some(at);
        OrderDoc {
            sale_no: self.sale_no,
            place: self.place(index),
            buyer: Buyer::new(self.buyers.name(order.buyer).as_bytes())
                .expect("the name of a buyer was checked when he came"),
            buyer_hash: self.buyers.entries[order.buyer as usize].hash,
            lines: self.named_lines(index),
            state: order.state,
            reason: outcome.and_then(|outcome| outcome.reason.clone()),
            order_no: outcome.and_then(|outcome| outcome.order_no.clone()),
            accepted_at: order.accepted_at,
            attempted_at: set(order.attempted_at),
            settled_at: set(order.settled_at),
            attempts: u32::from(order.attempts) + u32::from(answered(order.state)),
            version: u32::from(order.version),
        }
    }

    fn dead_doc(&self, index: u32) -> DeadDoc {
        let last_error = self.tries.get(&index).and_then(|tries| last_error(&tries.notes));
        DeadDoc { order: self.order_doc(index), last_error }
    }

    fn timeline(&self, index: u32) -> Timeline {
        let order = self.order_doc(index);
        let tries = self.tries.get(&index);
        let kept = self.outcomes.get(&index).map(|outcome| &*outcome.notes);
        let attempts = match (tries, kept.filter(|notes| !notes.is_empty())) {
            (Some(tries), _) => tries.notes.clone(),
            (None, Some(notes)) => notes.to_vec(),
            // One attempt that ended with the order follows from the order itself.
            (None, None) => order
                .attempted_at
                .map(|at| AttemptNote {
                    at,
                    ended_at: order.settled_at,
                    outcome: order.state.name(),
                    reason: order.reason.clone(),
                })
                .into_iter()
                .collect(),
        };
        let leased_until = tries.and_then(|tries| tries.lease).map(|(_, until)| until);
        Timeline { order, attempts, leased_until, due_at: tries.and_then(|tries| tries.due) }
    }

    fn gateway_snapshot(&self, now: Timestamp) -> SaleSnapshot {
        let levels = (0u16..).zip(&self.items).map(|(item, state)| Level {
            sale_no: self.sale_no,
            item,
            generation: state.generation,
            sold_out: state.available == 0,
        });
        SaleSnapshot {
            doc: self.doc(now),
            holders: self.buyers.entries.iter().map(|entry| entry.hash).collect(),
            spans: self.spans.clone(),
            states: self.orders.iter().map(|order| order.state.code()).collect(),
            levels: levels.collect(),
        }
    }

    fn payload_floor(&self) -> Option<u64> {
        // Orders that were never claimed lie in the journal in sequence; claimed ones are few.
        let queued = self.first_queued().and_then(|from| {
            let waiting = self.orders[from as usize..].iter();
            waiting
                .filter(|order| order.state == State::Queued && order.payload_len > 0)
                .map(|order| order.payload_at)
                .next()
        });
        let placing = self.tries.keys().map(|index| self.order(*index));
        let claimed = placing
            .filter(|order| order.state == State::Placing && order.payload_len > 0)
            .map(|order| order.payload_at);
        claimed.chain(queued).min()
    }
}

/// Placed and refused are an answer about the order, which is not counted in its attempts.
fn answered(state: State) -> bool {
    matches!(state, State::Placed | State::Refused | State::Paid | State::Expired)
}
