//! How much of the pace, and of the workers, the store bears now: found from how long its calls take and from
//! those that fail. Pure: time comes in by parameter.
//!
//! One number is looked for, the **share** of the full pace: of the rate in force, and of the workers. It is
//! AIMD (Chiu and Jain, 1989) with a cut to what the store was seen to finish, as in BBR (Cardwell et al., 2016):
//!
//! - **Queueing**: when most of the calls that began over [`STANDING`] took more than
//!   `2 × unloaded + 2 ms` ([`baseline`]), as CoDel (Nichols and Jacobson, 2012) tells a queue that stands from a
//!   burst, the share becomes [`CUT`] of what was finished meanwhile, at least halfway. Only calls that began after the
//!   last cut say anything about it.
//! - **Failures** cut by half of their share, as in DCTCP (Alizadeh et al., 2010).
//! - Else the share grows by [`GROWTH`] of the pace a second.
//!
//! The ledger's pacer is the one authority for the upper bound (L7): with a share of 1 nothing is held back here.

mod baseline;
mod bucket;
mod flight;
#[cfg(test)]
mod tests;

use std::time::Duration;

use baseline::Baselines;
use bucket::Bucket;
pub(super) use flight::Call;
use flight::Flight;

use crate::sale::Rate;

/// The least time between two judgements.
const INTERVAL: Duration = Duration::from_millis(200);

/// Calls that began over this long must be slow: a stall of the machine is shorter or lets few begin.
const STANDING: Duration = Duration::from_millis(300);

/// The same while it holds back already: the doubt is gone.
const STILL_STANDING: Duration = Duration::from_millis(150);

/// Slow calls that say something.
const SLOW_LEAST: u32 = 5;

/// A judgement that is not clear is put off for so long at most.
const UNCLEAR_MAX: Duration = Duration::from_secs(2);

/// The share of what was finished that is still asked for: the rest lets the queue go.
const CUT: f64 = 0.8;

/// The most that one cut takes, so that a judgement in error costs half.
const CUT_MOST: f64 = 0.5;

/// Growth of the share, a second: from nothing to all in five.
const GROWTH: f64 = 0.2;

/// What the store said to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Orders that it decided.
    pub(super) decided: u32,
    /// Orders that failed as they fail at a store with too much to do: away, late, in doubt.
    pub(super) failed: u32,
}

/// What changed with a call's end, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// It has backed off.
    Off,
    /// It is back.
    Back,
}

/// The limits in force; instants are monotonic time.
#[derive(Clone, Debug)]
pub(super) struct Adaptive {
    workers: u32,
    floor: Option<Rate>,
    rate: Rate,
    share: f64,
    bucket: Bucket,
    baselines: Baselines,
    flight: Flight,
    seen: Seen,
    cut_at: Duration,
    backed_off: bool,
}

/// What was seen since the last judgement.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    since: Duration,
    decided: u32,
    failed: u32,
    fast: u32,
    slow: u32,
    /// When the first and the last of the slow calls began.
    slow_begun: Option<(Duration, Duration)>,
}

impl Seen {
    fn slow(&mut self, begun: Duration) {
        let (first, last) = self.slow_begun.unwrap_or((begun, begun));
        self.slow_begun = Some((first.min(begun), last.max(begun)));
        self.slow += 1;
    }

    fn mostly_slow(&self) -> bool {
        self.slow > self.fast
    }

    fn standing(&self, least: Duration) -> bool {
        let over = self.slow_begun.map_or(Duration::ZERO, |(first, last)| last - first);
        self.mostly_slow() && self.slow >= SLOW_LEAST && over >= least
    }
}

impl Adaptive {
    /// All of the pace. `floor`: the least rate; without one a hundredth of the rate, and at least one a second.
    pub(super) fn new(workers: u32, floor: Option<Rate>, now: Duration) -> Self {
        Self {
            workers: workers.max(1),
            floor,
            rate: Rate::Unlimited,
            share: 1.0,
            bucket: Bucket::default(),
            baselines: Baselines::default(),
            flight: Flight::default(),
            seen: Seen { since: now, ..Seen::default() },
            cut_at: Duration::ZERO,
            backed_off: false,
        }
    }

    /// The rate in force is another: it bounds at once.
    pub(super) fn set(&mut self, rate: Rate, now: Duration) {
        self.bucket.refill(self.rate(), now);
        self.rate = rate;
        self.share = self.share.max(self.least());
    }

    /// Attempts a second that are asked for at most; infinite when no rate is in force.
    pub(super) fn rate(&self) -> f64 {
        self.rate.as_per_second() * self.share
    }

