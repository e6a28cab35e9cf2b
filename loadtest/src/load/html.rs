//! The result as one page: what was found, second by second, and the spectrum of latencies.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::Run;
use super::document::{Document, Latencies};
use super::outcome::Ended;
use crate::drive::look;
use crate::page::{Axis, Chart, Mark, Page, Series, Unit};

/// Kinds of answers that have a colour of their own; the rest share one.
const KINDS: usize = 5;
/// Points for each halving of the distance to 100 %.
const STEPS: u32 = 6;

/// The whole file.
pub(super) fn page(run: &Run) -> String {
    let document = &run.document;
    let found = match document.ended {
        Ended::Held => "Every promise and every threshold held.",
        Ended::InvariantBroken => "A promise is broken.",
        Ended::ThresholdFailed => "Every promise held; a threshold is missed.",
    };
    let mut page = Page::new(format!("forebay load {}", document.scenario), found);
    page.paragraph(&document.about);
    figures(&mut page, document);
    verdict(&mut page, document);
    page.section("Second by second");
    page.chart(&answers(document));
    page.chart(&latencies(document));
    if document.timeline.iter().any(|second| second.waiting.is_some()) {
        page.chart(&queue(document));
        page.chart(&store(document));
    }
    page.section("Latencies");
    let seen = look(&run.outcome.seen);
    let of = [
        ("from when it was due", seen.orders.latencies()),
        ("from the real send", seen.orders.service_times()),
        ("polls", &seen.polls),
    ];
    page.chart(&spectrum(&of));
    page.table(
        &["", "samples", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
        &table(document),
    );
    compared(&mut page, document);
    environment(&mut page, document);
    page.html()
}

fn figures(page: &mut Page, document: &Document) {
    let count = |name: &str| document.counts.get(name).copied().unwrap_or_default();
    let p99 = document.latencies.get("orders").map_or("-".to_owned(), |of| time(of.p99_us));
    page.figures(&[
        (
            "orders",
            count("orders").to_string(),
            format!("{:.0} answers a second", document.rates.answers),
        ),
        (
            "accepted",
            count("accepted").to_string(),
            format!("{} refused by name", count("refused")),
        ),
        ("p99", p99, "from when the order was due".to_owned()),
        (
            "broken promises",
            document.verdict.findings.len().to_string(),
            document.verdict.witnesses.join(", "),
        ),
    ]);
}

fn verdict(page: &mut Page, document: &Document) {
    page.section("Verdict");
    if let Some(pace) = &document.verdict.pace {
        page.paragraph(format_args!("Attempts at the store were held against the pace of {pace}."));
    }
    let (asked, given) = document.verdict.asked_again;
    page.paragraph(format_args!(
        "{asked} accepted orders were sent once more at the end; {given} were given their ticket."
    ));
    let broken = document.verdict.broken.iter();
    let rows: Vec<Vec<String>> =
        broken.map(|(name, times)| vec![name.replace('_', " "), times.to_string()]).collect();
    page.table(&["promise", "broken"], &rows);
    for finding in document.verdict.findings.iter().take(50) {
        page.paragraph(format_args!("{:?}: {}", finding.broke, finding.what));
    }
    let thresholds = document.thresholds.iter().map(|judged| {
        let kept = if judged.kept { "kept" } else { "missed" };
        vec![judged.threshold.clone(), judged.found.clone(), kept.to_owned()]
    });
    filled(page, &["threshold", "found", ""], &thresholds.collect::<Vec<_>>());
    let refused =
        document.refused.iter().map(|(name, orders)| vec![name.clone(), orders.to_string()]);
    filled(page, &["refused in the end", "orders"], &refused.collect::<Vec<_>>());
}

/// A table, if there is something to put into it.
fn filled(page: &mut Page, headers: &[&str], rows: &[Vec<String>]) {
    if !rows.is_empty() {
        page.table(headers, rows);
    }
}

/// Answers by kind, the most frequent kinds first.
fn answers(document: &Document) -> Chart {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, times) in document.timeline.iter().flat_map(|second| &second.answers) {
        *kinds.entry(kind).or_default() += times;
    }
    let mut kinds: Vec<(&str, u64)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let named: Vec<&str> = kinds.iter().take(KINDS).map(|(kind, _)| *kind).collect();
    let mut series: Vec<Series> = named
        .iter()
        .map(|kind| bars(kind, document, |answers| answers.get(*kind).copied().unwrap_or_default()))
        .collect();
    if kinds.len() > KINDS {
        series.push(bars("others", document, |answers| {
            let others = answers.iter().filter(|(kind, _)| !named.contains(&kind.as_str()));
            others.map(|(_, times)| times).sum()
        }));
    }
    let mut chart =
        chart("Answers to orders", "By what they said, each second.", Unit::PerSecond, document);
    chart.stacked = true;
    chart.series = series;
    chart
}

fn bars(name: &str, document: &Document, of: impl Fn(&BTreeMap<String, u64>) -> u64) -> Series {
    let points =
        document.timeline.iter().map(|second| (middle(second), float(of(&second.answers))));
    Series { name: name.to_owned(), mark: Mark::Bars, points: points.collect() }
}

