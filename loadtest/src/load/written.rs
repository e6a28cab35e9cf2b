//! Writes down what is known of a run as a document.

use super::document::{Document, FORM, Latencies, PhaseOf, Rates, Verdict};
use super::engine::Engine;
use super::environment::Environment;
use super::outcome::Outcome;
use super::scenario::threshold::Measured;
use crate::drive::look;
use crate::report::BROKE;

/// The whole document; thresholds and the baseline are added when they are judged.
pub(super) fn document(
    outcome: &Outcome,
    engine: &Engine,
    (scenario, about): (&str, &str),
    environment: Environment,
) -> Document {
    let (plan, seen) = (&engine.plan, look(&engine.seen));
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let started = jiff::Timestamp::from_microsecond(seen.began_wall_us).unwrap_or_default();
    let phases = plan.phases.iter().zip(&plan.stretches).map(|(name, stretch)| PhaseOf {
        name: name.clone(),
        begins_ms: millis(stretch.begins),
        length_ms: millis(stretch.length),
        rates: stretch.rates,
    });
    let (answers, accepted) = outcome.rates().unwrap_or_default();
    let latencies = [
        ("orders", seen.orders.latencies()),
        ("service", seen.orders.service_times()),
        ("polls", &seen.polls),
        ("outcome", &seen.outcomes),
    ];
    let latencies = latencies
        .into_iter()
        .filter_map(|(name, histogram)| Some((name.to_owned(), Latencies::of(histogram)?)));
    let mut statuses = std::collections::BTreeMap::new();
    for history in &seen.histories {
        for (status, count) in history.tally().statuses() {
            *statuses.entry(status.to_string()).or_default() += count;
        }
    }
    let judgement = &outcome.judgement;
    let broken = BROKE
        .iter()
        .map(|(name, broke)| (name.replace([' ', '-'], "_"), judgement.count(*broke) as u64));
    Document {
        form: FORM.to_owned(),
        scenario: scenario.to_owned(),
        about: about.to_owned(),
        target: format!("http://{}", engine.target.host),
        started_at: started.to_string(),
        elapsed_ms: millis(outcome.elapsed),
        seed: plan.seed,
        connections: plan.connections as u64,
        phases: phases.collect(),
        counts: outcome.counted(),
        rates: Rates { answers, accepted },
        latencies: latencies.collect(),
        statuses,
        refused: judgement.refused.clone(),
        verdict: Verdict {
            ok: judgement.ok(),
            witnesses: judgement.witnesses.iter().map(|name| (*name).to_owned()).collect(),
            broken: broken.collect(),
            unknown: judgement.unknown,
            recovered: judgement.recovered,
            asked_again: outcome.asked_again,
            pace: outcome.pace.clone(),
            findings: judgement.findings.clone(),
        },
        thresholds: Vec::new(),
        ended: outcome.ended(),
        timeline: outcome.timeline.clone(),
        environment,
        baseline: None,
    }
}
