//! `kill -9` in the middle of a wave, again and again: nothing lost, doubled or oversold.
//!
//! The units are released wave by wave (less than a wave asks for), so that every wave both sells and
//! sells out, and orders wait at every kill.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Checks, Scale};
use crate::drive::{Shared, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::judge::{Broke, judge};
use crate::plant::Plant;
use crate::recover::recover;
use crate::report;
use crate::wire::full::FullWire;

const SALE: &str = "kill";
const SKU: &str = "phone";
const DRAIN_RATE: &str = "1000/s";
const CONNECTIONS: usize = 256;
const BUYERS_A_WAVE: u64 = 2_000;
const UNITS_A_WAVE: u64 = 1_500;
const WAVE_EVERY: Duration = Duration::from_secs(2);
/// A kill counts only if it hit somebody: requests without an answer, and orders that wait.
const UNANSWERED_MIN: u64 = 50;
const WAITING_MIN: u64 = 50;
/// Between two looks at how far a wave is.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// After the last wave: all that waits, drained at the rate, and a lease that a kill left behind.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let waves = scale.pick(3, 20);
    let mut plant = Plant::start(binary, DRAIN_RATE).await?;
    plant.admin.create_sale(SALE, SKU, UNITS_A_WAVE, Some(1)).await?;
    plant.phase(SALE, "open").await?;
    let crowd = Crowd::new("kill", 1);
    let form = OrderForm::new(SALE, SKU, crowd.clone());
    let history = shared(History::default());
    let mut counted = 0;
    let mut ticks = interval(WAVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..waves {
        ticks.tick().await;
        if number > 0 {
            plant.admin.add_stock(SALE, SKU, UNITS_A_WAVE, &format!("wave-{number}")).await?;
            plant.phase(SALE, "open").await?;
        }
        let hit = wave(&mut plant, &form, &history, number).await?;
        let counts = hit.unanswered >= UNANSWERED_MIN && hit.waiting >= WAITING_MIN;
        counted += u64::from(counts);
        let Hit { ended, unanswered, waiting } = hit;
        let back = plant.ready_after;
        let what = format_args!(
            "killed after {ended} answers, {unanswered} unanswered, {waiting} waiting, back in {back:.0?}"
        );
        report::row(
            &format!("wave {}{}", number + 1, if counts { "" } else { " (does not count)" }),
            what,
        );
    }
    checks.promise(counted == waves, format_args!("{counted} of {waves} kills count"));
    conclude(&plant, &crowd, &history, checks).await
}

/// What a kill hit.
struct Hit {
    ended: u64,
    unanswered: u64,
    /// At least so many: tickets in buyers' hands at the kill less all that was placed by the reopening.
    waiting: u64,
}

/// Sends a wave, kills the gateway in the middle of it, starts it again, and asks after every doubt.
async fn wave(
    plant: &mut Plant,
    form: &OrderForm,
    history: &Shared<History>,
    number: u64,
) -> anyhow::Result<Hit> {
    let drive = plant.drive(form, CONNECTIONS);
    let before = look(history).tally().ended();
    let unanswered_before = look(history).unanswered();
    // From early in the wave to its middle, another point each time.
    let kill_after = 200 + number * 397 % 800;
    let asks = number * BUYERS_A_WAVE..(number + 1) * BUYERS_A_WAVE;
    let sending = tokio::spawn({
        let (drive, history) = (drive.clone(), history.clone());
        async move { drive.run::<FullWire, History>(asks, history).await }
    });
    while look(history).tally().ended() - before < kill_after && !sending.is_finished() {
        sleep(LOOK_EVERY).await;
    }
    plant.process.kill().await?;
    let (ended, tickets) = {
        let history = look(history);
        let taken = history.fates().into_values().filter(|fate| !fate.tickets.is_empty()).count();
        (history.tally().ended() - before, taken as u64)
    };
    plant.start_again().await?;
    let placed = plant.admin.census(SALE).await?.placed;
    sending.await.context("the wave broke off")?;
    let unanswered = (look(history).unanswered() - unanswered_before) as u64;
    recover::<FullWire>(&drive, history, drive.patience).await;
    Ok(Hit { ended, unanswered, waiting: tickets.saturating_sub(placed) })
}

async fn conclude(
    plant: &Plant,
    crowd: &Crowd,
    history: &Shared<History>,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let census = plant.settled(SALE, SETTLE_WITHIN).await?;
    checks
        .promise(census.unsettled() == 0, format_args!("{} orders unsettled", census.unsettled()));
    let evidence = plant.evidence(SALE).await?;
    let judgement = judge(&look(history), crowd, &evidence);
    report::judgement(&judgement);
    for broke in [Broke::Lost, Broke::Doubled, Broke::Oversold] {
        let count = judgement.count(broke);
        checks.promise(count == 0, format_args!("{broke:?} {count}"));
    }
    checks.promise(judgement.ok(), "no other finding");
    let proved = plant.command(&["verify", "--admin", &plant.admin.url()]).await?;
    let said = String::from_utf8_lossy(&proved.stdout);
    checks.promise(
        proved.status.success(),
        format_args!("verify: {}, {}", proved.status, said.trim()),
    );
    Ok(())
}
