//! The table against what is promised.

use super::*;

fn edges(name: &str) -> &'static [f64] {
    let metric = ALL.iter().find(|metric| metric.name == name).unwrap();
    match metric.kind {
        Kind::Histogram(edges) => edges,
        kind => panic!("{name} is {kind:?}"),
    }
}

#[test]
fn what_is_promised_in_time_is_an_edge() {
    let (ms, s) = (0.001, 1.0);
    for (name, promised) in [
        // A refusal from memory, an order, its must, news of an outcome, `order_deadline`, the longest held answer.
        (HTTP_REQUEST_DURATION, vec![ms, 2.0 * ms, 5.0 * ms, 50.0 * ms, 2.0 * s, 30.0 * s]),
        // `attempt_timeout`, and the lease.
        (STORE_REQUEST_DURATION, vec![5.0 * s, 10.0 * s]),
        (LEDGER_REQUEST_DURATION, vec![ms, 2.0 * s]),
        // An attempt starts within 50 ms; `max_wait`.
        (QUEUE_WAIT, vec![50.0 * ms, 60.0 * s]),
        (ORDER_COMPLETION, vec![60.0 * s]),
        (LEDGER_FSYNC_DURATION, vec![ms, 5.0 * ms]),
    ] {
        for edge in promised {
            assert!(edges(name).contains(&edge), "{name} has no edge at {edge} s");
        }
    }
}

#[test]
fn buckets_resolve_from_the_first_answer_to_the_last() {
    for name in [HTTP_REQUEST_DURATION, LEDGER_REQUEST_DURATION, STORE_REQUEST_DURATION] {
        let edges = edges(name);
        assert!(edges[0] <= 0.000_25 && edges[edges.len() - 1] >= 10.0, "{name}");
    }
    for name in [QUEUE_WAIT, ORDER_COMPLETION] {
        let edges = edges(name);
        assert!(edges[0] <= 0.001 && edges[edges.len() - 1] >= 600.0, "{name}");
    }
}

#[test]
fn a_name_says_its_unit() {
    let unit = |name| ALL.iter().find(|metric| metric.name == name).unwrap().unit();
    assert_eq!(unit(HTTP_REQUEST_DURATION), "seconds");
    assert_eq!(unit(PROCESS_CPU), "seconds");
    assert_eq!(unit(LEDGER_BOOK_BYTES), "bytes");
    assert_eq!(unit(LEDGER_BATCH_SIZE), "");
    assert_eq!(unit(ADMISSIONS), "");
}
