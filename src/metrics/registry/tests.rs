//! The exposition to the letter, and which series there are.

use metrics::{counter, gauge, histogram, with_local_recorder};

use super::*;
use crate::metrics::{
    ADMISSIONS, DRAIN_RATE_LIMIT, LEDGER_BATCH_SIZE, PROCESS_CPU, QUEUE_DEPTH, QUEUE_WAIT,
};

#[test]
fn the_text_is_what_prometheus_reads() {
    let registry = Registry::default();
    with_local_recorder(&registry, || {
        counter!(ADMISSIONS, "sale" => "a\"b\\", "outcome" => "accepted").increment(3);
        gauge!(DRAIN_RATE_LIMIT).set(f64::INFINITY);
        gauge!(PROCESS_CPU).set(1.5);
        [0.5, 1.0, 1.5, 9_999.0].into_iter().for_each(|n| histogram!(LEDGER_BATCH_SIZE).record(n));
    });
    let text = registry.render();
    // A sale without a handle is gone; what has no sale stays.
    assert!(!text.contains("forebay_admissions_total"), "{text}");
    let lines = |from: &str| -> Vec<&str> {
        text.lines().skip_while(|line| !line.starts_with(from)).collect()
    };
    let limit = lines("# HELP forebay_drain_rate_limit ");
    assert_eq!(
        limit[1..3],
        ["# TYPE forebay_drain_rate_limit gauge", "forebay_drain_rate_limit +Inf"]
    );
    let cpu = lines("# TYPE process_cpu_seconds_total");
    assert_eq!(
        cpu[..2],
        ["# TYPE process_cpu_seconds_total counter", "process_cpu_seconds_total 1.5"]
    );
    let batch = lines("# TYPE forebay_ledger_batch_size histogram");
    let expected = [
        r#"forebay_ledger_batch_size_bucket{le="1"} 2"#,
        r#"forebay_ledger_batch_size_bucket{le="2"} 3"#,
    ];
    assert_eq!(batch[1..3], expected, "an edge belongs to its bucket");
    let expected = [
        r#"forebay_ledger_batch_size_bucket{le="4096"} 3"#,
        r#"forebay_ledger_batch_size_bucket{le="+Inf"} 4"#,
        "forebay_ledger_batch_size_sum 10002",
        "forebay_ledger_batch_size_count 4",
    ];
    assert_eq!(batch[12..16], expected);
}

#[test]
fn labels_are_escaped_and_one_series_has_one_cell() {
    let registry = Registry::default();
    let count = || counter!(ADMISSIONS, "sale" => "a\"b\n", "outcome" => "accepted");
    let (one, two) = with_local_recorder(&registry, || (count(), count()));
    one.increment(2);
    two.increment(5);
    let line = r#"forebay_admissions_total{sale="a\"b\n",outcome="accepted"} 7"#;
    let text = registry.render();
    assert!(text.lines().any(|known| known == line), "{text}");
    assert_eq!(registry.series(), 1);
}

#[test]
fn what_is_not_in_the_table_makes_no_series() {
    let registry = Registry::default();
    with_local_recorder(&registry, || {
        counter!("forebay_unheard_of_total").increment(1);
        gauge!(QUEUE_DEPTH).set(1.0);
        gauge!(QUEUE_DEPTH, "buyer" => "b-1").set(1.0);
        histogram!(QUEUE_DEPTH, "sale" => "a").record(1.0);
        counter!(QUEUE_DEPTH, "sale" => "a").increment(1);
    });
    assert_eq!((registry.series(), registry.render()), (0, String::new()));
}

#[test]
fn series_of_a_sale_live_as_long_as_a_handle() {
    let registry = Registry::default();
    let wait = |sale: u32| histogram!(QUEUE_WAIT, "sale" => sale.to_string());
    let kept = with_local_recorder(&registry, || (wait(0), (1..100).map(wait).collect::<Vec<_>>()));
    kept.0.record(0.01);
    assert_eq!(registry.series(), 100);
    registry.sweep();
    assert_eq!(registry.series(), 100, "all are held");
    let again = with_local_recorder(&registry, || wait(0));
    drop(kept);
    registry.sweep();
    assert_eq!(registry.series(), 1);
    again.record(0.01);
    assert!(registry.render().contains("forebay_queue_wait_seconds_count{sale=\"0\"} 2"));
}
