//! The edge: every row of the list of bad inputs with the answer that is wanted and the one that is seen.
//!
//! The rows are bytes, sent on bare sockets. Then the same bytes go through nginx and HAProxy: what they say
//! they passed on and what the gateway counted must be the same number.

mod addresses;
mod api;
mod bodies;
mod exchange;
mod guarded;
mod heads;
mod patience;
mod proxies;
mod row;
mod states;
mod waits;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::exchange::{Seen, exchange};
use self::patience::Slow;
use self::proxies::{Both, Kind, Proxy};
use self::row::{Row, SALE, SKU};
use super::Checks;
use crate::plant::Plant;
use crate::{output, report};

/// Rows that are sent at once.
const AT_ONCE: usize = 16;
/// Units for every order of the table.
const STOCK: u64 = 100_000;

pub(super) async fn prove(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let mut rows = heads::rows();
    rows.extend(bodies::rows());
    rows.extend(api::rows());
    output::line(format_args!("{:<6} {:<46} {:<36} seen", "row", "what is sent", "wanted"));
    let plant = open(binary, Vec::new()).await?;
    direct(&plant, &rows, checks).await?;
    states::prove(&plant, checks).await?;
    waits::prove(&plant, checks).await?;
    drop(plant);
    patience(binary, checks).await?;
    rate(binary, checks).await?;
    guarded::prove(binary, checks).await?;
    addresses::prove(binary, checks).await?;
    // Most of it is waiting for silence, so both go at once.
    let behind = |kind| behind(binary, kind, &rows);
    let (nginx, haproxy) = tokio::try_join!(behind(Kind::Nginx), behind(Kind::Haproxy))?;
    told(Kind::Nginx, &nginx, checks);
    told(Kind::Haproxy, &haproxy, checks);
    Ok(())
}

/// A gateway with the sale of the table.
async fn open(binary: &Path, settings: Vec<(&'static str, String)>) -> anyhow::Result<Plant> {
    let mut settings = settings;
    // Some buyers of the table send many rows at once.
    settings.push(("FOREBAY_LIMITS__PER_BUYER", "off".to_owned()));
    let plant = Plant::start_with(binary, "1000/s", settings).await?;
    plant.admin.create_sale(SALE, SKU, STOCK, None).await?;
    plant.phase(SALE, "open").await?;
    Ok(plant)
}

/// Every row, each on a connection of its own.
async fn direct(plant: &Plant, rows: &[Row], checks: &mut Checks) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut sent = JoinSet::new();
    for (at, row) in rows.iter().cloned().enumerate() {
        let (places, target) = (Arc::clone(&places), plant.public.address);
        sent.spawn(async move {
            let _place = places.acquire_owned().await?;
            anyhow::Ok((at, exchange(target, &row).await?))
        });
    }
    let mut seen: Vec<Option<Seen>> = rows.iter().map(|_| None).collect();
    while let Some(row) = sent.join_next().await {
        let (at, of_row) = row??;
        *seen.get_mut(at).context("a row that was not sent")? = Some(of_row);
    }
    let mut accepted = 0;
    for (row, seen) in rows.iter().zip(seen.into_iter().flatten()) {
        accepted += seen.answers.iter().filter(|answer| answer.status == 202).count() as u64;
        print(row, &seen.text, checks);
    }
    let census = plant.admin.census(SALE).await?;
    let what = format_args!("{accepted} answers 202, {} orders taken", census.accepted);
    checks.promise(census.accepted == accepted, what);
    Ok(())
}

fn print(row: &Row, seen: &str, checks: &mut Checks) {
    table(row.id, &row.what, row.wanted, seen, row.holds(seen), checks);
}

/// One row of the table.
fn table(id: &str, what: &str, wanted: &str, seen: &str, holds: bool, checks: &mut Checks) {
    let what: String = what.escape_debug().take(46).collect();
    let mark = if holds { "" } else { "   <-- DIFFERS" };
    output::line(format_args!("{id:<6} {what:<46} {wanted:<36} {seen}{mark}"));
    checks.count(holds);
}

