//! Many buyers, few units: exactly the units are sold, one row each, nobody above the limit, every
//! other answer a named refusal; and a buyer whose connection was cut gets his ticket, whenever he asks.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::{Checks, Scale};
use crate::clock;
use crate::drive::{Recorder, Shared, Timing, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::judge::judge;
use crate::plant::{Plant, STOP_WITHIN};
use crate::recover::recover;
use crate::report;
use crate::verdict::Verdict;
use crate::wire::full::FullWire;
use crate::wire::lean::LeanWire;
use crate::wire::{Broken, Wire};

const SALE: &str = "exact";
const SKU: &str = "phone";
const CONNECTIONS: usize = 64;
/// Every buyer asks twice, with two keys, so that the limit of one has something to refuse.
const ORDERS_EACH: u64 = 2;
/// Buyers whose connection is cut after the request was sent.
const CUT_OFF: u64 = 20;

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (buyers, units) = scale.pick((2_000, 100), (20_000, 1_000));
    let mut plant = Plant::start(binary, "500/s").await?;
    plant.admin.create_sale(SALE, SKU, units, Some(1)).await?;
    plant.phase(SALE, "open").await?;
    let crowd = Crowd::new("exact", ORDERS_EACH);
    let form = OrderForm::new(SALE, SKU, crowd.clone());
    let history = shared(History::default());
    cut_off(&plant, &form, &history).await?;

    let drive = plant.drive(&form, CONNECTIONS);
    let others = (0..buyers * ORDERS_EACH).filter(|ask| !is_cut_off(*ask));
    let driven = drive.run::<FullWire, History>(others, history.clone()).await;
    plant.phase(SALE, "sold_out").await?;
    ask_again(&plant, &form, &history, "after sell-out", checks).await;
    recover::<FullWire>(&drive, &history, drive.patience).await;
    plant.admin.close(SALE).await?;
    plant.phase(SALE, "closed").await?;
    ask_again(&plant, &form, &history, "after close", checks).await;
    plant.settled(SALE, Duration::from_secs(60)).await?;
    let stopped = plant.process.stop(STOP_WITHIN).await?;
    checks.promise(stopped.success(), format_args!("SIGTERM ends the gateway with {stopped}"));
    plant.start_again().await?;
    ask_again(&plant, &form, &history, "after a restart", checks).await;

    let evidence = plant.evidence(SALE).await?;
    let judgement = judge(&look(&history), &crowd, &evidence);
    report::timing(look(&history).tally(), &driven);
    report::judgement(&judgement);
    let rows =
        evidence.store.map_or(0, |store| store.rows.iter().filter(|row| row.sells()).count());
    let placed = evidence.census.map_or(0, |census| census.placed);
    checks.promise(placed == units, format_args!("{placed} of {units} units placed"));
    checks.promise(rows as u64 == units, format_args!("{rows} rows in the store"));
    let accepted = judgement.accepted;
    checks.promise(accepted == units, format_args!("{accepted} tickets in buyers' hands"));
    checks.promise(judgement.ok(), "nothing lost, doubled, oversold, unexpected or unnamed");
    Ok(())
}

/// The first orders of the first buyers.
fn cut_off_asks() -> impl Iterator<Item = u64> + Send + 'static {
    (0..CUT_OFF).map(|buyer| buyer * ORDERS_EACH)
}

fn is_cut_off(ask: u64) -> bool {
    ask < CUT_OFF * ORDERS_EACH && ask.is_multiple_of(ORDERS_EACH)
}

/// Sends orders, waits until the ledger has them, and cuts the connections with the answers unread.
async fn cut_off(plant: &Plant, form: &OrderForm, history: &Shared<History>) -> anyhow::Result<()> {
    let mut wires = Vec::new();
    for ask in cut_off_asks() {
        let mut wire = LeanWire::connect(&plant.public, form).await?;
        let sent = clock::now();
        ensure!(wire.send(ask).await.is_ok(), "an order cannot be sent");
        let timing = Timing { ask, intended: sent, sent, received: clock::now() };
        look(history).record(timing, Err(Broken::Reset));
        wires.push(wire);
    }
    let taken = |census: &crate::admin::Census| census.accepted >= CUT_OFF;
    let census = plant.admin.census_until(SALE, Duration::from_secs(10), taken).await?;
    ensure!(taken(&census), "{} of {CUT_OFF} orders were taken", census.accepted);
    drop(wires);
    Ok(())
}

/// Repeats the keys of the buyers who were cut off; each must get a ticket, and the verdict sees to it
/// that it is always the same one.
async fn ask_again(
    plant: &Plant,
    form: &OrderForm,
    history: &Shared<History>,
    when: &str,
    checks: &mut Checks,
) {
    let before = look(history).attempts().len();
    let drive = plant.drive(form, 4);
    drive.run::<FullWire, History>(cut_off_asks(), history.clone()).await;
    let history = look(history);
    let answers = history.attempts().iter().skip(before);
    let tickets =
        answers.filter(|attempt| matches!(attempt.verdict, Verdict::Accepted { .. })).count();
    let what = format_args!("{tickets} of {CUT_OFF} cut-off buyers get their ticket {when}");
    checks.promise(tickets as u64 == CUT_OFF, what);
}
