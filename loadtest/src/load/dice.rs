//! Chance from a seed: the same seed gives the same run. A throw is a function of what it is for, so that the
//! order in which answers come changes nobody's luck.

use std::time::Duration;

/// A source of throws.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice {
    seed: u64,
}

impl Dice {
    /// Throws that differ from those of another seed or purpose.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self { seed: mix(seed ^ mix(purpose)) }
    }

    /// Evenly in [0, 1), the same each time for the same `n`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which a double holds")]
    pub(super) fn throw(self, n: u64) -> f64 {
        (mix(self.seed.wrapping_add(mix(n))) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The distance to the next of independent events that come once a unit on average.
    pub(super) fn gap(self, n: u64) -> f64 {
        -(1.0 - self.throw(n)).ln()
    }

    /// `span` and up to `share` of it more.
    pub(super) fn longer(self, n: u64, span: Duration, share: f64) -> Duration {
        span.mul_f64(1.0 + share * self.throw(n))
    }
}

/// The finaliser of SplitMix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throws_are_even_and_gaps_are_one_on_average() {
        let dice = Dice::new(7, 1);
        let mean = |of: &dyn Fn(u64) -> f64| (0..100_000).map(of).sum::<f64>() / 100_000.0;
        assert!((mean(&|n| dice.throw(n)) - 0.5).abs() < 0.01);
        assert!((mean(&|n| dice.gap(n)) - 1.0).abs() < 0.02);
        let (one, other) = (dice.throw(3).to_bits(), Dice::new(7, 2).throw(3).to_bits());
        assert!(one == dice.throw(3).to_bits() && one != other);
    }
}
