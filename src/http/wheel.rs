//! One timer for everybody who waits on a thread: seats by the tick at which they are called.

use std::sync::Arc;
use std::time::Duration;

use crate::watch::Seat;

/// How late a call may be.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// A turn of the wheel is 51.2 s: nearly all that is put in is due within it.
const SLOTS: u64 = 512;

/// A hashed wheel. Times are of the monotonic clock.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<(u64, Arc<Seat>)>>,
    tick: u64,
    seats: usize,
}

fn tick(at: Duration) -> u64 {
    u64::try_from(at.as_micros() / TICK.as_micros()).unwrap_or(u64::MAX)
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).unwrap_or(0)
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), tick: 0, seats: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats == 0
    }

    /// Has the seat handed out once `after` has passed, at most a tick late.
    pub(super) fn put(&mut self, seat: Arc<Seat>, now: Duration, after: Duration) {
        if self.is_empty() {
            self.tick = tick(now);
        }
        let due = tick(now.saturating_add(after)).saturating_add(1).max(self.tick + 1);
        self.slots[slot(due)].push((due, seat));
        self.seats += 1;
    }

    /// Goes on to `now` and hands out whoever is due by then.
    pub(super) fn turn(&mut self, now: Duration) -> Vec<Arc<Seat>> {
        let (from, to) = (self.tick, tick(now).max(self.tick));
        let mut due = Vec::new();
        for passed in from + 1..=to.min(from + SLOTS) {
            let is_due = |(at, _): &mut (u64, Arc<Seat>)| *at <= to;
            due.extend(self.slots[slot(passed)].extract_if(.., is_due).map(|(_, seat)| seat));
            if self.slots[slot(passed)].is_empty() {
                // A slot that was full once gives its memory back.
                self.slots[slot(passed)] = Vec::new();
            }
        }
        self.tick = to;
        self.seats -= due.len();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Place;
    use crate::sale::SaleNo;
    use crate::watch::Bell;

    fn seat(sequence: u64) -> Arc<Seat> {
        Seat::new(SaleNo(1), Place { epoch: 1, sequence }, &Arc::<Bell>::default())
    }

    fn turned(wheel: &mut Wheel, at_ms: u64) -> Vec<u64> {
        let due = wheel.turn(Duration::from_millis(at_ms));
        let mut due: Vec<u64> = due.iter().map(|seat| seat.order().1.sequence).collect();
        due.sort_unstable();
        due
    }

    #[test]
    fn nobody_is_called_before_his_time_and_nobody_a_tick_after_it() {
        let mut wheel = Wheel::new();
        let began = Duration::from_millis(1_000_050);
        for (sequence, after) in [(1, 0), (2, 5_000), (3, 30_000), (4, 90_000)] {
            wheel.put(seat(sequence), began, Duration::from_millis(after));
        }
        assert_eq!(turned(&mut wheel, 1_000_050), [0; 0]);
        assert_eq!(turned(&mut wheel, 1_000_150), [1]);
        assert_eq!(turned(&mut wheel, 1_005_040), [0; 0]);
        assert_eq!(turned(&mut wheel, 1_005_150), [2]);
        // Beyond one turn of the wheel.
        assert_eq!(turned(&mut wheel, 1_090_040), [3]);
        assert_eq!(turned(&mut wheel, 1_090_150), [4]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_wheel_that_stood_still_goes_on_from_now() {
        let mut wheel = Wheel::new();
        wheel.put(seat(1), Duration::ZERO, Duration::from_secs(1));
        assert_eq!(turned(&mut wheel, 3_600_000), [1]);
        wheel.put(seat(2), Duration::from_secs(7_200), Duration::from_secs(1));
        assert_eq!(turned(&mut wheel, 7_200_900), [0; 0]);
        assert_eq!(turned(&mut wheel, 7_201_100), [2]);
    }
}
