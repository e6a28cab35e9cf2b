//! Where each order of a sale stands, a byte each, and the queue's cursor: a position is a subtraction.
//!
//! Invariants: every order before the cursor has left the queue; `left` counts, block by block, the orders that have.
//! Both only grow, so a position never grows. It costs the same however many left out of turn, as cancelled orders do.

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
    /// Ended before this process began, or of an ended epoch and beyond what survived it: only the ledger can tell.
    Unknown,
}

/// Orders of one count.
const BLOCK: usize = 4_096;

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    spans: Vec<EpochSpan>,
    states: Vec<u8>,
    cursor: usize,
    /// Of each block of orders, how many have left the queue.
    left: Vec<u16>,
    waiting: u64,
}

fn waits(code: u8) -> bool {
    code == State::Queued.code() || code == State::Placing.code()
}

impl Queue {
    pub(super) fn of(spans: Vec<EpochSpan>, states: Vec<u8>) -> Self {
        let waiting = states.iter().filter(|code| waits(**code)).count() as u64;
        let left = states.chunks(BLOCK).map(left_of).collect();
        let mut queue = Self { spans, states, cursor: 0, left, waiting };
        queue.advance();
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
        self.left.resize(self.states.len().div_ceil(BLOCK), 0);
    }

    /// An order went to another state.
    pub(super) fn moved(&mut self, place: Place, to: State) {
        let Some(index) = self.index(place) else { return };
        let Some(code) = self.states.get_mut(index) else { return };
        let was = std::mem::replace(code, to.code());
        self.waiting = self.waiting + u64::from(waits(to.code())) - u64::from(waits(was));
        if let Some(left) = self.left.get_mut(index / BLOCK) {
            let (had, has) = (was != State::Queued.code(), to != State::Queued);
            *left = *left + u16::from(has) - u16::from(had);
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self.states.get(self.cursor).is_some_and(|code| *code != State::Queued.code()) {
            self.cursor += 1;
        }
    }

    pub(super) fn standing(&self, place: Place) -> Standing {
        let Some(index) = self.index(place) else { return Standing::Unknown };
        match self.states.get(index).map(|code| State::from_code(*code)) {
            Some(Some(State::Queued)) => self.queued(index),
            Some(Some(left)) => Standing::Left(left),
            Some(None) => Standing::Unknown,
            // Accepted just now: the tail has not told of it yet.
            None if self.spans.last().is_some_and(|span| span.epoch == place.epoch) => {
                self.queued(index)
            }
            None => Standing::Unknown,
        }
    }

    fn queued(&self, index: usize) -> Standing {
        let from = self.cursor.min(index);
        // Beyond what the tail has told nobody has left.
        let told = index.min(self.states.len()).max(from);
        let ahead = (index - from) as u64;
        Standing::Queued { position: ahead - self.left_between(from, told) + 1 }
    }

    /// Orders from index `from` to before `to` that have left the queue.
    fn left_between(&self, from: usize, to: usize) -> u64 {
        let (first, last) = (from / BLOCK, to / BLOCK);
        let of = |from: usize, to: usize| {
            self.states.get(from..to).map_or(0, |states| u64::from(left_of(states)))
        };
        if first == last {
            return of(from, to);
        }
        let between = self.left.get(first + 1..last).unwrap_or_default();
        let whole: u64 = between.iter().map(|left| u64::from(*left)).sum();
        of(from, (first + 1) * BLOCK) + whole + of(last * BLOCK, to)
    }
}

/// How many of these states, a block of them at most, are not queued.
fn left_of(states: &[u8]) -> u16 {
    states.iter().map(|code| u16::from(*code != State::Queued.code())).sum()
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
        assert_eq!(queue.waiting(), 4);
        queue.moved(place(1), State::Placed);
        assert_eq!(queue.standing(place(1)), Standing::Left(State::Placed));
        assert_eq!(queue.waiting(), 3);
    }

    #[test]
    fn counted_by_blocks_a_position_is_what_counting_one_by_one_gives() {
        let count = 3 * BLOCK + 77;
        let mut queue = Queue::of(vec![EpochSpan { epoch: 1, first_index: 0 }], vec![0; BLOCK]);
        queue.admitted(place(BLOCK as u64 + 1), count - BLOCK);
        let mut left = vec![false; count];
        for step in 0..count {
            // Every order leaves once: every third step the next in turn, else one from anywhere.
            let anywhere = step * 7_919 % count;
            let next = left.iter().position(|left| !left).unwrap();
            let index = if step % 3 == 0 || left[anywhere] { next } else { anywhere };
            queue.moved(place(index as u64 + 1), State::Cancelled);
            left[index] = true;
            if step % 97 == 0 {
                for at in (0..count + 5).step_by(331).filter(|at| !left.get(*at).unwrap_or(&false))
                {
                    let ahead = (0..at).filter(|index| !left.get(*index).unwrap_or(&false)).count();
                    assert_eq!(position(&queue, at as u64 + 1), ahead as u64 + 1, "{step} {at}");
                }
            }
        }
        let again = Queue::of(queue.spans.clone(), queue.states.clone());
        assert_eq!((again.left, again.cursor), (queue.left, count));
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