fn latencies(document: &Document) -> Chart {
    let line = |name: &str, of: fn(&super::Second) -> Option<u64>| {
        let points = document.timeline.iter();
        let points = points.filter_map(|second| Some((middle(second), float(of(second)?) / 1e6)));
        Series::line(name, points.collect())
    };
    let caption = "Of orders, from when they were due.";
    let mut chart = chart("Latency", caption, Unit::Seconds, document);
    chart.y = Axis::new("latency", Unit::Seconds).by_powers();
    chart.series = vec![
        line("p50", |second| second.p50_us),
        line("p99", |second| second.p99_us),
        line("longest", |second| second.max_us),
    ];
    chart
}

fn queue(document: &Document) -> Chart {
    let points = document.timeline.iter();
    let points =
        points.filter_map(|second| Some((float(second.second + 1), float(second.waiting?))));
    let caption = "Accepted orders that the store has not decided yet.";
    let mut chart = chart("Waiting", caption, Unit::Count, document);
    chart.series =
        vec![Series { name: "waiting".into(), mark: Mark::Area, points: points.collect() }];
    chart
}

fn store(document: &Document) -> Chart {
    let of = |name: &str, mark, of: fn(&super::Second) -> Option<u64>| {
        let points = document.timeline.iter();
        let points = points.filter_map(|second| Some((float(second.second), float(of(second)?))));
        Series { name: name.into(), mark, points: points.collect() }
    };
    let caption = "What came, and what reached the store: the burst is on one side only.";
    let mut chart = chart("Arrivals and store", caption, Unit::PerSecond, document);
    chart.series = vec![
        of("orders due", Mark::Area, |second| Some(second.due)),
        of("decided by the store", Mark::Step, |second| second.settled),
    ];
    chart
}

/// What happened within a second is drawn in its middle.
fn middle(second: &super::Second) -> f64 {
    float(second.second) + 0.5
}

/// A chart over the run's seconds, with its phases marked.
fn chart(title: &str, caption: &str, unit: Unit, document: &Document) -> Chart {
    let marks =
        document.phases.iter().map(|phase| (float(phase.begins_ms) / 1e3, phase.name.clone()));
    Chart {
        title: title.to_owned(),
        caption: caption.to_owned(),
        x: Axis::new("since the start", Unit::Seconds),
        y: Axis::new("", unit),
        stacked: false,
        series: Vec::new(),
        marks: marks.collect(),
    }
}

/// Latency by how rare it is: 10 is one in ten, 1,000 one in a thousand.
fn spectrum(of: &[(&str, &Histogram<u64>)]) -> Chart {
    let line = |(name, latencies): &(&str, &Histogram<u64>)| {
        let steps = latencies.iter_quantiles(STEPS);
        let points = steps.filter(|step| step.quantile_iterated_to() < 1.0).map(|step| {
            let rare = 1.0 / (1.0 - step.quantile_iterated_to());
            (rare, float(step.value_iterated_to()) / 1e6)
        });
        Series::line(*name, points.collect())
    };
    Chart {
        title: "Spectrum".to_owned(),
        caption: "One of so many took longer: 100 is the 99th percentile.".to_owned(),
        x: Axis::new("one of", Unit::Count).by_powers(),
        y: Axis::new("latency", Unit::Seconds).by_powers(),
        stacked: false,
        series: of.iter().filter(|(_, latencies)| !latencies.is_empty()).map(line).collect(),
        marks: Vec::new(),
    }
}

fn table(document: &Document) -> Vec<Vec<String>> {
    let row = |(name, of): (&String, &Latencies)| {
        let times = [of.p50_us, of.p90_us, of.p99_us, of.p999_us, of.p9999_us, of.max_us];
        let mut row =
            vec![name.clone(), of.samples.to_string(), format!("{:.2} ms", of.mean_us / 1e3)];
        row.extend(times.map(time));
        row
    };
    document.latencies.iter().map(row).collect()
}

fn compared(page: &mut Page, document: &Document) {
    let Some(baseline) = &document.baseline else { return };
    page.section("Beside the baseline");
    page.paragraph(format_args!("The earlier result is of {}.", baseline.of));
    for warning in &baseline.warnings {
        page.paragraph(warning);
    }
    let rows = baseline.rows.iter().map(|row| {
        let change = row.change.map_or("-".to_owned(), |by| format!("{:+.1} %", by * 100.0));
        vec![row.figure.clone(), format!("{:.0}", row.before), format!("{:.0}", row.now), change]
    });
    page.table(&["figure", "before", "now", "change"], &rows.collect::<Vec<_>>());
}

fn environment(page: &mut Page, document: &Document) {
    page.section("Environment");
    let of = &document.environment;
    for warning in &of.warnings {
        page.paragraph(warning);
    }
    let gateway = of.gateway_version.clone().unwrap_or_else(|| "not asked".to_owned());
    let rows = [
        ("started", document.started_at.clone()),
        ("target", document.target.clone()),
        ("seed, connections", format!("{}, {}", document.seed, document.connections)),
        ("processor", format!("{} cores of {}", of.cores, of.cpu)),
        ("kernel", of.kernel.clone()),
        ("descriptors", of.descriptors.to_string()),
        ("gateway, generator", format!("{gateway}, {}", of.generator_version)),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    page.table(&["", ""], &rows);
}

fn time(micros: u64) -> String {
    format!("{:.2?}", std::time::Duration::from_micros(micros))
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds here are far below 2^52")]
fn float(value: u64) -> f64 {
    value as f64
}
