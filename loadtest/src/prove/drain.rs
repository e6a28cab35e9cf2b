//! What it costs to carry orders into a real MariaDB, from both ledgers: orders a second without a pace, CPU of all
//! processes over an order's whole life as a multiple of bare hyper in the same run, and the pace at 10,000 a second.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::{Checks, Scale};
use crate::carrier::{Carrier, TIMED, send};
use crate::clock;
use crate::cpu::{cpu_time, tree};
use crate::form::{Crowd, OrderForm};
use crate::median::median;
use crate::on_mysql::OnMySql;
use crate::pace::{attempts, burst_auto, stood_still};
use crate::plant::Plant;
use crate::redis::Redis;
use crate::yardstick::Yardstick;
use crate::{output, report};

const SKU: &str = "phone";
/// What bare hyper answers, as long as a 202.
const BODY_BYTES: usize = 183;
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Least orders a second into MariaDB, and most CPU of a whole life against bare hyper.
const LEAST_A_SECOND: f64 = 30_000.0;
const LIFE_MOST: f64 = 6.0;
const PACE: f64 = 10_000.0;

/// What one round saw of one ledger.
struct Seen {
    a_second: f64,
    /// CPU microseconds an order: taken, carried, and what of each was MariaDB's.
    taken: f64,
    carried: f64,
    database: f64,
    /// Attempts a second under a pace of 10,000.
    pace: f64,
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (rounds, orders) = scale.pick((1, 5_000), (3, 200_000));
    for name in ["embedded", "Redis"] {
        let (mut seen, mut bare) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            output::note(format_args!("round {round} of {rounds}: {name} ledger"));
            bare.push(bare_hyper(orders).await?);
            seen.push(one(binary, name == "Redis", orders).await?);
        }
        told(name, &seen, &bare, scale, checks);
    }
    Ok(())
}

fn told(name: &str, seen: &[Seen], bare: &[f64], scale: Scale, checks: &mut Checks) {
    let of = |part: fn(&Seen) -> f64| median(&seen.iter().map(part).collect::<Vec<_>>());
    let lives = seen.iter().zip(bare).map(|(seen, bare)| (seen.taken + seen.carried) / bare);
    let (life, a_second) = (median(&lives.collect::<Vec<_>>()), of(|seen| seen.a_second));
    report::row(
        &format!("{name} ledger into MariaDB"),
        format_args!(
            "{a_second:.0} orders/s; CPU an order {:.1} us taken, {:.1} us carried ({:.1} us of it MariaDB); bare hyper {:.1} us",
            of(|seen| seen.taken),
            of(|seen| seen.carried),
            of(|seen| seen.database),
            median(bare),
        ),
    );
    let pace = of(|seen| seen.pace);
    if scale == Scale::Small {
        return output::line("small scale: every figure is measured, none is judged");
    }
    checks.threshold(
        a_second >= LEAST_A_SECOND,
        format_args!("{name}: {a_second:.0} orders/s of {LEAST_A_SECOND}"),
    );
    checks.threshold(
        life <= LIFE_MOST,
        format_args!("{name}: whole life {life:.2} x bare hyper of {LIFE_MOST}"),
    );
    let off = (pace / PACE - 1.0) * 100.0;
    checks
        .threshold(off.abs() <= 1.0, format_args!("{name}: {pace:.0}/s at {PACE}/s ({off:+.2} %)"));
}

#[expect(clippy::cast_precision_loss, reason = "no round is 2^52 orders long")]
fn each(amount: f64, orders: u64) -> f64 {
    amount / orders as f64
}

/// CPU microseconds of bare hyper an answer.
async fn bare_hyper(orders: u64) -> anyhow::Result<f64> {
    let mut bare = Yardstick::bare(BODY_BYTES).await?;
    let form = form("bare");
    send(&bare.public, &form, orders / 20).await?;
    let before = cpu_time(&tree(bare.process.pid())?)?;
    send(&bare.public, &form, orders).await?;
    let used = cpu_time(&tree(bare.process.pid())?)? - before;
    bare.process.kill().await?;
    Ok(each(used.as_secs_f64() * 1e6, orders))
}

async fn one(binary: &Path, on_redis: bool, orders: u64) -> anyhow::Result<Seen> {
    let mut store = OnMySql::start(binary, &TIMED).await?;
    let mut carrier = Carrier::start(binary, &store, on_redis).await?;
    let plant = &carrier.plant;
    let ours: Vec<u32> = [Some(plant.process.pid()), carrier.redis.as_ref().map(Redis::pid)]
        .into_iter()
        .flatten()
        .collect();
    let database = [store.server.pid()];
    // Connections stand and tables are warm.
    let warm = orders / 20;
    carrier.fill(&form("first"), warm, warm).await?;
    carrier.carry().await?;
    plant.settled("first", DRAINED_WITHIN).await?;

    let begun = cpu_time(&ours)?;
    carrier.fill(&form("life"), orders, orders).await?;
    let (waiting, idle) = (cpu_time(&ours)?, cpu_time(&database)?);
    let from = clock::now();
    carrier.carry().await?;
    drained(plant, "life", orders).await?;
    let took = (clock::now() - from).as_secs_f64();
    let (settled, worked) = (cpu_time(&ours)?, cpu_time(&database)?);

    let pace = paced(&carrier, orders).await?;
    carrier.kill().await?;
    store.server.kill().await?;
    let micros = |time: Duration| each(time.as_secs_f64() * 1e6, orders);
    let database = micros(worked - idle);
    Ok(Seen {
        a_second: 1.0 / each(took, orders),
        taken: micros(waiting - begun),
        carried: micros(settled - waiting) + database,
        database,
        pace,
    })
}

/// A sale, and a crowd that orders in it.
fn form(sale: &str) -> OrderForm {
    OrderForm::new(sale, SKU, Crowd::new(sale, 1)).with_payload_of_100_bytes()
}

/// Waits until every order is placed.
async fn drained(plant: &Plant, sale: &str, orders: u64) -> anyhow::Result<()> {
    let until = clock::now() + DRAINED_WITHIN;
    loop {
        let census = plant.admin.census(sale).await?;
        if census.unsettled() == 0 {
            ensure!(census.placed == orders, "{} of {orders} orders were placed", census.placed);
            return Ok(());
        }
        ensure!(clock::now() < until, "{} orders still wait", census.unsettled());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Attempts a second while there is a backlog, at a pace of 10,000.
async fn paced(carrier: &Carrier, orders: u64) -> anyhow::Result<f64> {
    let plant = &carrier.plant;
    carrier.fill(&form("pace"), orders, orders).await?;
    plant.admin.set_drain_rate(&format!("{PACE}/s")).await?;
    carrier.carry().await?;
    drained(plant, "pace", orders).await?;
    let rows = plant.admin.tickets("pace").await?;
    let at = attempts(&rows)?;
    // Without the first tenth: it begins with an empty bucket, and with what was claimed before the rate was known.
    let at = at.get(at.len() / 10..).unwrap_or_default();
    let (lost, longest) = stood_still(at, PACE, burst_auto(PACE));
    let what = format_args!(
        "stood still for {lost:.1?} more than its burst holds, {longest:.1?} at the longest"
    );
    report::row("the pacer", what);
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return Ok(0.0) };
    #[expect(clippy::cast_precision_loss, reason = "no run takes 2^52 microseconds")]
    Ok((at.len() - 1) as f64 * 1e6 / (last - first).max(1) as f64)
}
