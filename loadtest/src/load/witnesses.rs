//! Hears everybody who knows something about a run.

use super::engine::Engine;
use super::options::Options;
use super::outcome::Outcome;
use crate::admin::{Admin, Pace, TicketRow};
use crate::drive::look;
use crate::judge::{Evidence, hear_buyers, hear_pace, judge};

/// The pace of the drain, if there is somebody to ask.
pub(super) async fn pace(admin: Option<&Admin>) -> anyhow::Result<Option<Pace>> {
    match admin {
        None => Ok(None),
        Some(admin) => admin.pace().await,
    }
}

/// Hears the client, the ledger, `verify` and the store of each sale, and the drain.
pub(super) async fn hear(
    outcome: &mut Outcome,
    engine: &Engine,
    admin: Option<&Admin>,
    pace_before: Option<Pace>,
    options: &Options,
) -> anyhow::Result<()> {
    let mut tickets: Vec<TicketRow> = Vec::new();
    for at in 0..engine.plan.sales.len() {
        let evidence = evidence(engine, at, admin, options).await?;
        if let Some(history) = look(&engine.seen).histories.get(at) {
            outcome.heard(judge(history, &engine.plan.crowd, &evidence), &evidence);
        }
        tickets.extend(evidence.tickets.into_iter().flatten());
    }
    let exported = admin.map(|_| tickets.as_slice());
    hear_buyers(&mut outcome.judgement, &look(&engine.seen).trails, exported);
    // A pace that was changed meanwhile holds for nothing.
    let after = pace(admin).await?;
    if let Some(pace) = pace_before.filter(|before| after == Some(*before)) {
        tickets.retain(|row| engine.plan.crowd.knows(&row.buyer));
        if hear_pace(&mut outcome.judgement, &tickets, pace)? {
            outcome.pace = Some(format!("{}/s, burst {}", pace.rate, pace.burst));
        }
    }
    Ok(())
}

async fn evidence(
    engine: &Engine,
    at: usize,
    admin: Option<&Admin>,
    options: &Options,
) -> anyhow::Result<Evidence> {
    let (Some(admin), Some(sale)) = (admin, engine.plan.sales.get(at)) else {
        return Ok(Evidence::default());
    };
    let within = engine.plan.settle;
    admin.census_until(&sale.name, within, |census| census.unsettled() == 0).await?;
    let tickets = admin.tickets(&sale.name).await?;
    // The store is read after the export: what the ledger calls placed then, the store must have.
    let store = match &options.store {
        Some(store) => Some(store.read(&sale.name).await?),
        None => None,
    };
    let evidence = Evidence {
        limit_per_buyer: admin.limit_per_buyer(&sale.name).await?,
        tickets: Some(tickets),
        census: Some(admin.census(&sale.name).await?),
        verified: Some(admin.verify().await?),
        store,
        alone: sale.own,
    };
    if sale.own {
        admin.close(&sale.name).await?;
    }
    Ok(evidence)
}
