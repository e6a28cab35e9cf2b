//! The figure that counts of several rounds.

/// The middle one; of two in the middle the larger.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_robust_and_nothing_measured_is_not_good() {
        assert!((median(&[9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(&[]).is_infinite());
    }
}
