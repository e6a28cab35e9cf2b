//! The law of pace, seen from outside: in no window more attempts than `burst + rate × window`.

use std::time::Duration;

use anyhow::Context;

use crate::admin::TicketRow;

/// The instants of the last attempts, in order, in microseconds since 1970.
pub fn attempts(tickets: &[TicketRow]) -> anyhow::Result<Vec<i64>> {
    let mut instants = Vec::with_capacity(tickets.len());
    for text in tickets.iter().filter_map(|ticket| ticket.attempted_at.as_deref()) {
        let instant: jiff::Timestamp =
            text.parse().with_context(|| format!("attempted_at {text} is not a time"))?;
        instants.push(instant.as_microsecond());
    }
    instants.sort_unstable();
    Ok(instants)
}

/// The smallest burst with which these attempts keep to the rate in **every** window.
///
/// With `y_i = i − rate × t_i` the law says `y_j − y_i + 1 ≤ burst` for all i < j, so one pass that
/// carries the smallest `y` so far sees the worst window.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds here are far below 2^52")]
pub fn burst_needed(instants: &[i64], rate: f64) -> f64 {
    let first = instants.first().copied().unwrap_or_default();
    let (mut lowest, mut worst) = (f64::INFINITY, 0.0_f64);
    for (i, instant) in instants.iter().enumerate() {
        let y = i as f64 - rate * (instant - first) as f64 / 1e6;
        lowest = lowest.min(y);
        worst = worst.max(y - lowest + 1.0);
    }
    worst
}

/// The burst that `burst = "auto"` stands for.
pub fn burst_auto(rate: f64) -> f64 {
    1.0 + (rate * 0.01).ceil()
}

/// How long the pacer stood still beyond what its bucket holds, in all and at the longest: that rate is lost by the law.
pub fn stood_still(instants: &[i64], rate: f64, burst: f64) -> (Duration, Duration) {
    let kept = Duration::from_secs_f64(burst / rate);
    let gaps = instants.windows(2).filter_map(|pair| match pair {
        [before, after] => u64::try_from(after - before).ok().map(Duration::from_micros),
        _ => None,
    });
    gaps.fold((Duration::ZERO, Duration::ZERO), |(lost, longest), gap| {
        (lost + gap.saturating_sub(kept), longest.max(gap))
    })
}

/// Attempts a second in the window that begins at `from`, or none if they ended before it did.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds here are far below 2^52")]
pub fn rate_in(instants: &[i64], from: i64, window: Duration) -> Option<f64> {
    let to = from + i64::try_from(window.as_micros()).ok()?;
    instants.last().filter(|last| **last >= to)?;
    let inside = instants.iter().filter(|instant| (from..to).contains(*instant)).count();
    Some(inside as f64 / window.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs every 20 ms: 100 a second in bursts of two.
    fn pairs() -> Vec<i64> {
        (0..200).flat_map(|n| [n * 20_000, n * 20_000]).collect()
    }

    #[test]
    fn the_worst_window_is_found_wherever_it_lies() {
        assert!((burst_needed(&pairs(), 100.0) - 2.0).abs() < 1e-9);
        let mut one_more = pairs();
        one_more.insert(101, 50 * 20_000 + 1);
        assert!(burst_needed(&one_more, 100.0) > 2.9);
        // Unused rate is not saved: a pause of a second, and then what was missed, at once.
        let mut pause = pairs();
        pause.iter_mut().skip(200).for_each(|instant| *instant += 1_000_000);
        assert!((burst_needed(&pause, 100.0) - 2.0).abs() < 1e-9);
        pause.extend([pause[399]; 100]);
        assert!(burst_needed(&pause, 100.0) > 100.0);
        assert!(burst_needed(&[], 100.0) < 1.0);
    }

    #[test]
    fn a_rate_is_told_only_of_a_whole_window() {
        let rate = rate_in(&pairs(), 1_000_000, Duration::from_secs(2)).unwrap();
        assert!((rate - 100.0).abs() < 1e-9);
        assert_eq!(rate_in(&pairs(), 3_000_000, Duration::from_secs(2)), None);
    }

    #[test]
    fn what_a_pause_lost_is_what_the_bucket_did_not_hold() {
        let millis = Duration::from_millis;
        assert_eq!(stood_still(&pairs(), 100.0, 2.0), (Duration::ZERO, millis(20)));
        let mut pause = pairs();
        pause.iter_mut().skip(200).for_each(|instant| *instant += 1_000_000);
        assert_eq!(stood_still(&pause, 100.0, 2.0), (millis(1_000), millis(1_020)));
    }

    #[test]
    fn auto_is_ten_milliseconds_worth_and_one() {
        assert!(
            (burst_auto(500.0) - 6.0).abs() < 1e-9 && (burst_auto(10_000.0) - 101.0).abs() < 1e-9
        );
    }
}
