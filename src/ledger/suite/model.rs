//! The ledger as a naive reader of the design would write it: one list of orders, everything recomputed by
//! walking it. Slow, and without a line in common with the book.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::ledger::book::POISON_CLAIMS;
use crate::ledger::{Fate, LeaseId, Receipt, Reserve, Reserved, Settled};
use crate::order::{Place, State};

/// Units of each item at its creation.
pub(super) const STOCK: [u64; 2] = [9, 6];
/// Units that one buyer may hold.
pub(super) const LIMIT: u64 = 5;
/// The most orders that may wait.
pub(super) const BACKLOG: u64 = 10;

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) buyer: String,
    pub(super) key: u64,
    pub(super) fingerprint: u64,
    pub(super) lines: Vec<(u16, u64)>,
    pub(super) payload: bytes::Bytes,
    pub(super) place: Place,
    pub(super) accepted_at: Timestamp,
    pub(super) state: State,
    pub(super) lease: Option<(LeaseId, Timestamp)>,
    pub(super) due: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) claims: u32,
    /// What the store said last.
    pub(super) said: Option<String>,
    unanswered: u8,
    answers_at_claim: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) orders: Vec<Order>,
    pub(super) moved: [i64; 2],
    pub(super) operations: HashMap<u8, (u8, i8)>,
    pub(super) paused: bool,
    pub(super) closed: bool,
    pub(super) epoch: u16,
    pub(super) answers: u64,
}

impl Order {
    fn live(&self) -> bool {
        !self.state.is_terminal() || self.state == State::Placed
    }

    fn units(&self) -> u64 {
        self.lines.iter().map(|(_, quantity)| quantity).sum()
    }

