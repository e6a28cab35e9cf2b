//! All series of the process, and their exposition as Prometheus text.
//!
//! Stands behind the `metrics` facade. Observations go straight into their buckets, so that memory does not grow
//! between two reads, and series of a sale go when nobody holds their handles any more. The text is written by
//! `metrics-exporter-prometheus`, whose own recorder does neither.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{
    write_help_line, write_metric_line, write_type_line,
};

use super::{ALL, Kind, Metric};

/// The label whose values come and go: series that have it live as long as somebody holds a handle.
const SALE: &str = "sale";

/// The series of one metric, by their labels.
type Family = BTreeMap<Key, Cell>;

/// Every series of every metric in the table. A clone is the same registry.
#[derive(Clone, Debug)]
pub struct Registry {
    families: Arc<[Mutex<Family>]>,
}

#[derive(Clone, Debug)]
enum Cell {
    Count(Arc<AtomicU64>),
    /// The bits of a float.
    Value(Arc<AtomicU64>),
    Buckets(Arc<Buckets>),
}

impl Cell {
    /// Only the registry knows of it.
    fn is_let_go(&self) -> bool {
        1 == match self {
            Self::Count(cell) | Self::Value(cell) => Arc::strong_count(cell),
            Self::Buckets(cell) => Arc::strong_count(cell),
        }
    }
}

#[derive(Debug)]
struct Buckets {
    edges: &'static [f64],
    /// One for each edge, and one for what is above the last.
    counts: Box<[AtomicU64]>,
    /// The bits of a float.
    sum: AtomicU64,
}

impl Buckets {
    fn new(edges: &'static [f64]) -> Self {
        let counts = (0..=edges.len()).map(|_| AtomicU64::new(0)).collect();
        Self { edges, counts, sum: AtomicU64::new(0.0_f64.to_bits()) }
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let at = self.edges.partition_point(|edge| *edge < value);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        let added = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        debug_assert!(added.is_ok(), "what always wants to be stored is stored");
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self { families: ALL.iter().map(|_| Mutex::default()).collect() }
    }
}

impl Registry {
    fn family(&self, at: usize) -> MutexGuard<'_, Family> {
        self.families[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cell of a series, made when it is not there. `None` when the table has no such metric with such labels.
    fn cell(&self, key: &Key, make: impl FnOnce(&Metric) -> Option<Cell>) -> Option<Cell> {
        let at = ALL.iter().position(|metric| metric.name == key.name())?;
        let metric = &ALL[at];
        let as_in_the_table =
            key.labels().map(metrics::Label::key).eq(metric.labels.iter().copied());
        if !as_in_the_table {
            return None;
        }
        let mut family = self.family(at);
        if let Some(cell) = family.get(key) {
            return Some(cell.clone());
        }
        let cell = make(metric)?;
        family.insert(key.clone(), cell.clone());
        Some(cell)
    }

    /// Drops the series of sales that are gone. What nobody holds a handle of and has no sale stays.
    pub fn sweep(&self) {
        for (at, metric) in ALL.iter().enumerate() {
            if metric.labels.contains(&SALE) {
                self.family(at).retain(|_, cell| !cell.is_let_go());
            }
        }
    }

    /// How many series there are; a histogram is one.
    #[must_use]
    pub fn series(&self) -> usize {
        (0..ALL.len()).map(|at| self.family(at).len()).sum()
    }

    /// Everything in Prometheus' text format, version 0.0.4, in the order of the table.
    #[must_use]
    pub fn render(&self) -> String {
        self.sweep();
        let mut out = String::with_capacity(64 << 10);
        for (at, metric) in ALL.iter().enumerate() {
            let family = self.family(at);
            if !family.is_empty() {
                write_family(&mut out, metric, &family);
            }
        }
        out
    }
}

fn write_family(out: &mut String, metric: &Metric, family: &Family) {
    let name = metric.name;
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    write_help_line(out, name, None, None, metric.help);
    write_type_line(out, name, None, None, kind);
    for (key, cell) in family {
        let labels = LabelSet::from_key_and_global(key, &IndexMap::new());
        match cell {
            Cell::Count(cell) => write_line(out, name, &labels, cell.load(Ordering::Relaxed)),
            Cell::Value(cell) => {
                let value = f64::from_bits(cell.load(Ordering::Relaxed));
                write_line(out, name, &labels, Number(value));
            }
            Cell::Buckets(buckets) => write_buckets(out, name, &labels, buckets),
        }
    }
}

fn write_line(out: &mut String, name: &str, labels: &LabelSet, value: impl Display) {
    write_metric_line(out, name, None, labels, None::<(&str, u64)>, value, None);
}

fn write_buckets(out: &mut String, name: &str, labels: &LabelSet, buckets: &Buckets) {
    let edges = buckets.edges.iter().copied().chain([f64::INFINITY]);
    let mut count = 0;
    for (edge, here) in edges.zip(&buckets.counts) {
        count += here.load(Ordering::Relaxed);
        let edge = Some(("le", Number(edge)));
        write_metric_line(out, name, Some("bucket"), labels, edge, count, None);
    }
    let sum = Number(f64::from_bits(buckets.sum.load(Ordering::Relaxed)));
    write_metric_line(out, name, Some("sum"), labels, None::<(&str, u64)>, sum, None);
    write_metric_line(out, name, Some("count"), labels, None::<(&str, u64)>, count, None);
}

/// A number as Prometheus reads it.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

impl Recorder for Registry {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let cell = self.cell(key, |metric| {
            (metric.kind == Kind::Counter).then(|| Cell::Count(Arc::default()))
        });
        match cell {
            Some(Cell::Count(cell)) => Counter::from_arc(cell),
            _ => Counter::noop(),
        }
    }

    /// A counter that is counted elsewhere, by the kernel, is set like a gauge.
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let cell = self.cell(key, |metric| {
            (!matches!(metric.kind, Kind::Histogram(_))).then(|| Cell::Value(Arc::default()))
        });
        match cell {
            Some(Cell::Value(cell)) => Gauge::from_arc(cell),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let cell = self.cell(key, |metric| match metric.kind {
            Kind::Histogram(edges) => Some(Cell::Buckets(Arc::new(Buckets::new(edges)))),
            Kind::Counter | Kind::Gauge => None,
        });
        match cell {
            Some(Cell::Buckets(cell)) => Histogram::from_arc(cell),
            _ => Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests;