/// Clients that take their time, all at once.
async fn patience(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let limits = ["FIRST_BYTE", "HEADERS", "BODY", "IDLE", "WRITE"].map(|name| match name {
        "FIRST_BYTE" => "FOREBAY_PUBLIC__TIMEOUTS__FIRST_BYTE",
        "HEADERS" => "FOREBAY_PUBLIC__TIMEOUTS__HEADERS",
        "BODY" => "FOREBAY_PUBLIC__TIMEOUTS__BODY",
        "IDLE" => "FOREBAY_PUBLIC__TIMEOUTS__IDLE",
        _ => "FOREBAY_PUBLIC__TIMEOUTS__WRITE",
    });
    let settings = limits.map(|name| (name, patience::LIMIT.to_owned())).to_vec();
    let plant = open(binary, settings).await?;
    let target = plant.public.address;
    let never = tokio::spawn(patience::never_reads(target));
    slow(target, patience::rows(), checks).await?;
    let took = never.await??;
    let seen = format!("cut after {took:.1?}");
    table(
        "B-47",
        "asks and never reads",
        "cut after 1s",
        &seen,
        patience::in_a_second(took),
        checks,
    );
    Ok(())
}

/// Clients whose bodies have a long time in all, and must bring so much each second.
async fn rate(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let plant = open(binary, vec![("FOREBAY_PUBLIC__TIMEOUTS__BODY", "60s".to_owned())]).await?;
    slow(plant.public.address, patience::steady(), checks).await
}

/// Rows in which time passes, all at once.
async fn slow(target: SocketAddr, rows: Vec<Slow>, checks: &mut Checks) -> anyhow::Result<()> {
    let sent: Vec<_> = rows
        .into_iter()
        .map(|row| {
            tokio::spawn(async move {
                let seen = patience::seen(target, &row).await;
                (row, seen)
            })
        })
        .collect();
    for row in sent {
        let (row, seen) = row.await?;
        let (seen, took) = seen?;
        let holds = seen == row.wanted && row.in_time(took);
        let (wanted, timed) = (row.wanted_then(), format!("{seen} after {took:.1?}"));
        table(row.id, row.what, &wanted, &timed, holds, checks);
    }
    Ok(())
}

/// What a proxy and the gateway behind it counted of all rows.
#[derive(Debug, Default)]
struct Counted {
    sent: u64,
    requests: u64,
    /// Rows that they counted differently: their names, and both numbers.
    differ: Vec<(&'static str, String)>,
}

/// The same bytes through a proxy.
async fn behind(binary: &Path, kind: Kind, rows: &[Row]) -> anyhow::Result<Counted> {
    // A body that a proxy never ends must not be counted with a later row.
    let settings = vec![("FOREBAY_PUBLIC__TIMEOUTS__BODY", patience::LIMIT.to_owned())];
    let plant = open(binary, settings).await?;
    let proxy = Proxy::start(kind, plant.public.address).await?;
    let mut of_all = Counted::default();
    // A request that never becomes whole may be passed on in part, and ends with its connection.
    let whole = rows.iter().filter(|row| !row.half_close && row.then.is_empty());
    for row in whole {
        let both = proxies::through(&proxy, &plant, row).await?;
        let Both { passed_on, counted, .. } = both;
        of_all.sent += 1;
        of_all.requests += counted;
        if !both.agree() {
            let what = format!("{}: {passed_on} passed on, {counted} counted", row.what);
            of_all.differ.push((row.id, what));
        }
    }
    Ok(of_all)
}

fn told(kind: Kind, counted: &Counted, checks: &mut Checks) {
    let Counted { sent, requests, differ } = counted;
    for (id, what) in differ {
        report::row(id, what);
    }
    let what = format_args!(
        "{kind:?} in front: {sent} rows, {requests} requests counted, {} rows counted differently",
        differ.len()
    );
    checks.promise(differ.is_empty() && *requests > 50, what);
}
