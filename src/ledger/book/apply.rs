//! `apply`: what an event does to the book. Total: it cannot refuse, and reads no clock and no randomness.

use hashbrown::HashMap;

use super::event::{Event, Return};
use super::orders::{Order, Tries};
use super::sale::{Outcome, SaleBook, StockMove, less, more};
use super::{Book, NOTES_MAX};
use crate::clock::Timestamp;
use crate::ledger::AttemptNote;
use crate::order::State;
use crate::sale::SaleNo;

impl Book {
    /// Does what `event` says. `payload_at` is where the event's payload lies in the journal.
    ///
    /// # Panics
    /// When the event does not follow from the events before it: the journal is not ours, or a law is broken.
    pub fn apply(&mut self, event: &Event, payload_at: u64) {
        match event {
            Event::Admitted { sale_no, at, .. } => {
                self.see(*at);
                self.sale_mut(*sale_no).admit(event, payload_at);
            }
            Event::Claimed { sale_no, at, lease, indexes, .. } => {
                self.see(*at);
                self.leases_given = self.leases_given.max(lease.0);
                let answers = self.answers;
                let sale = self.sale_mut(*sale_no);
                indexes.iter().for_each(|index| sale.claim(*index, event, answers));
                sale.advance_cursor();
            }
            Event::Placed { sale_no, at, index, order_no } => {
                self.decided(*at, false);
                let outcome = Outcome { order_no: Some(order_no.clone()), ..Outcome::default() };
                self.sale_mut(*sale_no).end(*index, State::Placed, *at, outcome);
            }
            Event::Refused { sale_no, at, index, reason } => {
                self.decided(*at, true);
                let outcome = Outcome { reason: Some(reason.clone()), ..Outcome::default() };
                self.sale_mut(*sale_no).end(*index, State::Refused, *at, outcome);
            }
            Event::Cancelled { sale_no, at, index } => {
                self.see(*at);
                self.sale_mut(*sale_no).end(*index, State::Cancelled, *at, Outcome::default());
            }
            Event::Returned { sale_no, at, why, .. } => {
                self.see(*at);
                self.answers += u64::from(*why == Return::Later(true));
                let answers = self.answers;
                self.sale_mut(*sale_no).give_back(event, answers);
            }
            Event::Died { sale_no, at, index, reason, seen } => {
                self.see(*at);
                self.sale_mut(*sale_no).die(*index, *at, reason, seen.as_deref());
            }
            Event::Retried { sale_no, at, index } => {
                self.see(*at);
                self.sale_mut(*sale_no).retry(*index, *at);
            }
            Event::PayloadMoved { sale_no, index, .. } => {
                self.sale_mut(*sale_no).order_mut(*index).payload_at = payload_at;
            }
            other => self.apply_rare(other),
        }
    }

    fn apply_rare(&mut self, event: &Event) {
        match event {
            Event::Opened { at, epoch } => self.begin_life(*at, *epoch),
            Event::SaleMade { sale_no, at, key_id, name, terms } => {
                self.see(*at);
                let made =
                    SaleBook::new(*sale_no, name.clone(), terms.clone(), *at, *key_id, self.epoch);
                self.tell_pacer_of(&made);
                self.names.insert(name.clone(), *sale_no);
                self.sales.insert(*sale_no, made);
            }
            Event::SaleAmended { sale_no, at, closed, terms } => {
                self.see(*at);
                let sale = self.sale_mut(*sale_no);
                sale.closed = *closed;
                sale.amend(terms.clone());
                sale.touched_at = *at;
                self.tell_pacer_of(&self.sales[sale_no]);
            }
            Event::SaleSwitched { sale_no, at, paused, closed } => {
                self.see(*at);
                let sale = self.sale_mut(*sale_no);
                (sale.paused, sale.closed) = (*paused, *closed);
                sale.revision += 1;
                sale.touched_at = *at;
            }
            Event::SalePurged { sale_no, at } => {
                self.see(*at);
                self.sale_mut(*sale_no).purge(*at);
            }
            Event::SaleForgotten { sale_no } => {
                if let Some(sale) = self.sales.remove(sale_no) {
                    self.names.remove(&sale.name);
                }
                self.pacer.buckets().set_own(*sale_no, None);
            }
            Event::StockMoved { sale_no, at, item, delta, operation } => {
                self.see(*at);
                self.sale_mut(*sale_no).move_stock(*item, *delta, operation, *at);
            }
            Event::DrainSet { .. } => self.set_drain(event),
            _ => unreachable!("apply sends every other event elsewhere"),
        }
    }

    fn sale_mut(&mut self, sale_no: SaleNo) -> &mut SaleBook {
        self.sales.get_mut(&sale_no).expect("an event names a sale that was made")
    }

    fn see(&mut self, at: Timestamp) {
        self.last_at = self.last_at.max(at);
    }

