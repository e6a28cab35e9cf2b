//! How long to wait before the next try: exponential, with full jitter.
//!
//! Source of the formula: "Exponential Backoff And Jitter", M. Brooker, 2015: uniform in
//! `0 ..= min(cap, base × 2^tries)`, which spreads the tries best and asks least of a store that comes back.

use std::time::Duration;

/// Random numbers from a seed (SplitMix64); good enough to spread tries, worth nothing against an attacker.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0 ..= most`, in microseconds.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % most.saturating_add(1).max(1))
    }
}

/// Bounds that double with each try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) cap: Duration,
}

impl Backoff {
    /// `min(cap, base × 2^tries)`.
    pub(super) fn bound(self, tries: u32) -> Duration {
        let factor = 1u32.checked_shl(tries).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// Full jitter: uniform from nothing to the bound.
    pub(super) fn full(self, tries: u32, jitter: &mut Jitter) -> Duration {
        jitter.up_to(self.bound(tries))
    }

    /// Half of the bound and jitter over the other half, where "at once" must not come out.
    pub(super) fn half(self, tries: u32, jitter: &mut Jitter) -> Duration {
        let half = self.bound(tries) / 2;
        half + jitter.up_to(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_never_overflows() {
        let backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(30) };
        for (tries, millis) in
            [(0, 200), (1, 400), (3, 1_600), (7, 25_600), (8, 30_000), (31, 30_000), (500, 30_000)]
        {
            assert_eq!(backoff.bound(tries), Duration::from_millis(millis), "{tries}");
        }
    }

    #[test]
    fn jitter_fills_its_range_and_repeats_with_its_seed() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
        let draws = |seed| {
            let mut jitter = Jitter::seeded(seed);
            (0..1_000).map(|_| backoff.full(0, &mut jitter)).collect::<Vec<_>>()
        };
        let all = draws(7);
        assert_eq!(all, draws(7));
        assert_ne!(all, draws(8));
        assert!(all.iter().all(|draw| *draw <= Duration::from_secs(1)));
        let tenths = |n: u32| all.iter().filter(|draw| draw.as_millis() / 100 == n.into()).count();
        assert!((0..10).all(|n| tenths(n) > 50), "every tenth of the range is drawn");
        let mut jitter = Jitter::seeded(7);
        assert!((0..1_000).all(|_| backoff.half(0, &mut jitter) >= Duration::from_millis(500)));
    }
}
