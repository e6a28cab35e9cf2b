//! What this process told buyers and could tell a server that has lost it: the newest accepted orders, and which were
//! cancelled. Written by lanes and cancels, read when a new epoch begins.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ledger::{Receipt, Reserve, Reserved};
use crate::order::Place;
use crate::sale::SaleNo;

/// What an order takes beside its buyer and its payload, about.
const ORDER_BYTES: u64 = 200;
/// Cancelled orders that are remembered.
const CANCELLED_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Kept {
    orders: VecDeque<(Reserve, Receipt)>,
    bytes: u64,
    cancelled: VecDeque<(SaleNo, Place)>,
}

/// The newest orders that fit.
#[derive(Debug)]
pub(super) struct Remembered {
    bytes_max: u64,
    kept: Mutex<Kept>,
}

fn bytes(order: &Reserve) -> u64 {
    ORDER_BYTES + (order.payload.len() + order.buyer.as_str().len()) as u64
}

impl Remembered {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the orders that were accepted, and lets go of the oldest.
    pub(super) fn keep<'a>(
        &self,
        orders: impl Iterator<Item = Reserve>,
        answers: impl Iterator<Item = &'a Reserved>,
    ) {
        let mut kept = self.kept();
        for (order, answer) in orders.zip(answers) {
            if let Reserved::Accepted(receipt) = answer {
                kept.bytes += bytes(&order);
                kept.orders.push_back((order, *receipt));
            }
        }
        while kept.bytes > self.bytes_max
            && let Some((oldest, _)) = kept.orders.pop_front()
        {
            kept.bytes -= bytes(&oldest);
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

    /// Orders of one sale from a place on, to the end of its epoch, in their order.
    pub(super) fn from(&self, sale_no: SaleNo, first: Place) -> Vec<(Reserve, Receipt)> {
        let kept = self.kept();
        let wanted = |(order, receipt): &&(Reserve, Receipt)| {
            let Place { epoch, sequence } = receipt.place;
            order.sale_no == sale_no && epoch == first.epoch && sequence >= first.sequence
        };
        let mut orders: Vec<_> = kept.orders.iter().filter(wanted).cloned().collect();
        orders.sort_by_key(|(_, receipt)| receipt.place);
        orders
    }

    /// Cancelled orders of one sale and epoch.
    pub(super) fn cancelled(&self, sale_no: SaleNo, epoch: u16) -> Vec<Place> {
        let kept = self.kept();
        let wanted =
            kept.cancelled.iter().filter(|(sale, place)| *sale == sale_no && place.epoch == epoch);
        wanted.map(|(_, place)| *place).collect()
    }
}
