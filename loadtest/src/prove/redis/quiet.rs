//! What waits and what is sold out is told from memory: polls of tickets in the queue and refusals of buyers without
//! a ticket call no function in Redis. Processes call some by themselves; how many is seen while nobody comes.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::sleep;

use super::deployment::{Deployment, Side, send};
use super::readings::{Readings, Wanted};
use super::{Checks, SKU, Scale};
use crate::clock;
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::report;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SALE: &str = "quiet";
const UNITS: u64 = 100;
const CONNECTIONS: usize = 16;
/// How long nobody comes.
const IDLE: Duration = Duration::from_secs(3);
/// So much more may fall into a window by chance than its length says: what one such time sees of idle calls.
const CHANCE: Duration = Duration::from_secs(1);

pub(super) async fn prove(
    deployment: &Deployment,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let (rounds, refused) = scale.pick((20, 2_000), (200, 20_000));
    deployment.gateways[0].admin.pause_drain(true).await?;
    deployment.open(SALE, UNITS, Some(1)).await?;
    let form = OrderForm::new(SALE, SKU, Crowd::new(SALE, 1));
    let drives = deployment.drives(&form, CONNECTIONS);
    let history = shared(History::default());
    send(&drives, 0..UNITS, Side::Own, &history).await;
    deployment.phase(SALE, "sold_out").await?;
    let readings = Readings::of(&look(&history));
    ensure!(readings.count() == UNITS, "{} of {UNITS} orders were accepted", readings.count());

    let (idle, began) = (deployment.function_calls().await?, clock::now());
    sleep(IDLE).await;
    let idle = (deployment.function_calls().await? - idle, began.elapsed());
    let what = format_args!("{} calls in {:.1?} while nobody comes", idle.0, idle.1);
    report::row("by themselves", what);

    let counted = Counted::begin(deployment).await?;
    let publics = [&deployment.gateways[0].public, &deployment.gateways[1].public];
    for round in 0..rounds {
        let side = if round % 2 == 0 { Side::Own } else { Side::Other };
        let waiting = readings.read(publics, |ask| side.gateway(ask), Wanted::State).await?;
        ensure!(waiting == UNITS, "{waiting} of {UNITS} orders wait");
    }
    let polls = format!("{} polls of waiting tickets", rounds * UNITS);
    counted.end(idle, &polls, checks).await?;

    let counted = Counted::begin(deployment).await?;
    let tally = shared(Tally::default());
    let newcomers = |gateway| (UNITS..UNITS + refused).filter(move |ask| ask % 2 == gateway);
    for (drive, gateway) in drives.iter().zip([0, 1]) {
        drive.run::<LeanWire, Tally>(newcomers(gateway), tally.clone()).await;
    }
    let told = look(&tally).with_status(409);
    ensure!(told == refused, "{told} of {refused} newcomers were refused");
    counted.end(idle, &format!("{refused} refusals of a sold-out sale"), checks).await?;

    // Whoever has a ticket is asked of the ledger: so the counter would have seen the others.
    let before = deployment.function_calls().await?;
    deployment.gateways[1].drive(&form, 1).run::<LeanWire, Tally>(0..UNITS, tally.clone()).await;
    let calls = deployment.function_calls().await? - before;
    let what = format_args!("{calls} calls for {UNITS} repeats of buyers who have a ticket");
    checks.promise(calls >= UNITS && look(&tally).with_status(202) == UNITS, what);
    Ok(())
}

/// Function calls from some instant on.
struct Counted<'a> {
    deployment: &'a Deployment,
    before: u64,
    began: std::time::Instant,
}

impl<'a> Counted<'a> {
    async fn begin(deployment: &'a Deployment) -> anyhow::Result<Self> {
        let before = deployment.function_calls().await?;
        Ok(Self { deployment, before, began: clock::now() })
    }

    /// Holds them against what processes call by themselves.
    async fn end(
        self,
        (idle, of): (u64, Duration),
        what: &str,
        checks: &mut Checks,
    ) -> anyhow::Result<()> {
        let calls = self.deployment.function_calls().await? - self.before;
        let took = self.began.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "no Redis is called 2^52 times here")]
        let (calls, a_second) = (calls as f64, idle as f64 / of.as_secs_f64());
        let (expected, chance) =
            (a_second * took.as_secs_f64(), 1.0 + a_second * CHANCE.as_secs_f64());
        let what = format_args!(
            "{what} in {took:.2?}: {calls} calls of functions, {expected:.0} without them"
        );
        checks.promise(calls <= expected + chance, what);
        Ok(())
    }
}
