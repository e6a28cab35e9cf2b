//! How long to wait before a ledger that cannot answer yet is asked again, and when that is worth a word.

use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Fault;

/// The first pause; each further one is twice as long,
const FIRST: Duration = Duration::from_millis(100);
/// and never longer than this.
const LONGEST: Duration = Duration::from_secs(1);
/// A server that is there needs some moments at a start: a wait as short as that is no news to anybody.
const ORDINARY: Duration = Duration::from_secs(1);

/// Pauses in a row, with jitter: processes that wait for one server do not come back together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    began: Instant,
    taken: u32,
    /// The operator was told that something waits.
    told: bool,
}

impl Pauses {
    /// None yet; what waits begins to do so now.
    pub(super) fn begin() -> Self {
        Self { began: tokio::time::Instant::now(), taken: 0, told: false }
    }

    /// Waits after a fault. It is told once, when the wait has become longer than an ordinary start takes.
    pub(super) async fn after(&mut self, what: &'static str, fault: &Fault) {
        if self.is_news() {
            tracing::warn!(%fault, "{what} has to wait for the ledger");
        } else {
            tracing::debug!(%fault, "{what} has to wait for the ledger");
        }
        tokio::time::sleep(self.next(getrandom::u32().unwrap_or_default())).await;
    }

    /// Tells that it was worth it, to whoever was told of the wait.
    pub(super) fn over(self, what: &'static str) {
        if self.told {
            tracing::info!(tries = self.taken, "{what}: done, the ledger is there");
        }
    }

    /// Whether the wait is to be told now; once.
    fn is_news(&mut self) -> bool {
        let news = !self.told && self.began.elapsed() >= ORDINARY;
        self.told |= news;
        news
    }

    /// From a half to the whole of the bound, by a random number.
    fn next(&mut self, random: u32) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.taken.min(16)).min(LONGEST);
        self.taken = self.taken.saturating_add(1);
        bound / 2 + (bound / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_double_up_to_a_second_and_lie_in_the_upper_half() {
        let (mut short, mut long) = (Pauses::begin(), Pauses::begin());
        for bound in [100, 200, 400, 800, 1_000, 1_000] {
            let bound = Duration::from_millis(bound);
            assert_eq!((short.next(0), long.next(u32::MAX)), (bound / 2, bound));
        }
        let mut late = Pauses { taken: u32::MAX, ..short };
        assert_eq!(late.next(u32::MAX), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordinary_start_is_not_told_and_a_longer_wait_is_told_once() {
        let fault = Fault::unavailable("not yet");
        let mut pauses = Pauses::begin();
        let mut told = Vec::new();
        while pauses.began.elapsed() < Duration::from_secs(5) {
            let before = (pauses.told, pauses.began.elapsed());
            pauses.after("the test", &fault).await;
            if pauses.told && !before.0 {
                told.push(before.1);
            }
        }
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0] >= ORDINARY && told[0] < 3 * ORDINARY, "{told:?}");
    }
}
