//! Metrics take the memory of their series and no more: however much is observed and nobody reads, and however many
//! sales come and go.
//!
//! One test alone in its process, since it looks at the memory of the process.

use forebay::metrics::{
    ADMISSIONS, HTTP_REQUEST_DURATION, LEDGER_BATCH_SIZE, ORDER_COMPLETION, QUEUE_WAIT, Registry,
    STOCK_UNITS,
};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram, with_local_recorder};

/// Two threads record half of them each.
const SAMPLES: usize = 5_000_000;

/// What the process may have grown by: pages that the allocator keeps, and stacks.
const SLACK: u64 = 2 << 20;

fn scale() -> usize {
    std::env::var("FOREBAY_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// Memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") << 10
}

/// Handles as a gateway keeps them for one sale.
fn sale(registry: &Registry, name: &str) -> (Vec<Counter>, Vec<Gauge>, [Histogram; 2]) {
    let outcome =
        |n: usize| counter!(ADMISSIONS, "sale" => name.to_owned(), "outcome" => n.to_string());
    let unit = |n: usize| gauge!(STOCK_UNITS, "sale" => name.to_owned(), "sku" => n.to_string(), "state" => "held");
    let waits = [QUEUE_WAIT, ORDER_COMPLETION].map(|metric| (metric, name.to_owned()));
    with_local_recorder(registry, || {
        let waits = waits.map(|(metric, name)| histogram!(metric, "sale" => name));
        ((0..17).map(outcome).collect(), (0..100).map(unit).collect(), waits)
    })
}

fn observe(registry: &Registry) {
    let samples = SAMPLES * scale() / 2;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let handles = with_local_recorder(registry, || {
                let labels = ["202", "409", "503"];
                let code = |code: &'static str| histogram!(HTTP_REQUEST_DURATION, "route" => "orders", "method" => "POST", "code" => code);
                let batch = histogram!(LEDGER_BATCH_SIZE);
                labels.map(code).into_iter().chain([batch]).collect::<Vec<_>>()
            });
            scope.spawn(move || {
                for n in 0..samples {
                    handles[n % handles.len()].record((n % 1_000) as f64 / 100_000.0);
                }
            });
        }
    });
}

fn counted(registry: &Registry) -> u64 {
    let text = registry.render();
    let counts = text.lines().filter(|line| line.contains("_count"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn memory_is_flat_while_nobody_reads_and_when_sales_are_gone() {
    let registry = Registry::default();
    // What the allocator and the threads need is taken before it is looked at.
    observe(&registry);
    (0..100).for_each(|n| drop(sale(&registry, &format!("warm-{n}"))));
    registry.sweep();
    let (before, series) = (resident(), registry.series());

    observe(&registry);
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes more after {} samples", SAMPLES * scale());
    assert!(grown < SLACK, "{grown} bytes");

    let sales: Vec<_> = (0..100).map(|n| sale(&registry, &format!("sale-{n}"))).collect();
    assert_eq!(registry.series(), series + 100 * 119);
    drop(sales);
    registry.sweep();
    assert_eq!(registry.series(), series, "a sale that is gone leaves no series");
    for n in 0..1_000 * scale() {
        drop(sale(&registry, &format!("next-{n}")));
        registry.sweep();
    }
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes more after {} sales", 100 + 1_000 * scale());
    assert!(grown < 4 * SLACK, "{grown} bytes");
    assert_eq!(counted(&registry), 2 * (SAMPLES * scale()) as u64, "and every sample was counted");
}
