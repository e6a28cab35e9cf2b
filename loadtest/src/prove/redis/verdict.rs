//! The end of a sale: what both gateways tell its buyers and every witness holds, judged by what was sent.

use anyhow::Context;

use super::deployment::Deployment;
use super::readings::{Readings, Wanted};
use crate::admin::Pace;
use crate::drive::{Shared, look};
use crate::form::Crowd;
use crate::history::History;
use crate::judge::{Evidence, Judgement, hear_buyers, hear_pace, judge};
use crate::report;

/// What came of a sale.
pub(super) struct Verdict {
    pub(super) judgement: Judgement,
    pub(super) evidence: Evidence,
    pub(super) pace: Pace,
    /// There were attempts to hold against the pace.
    pub(super) paced: bool,
}

/// Hears everybody about a sale that is settled, and prints the judgement.
pub(super) async fn hear(
    deployment: &Deployment,
    sale: &str,
    crowd: &Crowd,
    history: &Shared<History>,
) -> anyhow::Result<Verdict> {
    let readings = Readings::of(&look(history));
    let publics = [&deployment.gateways[0].public, &deployment.gateways[1].public];
    for at in [0, 1] {
        readings.read(publics, move |_| at, Wanted::End).await?;
    }
    let evidence = deployment.evidence(sale).await?;
    let mut judgement = judge(&look(history), crowd, &evidence);
    let tickets = evidence.tickets.as_deref().unwrap_or_default();
    hear_buyers(&mut judgement, &look(readings.trails()), Some(tickets));
    let pace = deployment.gateways[0].admin.pace().await?.context("the drain has no pace")?;
    let paced = hear_pace(&mut judgement, tickets, pace)?;
    report::judgement(&judgement);
    Ok(Verdict { judgement, evidence, pace, paced })
}
