//! A result beside an earlier one.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::document::{Document, FORM, Latencies};

/// The differences.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// The earlier result's beginning.
    pub of: String,
    /// How much worse the worst of p50, p99 and the rate of answers is: 0.1 is a tenth.
    pub regress: Option<f64>,
    /// Figure by figure.
    pub rows: Vec<Difference>,
    /// Why the two can hardly be compared.
    pub warnings: Vec<String>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Difference {
    /// Its name.
    pub figure: String,
    /// In the earlier result.
    pub before: f64,
    /// In this one.
    pub now: f64,
    /// By how much it changed: 0.1 is a tenth more.
    pub change: Option<f64>,
}

/// Reads an earlier result.
pub(super) fn read(path: &Path) -> anyhow::Result<Document> {
    let name = path.display();
    let text =
        std::fs::read(path).with_context(|| format!("the baseline {name} cannot be read"))?;
    let form: serde_json::Value = serde_json::from_slice(&text)
        .with_context(|| format!("the baseline {name} is not JSON"))?;
    let found = form.get("form").and_then(|form| form.as_str()).unwrap_or("none").to_owned();
    ensure!(found == FORM, "the baseline {name} has the form {found}; {FORM} is read");
    serde_json::from_value(form).with_context(|| format!("the baseline {name}"))
}

/// Lays `now` beside `before`.
pub(super) fn compare(before: &Document, now: &Document) -> Comparison {
    let mut rows = Vec::new();
    let mut worst: Option<f64> = None;
    let mut worse = |by: f64| worst = Some(worst.map_or(by, |worst: f64| worst.max(by)));
    for (figure, of) in LATENCIES {
        let pair = (before.latencies.get("orders").map(of), now.latencies.get("orders").map(of));
        if let (Some(then), Some(now)) = pair {
            let row = difference(figure, then, now);
            // Beyond the 99th there are too few samples to tell a regression from chance.
            if matches!(figure, "p50_us" | "p99_us")
                && let Some(change) = row.change
            {
                worse(change);
            }
            rows.push(row);
        }
    }
    let rate = difference("answers_per_second", before.rates.answers, now.rates.answers);
    if now.rates.answers > 0.0 && before.rates.answers > 0.0 {
        worse(before.rates.answers / now.rates.answers - 1.0);
    }
    rows.push(rate);
    for figure in ["orders", "accepted", "errors", "late", "dropped"] {
        let of = |document: &Document| document.counts.get(figure).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
        rows.push(difference(figure, of(before) as f64, of(now) as f64));
    }
    let mut warnings = Vec::new();
    for (what, same) in [
        ("scenario", before.scenario == now.scenario),
        (
            "machine",
            before.environment.cpu == now.environment.cpu
                && before.environment.cores == now.environment.cores,
        ),
        ("number of connections", before.connections == now.connections),
    ] {
        if !same {
            warnings.push(format!("the baseline was made with another {what}"));
        }
    }
    Comparison { of: before.started_at.clone(), regress: worst, rows, warnings }
}

type Figure = fn(&Latencies) -> f64;

const LATENCIES: [(&str, Figure); 4] = [
    ("p50_us", |of| of.p50_us as f64),
    ("p90_us", |of| of.p90_us as f64),
    ("p99_us", |of| of.p99_us as f64),
    ("p999_us", |of| of.p999_us as f64),
];

fn difference(figure: &str, before: f64, now: f64) -> Difference {
    let change = (before > 0.0).then(|| now / before - 1.0);
    Difference { figure: figure.to_owned(), before, now, change }
}