    fn decided(&mut self, at: Timestamp, refused: bool) {
        self.see(at);
        self.answers += 1;
        self.refusals.note(refused);
    }

    fn begin_life(&mut self, at: Timestamp, epoch: u16) {
        self.see(at);
        self.epoch = epoch;
        for sale in self.sales.values_mut() {
            sale.open_epoch(epoch);
            sale.end_all_leases(at);
        }
    }
}

impl SaleBook {
    fn shift(&mut self, index: u32, to: State) -> State {
        let order = self.order_mut(index);
        let from = std::mem::replace(&mut order.state, to);
        order.version = order.version.saturating_add(1);
        less(&mut self.counts[usize::from(from.code())], 1);
        more(&mut self.counts[usize::from(to.code())], 1);
        let bytes = u64::from(self.order(index).payload_len);
        match (in_backlog(from), in_backlog(to)) {
            (true, false) => less(&mut self.backlog_bytes, bytes),
            (false, true) => more(&mut self.backlog_bytes, bytes),
            _ => {}
        }
        from
    }

    fn admit(&mut self, event: &Event, payload_at: u64) {
        let Event::Admitted { at, buyer_hash, key, fingerprint, lines, buyer, payload, .. } = event
        else {
            return;
        };
        let index =
            u32::try_from(self.orders.len()).expect("a sale admits at most 2^32 − 1 orders");
        let buyer = self.buyers.find_or_add(*buyer_hash, buyer.as_str());
        let asked = self.multi.keep(lines);
        let mut order = Order::new(*at, *key, *fingerprint, buyer, asked);
        order.payload_at = payload_at;
        order.payload_len = u16::try_from(payload.len()).expect("a payload is at most 4,096 bytes");
        self.orders.push(order);
        self.keys.add(&self.orders, index);
        let entry = &mut self.buyers.entries[buyer as usize];
        entry.newest = index;
        more(&mut entry.units, lines.units());
        for line in lines.as_slice() {
            let item = &mut self.items[usize::from(line.item)];
            less(&mut item.available, u64::from(line.quantity));
            more(&mut item.held, u64::from(line.quantity));
            item.generation += u64::from(item.available == 0);
        }
        more(&mut self.counts[usize::from(State::Queued.code())], 1);
        more(&mut self.backlog_bytes, payload.len() as u64);
        self.touched_at = *at;
    }

    fn claim(&mut self, index: u32, event: &Event, answers: u64) {
        let Event::Claimed { at, lease, until, granted_at, .. } = event else { return };
        if self.order(index).state == State::Queued {
            self.shift(index, State::Placing);
        }
        self.order_mut(index).attempted_at = *granted_at;
        let tries = self.tries.entry(index).or_default();
        if let Some(due) = tries.due.take() {
            self.due.remove(&(due, index));
        }
        tries.claims += 1;
        tries.lease = Some((*lease, *until));
        tries.answers_at_claim = answers;
        if tries.notes.len() == NOTES_MAX {
            tries.notes.remove(0);
        }
        let note = AttemptNote { at: *granted_at, ended_at: None, outcome: "open", reason: None };
        tries.notes.push(note);
        self.leases.insert((*until, index));
        self.touched_at = *at;
    }

    fn advance_cursor(&mut self) {
        let queued = |order: &Order| order.state == State::Queued;
        let ahead = self.orders[self.cursor as usize..].iter().position(queued);
        let step = ahead.unwrap_or(self.orders.len() - self.cursor as usize);
        self.cursor += u32::try_from(step).unwrap_or(0);
    }

    fn drop_lease(&mut self, index: u32) -> Tries {
        let tries = self.tries.remove(&index).unwrap_or_default();
        if let Some((_, until)) = tries.lease {
            self.leases.remove(&(until, index));
        }
        if let Some(due) = tries.due {
            self.due.remove(&(due, index));
        }
        Tries { lease: None, due: None, ..tries }
    }

    /// `queued → cancelled`, `placing → placed | refused`, `dead → refused`, and `dead → placing → placed`
    /// when an answer comes after the drain had given up.
    fn end(&mut self, index: u32, to: State, at: Timestamp, mut outcome: Outcome) {
        let mut tries = self.drop_lease(index);
        end_note(&mut tries.notes, at, to.name(), outcome.reason.as_deref());
        if tries.notes.len() > 1 || tries.notes.iter().any(|note| note.ended_at != Some(at)) {
            outcome.notes = tries.notes.into();
        }
        if self.order(index).state == State::Dead && to == State::Placed {
            self.shift(index, State::Placing);
        }
        self.shift(index, to);
        self.order_mut(index).settled_at = at;
        let (lines, buyer) = (self.lines(index), self.order(index).buyer);
        for line in lines.as_slice() {
            let item = &mut self.items[usize::from(line.item)];
            let quantity = u64::from(line.quantity);
            less(&mut item.held, quantity);
            if to.is_sold() {
                more(&mut item.sold, quantity);
            } else {
                item.generation += u64::from(item.available == 0);
                more(&mut item.available, quantity);
            }
        }
        if !to.is_sold() {
            less(&mut self.buyers.entries[buyer as usize].units, lines.units());
        }
        let silent = outcome.order_no.is_none() && outcome.reason.is_none();
        if silent && outcome.notes.is_empty() {
            self.outcomes.remove(&index);
        } else {
            self.outcomes.insert(index, outcome);
        }
        self.touched_at = at;
    }

