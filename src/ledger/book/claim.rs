//! Claims: due orders under a lease.

use super::event::{Event, Return};
use super::sale::SaleBook;
use super::{Batch, Book, Now, POISON_CLAIMS};
use crate::clock::Timestamp;
use crate::ledger::{Claim, Claimed, ClaimedOrder, LeaseId};
use crate::order::State;
use crate::sale::{SaleNo, StockChange};

/// Where a claimed order's payload lies in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadAt {
    /// Logical position.
    pub lsn: u64,
    /// Bytes; 0 when there is no payload.
    pub len: u16,
}

/// The most leases that one claim ends, so that no claim takes long.
const EXPIRED_MAX: usize = 1_000;

impl Book {
    /// Takes due orders under a lease (L4, L6), and says where their payloads lie.
    pub fn claim(
        &mut self,
        claim: Claim,
        now: Now,
        batch: &mut Batch,
    ) -> (Claimed, Vec<PayloadAt>) {
        self.end_leases(claim.sale_no, now.ledger, batch);
        let lease = LeaseId(self.leases_given + 1);
        let until = now.ledger.plus(claim.lease);
        let mut claimed = Claimed {
            lease,
            until,
            orders: Vec::new(),
            changes: Vec::new(),
            more: false,
            next_due: None,
        };
        let Some(sale) = self.sales.get(&claim.sale_no) else { return (claimed, Vec::new()) };
        let indexes = sale.due_orders(claim.max, now.ledger);
        let mut payloads = Vec::with_capacity(indexes.len());
        for index in &indexes {
            let order = sale.order(*index);
            payloads.push(PayloadAt { lsn: order.payload_at, len: order.payload_len });
            claimed.orders.push(sale.claimed_order(*index));
        }
        if !indexes.is_empty() {
            claimed.changes = sale.changes_after(claim.stock_seen);
            let event = Event::Claimed {
                sale_no: claim.sale_no,
                at: now.ledger,
                lease,
                until,
                granted_at: claim.granted_at,
                indexes,
            };
            self.commit(batch, &event);
        }
        if let Some(sale) = self.sales.get(&claim.sale_no) {
            (claimed.more, claimed.next_due) = sale.what_is_next(now.ledger);
        }
        (claimed, payloads)
    }

    /// Gives back the orders whose leases have ended; those that were poison too often are dead.
    fn end_leases(&mut self, sale_no: SaleNo, now: Timestamp, batch: &mut Batch) {
        let Some(sale) = self.sales.get(&sale_no) else { return };
        let ended: Vec<u32> = sale
            .leases
            .iter()
            .take_while(|(until, _)| *until <= now)
            .take(EXPIRED_MAX)
            .map(|(_, index)| *index)
            .collect();
        for index in ended {
            self.give_back(sale_no, index, now, (now, Return::LeaseEnded, ""), batch);
        }
    }

    /// An order comes back without an answer, or dies of having come back too often.
    pub(super) fn give_back(
        &mut self,
        sale_no: SaleNo,
        index: u32,
        at: Timestamp,
        (due, why, reason): (Timestamp, Return, &str),
        batch: &mut Batch,
    ) {
        let tries = self.sales.get(&sale_no).and_then(|sale| sale.tries.get(&index));
        let poisoned = tries.is_some_and(|tries| {
            matches!(why, Return::Later(false) | Return::LeaseEnded)
                && tries.unanswered + u8::from(self.answers > tries.answers_at_claim)
                    >= POISON_CLAIMS
        });
        let event = if poisoned {
            let seen = Some(reason).filter(|text| !text.is_empty()).map(Into::into);
            Event::Died { sale_no, at, index, reason: "poison".into(), seen }
        } else {
            Event::Returned { sale_no, at, index, due, why, reason: reason.into() }
        };
        self.commit(batch, &event);
    }
}

impl SaleBook {
    /// Due orders in the order of L6: those that came back, then in sequence.
    fn due_orders(&self, max: u32, now: Timestamp) -> Vec<u32> {
        let max = max as usize;
        let back = self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, index)| *index);
        let mut indexes: Vec<u32> = back.take(max).collect();
        let room = max - indexes.len();
        if room > 0 && self.count(State::Queued) > 0 {
            let fresh = (self.cursor..)
                .zip(&self.orders[self.cursor as usize..])
                .filter(|(_, order)| order.state == State::Queued)
                .map(|(index, _)| index);
            indexes.extend(fresh.take(room));
        }
        indexes
    }

    fn claimed_order(&self, index: u32) -> ClaimedOrder {
        let order = self.order(index);
        ClaimedOrder {
            place: self.place(index),
            buyer: crate::order::Buyer::new(self.buyers.name(order.buyer).as_bytes())
                .expect("the name of a buyer was checked when he came"),
            buyer_hash: self.buyers.entries[order.buyer as usize].hash,
            lines: self.named_lines(index),
            payload: bytes::Bytes::new(),
            accepted_at: order.accepted_at,
            attempts: u32::from(order.attempts),
            claims: self.tries.get(&index).map_or(0, |tries| tries.claims),
        }
    }

    /// Stock changes with a number above `seen`.
    pub(super) fn changes_after(&self, seen: u64) -> Vec<StockChange> {
        let from = usize::try_from(seen).unwrap_or(usize::MAX);
        let numbered = (1u64..).zip(&self.moves).skip(from);
        numbered
            .map(|(number, change)| StockChange {
                sale_no: self.sale_no,
                sale: self.name.clone(),
                number,
                sku: self.items[usize::from(change.item)].sku.clone(),
                creates: change.creates,
                delta: change.delta,
            })
            .collect()
    }

    /// Whether more is due now, and when the next order is due that is not.
    fn what_is_next(&self, now: Timestamp) -> (bool, Option<Timestamp>) {
        let due = self.due.first().map(|(due, _)| *due);
        let ends = self.leases.first().map(|(until, _)| *until);
        let more = self.count(State::Queued) > 0 || due.is_some_and(|due| due <= now);
        let later = |at: &Timestamp| *at > now;
        let next = self.due.range((Timestamp(now.0 + 1), 0)..).next().map(|(due, _)| *due);
        (more, [next, ends].into_iter().flatten().filter(later).min())
    }
}
