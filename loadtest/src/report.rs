//! How a result is shown to people.

use crate::drive::Driven;
use crate::judge::{Broke, Judgement};
use crate::output;
use crate::tally::Tally;

/// Findings printed in full; the counts are always complete.
const FINDINGS_SHOWN: usize = 20;

/// Prints one row of a two-column table.
pub fn row(name: &str, value: impl std::fmt::Display) {
    output::line(format_args!("{name:<34} {value}"));
}

/// The verdict as rows, with the first findings in words.
pub fn judgement(judgement: &Judgement) {
    row("witnesses heard", judgement.witnesses.join(", "));
    row("accepted", judgement.accepted);
    for (code, asks) in &judgement.refused {
        row(&format!("refused: {code}"), asks);
    }
    row("unknown at first", judgement.unknown);
    row(
        "recovered by key",
        format_args!("{} ({} replayed)", judgement.recovered, judgement.replayed),
    );
    for (name, broke) in BROKE {
        row(name, judgement.count(broke));
    }
    for finding in judgement.findings.iter().take(FINDINGS_SHOWN) {
        output::line(format_args!("  {:?}: {}", finding.broke, finding.what));
    }
    if judgement.findings.len() > FINDINGS_SHOWN {
        output::line(format_args!("  … {} more", judgement.findings.len() - FINDINGS_SHOWN));
    }
}

/// The promises in the order in which they are shown.
pub(crate) const BROKE: [(&str, Broke); 14] = [
    ("lost", Broke::Lost),
    ("doubled", Broke::Doubled),
    ("oversold", Broke::Oversold),
    ("unexpected", Broke::Unexpected),
    ("limit broken", Broke::LimitBroken),
    ("forgotten", Broke::Forgotten),
    ("unnamed refusals", Broke::Unnamed),
    ("retry-after wrong", Broke::RetryAfter),
    ("position grew", Broke::PositionGrew),
    ("two ends", Broke::TwoEnds),
    ("pace broken", Broke::PaceBroken),
    ("unresolved", Broke::Unresolved),
    ("unsettled", Broke::Unsettled),
    ("laws broken", Broke::Law),
];

/// Latencies and the generator's own conduct, as rows.
pub fn timing(tally: &Tally, driven: &Driven) {
    let seconds = driven.elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let rate = tally.answered() as f64 / seconds.max(f64::MIN_POSITIVE);
    row("orders sent", driven.sends);
    row("answers a second", format_args!("{rate:.0}"));
    for (name, share) in QUANTILES {
        let (all, service) = (tally.latency(share), tally.service_time(share));
        row(&format!("latency {name}"), format_args!("{all:.2?} (service {service:.2?})"));
    }
    row(
        "late sends (generator)",
        format_args!("{} ({:.2} %)", driven.late, driven.late_share() * 100.0),
    );
    row("waited for a free connection", driven.waited);
    for (broken, attempts) in tally.broken() {
        row(&format!("without an answer: {broken:?}"), attempts);
    }
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