    fn give_back(&mut self, event: &Event, answers: u64) {
        let Event::Returned { at, index, due, why, reason, .. } = event else { return };
        let mut tries = self.drop_lease(*index);
        let order = self.order_mut(*index);
        order.version = order.version.saturating_add(1);
        let outcome = match why {
            Return::Later(spends) => {
                order.attempts = order.attempts.saturating_add(u8::from(*spends));
                "later"
            }
            Return::Unstarted => "unstarted",
            Return::LeaseEnded => "lease_ended",
        };
        match why {
            Return::Unstarted => tries.claims = tries.claims.saturating_sub(1),
            Return::Later(true) => tries.unanswered = 0,
            Return::Later(false) | Return::LeaseEnded => {
                tries.unanswered += u8::from(answers > tries.answers_at_claim);
            }
        }
        end_note(
            &mut tries.notes,
            *at,
            outcome,
            Some(reason).filter(|text| !text.is_empty()).map(|r| &**r),
        );
        tries.due = Some(*due);
        self.due.insert((*due, *index));
        self.tries.insert(*index, tries);
        self.touched_at = *at;
    }

    fn die(&mut self, index: u32, at: Timestamp, reason: &str, seen: Option<&str>) {
        let mut tries = self.drop_lease(index);
        end_note(&mut tries.notes, at, "dead", seen);
        self.tries.insert(index, tries);
        self.shift(index, State::Dead);
        self.order_mut(index).settled_at = at;
        let outcome = Outcome { reason: Some(reason.into()), ..Outcome::default() };
        self.outcomes.insert(index, outcome);
        self.touched_at = at;
    }

    fn retry(&mut self, index: u32, at: Timestamp) {
        self.shift(index, State::Placing);
        let order = self.order_mut(index);
        order.settled_at = Timestamp(0);
        order.attempts = 0;
        self.outcomes.remove(&index);
        let tries = self.tries.entry(index).or_default();
        tries.unanswered = 0;
        tries.due = Some(at);
        self.due.insert((at, index));
        self.touched_at = at;
    }

    fn end_all_leases(&mut self, at: Timestamp) {
        for (_, index) in std::mem::take(&mut self.leases) {
            let tries = self.tries.entry(index).or_default();
            tries.lease = None;
            tries.due = Some(at);
            end_note(&mut tries.notes, at, "lease_ended", None);
            self.due.insert((at, index));
        }
    }

    fn move_stock(&mut self, item_at: u16, delta: i64, operation: &str, at: Timestamp) {
        let item = &mut self.items[usize::from(item_at)];
        let units = delta.unsigned_abs();
        let before = item.available;
        if delta > 0 {
            more(&mut item.available, units);
            more(&mut item.added, units);
        } else {
            less(&mut item.available, units);
            more(&mut item.cut, units);
        }
        item.generation += u64::from((before == 0) != (item.available == 0));
        self.moves.push(StockMove { item: item_at, creates: false, delta });
        self.operations.insert(operation.into(), (item_at, delta));
        self.revision += 1;
        self.touched_at = at;
    }

    fn purge(&mut self, at: Timestamp) {
        self.purged_at = Some(at);
        self.touched_at = at;
        self.revision += 1;
        self.orders = Vec::new();
        self.multi.0 = Vec::new();
        self.buyers = super::orders::Buyers::default();
        self.keys = super::orders::Keys::default();
        self.outcomes = HashMap::new();
        self.tries = HashMap::new();
        self.operations = HashMap::new();
        self.moves = Vec::new();
        self.cursor = 0;
        self.spans = vec![crate::ledger::EpochSpan { epoch: self.epoch(), first_index: 0 }];
    }
}

fn in_backlog(state: State) -> bool {
    matches!(state, State::Queued | State::Placing)
}

fn end_note(notes: &mut [AttemptNote], at: Timestamp, outcome: &'static str, reason: Option<&str>) {
    if let Some(note) = notes.last_mut().filter(|note| note.ended_at.is_none()) {
        note.ended_at = Some(at);
        note.outcome = outcome;
        note.reason = reason.map(Into::into);
    }
}
