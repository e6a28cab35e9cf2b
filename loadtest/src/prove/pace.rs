//! The store is reached at the rate that was set: on average within a percent, and in no window more.
//!
//! Unused rate beyond the burst is lost by the law, so while a machine stands still its rate is lost too: the
//! percent counts at full scale, on a machine known to be quiet; the law counts everywhere.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Checks, Scale};
use crate::clock;
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::pace::{attempts, burst_auto, burst_needed, rate_in};
use crate::plant::Plant;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SALE: &str = "pace";
const SKU: &str = "phone";
/// Left out at the beginning: the queue is still being filled.
const SETTLING_US: i64 = 1_000_000;
/// Two instants, each rounded to a microsecond.
const ROUNDING_SECONDS: f64 = 2e-6;

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    // Seconds of the window, and seconds' worth of orders beyond them, so that there is a backlog from
    // its first to its last moment.
    let (rates, seconds, spare): (&[u32], u64, u64) =
        scale.pick((&[1_000], 3, 4), (&[100, 1_000, 10_000], 10, 10));
    for rate in rates {
        let seen = at_rate(binary, *rate, seconds, spare, checks).await?;
        let share = seen / f64::from(*rate);
        let what = format_args!(
            "at {rate}/s: {seen:.1}/s over {seconds} s ({:+.2} %)",
            (share - 1.0) * 100.0
        );
        checks.threshold((scale.least(0.99)..=1.01).contains(&share), what);
    }
    Ok(())
}

async fn at_rate(
    binary: &Path,
    rate: u32,
    seconds: u64,
    spare: u64,
    checks: &mut Checks,
) -> anyhow::Result<f64> {
    let plant = Plant::start(binary, &format!("{rate}/s")).await?;
    let orders = u64::from(rate) * (seconds + spare);
    plant.admin.create_sale(SALE, SKU, orders, None).await?;
    plant.phase(SALE, "open").await?;
    let form = OrderForm::new(SALE, SKU, Crowd::new("pace", 1)).with_payload_of_100_bytes();
    let tally = shared(Tally::default());
    plant.drive(&form, 256).run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    let filled_at = clock::wall_micros();
    let accepted = look(&tally).with_status(202);
    ensure!(accepted == orders, "{accepted} of {orders} orders were accepted");

    plant.settled(SALE, Duration::from_secs(2 * (seconds + spare) + 30)).await?;
    let instants = attempts(&plant.admin.tickets(SALE).await?)?;
    ensure!(instants.len() as u64 == orders, "{} of {orders} have attempted_at", instants.len());
    let first = instants.first().copied().context("no attempt was made")?;
    let from = filled_at.max(first + SETTLING_US);
    let rate = f64::from(rate);
    let window = Duration::from_secs(seconds);
    let seen = rate_in(&instants, from, window)
        .context("the backlog ended before the window: it was filled too slowly")?;
    let (needed, burst) = (burst_needed(&instants, rate), burst_auto(rate));
    let law = needed <= burst + rate * ROUNDING_SECONDS;
    checks.promise(
        law,
        format_args!("at {rate}/s: no window needs a burst above {needed:.2} of {burst}"),
    );
    Ok(seen)
}
