//! What this process told buyers and could tell a server that has lost it: the newest accepted orders, and which were
//! cancelled. Written by lanes and cancels, read when a new epoch begins.
//!
//! Orders lie one behind the other in chunks, as they would be brought back: keeping one is a copy of some 150 bytes,
//! and nothing of the request that brought it lives on.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record;
use super::reply::Cut;
use crate::ledger::{Fault, Receipt, Reserve, Reserved};
use crate::order::Place;
use crate::sale::SaleNo;

/// A chunk is let go of as a whole.
const CHUNK: usize = 256 << 10;
/// Cancelled orders that are remembered.
const CANCELLED_MAX: usize = 100_000;

/// An order as the library takes it back: accepted at 8, key 8, body 8, then the order without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) place: Place,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Sale 4, place 8, length 4, bytes; again and again.
    chunks: VecDeque<Vec<u8>>,
    order: Vec<u8>,
    cancelled: VecDeque<(SaleNo, Place)>,
}

/// The newest orders that fit.
#[derive(Debug)]
pub(super) struct Remembered {
    chunks_max: usize,
    kept: Mutex<Kept>,
}

impl Kept {
    fn keep(&mut self, order: &Reserve, receipt: &Receipt) {
        let room = self.chunks.back().is_some_and(|chunk| chunk.len() < CHUNK);
        if !room {
            self.chunks.push_back(Vec::with_capacity(CHUNK + (8 << 10)));
        }
        let Self { chunks, order: kept, .. } = self;
        let Some(chunk) = chunks.back_mut() else { return };
        record::write_order(kept, order);
        let length = u32::try_from(24 + kept.len()).expect("an order is at most some 4,400 bytes");
        chunk.extend_from_slice(&order.sale_no.0.to_be_bytes());
        record::write_place(chunk, receipt.place);
        chunk.extend_from_slice(&length.to_be_bytes());
        chunk.extend_from_slice(&receipt.accepted_at.0.to_be_bytes());
        chunk.extend_from_slice(&record::key_bytes(order)[..16]);
        chunk.extend_from_slice(kept);
    }
}

impl Remembered {
    pub(super) fn new(bytes_max: u64) -> Self {
        let chunks_max = usize::try_from(bytes_max).unwrap_or(usize::MAX) / CHUNK;
        Self { chunks_max, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the orders that were accepted, and lets go of the oldest.
    pub(super) fn keep(&self, orders: &[Reserve], answers: &[Reserved]) {
        let mut kept = self.kept();
        for (order, answer) in orders.iter().zip(answers) {
            if let Reserved::Accepted(receipt) = answer {
                kept.keep(order, receipt);
            }
        }
        while kept.chunks.len() > self.chunks_max {
            kept.chunks.pop_front();
        }
    }

    /// Keeps an order that was cancelled.
    pub(super) fn keep_cancelled(&self, sale_no: SaleNo, place: Place) {
        let mut kept = self.kept();
        if kept.cancelled.len() == CANCELLED_MAX {
            kept.cancelled.pop_front();
        }
        kept.cancelled.push_back((sale_no, place));
    }

    /// Orders of one sale from a place on that were accepted before an epoch, in their order.
    ///
    /// # Errors
    /// Never: the chunks are our own.
    pub(super) fn between(
        &self,
        sale_no: SaleNo,
        first: Place,
        epoch: u16,
    ) -> Result<Vec<Told>, Fault> {
        let kept = self.kept();
        let mut orders = Vec::new();
        for chunk in &kept.chunks {
            let mut from = Cut(chunk);
            while !from.is_empty() {
                let sale = from.number(4)?;
                let place = record::read_place(&mut from)?;
                let length = usize::try_from(from.number(4)?).unwrap_or(usize::MAX);
                let bytes = from.take(length)?;
                let wanted = place >= first && place.epoch < epoch;
                if sale == u64::from(sale_no.0) && wanted {
                    orders.push(Told { place, bytes: bytes.to_vec() });
                }
            }
        }
        orders.sort_by_key(|told| told.place);
        Ok(orders)
    }

    /// Cancelled orders of one sale that were accepted in an epoch from the first on, and before another.
    pub(super) fn cancelled(&self, sale_no: SaleNo, first: u16, before: u16) -> Vec<Place> {
        let kept = self.kept();
        let wanted = kept
            .cancelled
            .iter()
            .filter(|(sale, place)| *sale == sale_no && (first..before).contains(&place.epoch));
        wanted.map(|(_, place)| *place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ledger::Bound;
    use crate::order::{Buyer, ItemLine, ItemLines, State};

    fn order(sale: u32) -> Reserve {
        Reserve {
            sale_no: SaleNo(sale),
            buyer: Buyer::new(b"ann").unwrap(),
            buyer_hash: 1,
            key: 2,
            fingerprint: 3,
            lines: ItemLines::from(vec![ItemLine { item: 0, quantity: 1 }]),
            payload: bytes::Bytes::from(vec![b' '; 1_000]),
            bound: Bound { orders: 1, bytes: 1 },
        }
    }

    fn accepted(sequence: u64) -> Reserved {
        let place = Place { epoch: 1, sequence };
        Reserved::Accepted(Receipt { place, accepted_at: Timestamp(5), state: State::Queued })
    }

    #[test]
    fn the_newest_that_fit_are_told_in_their_order() {
        let remembered = Remembered::new(1 << 20);
        for sequence in (1..=4_000).rev() {
            let answers = [accepted(sequence), Reserved::SoldOut, accepted(sequence)];
            remembered.keep(&[order(7), order(7), order(8)], &answers);
        }
        let first = Place { epoch: 1, sequence: 100 };
        let told = remembered.between(SaleNo(7), first, 2).unwrap();
        assert!(told.windows(2).all(|two| two[0].place < two[1].place));
        assert_eq!(told.first().unwrap().place, first);
        // A megabyte holds some 500 orders of each sale, the last ones that came.
        assert!((300..600).contains(&told.len()), "{}", told.len());
        assert_eq!(told[0].bytes[..8], 5u64.to_be_bytes());
        let later = Place { epoch: 2, sequence: 1 };
        assert!(remembered.between(SaleNo(7), later, 3).unwrap().is_empty());
        assert!(remembered.between(SaleNo(7), first, 1).unwrap().is_empty());
    }
}
