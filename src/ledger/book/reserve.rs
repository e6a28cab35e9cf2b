//! Reserve and cancel: stock, limit, key and enqueue in one step (L3), in this order: key, phase, limit, stock,
//! backlog.

use super::event::Event;
use super::sale::SaleBook;
use super::{Batch, Book, Now};
use crate::ledger::{Cancel, Cancelled, Receipt, Reserve, Reserved};
use crate::order::State;
use crate::sale::Intake;

impl Book {
    /// Takes or refuses one order.
    pub fn reserve(&mut self, order: Reserve, now: Now, batch: &mut Batch) -> Reserved {
        let Some(sale) = self.sales.get(&order.sale_no) else { return Reserved::UnknownSale };
        if let Err(refusal) = sale.may_admit(&order, now) {
            return refusal;
        }
        let sale_no = order.sale_no;
        let event = Event::Admitted {
            sale_no,
            at: now.ledger,
            buyer_hash: order.buyer_hash,
            key: order.key,
            fingerprint: order.fingerprint,
            lines: order.lines,
            buyer: order.buyer,
            payload: order.payload,
        };
        self.commit(batch, &event);
        let sale = self.sales.get(&sale_no).expect("the sale was there before its event");
        let index = u32::try_from(sale.orders.len() - 1).unwrap_or(u32::MAX);
        Reserved::Accepted(sale.receipt(index))
    }

    /// Cancels one order, if it was accepted in the epoch in force and never claimed (L5 a).
    pub fn cancel(&mut self, cancel: Cancel, now: Now, batch: &mut Batch) -> Cancelled {
        let Some(sale) = self.sales.get(&cancel.sale_no) else { return Cancelled::Unknown };
        let Some(index) = sale.index(cancel.place) else { return Cancelled::Unknown };
        match sale.order(index).state {
            State::Cancelled => return Cancelled::Done(sale.order_doc(index)),
            State::Queued if cancel.place.epoch == sale.epoch() => {}
            _ => return Cancelled::TooLate(sale.order_doc(index)),
        }
        let event = Event::Cancelled { sale_no: cancel.sale_no, at: now.ledger, index };
        self.commit(batch, &event);
        let sale = self.sales.get(&cancel.sale_no).expect("the sale was there before its event");
        Cancelled::Done(sale.order_doc(index))
    }
}

impl SaleBook {
    /// What a ticket of the order at `index` is made of.
    pub(super) fn receipt(&self, index: u32) -> Receipt {
        let order = self.order(index);
        Receipt { place: self.place(index), accepted_at: order.accepted_at, state: order.state }
    }

    fn may_admit(&self, order: &Reserve, now: Now) -> Result<(), Reserved> {
        if self.purged_at.is_some() {
            return Err(Reserved::UnknownSale);
        }
        let buyer = self.buyers.find(order.buyer_hash, order.buyer.as_str());
        let known = buyer.and_then(|buyer| self.keys.find(&self.orders, buyer, order.key));
        if let Some(index) = known {
            let same = self.order(index).fingerprint == order.fingerprint;
            let receipt = self.receipt(index);
            return Err(if same { Reserved::Replay(receipt) } else { Reserved::KeyReused });
        }
        match self.terms.intake(self.closed, self.paused, now.wall) {
            Intake::Open => {}
            Intake::Closed => return Err(Reserved::Closed),
            Intake::Paused => return Err(Reserved::Paused),
            Intake::Scheduled(opens_at) => return Err(Reserved::NotOpen { opens_at }),
        }
        self.within_limit(order, buyer)?;
        self.in_stock(order)?;
        self.has_room(order)
    }

    fn within_limit(&self, order: &Reserve, buyer: Option<u32>) -> Result<(), Reserved> {
        let entry = buyer.and_then(|buyer| self.buyers.entries.get(buyer as usize));
        let held = entry.map_or(0, |entry| entry.units);
        let asked = held.saturating_add(order.lines.units());
        if self.terms.limit_per_buyer.is_some_and(|limit| asked > limit) {
            let newest = entry.map(|entry| self.receipt(entry.newest));
            return Err(Reserved::LimitReached { newest });
        }
        Ok(())
    }

    fn in_stock(&self, order: &Reserve) -> Result<(), Reserved> {
        for line in order.lines.as_slice() {
            match self.items.get(usize::from(line.item)) {
                None => return Err(Reserved::UnknownSale),
                Some(item) if item.available < u64::from(line.quantity) => {
                    return Err(Reserved::SoldOut);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn has_room(&self, order: &Reserve) -> Result<(), Reserved> {
        let waiting = self.count(State::Queued) + self.count(State::Placing);
        let bytes = self.backlog_bytes.saturating_add(order.payload.len() as u64);
        let numbered = u32::try_from(self.orders.len() + 1).is_ok()
            && self.buyers.has_room(order.buyer.as_str().len());
        if waiting >= order.bound.orders || bytes > order.bound.bytes || !numbered {
            return Err(Reserved::BacklogFull);
        }
        Ok(())
    }
}
