//! The percentile spectrum in the text form of HdrHistogram, as wrk2 prints it and its plotters read it.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100 %.
const STEPS: u32 = 5;

/// Latencies in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "latencies in microseconds are far below 2^52")]
pub(super) fn text(latencies: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut seen = 0;
    for step in latencies.iter_quantiles(STEPS) {
        seen += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e3;
        let share = step.quantile_iterated_to();
        let _ = write!(text, "{value:12.3} {share:2.12} {seen:10}");
        let _ = match share < 1.0 {
            true => writeln!(text, " {:14.2}", 1.0 / (1.0 - share)),
            false => writeln!(text, " {:>14}", "inf"),
        };
    }
    let (mean, deviation) = (latencies.mean() / 1e3, latencies.stdev() / 1e3);
    let (max, total) = (latencies.max() as f64 / 1e3, latencies.len());
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {total:12}]");
    let buckets = latencies.buckets();
    let sub = (2 * 10_u64.pow(latencies.sigfig().into())).next_power_of_two();
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {sub:12}]");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::histogram;

    #[test]
    fn it_rises_to_all_samples_and_ends_with_the_totals() {
        let mut latencies = histogram();
        (1..=1_000).for_each(|micros| latencies.record(micros * 1_000).unwrap());
        let text = text(&latencies);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map_while(|word| word.parse().ok()).collect())
            .filter(|row: &Vec<f64>| row.len() == 4)
            .collect();
        assert!(rows.len() > 20 && rows.is_sorted_by(|a, b| a[1] <= b[1] && a[2] <= b[2]));
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((median[0] - 500.0).abs() < 1.0 && (median[3] - 2.0).abs() < 0.1, "{median:?}");
        let last = rows.last().unwrap();
        assert!((last[2] - 1_000.0).abs() < 0.1 && last[3].is_infinite(), "{last:?}");
        assert!(
            text.contains("#[Max     =     1000.447, Total count    =         1000]"),
            "{text}"
        );
        assert!(text.contains("SubBuckets     =         2048]"));
    }
}
