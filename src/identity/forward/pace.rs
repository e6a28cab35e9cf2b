//! When the next question may be asked (GCRA): over any window at most `burst + rate × window`, and turns are
//! given in advance, so that a short burst waits instead of being refused.

use crate::sale::Rate;

/// Turns at a rate. Times are microseconds of one monotonic clock.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nanoseconds between two turns; 0 is no bound.
    interval: u64,
    /// How far turns may run ahead of it.
    ahead: u64,
    /// When the schedule is level again.
    level: u64,
}

impl Pace {
    /// A full burst at the start: `1 + rate × 10 ms`.
    pub(super) fn new(rate: Rate) -> Self {
        match rate {
            Rate::Unlimited => Self { interval: 0, ahead: 0, level: 0 },
            Rate::Per { permits, period_micros } => {
                let interval = (period_micros * 1_000).div_ceil(u64::from(permits));
                let burst = rate.burst_auto().map_or(1, u64::from);
                Self { interval, ahead: (burst - 1) * interval, level: 0 }
            }
        }
    }

    /// How long to wait for the next turn; `None`, and no turn, when that is longer than `patience`.
    pub(super) fn turn(&mut self, now: u64, patience: u64) -> Option<u64> {
        let now = now.saturating_mul(1_000);
        let level = self.level.max(now);
        let wait = level.saturating_sub(self.ahead).saturating_sub(now).div_ceil(1_000);
        if wait > patience {
            return None;
        }
        self.level = level.saturating_add(self.interval);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The instants of all turns that are given when one is asked for at each of `asks`.
    fn turns(rate: &str, asks: impl Iterator<Item = u64>, patience: u64) -> Vec<u64> {
        let mut pace = Pace::new(rate.parse().unwrap());
        asks.filter_map(|now| pace.turn(now, patience).map(|wait| now + wait)).collect()
    }

    #[test]
    fn no_window_has_more_turns_than_burst_and_rate() {
        for (rate, per_second) in
            [("1000/s", 1_000), ("1/s", 1), ("90/m", 2), ("999983/s", 999_983)]
        {
            let burst = 1 + u64::div_ceil(per_second, 100);
            let given = turns(rate, (0..200_000).map(|at| at * 7), 300_000);
            for window in [1_000, 50_000, 1_000_000] {
                let mut first = 0;
                for (last, at) in given.iter().enumerate() {
                    while given[first] + window <= *at {
                        first += 1;
                    }
                    let most = burst + (per_second * window).div_ceil(1_000_000);
                    assert!((last - first + 1) as u64 <= most, "{rate} {window}");
                }
            }
        }
    }

    #[test]
    fn nearly_all_of_the_rate_is_used_and_nobody_waits_too_long() {
        let given = turns("1000/s", (0..1_000_000).map(|at| at * 10), 100_000);
        assert!(given.len() >= 9_990, "{}", given.len());
        assert!(given.is_sorted());
        assert_eq!(turns("1/s", [0, 0, 0, 0].into_iter(), 999_999), [0, 0], "two at once");
        assert_eq!(turns("1/s", [0, 0, 0, 0].into_iter(), 1_000_000), [0, 0, 1_000_000]);
        assert_eq!(turns("off", [5; 9].into_iter(), 0), [5; 9]);
    }
}
