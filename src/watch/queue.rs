//! Where each order of a sale stands, a byte each, and the queue's cursor: a position is a subtraction.
//!
//! Invariants: every order before the cursor has left the queue; `above` holds exactly the orders at or after
//! it that have. Both only grow, so a position never grows.

use std::collections::BTreeSet;

use crate::ledger::EpochSpan;
use crate::order::{Place, State};

/// What memory knows of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Queued; 1 is next.
    Queued {
        /// Orders of the sale before it, and itself.
        position: u64,
    },
    /// Left the queue for this state.
    Left(State),
    /// Of an ended epoch, and beyond what survived it: only the ledger can tell.
    Unknown,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    spans: Vec<EpochSpan>,
    states: Vec<u8>,
    cursor: usize,
    above: BTreeSet<usize>,
    waiting: u64,
}

fn waits(code: u8) -> bool {
    code == State::Queued.code() || code == State::Placing.code()
}

impl Queue {
    pub(super) fn of(spans: Vec<EpochSpan>, states: Vec<u8>) -> Self {
        let waiting = states.iter().filter(|code| waits(**code)).count() as u64;
        let mut queue = Self { spans, states, cursor: 0, above: BTreeSet::new(), waiting };
        queue.advance();
        let left = |(_, code): &(usize, &u8)| **code != State::Queued.code();
        let above = queue.states.iter().enumerate().skip(queue.cursor).filter(left);
        queue.above = above.map(|(index, _)| index).collect();
        queue
    }

    /// Orders that are queued or placing.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    fn index(&self, place: Place) -> Option<usize> {
        let at = self.spans.iter().position(|span| span.epoch == place.epoch)?;
        let first = self.spans.get(at)?.first_index;
        let end = self.spans.get(at + 1).map_or(u64::MAX, |next| next.first_index);
        let index = first.checked_add(place.sequence.checked_sub(1)?)?;
        if index < end { usize::try_from(index).ok() } else { None }
    }

    /// Orders were accepted at consecutive places.
    pub(super) fn admitted(&mut self, first: Place, count: usize) {
        if self.spans.last().is_none_or(|span| span.epoch < first.epoch) {
            let first_index = self.states.len() as u64;
            self.spans.push(EpochSpan { epoch: first.epoch, first_index });
        }
        let end = self.index(first).map_or(0, |index| index + count);
        // What a snapshot told already comes again when the tail is read from just before it.
        let fresh = end.saturating_sub(self.states.len());
        self.waiting += fresh as u64;
        self.states.resize(self.states.len() + fresh, State::Queued.code());
    }

    /// An order went to another state.
    pub(super) fn moved(&mut self, place: Place, to: State) {
        let Some(index) = self.index(place) else { return };
        let Some(code) = self.states.get_mut(index) else { return };
        let was = std::mem::replace(code, to.code());
        self.waiting = self.waiting + u64::from(waits(to.code())) - u64::from(waits(was));
        if index >= self.cursor && to != State::Queued {
            self.above.insert(index);
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self.states.get(self.cursor).is_some_and(|code| *code != State::Queued.code()) {
            self.above.remove(&self.cursor);
            self.cursor += 1;
        }
    }

    pub(super) fn standing(&self, place: Place) -> Standing {
        let Some(index) = self.index(place) else { return Standing::Unknown };
        match self.states.get(index).and_then(|code| State::from_code(*code)) {
            Some(State::Queued) => self.queued(index),
            Some(left) => Standing::Left(left),
            // Accepted just now: the tail has not told of it yet.
            None if self.spans.last().is_some_and(|span| span.epoch == place.epoch) => {
                self.queued(index)
            }
            None => Standing::Unknown,
        }
    }

    fn queued(&self, index: usize) -> Standing {
        let ahead = index - self.cursor.min(index);
        let left = self.above.range(..index).count();
        Standing::Queued { position: (ahead - left) as u64 + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sequence: u64) -> Place {
        Place { epoch: 1, sequence }
    }

    fn position(queue: &Queue, sequence: u64) -> u64 {
        match queue.standing(place(sequence)) {
            Standing::Queued { position } => position,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_position_only_shrinks() {
        let mut queue = Queue::of(vec![EpochSpan { epoch: 1, first_index: 0 }], Vec::new());
        assert_eq!(position(&queue, 1), 1, "accepted, and not told of by the tail");
        queue.admitted(place(1), 5);
        assert_eq!(position(&queue, 5), 5);
        queue.moved(place(3), State::Cancelled);
        assert_eq!((position(&queue, 2), position(&queue, 5)), (2, 4));
        queue.moved(place(1), State::Placing);
        queue.moved(place(1), State::Placing);
        assert_eq!((position(&queue, 2), position(&queue, 5)), (1, 3));
        queue.moved(place(2), State::Placing);
        assert_eq!((queue.cursor, position(&queue, 4), position(&queue, 5)), (3, 1, 2));
        assert!(queue.above.is_empty());
        assert_eq!(queue.waiting(), 4);
        queue.moved(place(1), State::Placed);
        assert_eq!(queue.standing(place(1)), Standing::Left(State::Placed));
        assert_eq!(queue.waiting(), 3);
    }

    #[test]
    fn an_older_epoch_waits_first_and_what_it_lost_is_unknown() {
        let spans =
            vec![EpochSpan { epoch: 1, first_index: 0 }, EpochSpan { epoch: 2, first_index: 2 }];
        let mut queue = Queue::of(spans, vec![State::Placed.code(), State::Queued.code()]);
        queue.admitted(Place { epoch: 2, sequence: 1 }, 1);
        let of = |epoch, sequence| queue.standing(Place { epoch, sequence });
        assert_eq!(of(1, 2), Standing::Queued { position: 1 });
        assert_eq!(of(2, 1), Standing::Queued { position: 2 });
        assert_eq!(of(1, 3), Standing::Unknown);
        assert_eq!(of(3, 1), Standing::Unknown);
    }

    #[test]
    fn what_is_told_twice_counts_once() {
        let mut queue = Queue::of(vec![EpochSpan { epoch: 1, first_index: 0 }], vec![0, 0]);
        queue.admitted(place(1), 2);
        queue.admitted(place(2), 2);
        assert_eq!((queue.states.len(), queue.waiting()), (3, 3));
    }
}
