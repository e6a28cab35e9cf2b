//! Settle: what became of claimed orders.
//!
//! An answer of the store (placed, refused) is the truth whatever lease it comes under; everything else counts
//! only under the lease that the order is under now (L4).

use super::event::{Event, Return};
use super::{Batch, Book, Now};
use crate::ledger::{Fate, Settle, Settled};
use crate::order::State;
use crate::sale::SaleNo;

/// The longest reason that is kept, in bytes.
const REASON_MAX: usize = 200;

impl Book {
    /// Records the fate of one order.
    pub fn settle(&mut self, settle: Settle, now: Now, batch: &mut Batch) -> Settled {
        let Some(sale) = self.sales.get(&settle.sale_no) else { return Settled::Unknown };
        let Some(index) = sale.index(settle.place) else { return Settled::Unknown };
        let state = sale.order(index).state;
        let lease = sale.tries.get(&index).and_then(|tries| tries.lease);
        let ours = lease.is_some_and(|(lease, until)| lease == settle.lease && until > now.ledger);
        let (sale_no, at) = (settle.sale_no, now.ledger);
        match settle.fate {
            Fate::Placed { order_no } => match state {
                State::Placing | State::Dead => {
                    let order_no = cut(&order_no);
                    self.commit(batch, &Event::Placed { sale_no, at, index, order_no });
                }
                State::Placed => {}
                _ => return Settled::Stale,
            },
            Fate::Refused { reason } => match state {
                State::Placing | State::Dead => {
                    let reason = cut(&reason);
                    self.commit(batch, &Event::Refused { sale_no, at, index, reason });
                    self.brake(settle.brake, now, batch);
                }
                State::Refused => {}
                _ => return Settled::Stale,
            },
            _ if !ours || state != State::Placing => return Settled::Stale,
            Fate::Later { after, reason, spends } => {
                let back = (at.plus(after), Return::Later(spends), &*cut(&reason));
                self.give_back(sale_no, index, at, back, batch);
            }
            Fate::Unstarted => {
                self.give_back(sale_no, index, at, (at, Return::Unstarted, ""), batch);
            }
            Fate::Dead { reason, seen } => {
                let reason = cut(&reason);
                let seen = seen.filter(|seen| !seen.is_empty()).map(|seen| cut(&seen));
                self.commit(batch, &Event::Died { sale_no, at, index, reason, seen });
            }
        }
        Settled::Done
    }

    /// Pauses the drain when too many of the last decided orders were refused.
    fn brake(&mut self, percent: Option<u8>, now: Now, batch: &mut Batch) {
        let above = percent.is_some_and(|percent| self.refusals.above(percent));
        if above && self.drain.paused.is_none() {
            let event = Event::DrainSet {
                at: now.ledger,
                configured: self.drain.configured,
                operator_rate: self.drain.operator_rate,
                operator_burst: self.drain.operator_burst,
                paused: Some("refusal_storm".into()),
            };
            self.commit(batch, &event);
        }
    }

    /// A dead order's payload is written again, so that the segment in which it lies can go.
    pub fn move_payload(
        &mut self,
        sale_no: SaleNo,
        index: u32,
        payload: bytes::Bytes,
        batch: &mut Batch,
    ) {
        let dead = self.sales.get(&sale_no).and_then(|sale| sale.orders.get(index as usize));
        let same = |order: &&super::orders::Order| {
            order.state == State::Dead && usize::from(order.payload_len) == payload.len()
        };
        if dead.filter(same).is_some() {
            self.commit(batch, &Event::PayloadMoved { sale_no, index, payload });
        }
    }
}

fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(REASON_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
