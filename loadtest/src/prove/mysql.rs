//! Orders end in a real MariaDB that is killed three times on the way, and does not answer every tenth commit:
//! each order is there once, and the stock of SQL and its rows are what there was. With both ledgers.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;

use super::{Checks, Scale};
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::judge::{Broke, judge};
use crate::on_mysql::OnMySql;
use crate::plant::{Plant, Setup};
use crate::proxy::{After, Calls, Fault, Proxy};
use crate::recover::recover;
use crate::redis::{Aof, Options, Redis};
use crate::wire::full::FullWire;
use crate::{on_redis, output, report};

const SALE: &str = "mysql";
const SKU: &str = "phone";
const CONNECTIONS: usize = 64;
const KILLS: u64 = 3;
/// One in so many commits is carried out and not answered.
const LOST_ONE_IN: u64 = 10;
const SETTLE_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    embedded(binary, scale, checks).await?;
    let redis = Redis::start(&Options::default().aof(Aof::EverySecond)).await?;
    with(binary, "Redis ledger", on_redis::settings(&redis), scale, checks).await
}

async fn embedded(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    with(binary, "embedded ledger", Vec::new(), scale, checks).await
}

async fn with(
    binary: &Path,
    name: &str,
    mut environment: Vec<(&'static str, String)>,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let (orders, rate) = scale.pick((3_000, "1500/s"), (50_000, "5000/s"));
    output::note(format_args!("{name}: {orders} orders at {rate}"));
    let mut store = OnMySql::start(binary, &[]).await?;
    let proxy = Proxy::start_mysql(store.server.address())?;
    environment.extend(store.environment(proxy.address()));
    environment.extend([
        ("FOREBAY_DRAIN__ATTEMPT_TIMEOUT", "2s".to_owned()),
        ("FOREBAY_DRAIN__LEASE", "4s".to_owned()),
    ]);
    let drain_rate = rate.to_owned();
    let at = Some(store.store_at());
    let setup = Setup { drain_rate, environment, store: at, ..Setup::default() };
    let plant = Plant::start_as(binary, setup).await?;
    let stock = orders + orders / 10;
    plant.admin.create_sale(SALE, SKU, stock, Some(1)).await?;
    plant.phase(SALE, "open").await?;
    let commits = AtomicU64::new(0);
    let one_in = Calls::that(move |call| {
        call.command() == "COMMIT"
            && commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOST_ONE_IN)
    });
    let lost = proxy.inject(Fault::drop_reply(After::Reset).of(one_in));

    let crowd = Crowd::new("mysql", 1);
    let form = OrderForm::new(SALE, SKU, crowd.clone()).with_payload_of_100_bytes();
    let history = shared(History::default());
    let drive = plant.drive(&form, CONNECTIONS);
    let sending = tokio::spawn({
        let (drive, history) = (drive.clone(), history.clone());
        async move { drive.run::<FullWire, History>(0..orders, history).await }
    });
    for kill in 1..=KILLS {
        // Before the last quarter, so that each hits a drain at work.
        until_placed(&plant, orders * kill / (KILLS + 2)).await?;
        store.server.kill().await?;
        store.server.start_again().await?;
        let placed = plant.admin.census(SALE).await?.placed;
        report::row(&format!("{name}, kill {kill}"), format_args!("{placed} placed until then"));
    }
    sending.await.context("the orders broke off")?;
    recover::<FullWire>(&drive, &history, SETTLE_WITHIN).await;
    let census = plant.settled(SALE, SETTLE_WITHIN).await?;
    let lost = lost.hits();
    checks.promise(lost >= KILLS, format_args!("{lost} commits were carried out and not answered"));
    checks.promise(
        census.placed == orders && census.unsettled() == 0,
        format_args!(
            "{name}: {} of {orders} orders placed, {} given up",
            census.placed, census.dead
        ),
    );
    let evidence = plant.evidence(SALE).await?;
    let judgement = judge(&look(&history), &crowd, &evidence);
    report::judgement(&judgement);
    for broke in [Broke::Lost, Broke::Doubled, Broke::Oversold] {
        let count = judgement.count(broke);
        checks.promise(count == 0, format_args!("{broke:?} {count}"));
    }
    checks.promise(judgement.ok(), "no other finding");
    books(&store, orders, stock, checks).await?;
    let proved = plant.command(&["verify", "--admin", &plant.admin.url()]).await?;
    let said = String::from_utf8_lossy(&proved.stdout);
    let what = format_args!("verify: {}, {}", proved.status, said.trim());
    checks.promise(proved.status.success(), what);
    Ok(())
}

/// What SQL itself says, asked by nobody of ours.
async fn books(
    store: &OnMySql,
    orders: u64,
    stock: u64,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let asked = "SELECT COUNT(*), COUNT(DISTINCT ticket_id), COUNT(DISTINCT order_no), CAST(SUM(quantity) AS UNSIGNED) \
                 FROM forebay_orders WHERE state = 'placed'";
    let rows: Vec<(u64, u64, u64, u64)> = store.server.ask(Some("shop"), asked).await?;
    let (rows, tickets, numbers, units) = rows.into_iter().next().context("a count")?;
    checks.promise(
        [rows, tickets, numbers] == [orders; 3],
        format_args!("SQL: {rows} rows, {tickets} tickets, {numbers} order numbers"),
    );
    let asked = "SELECT initial, available FROM forebay_stock";
    let left: Vec<(u64, u64)> = store.server.ask(Some("shop"), asked).await?;
    let (initial, available) = left.into_iter().next().context("a stock row")?;
    checks.promise(
        initial == stock && available + units == stock,
        format_args!("SQL: {available} left + {units} in rows = {initial}, there were {stock}"),
    );
    Ok(())
}

async fn until_placed(plant: &Plant, count: u64) -> anyhow::Result<()> {
    let until = crate::clock::now() + SETTLE_WITHIN;
    while plant.admin.census(SALE).await?.placed < count {
        anyhow::ensure!(crate::clock::now() < until, "{count} orders were never placed");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
