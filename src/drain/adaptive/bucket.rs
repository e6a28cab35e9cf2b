//! This drain's own token bucket in front of the ledger's: it only ever asks for less.

use std::time::Duration;

/// The longest that permits gather for one batch: small batches more often, rather than a silence.
const GATHER_MAX: f64 = 0.1;

/// Permits that may be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    level: f64,
    at: Duration,
    /// The batch that was waited for last: what the bucket holds.
    worth: u32,
}

impl Bucket {
    /// Takes in what has gathered at `rate` permits a second.
    pub(super) fn refill(&mut self, rate: f64, now: Duration) {
        let gathered =
            if rate.is_finite() { rate * now.saturating_sub(self.at).as_secs_f64() } else { 0.0 };
        self.level = (self.level + gathered).min(f64::from(self.worth.max(1)) + 1.0);
        self.at = self.at.max(now);
    }

    /// When `worth` permits are there, or as many as gather in [`GATHER_MAX`], one at least.
    pub(super) fn at(&mut self, worth: u32, rate: f64, now: Duration) -> Duration {
        self.worth = worth;
        self.refill(rate, now);
        let wanted = f64::from(worth).min(rate * GATHER_MAX).max(1.0);
        now + Duration::from_secs_f64(((wanted - self.level) / rate).max(0.0))
    }

    /// Takes up to `want`, one at least.
    pub(super) fn take(&mut self, want: u32, rate: f64, now: Duration) -> u32 {
        self.refill(rate, now);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a batch")]
        let taken = want.min(self.level as u32).max(1);
        self.level -= f64::from(taken);
        taken
    }

    /// Permits that were taken and are not used.
    pub(super) fn give_back(&mut self, permits: u32) {
        self.level += f64::from(permits);
    }
}
