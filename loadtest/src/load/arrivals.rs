//! Who is due when: the phases of a plan, one after the other, as a sequence of asks with their times.

use std::time::Duration;

use super::dice::Dice;
use super::scenario::Spread;
use crate::form::Crowd;

/// A stretch of time in which buyers come.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// When it begins, from the start of the run.
    pub(super) begins: Duration,
    pub(super) length: Duration,
    /// Orders a second at its beginning and at its end; `None`: each connection sends as soon as it is free.
    pub(super) rates: Option<(f64, f64)>,
    pub(super) spread: Spread,
    /// Which groups come, and the weight of each.
    pub(super) groups: Vec<(usize, f64)>,
}

impl Stretch {
    fn ends(&self) -> Duration {
        self.begins.saturating_add(self.length)
    }

    /// Orders that are due within it.
    pub(super) fn expected(&self) -> Option<f64> {
        self.rates.map(|(from, to)| (from + to) / 2.0 * self.length.as_secs_f64())
    }

    /// How long after its beginning so many orders (not necessarily whole) are due; `None`: it ends before.
    ///
    /// With a rate that goes evenly from `a` to `b` within `length`, `a t + (b − a) t² / (2 length)` are due at `t`.
    fn reached(&self, orders: f64) -> Option<Duration> {
        let ((from, to), length) = (self.rates?, self.length.as_secs_f64());
        let slope = (to - from) / length;
        let seconds = if slope.abs() < 1e-9 {
            orders / from
        } else {
            let root = from * from + 2.0 * orders * slope;
            if root < 0.0 {
                return None;
            }
            (root.sqrt() - from) / slope
        };
        (seconds < length).then(|| Duration::from_secs_f64(seconds.max(0.0)))
    }
}

/// When an ask is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// At this time after the start.
    At(Duration),
    /// As soon as a connection is free.
    WhenFree,
}

/// One who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) ask: u64,
    pub(super) due: Due,
}

/// All who come.
#[derive(Debug)]
pub(super) struct Arrivals {
    stretches: Vec<Stretch>,
    at: usize,
    /// Orders of this stretch so far, in units of its own expectation.
    reached: f64,
    /// How many came of each group.
    came: Vec<u64>,
    /// How many came, and how many may.
    total: u64,
    most: u64,
    gaps: Dice,
    choices: Dice,
}

impl Arrivals {
    /// At most `most` come.
    pub(super) fn new(stretches: Vec<Stretch>, groups: usize, most: u64, seed: u64) -> Self {
        let (gaps, choices) = (Dice::new(seed, 1), Dice::new(seed, 2));
        let came = vec![0; groups];
        Self { stretches, at: 0, reached: 0.0, came, total: 0, most, gaps, choices }
    }

    /// The next one; `now` is the time since the start, by which a closed loop ends.
    pub(super) fn next(&mut self, now: Duration) -> Option<Arrival> {
        while self.total < self.most {
            let stretch = self.stretches.get(self.at)?;
            if stretch.rates.is_none() {
                if now < stretch.ends() {
                    let due =
                        if now < stretch.begins { Due::At(stretch.begins) } else { Due::WhenFree };
                    return Some(self.take(due));
                }
            } else {
                let step = match stretch.spread {
                    // The first of an even phase is due at its beginning.
                    Spread::Even if self.reached == 0.0 => f64::MIN_POSITIVE,
                    Spread::Even => 1.0,
                    Spread::Poisson => self.gaps.gap(self.total),
                };
                let reached = self.reached + step;
                if let Some(after) = stretch.reached(reached) {
                    let due = Due::At(stretch.begins + after);
                    self.reached = reached;
                    return Some(self.take(due));
                }
            }
            self.at += 1;
            self.reached = 0.0;
        }
        None
    }

    fn take(&mut self, due: Due) -> Arrival {
        let throw = self.choices.throw(self.total);
        self.total += 1;
        let groups = self.stretches.get(self.at).map_or(&[][..], |stretch| &stretch.groups);
        let whole: f64 = groups.iter().map(|(_, weight)| weight).sum();
        let mut left = throw * whole;
        let mut group = groups.last().map_or(0, |(group, _)| *group);
        for (candidate, weight) in groups {
            if left < *weight {
                group = *candidate;
                break;
            }
            left -= weight;
        }
        let mut nth = 0;
        if let Some(came) = self.came.get_mut(group) {
            nth = *came;
            *came += 1;
        }
        Arrival { ask: Crowd::ask(group, nth), due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(begins: u64, length: u64, rates: Option<(f64, f64)>, spread: Spread) -> Stretch {
        let (begins, length) = (Duration::from_secs(begins), Duration::from_secs(length));
        Stretch { begins, length, rates, spread, groups: vec![(0, 3.0), (1, 1.0)] }
    }

    fn times(mut arrivals: Arrivals) -> Vec<f64> {
        let due = |arrival: Arrival| match arrival.due {
            Due::At(at) => at.as_secs_f64(),
            Due::WhenFree => f64::NAN,
        };
        std::iter::from_fn(|| arrivals.next(Duration::ZERO)).map(due).collect()
    }

    #[test]
    fn an_even_phase_is_a_comb_and_the_next_one_begins_where_it_ends() {
        let even = |begins| stretch(begins, 2, Some((100.0, 100.0)), Spread::Even);
        let times = times(Arrivals::new(vec![even(0), even(2)], 2, u64::MAX, 1));
        assert_eq!(times.len(), 400);
        for (n, time) in times.iter().enumerate() {
            assert!((time - n as f64 / 100.0).abs() < 1e-6, "{n}: {time}");
        }
    }

    #[test]
    fn a_ramp_has_as_many_in_its_halves_as_its_rates_say() {
        for spread in [Spread::Even, Spread::Poisson] {
            let ramp = stretch(0, 10, Some((1_000.0, 3_000.0)), spread);
            let times = times(Arrivals::new(vec![ramp], 2, u64::MAX, 1));
            let first = times.iter().filter(|time| **time < 5.0).count();
            // 1,000 to 2,000, and 2,000 to 3,000, each for 5 s; three deviations of chance.
            assert!(first.abs_diff(7_500) < 260, "{first}");
            assert!((times.len() - first).abs_diff(12_500) < 340, "{}", times.len());
            assert!(times.is_sorted());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_people_at_the_same_times() {
        let run = |seed| {
            let mut arrivals = Arrivals::new(
                vec![stretch(0, 5, Some((200.0, 200.0)), Spread::Poisson)],
                2,
                u64::MAX,
                seed,
            );
            std::iter::from_fn(|| arrivals.next(Duration::ZERO)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let second = run(1).iter().filter(|arrival| Crowd::group_of(arrival.ask) == 1).count();
        assert!(second.abs_diff(run(1).len() / 4) < 45, "{second} of {}", run(1).len());
    }

    #[test]
    fn a_closed_phase_goes_by_the_clock_and_no_more_come_than_may() {
        let mut arrivals = Arrivals::new(vec![stretch(1, 1, None, Spread::Even)], 2, 3, 1);
        let mut next = |millis| arrivals.next(Duration::from_millis(millis)).map(|a| a.due);
        assert_eq!(next(500), Some(Due::At(Duration::from_secs(1))));
        assert_eq!(next(1_200), Some(Due::WhenFree));
        assert_eq!(next(1_300), Some(Due::WhenFree));
        assert_eq!(next(1_400), None, "three are all that may come");
        let mut over = Arrivals::new(vec![stretch(1, 1, None, Spread::Even)], 2, 3, 1);
        assert_eq!(over.next(Duration::from_millis(2_000)), None);
    }
}
