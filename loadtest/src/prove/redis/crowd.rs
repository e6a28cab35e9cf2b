//! Many buyers at both gateways, few units: exactly the units are sold, at one pace over both drains; a ticket is
//! good at both gateways, and what one of them is told the other knows.

use std::time::{Duration, Instant};

use super::deployment::{Deployment, Side, come_again, send};
use super::readings::{Readings, Wanted};
use super::verdict::{self, Verdict};
use super::{Checks, SKU, Scale};
use crate::clock;
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::judge::Broke;
use crate::report;

const SALE: &str = "crowd";
const CONNECTIONS: usize = 32;
/// A sale that was made at one process is known to all within it.
const KNOWN_WITHIN: Duration = Duration::from_millis(500);
/// Units that were added at one process reach all within it.
const REOPENED_WITHIN: Duration = Duration::from_millis(200);
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn prove(
    deployment: &Deployment,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let (buyers, units, added) = scale.pick((2_000, 100, 20), (20_000, 1_000, 200));
    let known = deployment.open(SALE, units, Some(1)).await?;
    let what = "a sale made at one gateway is open at the other";
    timed(checks, scale, known, KNOWN_WITHIN, what);
    let crowd = Crowd::new(SALE, 1);
    let form = OrderForm::new(SALE, SKU, crowd.clone());
    let drives = deployment.drives(&form, CONNECTIONS);
    let history = shared(History::default());

    let driven = send(&drives, 0..buyers, Side::Own, &history).await;
    let readings = Readings::of(&look(&history));
    let publics = [&deployment.gateways[0].public, &deployment.gateways[1].public];
    let other = |ask| Side::Other.gateway(ask);
    let waiting = readings.read(publics, other, Wanted::State).await?;
    let what =
        format_args!("{} tickets read at the other gateway, {waiting} wait", readings.count());
    report::row("tickets", what);
    deployment.phase(SALE, "sold_out").await?;
    send(&drives, 0..buyers, Side::Other, &history).await;
    come_again(&drives[0], &history).await;
    for (at, driven) in driven.iter().enumerate() {
        report::row(&format!("gateway {at}"), format_args!("{} orders sent", driven.sends));
    }

    deployment.gateways[0].admin.add_stock(SALE, SKU, added, "more").await?;
    let began = clock::now();
    deployment.gateways[1].phase(SALE, "open").await?;
    let what = "units added at one gateway reopen the sale at the other";
    timed(checks, scale, since(began), REOPENED_WITHIN, what);
    let newcomers = buyers..buyers + 2 * added;
    // At the one gateway that was not asked for more units.
    let late = newcomers.filter(|ask| Side::Own.gateway(*ask) == 1).take(usize::try_from(added)?);
    drives[1].run::<crate::wire::full::FullWire, History>(late, history.clone()).await;
    come_again(&drives[1], &history).await;
    conclude(deployment, &crowd, &history, units + added, checks).await
}

fn since(began: Instant) -> Duration {
    clock::now() - began
}

/// Small scale judges no time: it has come at all.
fn timed(checks: &mut Checks, scale: Scale, seen: Duration, promised: Duration, what: &str) {
    match scale {
        Scale::Small => report::row("seen", format_args!("{what}: {seen:.1?}")),
        Scale::Full => checks.threshold(seen <= promised, format_args!("{what}: {seen:.1?}")),
    }
}

async fn conclude(
    deployment: &Deployment,
    crowd: &Crowd,
    history: &crate::drive::Shared<History>,
    units: u64,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    deployment.gateways[0].settled(SALE, SETTLE_WITHIN).await?;
    let Verdict { judgement, evidence, pace, paced } =
        verdict::hear(deployment, SALE, crowd, history).await?;
    let accepted = judgement.accepted;
    checks.promise(accepted == units, format_args!("{accepted} of {units} units in buyers' hands"));
    let placed = evidence.census.as_ref().map_or(0, |census| census.placed);
    checks.promise(placed == units, format_args!("{placed} of {units} units placed"));
    let [a, b] = deployment.attempts().await?;
    checks.promise(a > 0.0 && b > 0.0, format_args!("{a} orders by one drain, {b} by the other"));
    let held = paced && judgement.count(Broke::PaceBroken) == 0;
    checks.promise(held, format_args!("no window beyond the pace of both: {pace:?}"));
    checks.promise(judgement.ok(), "one story at both gateways, nothing lost, doubled or oversold");
    Ok(())
}
