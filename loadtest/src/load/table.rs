//! The result for people.

use super::Run;
use super::outcome::{Ended, Outcome};
use super::scenario::threshold::{At, Counter, Measured, Of};
use crate::{output, report};

const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Prints the table.
pub(super) fn print(run: &Run) {
    let (outcome, document) = (&run.outcome, &run.document);
    output::line(format_args!("{}: {}", document.scenario, document.about));
    latencies(outcome);
    for counter in Counter::ALL {
        let (count, of) = outcome.count(counter);
        if count > 0 || matches!(counter, Counter::Errors | Counter::Late | Counter::Dropped) {
            report::row(words(counter), share(count, of));
        }
    }
    if let Some((answers, accepted)) = outcome.rates() {
        report::row("answers a second", format_args!("{answers:.0} ({accepted:.0} accepted)"));
    }
    report::judgement(&outcome.judgement);
    let (asked, given) = outcome.asked_again;
    report::row("accepted orders sent again", format_args!("{asked}, {given} got a ticket"));
    if let Some(pace) = &outcome.pace {
        report::row("held against the pace of", pace);
    }
    if let Some(baseline) = &document.baseline {
        output::line(format_args!("beside the result of {}", baseline.of));
        for warning in &baseline.warnings {
            output::line(format_args!("  {warning}"));
        }
        for row in &baseline.rows {
            let change = row.change.map_or("-".to_owned(), |by| format!("{:+.1} %", by * 100.0));
            let (before, now) = (row.before, row.now);
            report::row(&row.figure, format_args!("{before:.0} → {now:.0} ({change})"));
        }
    }
    for judged in &outcome.thresholds {
        let name = if judged.kept { "kept" } else { "MISSED" };
        report::row(name, format_args!("{}: {}", judged.threshold, judged.found));
    }
    output::line(match outcome.ended() {
        Ended::Held => "all held",
        Ended::InvariantBroken => "A PROMISE IS BROKEN",
        Ended::ThresholdFailed => "A THRESHOLD IS MISSED",
    });
}

fn latencies(outcome: &Outcome) {
    for (name, quantile) in QUANTILES {
        let at = At::Quantile(quantile);
        if let (Some(all), Some(service)) =
            (outcome.latency(Of::Orders, at), outcome.latency(Of::Service, at))
        {
            report::row(
                &format!("latency {name}"),
                format_args!("{all:.2?} (service {service:.2?})"),
            );
        }
    }
    for (name, of) in [("polls", Of::Polls), ("outcome known", Of::Outcome)] {
        let at = |quantile| outcome.latency(of, At::Quantile(quantile));
        if let (Some(p50), Some(p99)) = (at(0.5), at(0.99)) {
            report::row(&format!("{name} p50, p99"), format_args!("{p50:.2?}, {p99:.2?}"));
        }
    }
}

fn words(counter: Counter) -> &'static str {
    match counter {
        Counter::Late => "late sends (generator)",
        Counter::Waited => "waited for a free connection",
        Counter::Errors => "errors: no answer, or no name",
        Counter::Outcomes => "outcomes known",
        other => other.name(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
fn share(count: u64, of: u64) -> String {
    match of {
        0 => count.to_string(),
        _ if count == of => count.to_string(),
        of => format!("{count} ({:.2} %)", count as f64 / of as f64 * 100.0),
    }
}