    pub(super) fn receipt(&self) -> Receipt {
        Receipt { place: self.place, accepted_at: self.accepted_at, state: self.state }
    }
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            orders: Vec::new(),
            moved: [0; 2],
            operations: HashMap::new(),
            paused: false,
            closed: false,
            epoch: 1,
            answers: 0,
        }
    }

    pub(super) fn available(&self, item: u16) -> u64 {
        let at = usize::from(item);
        let live = self.orders.iter().filter(|order| order.live());
        let taken: u64 = live
            .flat_map(|order| &order.lines)
            .filter(|(line, _)| *line == item)
            .map(|(_, quantity)| quantity)
            .sum();
        STOCK[at].checked_add_signed(self.moved[at]).expect("cuts stay above zero") - taken
    }

    pub(super) fn count(&self, state: State) -> usize {
        self.orders.iter().filter(|order| order.state == state).count()
    }

    pub(super) fn reserve(&mut self, call: &Reserve, now: Timestamp) -> Reserved {
        let buyer = call.buyer.as_str();
        let his = || self.orders.iter().filter(|order| order.buyer == buyer);
        if let Some(known) = his().find(|order| order.key == call.key) {
            let same = known.fingerprint == call.fingerprint;
            return if same { Reserved::Replay(known.receipt()) } else { Reserved::KeyReused };
        }
        if self.closed {
            return Reserved::Closed;
        }
        if self.paused {
            return Reserved::Paused;
        }
        let held: u64 = his().filter(|order| order.live()).map(Order::units).sum();
        if held + call.lines.units() > LIMIT {
            return Reserved::LimitReached { newest: his().last().map(Order::receipt) };
        }
        let lines: Vec<(u16, u64)> = call
            .lines
            .as_slice()
            .iter()
            .map(|line| (line.item, u64::from(line.quantity)))
            .collect();
        if lines.iter().any(|(item, quantity)| self.available(*item) < *quantity) {
            return Reserved::SoldOut;
        }
        if (self.count(State::Queued) + self.count(State::Placing)) as u64 >= BACKLOG {
            return Reserved::BacklogFull;
        }
        let in_epoch = self.orders.iter().filter(|order| order.place.epoch == self.epoch).count();
        let order = Order {
            buyer: buyer.to_owned(),
            key: call.key,
            fingerprint: call.fingerprint,
            lines,
            payload: call.payload.clone(),
            place: Place { epoch: self.epoch, sequence: in_epoch as u64 + 1 },
            accepted_at: now,
            state: State::Queued,
            lease: None,
            due: None,
            attempts: 0,
            claims: 0,
            said: None,
            unanswered: 0,
            answers_at_claim: 0,
        };
        let receipt = order.receipt();
        self.orders.push(order);
        Reserved::Accepted(receipt)
    }

    /// Whether the order at `nth` is cancelled now or was before.
    pub(super) fn cancel(&mut self, nth: usize) -> bool {
        let epoch = self.epoch;
        let order = &mut self.orders[nth];
        if order.state == State::Queued && order.place.epoch == epoch {
            order.state = State::Cancelled;
        }
        order.state == State::Cancelled
    }

    /// The orders that a claim takes, in order.
    pub(super) fn claim(
        &mut self,
        max: usize,
        lease: LeaseId,
        until: Timestamp,
        now: Timestamp,
    ) -> Vec<usize> {
        let ended = |order: &Order| order.lease.is_some_and(|(_, until)| until <= now);
        let all: Vec<usize> =
            (0..self.orders.len()).filter(|at| ended(&self.orders[*at])).collect();
        all.into_iter().for_each(|at| self.came_back(at, now));
        let mut back: Vec<usize> = (0..self.orders.len())
            .filter(|at| self.orders[*at].due.is_some_and(|due| due <= now))
            .collect();
        back.sort_by_key(|at| (self.orders[*at].due, *at));
        let queued = (0..self.orders.len()).filter(|at| self.orders[*at].state == State::Queued);
        let taken: Vec<usize> = back.into_iter().chain(queued).take(max).collect();
        for at in &taken {
            let order = &mut self.orders[*at];
            order.state = State::Placing;
            order.due = None;
            order.lease = Some((lease, until));
            order.answers_at_claim = self.answers;
        }
        taken
    }

    /// Without an answer: due at `due`, or poison.
    fn came_back(&mut self, at: usize, due: Timestamp) {
        let order = &mut self.orders[at];
        order.lease = None;
        order.unanswered += u8::from(self.answers > order.answers_at_claim);
        if order.unanswered >= POISON_CLAIMS {
            order.state = State::Dead;
        } else {
            order.due = Some(due);
        }
    }

    pub(super) fn settle(
        &mut self,
        at: usize,
        lease: LeaseId,
        fate: &Fate,
        now: Timestamp,
    ) -> Settled {
        let order = &mut self.orders[at];
        let ours = order.lease.is_some_and(|(ours, until)| ours == lease && until > now);
        let undecided = matches!(order.state, State::Placing | State::Dead);
        match fate {
            Fate::Placed { .. } | Fate::Refused { .. } => {
                let placed = matches!(fate, Fate::Placed { .. });
                let to = if placed { State::Placed } else { State::Refused };
                if undecided {
                    (order.state, order.lease, order.due) = (to, None, None);
                    self.answers += 1;
                } else if order.state != to {
                    return Settled::Stale;
                }
            }
            _ if !ours || order.state != State::Placing => return Settled::Stale,
            Fate::Later { after, reason, spends: false } => {
                order.said = Some(reason.clone());
                self.came_back(at, now.plus(*after));
            }
            Fate::Later { after, reason, .. } => {
                order.said = Some(reason.clone());
                order.attempts += 1;
                (order.lease, order.due) = (None, Some(now.plus(*after)));
                order.unanswered = 0;
                self.answers += 1;
            }
            Fate::Unstarted => {
                (order.lease, order.due) = (None, Some(now));
                order.claims = order.claims.saturating_sub(1);
            }
            Fate::Dead { seen, .. } => {
                order.said = seen.clone().or(order.said.take());
                (order.state, order.lease) = (State::Dead, None);
            }
        }
        Settled::Done
    }

    pub(super) fn retry_dead(&mut self, now: Timestamp) -> u64 {
        let dead = self.orders.iter_mut().filter(|order| order.state == State::Dead);
        let mut count = 0;
        for order in dead {
            order.state = State::Placing;
            order.due = Some(now);
            order.attempts = 0;
            order.unanswered = 0;
            count += 1;
        }
        count
    }

    pub(super) fn restart(&mut self, new_epoch: bool, leases_end: bool, now: Timestamp) {
        self.epoch += u16::from(new_epoch);
        for order in self.orders.iter_mut().filter(|_| leases_end) {
            if order.lease.take().is_some() {
                order.due = Some(now);
            }
        }
    }
}