    /// The same as it is written, rounded down.
    pub(super) fn told_rate(&self) -> Rate {
        if !self.holds_back() || self.rate == Rate::Unlimited {
            return self.rate;
        }
        let (per_second, hour) = (self.rate(), 3_600_000_000);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 10^6")]
        let whole = |rate: f64| (rate as u32).max(1);
        if per_second >= 10.0 {
            Rate::per_second(whole(per_second))
        } else {
            Rate::Per { permits: whole(per_second * 3_600.0), period_micros: hour }
        }
    }

    /// Calls of the store that may be in flight, 1 to the workers.
    pub(super) fn concurrency(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1024")]
        let calls = (f64::from(self.workers) * self.share).ceil() as u32;
        calls.clamp(1, self.workers)
    }

    /// Whether less is asked for than the pace gives.
    pub(super) fn holds_back(&self) -> bool {
        self.share < 1.0
    }

    /// When a batch of `worth` permits may be asked for.
    pub(super) fn at(&mut self, worth: u32, now: Duration) -> Duration {
        if !self.holds_back() || self.rate == Rate::Unlimited {
            return now;
        }
        self.bucket.at(worth, self.rate(), now)
    }

    /// Takes up to `want` permits: how many may be asked for now, at least one.
    pub(super) fn take(&mut self, want: u32, now: Duration) -> u32 {
        if !self.holds_back() || self.rate == Rate::Unlimited {
            return want;
        }
        self.bucket.take(want, self.rate(), now)
    }

    /// Permits that were asked for and not granted.
    pub(super) fn give_back(&mut self, permits: u32) {
        self.bucket.give_back(permits);
    }

    /// A call of the store with so many orders begins.
    pub(super) fn begins(&mut self, orders: u32, now: Duration) -> Call {
        self.flight.begins(orders, now)
    }

    /// It has ended.
    pub(super) fn ended(&mut self, call: Call, said: Said, now: Duration) -> Option<Turned> {
        self.seen.decided += said.decided;
        self.seen.failed += said.failed;
        if let Some(known) = self.flight.ended(call)
            && said.decided > 0
        {
            let took = now.saturating_sub(known.begun);
            let alone = known.alone || self.share <= self.least();
            let slow = self.baselines.is_slow(known.orders, took);
            self.baselines.learn(known.orders, took, alone, now);
            if known.begun >= self.cut_at && !known.counted {
                if slow {
                    self.seen.slow(known.begun);
                } else {
                    self.seen.fast += 1;
                }
            }
        }
        self.judge(now)
    }

    fn judge(&mut self, now: Duration) -> Option<Turned> {
        for late in self.flight.late(self.cut_at, |orders, begun| {
            self.baselines.is_slow(orders, now.saturating_sub(begun))
        }) {
            self.seen.slow(late);
        }
        let over = now.saturating_sub(self.seen.since);
        if over < INTERVAL {
            return None;
        }
        let full = self.rate.as_per_second() * over.as_secs_f64();
        let least = if self.holds_back() { STILL_STANDING } else { STANDING };
        if self.seen.standing(least) {
            // Of no rate there is no share that was finished: half, and see.
            let finished = f64::from(self.seen.decided) / full;
            self.share = (finished * CUT).clamp(self.share * CUT_MOST, self.share * CUT);
            self.cut_at = now;
        } else if self.seen.mostly_slow() && over < UNCLEAR_MAX {
            return None;
        } else {
            let (decided, failed) = (f64::from(self.seen.decided), f64::from(self.seen.failed));
            let failing = failed / (decided + failed).max(1.0);
            self.share *= 1.0 - failing / 2.0;
            if self.seen.fast > 0 && !self.seen.mostly_slow() {
                self.share += GROWTH * over.min(UNCLEAR_MAX).as_secs_f64();
            }
        }
        self.bucket.refill(self.rate(), now);
        self.share = self.share.clamp(self.least(), 1.0);
        self.seen = Seen { since: now, ..Seen::default() };
        self.turned()
    }

    /// The least share: the floor's of the rate; of the workers, one.
    fn least(&self) -> f64 {
        if self.rate == Rate::Unlimited {
            return 1.0 / f64::from(self.workers);
        }
        let rate = self.rate.as_per_second();
        let floor = self.floor.map_or((rate / 100.0).max(1.0), Rate::as_per_second);
        (floor / rate).min(1.0)
    }

    fn turned(&mut self) -> Option<Turned> {
        let off = if self.backed_off { self.share < 0.95 } else { self.share < 0.9 };
        let turned = match (self.backed_off, off) {
            (false, true) => Some(Turned::Off),
            (true, false) => Some(Turned::Back),
            _ => None,
        };
        self.backed_off = off;
        turned
    }
}
