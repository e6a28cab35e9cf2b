//! L7 from the orders: over any window at most `burst + rate × window` attempts.
//!
//! The attempts are run through a bucket that begins full. It never goes below zero exactly when every window
//! keeps the bound. The ledger keeps the last grant of each order; whatever is left out only makes it fewer.

use super::findings::{Finding, Findings};
use crate::clock::Timestamp;
use crate::ledger::PaceEra;
use crate::sale::Rate;

/// A bucket in millionths of a permit, so that rates with different periods add up; rounded in favour of the
/// attempts.
struct Bucket {
    era: PaceEra,
    level: u128,
    at: Timestamp,
}

const PERMIT: u128 = 1_000_000;

impl Bucket {
    fn full(era: PaceEra) -> Self {
        Self { era, level: u128::MAX, at: era.from }.capped()
    }

    fn capped(mut self) -> Self {
        let burst = self.era.burst.map_or(u128::MAX, |burst| u128::from(burst) * PERMIT);
        self.level = self.level.min(burst);
        self
    }

    fn at(self, now: Timestamp) -> Self {
        let elapsed = u128::from(now.0.saturating_sub(self.at.0));
        let earned = match self.era.rate {
            Rate::Unlimited => u128::MAX,
            Rate::Per { permits, period_micros } => {
                (elapsed * u128::from(permits) * PERMIT).div_ceil(u128::from(period_micros))
            }
        };
        Self { level: self.level.saturating_add(earned), at: now, ..self }.capped()
    }

    /// A change of pace saves what is there, as far as the new burst allows.
    fn change(self, era: PaceEra) -> Self {
        let saved = self.at(era.from);
        let level = saved.level.div_ceil(PERMIT).saturating_mul(PERMIT);
        Self { era, level, at: era.from }.capped()
    }
}

/// Runs all attempts through the paces that were in force. What was tried before the oldest pace that is kept
/// cannot be judged.
pub(super) fn check(attempts: &mut [Timestamp], eras: &[PaceEra], findings: &mut Findings) {
    attempts.sort_unstable();
    let Some((first, later)) = eras.split_first() else { return };
    let mut bucket = Bucket::full(*first);
    let mut later = later.iter().peekable();
    for at in attempts.iter().filter(|at| **at > first.from) {
        // An attempt in the microsecond of a change was granted before it: nothing is saved by a change.
        while let Some(era) = later.next_if(|era| era.from < *at) {
            bucket = bucket.change(*era);
        }
        bucket = bucket.at(*at);
        match bucket.level.checked_sub(PERMIT) {
            Some(left) => bucket.level = left,
            None => {
                let (rate, burst) = (bucket.era.rate, bucket.era.burst.unwrap_or_default());
                let expected = format!("at most {burst} + {rate} × window attempts");
                findings.add(Finding::new("L7", expected, format!("one more at {at}")));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era(from: u64, permits: u32, burst: u32) -> PaceEra {
        PaceEra { from: Timestamp(from), rate: Rate::per_second(permits), burst: Some(burst) }
    }

    fn broken(attempts: &[u64], eras: &[PaceEra]) -> bool {
        let mut findings = Findings::default();
        let mut attempts: Vec<Timestamp> = attempts.iter().map(|at| Timestamp(*at)).collect();
        check(&mut attempts, eras, &mut findings);
        !findings.is_empty()
    }

    #[test]
    fn a_window_holds_the_burst_and_what_was_earned() {
        let eras = [era(0, 1_000, 3)];
        assert!(!broken(&[9_000, 9_000, 9_000, 10_000, 11_000], &eras));
        assert!(broken(&[9_000, 9_000, 9_000, 9_999], &eras), "one a microsecond early");
        assert!(broken(&[9_000, 9_000, 9_000, 9_000], &eras));
    }

    #[test]
    fn a_change_of_pace_saves_at_most_its_own_burst() {
        let eras = [era(0, 1_000, 5), era(50_000, 1_000, 2)];
        assert!(!broken(&[50_000; 5], &eras), "granted before the change of the same instant");
        assert!(broken(&[50_001; 3], &eras));
        assert!(!broken(&[50_001; 2], &eras));
    }

    #[test]
    fn an_unlimited_pace_breaks_nothing_and_saves_a_burst() {
        let unlimited = PaceEra { from: Timestamp(0), rate: Rate::Unlimited, burst: None };
        let eras = [unlimited, era(50_000, 10, 2)];
        assert!(!broken(&[7; 10_000], &eras));
        assert!(!broken(&[50_001; 2], &eras));
        assert!(broken(&[50_001; 3], &eras));
    }
}
