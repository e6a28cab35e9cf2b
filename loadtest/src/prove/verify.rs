//! The verifier finds nothing in a sale that is honest, however often it looks while the sale runs, and
//! names each sabotage of the store by law and ticket: exit 5, running and offline.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rusqlite::Connection;
use tokio::time::{MissedTickBehavior, interval};

use super::{Checks, Scale};
use crate::admin::TicketRow;
use crate::clock;
use crate::drive::{Arrivals, Drive, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::plant::{Plant, STOP_WITHIN};
use crate::report;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SALE: &str = "verify";
const SKU: &str = "phone";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The exit code of a broken invariant.
const BROKEN: Option<i32> = Some(5);

/// What is done to the rows of one ticket, and the law that it breaks.
const SABOTAGES: [(&str, &str, &str); 5] = [
    ("a row deleted", "S1", "DELETE FROM forebay_orders WHERE ticket_id = ?1"),
    ("a quantity changed", "S1", "UPDATE forebay_orders SET quantity = 7 WHERE ticket_id = ?1"),
    ("a buyer changed", "S1", "UPDATE forebay_orders SET buyer = 'somebody' WHERE ticket_id = ?1"),
    (
        "a doubled row, as an extra line",
        "S1",
        "INSERT INTO forebay_orders SELECT ticket_id, 2, sale, sale_no, order_no, sku, buyer, quantity, state,
         reason, payload, epoch, sequence, attempt, accepted_at, attempted_at, created_at
         FROM forebay_orders WHERE ticket_id = ?1",
    ),
    (
        "a row added that nobody ordered",
        "L4",
        "INSERT INTO forebay_orders SELECT 'not-' || ticket_id, 1, sale, sale_no, order_no, sku, buyer, quantity,
         state, reason, payload, epoch, sequence, attempt, accepted_at, attempted_at, created_at
         FROM forebay_orders WHERE ticket_id = ?1",
    ),
];

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (orders, rate) = scale.pick((4_000, 1_000.0), (1_000_000, 10_000.0));
    let mut plant = Plant::start(binary, "unlimited").await?;
    plant.admin.create_sale(SALE, SKU, orders, Some(1)).await?;
    plant.phase(SALE, "open").await?;
    while_it_runs(&plant, orders, rate, checks).await?;
    plant.settled(SALE, Duration::from_secs(120)).await?;
    let began = clock::now();
    let still = plant.admin.verify().await?;
    report::row("settled", format_args!("verified in {:.2?}", began.elapsed()));
    checks.promise(still.ok, format_args!("{orders} settled orders are verified"));

    let tickets = plant.admin.tickets(SALE).await?;
    let url = plant.admin.url();
    sabotage(&plant, &tickets, &["verify", "--admin", &url], checks).await?;
    plant.process.stop(STOP_WITHIN).await?;
    let offline = ["verify", "--offline", "--config", "forebay.toml"];
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
    let mut longest = Duration::ZERO;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !driving.is_finished() {
        ticks.tick().await;
        let (began, before) = (clock::now(), look(&tally).ended());
        let seen = plant.admin.verify().await?;
        longest = longest.max(began.elapsed());
        looks += 1;
        moved += u64::from(look(&tally).ended() > before);
        false_findings += seen.findings.len();
        for finding in seen.findings.iter().take(3) {
            report::row("found", finding);
        }
    }
    driving.await.context("the load broke off")?;
    let what = format_args!(
        "{looks} looks at a sale of {rate}/s, {moved} while it moved, the longest took {longest:.2?}"
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
    for (what, law, sql) in SABOTAGES {
        let kept = keep(&plant.store()?, ticket)?;
        let changed = plant.store()?.execute(sql, [ticket])?;
        ensure!(changed == 1, "{what}: {changed} rows");
        let said = plant.command(command).await?;
        let told = String::from_utf8_lossy(&said.stdout).into_owned();
        let named =
            told.lines().any(|line| line.starts_with(law) && line.contains(ticket.as_str()));
        put_back(&plant.store()?, ticket, &kept)?;
        let exit = said.status.code();
        checks
            .promise(named && exit == BROKEN, format_args!("{how}, {what}: {law}, exit {exit:?}"));
    }
    stock(plant, command, how, checks).await
}

/// The store's own counter goes up by one.
async fn stock(
    plant: &Plant,
    command: &[&str],
    how: &str,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let sql = "UPDATE forebay_stock SET available = available + ?1 WHERE sale = ?2";
    plant.store()?.execute(sql, (1, SALE))?;
    let said = plant.command(command).await?;
    plant.store()?.execute(sql, (-1, SALE))?;
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    let named = told.lines().any(|line| line.starts_with("L1") && line.contains(SKU));
    let exit = said.status.code();
    let what = "a stock counter changed";
    checks.promise(named && exit == BROKEN, format_args!("{how}, {what}: L1, exit {exit:?}"));
    Ok(())
}

/// The rows of a ticket, column by column.
type Rows = Vec<Vec<rusqlite::types::Value>>;

fn keep(store: &Connection, ticket: &str) -> anyhow::Result<Rows> {
    let mut read = store.prepare("SELECT * FROM forebay_orders WHERE ticket_id = ?1")?;
    let columns = read.column_count();
    let rows = read.query_map([ticket], |row| (0..columns).map(|at| row.get(at)).collect())?;
    Ok(rows.collect::<Result<Rows, _>>()?)
}

fn put_back(store: &Connection, ticket: &str, rows: &Rows) -> anyhow::Result<()> {
    store.execute("DELETE FROM forebay_orders WHERE ticket_id IN (?1, 'not-' || ?1)", [ticket])?;
    for row in rows {
        let marks = vec!["?"; row.len()].join(",");
        let sql = format!("INSERT INTO forebay_orders VALUES ({marks})");
        store.execute(&sql, rusqlite::params_from_iter(row))?;
    }
    Ok(())
}
