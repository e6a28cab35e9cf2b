//! When to ask the ledger for permits, and for how many. The ledger alone holds the rate (L7): an error here
//! costs speed, never the bound.
//!
//! Permits beyond the burst are lost, so the next question must come before the bucket is full; and each
//! question costs a call, so it must not come for every permit. A third of the default burst (10 ms of permits)
//! gathers between two questions: the rest covers a timer's grain (1 ms) and a late wake-up.

use std::time::Duration;

use super::config::{BATCH_MAX, Batch};
use crate::ledger::{DrainDoc, Grant};
use crate::sale::Rate;

/// Permits that gather between two questions, as time.
const GATHER_MICROS: u64 = 3_000;

/// How late a timer may be at its best: its grain and a wake-up.
const TIMER_LATE: Duration = Duration::from_millis(2);

/// While the drain is paused the ledger is asked this often, in case the news of its end was missed.
const PAUSED_ASK: Duration = Duration::from_secs(1);

/// The pace in force and the instant of the next question, in monotonic time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: Rate,
    burst: u32,
    batch: Batch,
    at: Duration,
    /// Questions in a row that the ledger could not answer.
    failures: u32,
}

impl Pace {
    pub(super) fn new(batch: Batch) -> Self {
        Self { rate: Rate::Unlimited, burst: 1, batch, at: Duration::ZERO, failures: 0 }
    }

    /// Other settings came into force: ask at once.
    pub(super) fn set(&mut self, doc: &DrainDoc, now: Duration) {
        self.rate = doc.rate;
        self.burst = doc.burst.unwrap_or(u32::MAX);
        self.at = now;
    }

    /// When the next question is worth asking.
    pub(super) fn at(&self) -> Duration {
        self.at
    }

    /// The most to ask for: what a batch may hold, and never more than the burst.
    pub(super) fn most(&self) -> u32 {
        let batch = if let Batch::Of(batch) = self.batch { batch } else { BATCH_MAX };
        batch.min(BATCH_MAX).min(self.burst).max(1)
    }

    /// Permits that make a question worth asking.
    pub(super) fn worth(&self) -> u32 {
        let Rate::Per { permits, period_micros } = self.rate else { return 1 };
        let worth = (u64::from(permits) * GATHER_MICROS).div_ceil(period_micros);
        u32::try_from(worth).unwrap_or(u32::MAX).min(self.most().div_ceil(2)).max(1)
    }

    /// How long until a batch worth asking for has gathered in a bucket that holds less than one permit.
    fn gather(&self) -> Duration {
        let Rate::Per { permits, period_micros } = self.rate else { return Duration::ZERO };
        let time =
            |count: u64| Duration::from_micros((count * period_micros).div_ceil(permits.into()));
        let gather = time(self.worth().into());
        // What is left of a permit now, and what gathers until a late timer fires, must fit into the bucket.
        let room = time(u64::from(self.burst) - 1);
        if room > TIMER_LATE * 2 { gather.min(room - TIMER_LATE) } else { gather }
    }

    /// A question is asked now. The next one does not wait for its answer: a ledger that commits slowly would
    /// let the bucket overflow.
    pub(super) fn asked(&mut self, now: Duration) {
        self.at = now + self.gather();
    }

    /// The answer to a question for `want` came at `now`.
    ///
    /// `own`: the sale has a rate of its own, so that little says nothing about the others' permits.
    pub(super) fn answered(&mut self, now: Duration, want: u32, grant: &Grant, own: bool) {
        self.failures = 0;
        self.at = match (grant.granted, grant.retry_in) {
            (0, None) => self.at.max(now + PAUSED_ASK),
            (0, Some(retry_in)) if !own => self.at.max(now + retry_in),
            // There may be more: in the bucket, or for the other sales.
            (granted, _) if granted == want || own => now,
            _ => self.at,
        };
    }

    /// Questions in a row that the ledger could not answer.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The ledger could not answer: it is left alone for so long.
    pub(super) fn failed(&mut self, now: Duration, pause: Duration) {
        self.at = self.at.max(now + pause);
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ledger::DrainOrigin;

    fn doc(rate: &str, burst: Option<u32>) -> DrainDoc {
        let rate: Rate = rate.parse().unwrap();
        DrainDoc {
            rate,
            burst: burst.or(rate.burst_auto()),
            paused: false,
            reason: None,
            configured_rate: rate,
            origin: DrainOrigin::Config,
            eras: Vec::new(),
        }
    }

    fn pace(rate: &str, burst: Option<u32>, batch: Batch) -> Pace {
        let mut pace = Pace::new(batch);
        pace.set(&doc(rate, burst), Duration::ZERO);
        pace
    }

    #[test]
    fn it_asks_for_no_more_than_the_burst_and_before_the_bucket_is_full() {
        // rate, burst, batch: the most to ask for, and what gathers in microseconds.
        for (rate, burst, batch, most, gather) in [
            ("100/s", None, Batch::Auto, 2, 8_000),
            ("500/s", None, Batch::Auto, 6, 4_000),
            ("1000/s", None, Batch::Auto, 11, 3_000),
            ("10000/s", None, Batch::Auto, 101, 3_000),
            ("1000000/s", None, Batch::Auto, 500, 250),
            ("10000/s", Some(5), Batch::Auto, 5, 300),
            ("10000/s", None, Batch::Of(10), 10, 500),
            ("10/h", None, Batch::Auto, 2, 359_998_000),
            ("100/s", Some(1), Batch::Auto, 1, 10_000),
            ("off", None, Batch::Auto, 500, 0),
            ("off", None, Batch::Of(64), 64, 0),
        ] {
            let pace = pace(rate, burst, batch);
            assert_eq!(pace.most(), most, "{rate} {burst:?}");
            assert_eq!(pace.gather(), Duration::from_micros(gather), "{rate} {burst:?}");
        }
    }

    #[test]
    fn what_was_answered_says_when_to_ask_again() {
        let millis = Duration::from_millis;
        let grant = |granted, retry_in| Grant { granted, at: Timestamp(0), retry_in };
        let mut pace = pace("1000/s", None, Batch::Auto);
        for (granted, retry_in, own, at) in [
            (11, None, false, 51),            // all that was wanted: there may be more
            (5, None, false, 53),             // the bucket is empty now
            (5, None, true, 51),              // the sale's own bucket may be the empty one
            (0, Some(millis(4)), false, 55),  // as the ledger says
            (0, Some(millis(900)), true, 51), // only this sale must wait
            (0, None, false, 1_051),          // paused
        ] {
            pace.set(&doc("1000/s", None), millis(50));
            pace.asked(millis(50));
            pace.answered(millis(51), 11, &grant(granted, retry_in), own);
            assert_eq!(pace.at(), millis(at), "{granted} {retry_in:?} {own}");
        }
        pace.failed(millis(2_000), millis(200));
        pace.failed(millis(2_000), millis(100));
        assert_eq!((pace.at(), pace.failures()), (millis(2_200), 2));
    }
}
