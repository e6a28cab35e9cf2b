//! How long to wait before a ledger that cannot answer yet is asked again.

use std::time::Duration;

use crate::ledger::Fault;

/// The first pause; each further one is twice as long,
const FIRST: Duration = Duration::from_millis(100);
/// and never longer than this.
const LONGEST: Duration = Duration::from_secs(1);

/// Pauses in a row, with jitter: processes that wait for one server do not come back together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    taken: u32,
}

impl Pauses {
    /// Waits after a fault, which is told once.
    pub(super) async fn after(&mut self, what: &'static str, fault: &Fault) {
        if self.taken == 0 {
            tracing::warn!(%fault, "{what} has to wait for the ledger");
        }
        tokio::time::sleep(self.next(getrandom::u32().unwrap_or_default())).await;
    }

    /// Tells that it was worth it, if there was something to wait for.
    pub(super) fn over(self, what: &'static str) {
        if self.taken > 0 {
            tracing::info!(tries = self.taken, "{what}: done, the ledger is there");
        }
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

    #[test]
    fn pauses_double_up_to_a_second_and_lie_in_the_upper_half() {
        let (mut short, mut long) = (Pauses::default(), Pauses::default());
        for bound in [100, 200, 400, 800, 1_000, 1_000] {
            let bound = Duration::from_millis(bound);
            assert_eq!((short.next(0), long.next(u32::MAX)), (bound / 2, bound));
        }
        let mut late = Pauses { taken: u32::MAX };
        assert_eq!(late.next(u32::MAX), LONGEST);
    }
}
