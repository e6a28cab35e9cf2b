//! The verifier finds nothing in a sale that is honest, however often it looks while the sale runs, and
//! names each sabotage of the store by law and ticket: exit 5, running and offline.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::{MissedTickBehavior, interval};

use super::{Checks, Scale};
use crate::admin::TicketRow;
use crate::carrier::TIMED;
use crate::clock;
use crate::drive::{Arrivals, Drive, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::on_mysql::OnMySql;
use crate::on_redis;
use crate::plant::{Plant, STOP_WITHIN, Setup};
use crate::redis::{Options, Redis};
use crate::sabotage::{Hand, SABOTAGES};
use crate::tally::Tally;
use crate::wire::lean::LeanWire;
use crate::{output, report};

const SALE: &str = "verify";
const SKU: &str = "phone";
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SETTLE_WITHIN: Duration = Duration::from_secs(300);
/// The exit code of a broken invariant.
const BROKEN: Option<i32> = Some(5);

/// With the simulated store.
pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    proved(Plant::start(binary, "unlimited").await?, scale, checks).await
}

/// With a real MariaDB. Small scale leaves the embedded ledger to the tests.
pub(super) async fn on_mysql(
    binary: &Path,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    if scale == Scale::Full {
        output::note("embedded ledger");
        beside_mariadb(binary, Vec::new(), scale, checks).await?;
    }
    output::note("Redis ledger");
    let redis = Redis::start(&Options::default()).await?;
    beside_mariadb(binary, on_redis::settings(&redis), scale, checks).await
}

async fn beside_mariadb(
    binary: &Path,
    mut environment: Vec<(&'static str, String)>,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    // A million rows fit into its memory, as an operator would see to it.
    let store = OnMySql::start(binary, scale.pick(&[][..], &TIMED[..])).await?;
    environment.extend(store.environment(store.server.address()));
    let (drain_rate, at) = ("unlimited".to_owned(), Some(store.store_at()));
    let setup = Setup { drain_rate, environment, store: at, ..Setup::default() };
    proved(Plant::start_as(binary, setup).await?, scale, checks).await
}

async fn proved(mut plant: Plant, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (orders, rate) = scale.pick((4_000, 1_000.0), (1_000_000, 10_000.0));
    plant.admin.create_sale(SALE, SKU, orders, Some(1)).await?;
    plant.phase(SALE, "open").await?;
    while_it_runs(&plant, orders, rate, checks).await?;
    plant.settled(SALE, SETTLE_WITHIN).await?;
    let began = clock::now();
    let still = plant.admin.verify().await?;
    report::row("settled", format_args!("verified in {:.2?}", began.elapsed()));
    checks.promise(still.ok, format_args!("{orders} settled orders are verified"));

    let tickets = plant.admin.tickets(SALE).await?;
    let url = plant.admin.url();
    sabotage(&plant, &tickets, &["verify", "--json", "--admin", &url], checks).await?;
    plant.process.stop(STOP_WITHIN).await?;
    let offline = ["verify", "--json", "--offline", "--config", "forebay.toml"];
    sabotage(&plant, &tickets, &offline, checks).await?;
    let clean = plant.command(&offline).await?;
    checks.promise(clean.status.success(), "offline, what was put back is verified");
    Ok(())
}

/// Verifies every second while orders come and go.
async fn while_it_runs(
    plant: &Plant,
    orders: u64,
    rate: f64,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let form = OrderForm::new(SALE, SKU, Crowd::new("verify", 1)).with_payload_of_100_bytes();
    let drive = Drive { arrivals: Arrivals::PerSecond(rate), ..plant.drive(&form, 64) };
    let tally = shared(Tally::default());
    let driving = tokio::spawn({
        let tally = tally.clone();
        async move { drive.run::<LeanWire, Tally>(0..orders, tally).await }
    });
    let (mut looks, mut moved, mut false_findings) = (0, 0, 0);
    let (mut longest, mut all) = (Duration::ZERO, Duration::ZERO);
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !driving.is_finished() {
        ticks.tick().await;
        let (began, before) = (clock::now(), look(&tally).ended());
        let seen = plant.admin.verify().await?;
        let took = began.elapsed();
        (longest, all) = (longest.max(took), all + took);
        looks += 1;
        moved += u64::from(look(&tally).ended() > before);
        false_findings += seen.findings.len();
        for finding in seen.findings.iter().take(3) {
            report::row("found", finding);
        }
    }
    driving.await.context("the load broke off")?;
    let what = format_args!(
        "{looks} looks at a sale of {rate}/s, {moved} while it moved, the longest took {longest:.2?}, all of them {all:.2?}"
    );
    report::row("verified", what);
    checks.promise(moved >= 2, format_args!("{moved} looks saw orders come in"));
    checks.promise(false_findings == 0, format_args!("{false_findings} false findings"));
    let accepted = look(&tally).with_status(202);
    ensure!(accepted == orders, "{accepted} of {orders} orders were accepted");
    Ok(())
}

/// Does each sabotage, runs the command, and puts back what was there.
async fn sabotage(
    plant: &Plant,
    tickets: &[TicketRow],
    command: &[&str],
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let ticket = &tickets.get(tickets.len() / 2).context("no ticket to sabotage")?.ticket;
    let how = if command.contains(&"--offline") { "offline" } else { "running" };
    let hand = Hand::on(&plant.store_at(), SALE, ticket);
    for sabotage in &SABOTAGES {
        hand.does(sabotage).await?;
        let said = plant.command(command).await?;
        hand.puts_back(sabotage).await?;
        let told = serde_json::from_slice(&said.stdout)
            .with_context(|| String::from_utf8_lossy(&said.stderr).into_owned())?;
        let (named, exit) = (hand.is_named(sabotage, &told), said.status.code());
        let (what, law) = (sabotage.what, sabotage.law);
        checks
            .promise(named && exit == BROKEN, format_args!("{how}, {what}: {law}, exit {exit:?}"));
    }
    Ok(())
}
