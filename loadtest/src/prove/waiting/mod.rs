//! Buyers wait, half of them on streams and half by held answers, while their orders drain: each learns his
//! outcome, soon after it was settled, his polls cost the ledger nothing, and the gateway stays small.

mod buyer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Checks, Scale};
use crate::drive::{Shared, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::plant::{Plant, STOP_WITHIN};
use crate::scrape::{Memory, Scrape};
use crate::tally::Tally;
use crate::wire::lean::LeanWire;
use crate::{clock, report};
use buyer::{Buyer, Seen, Way};

const SALE: &str = "waiting";
const SKU: &str = "phone";
/// Connections that are being made at once.
const DOOR: usize = 256;
/// All buyers of the largest crowd are there within it.
const GATHER_WITHIN: Duration = Duration::from_secs(120);
/// How long nobody asks, to see what the ledger is asked by itself.
const IDLE: Duration = Duration::from_secs(2);
/// Buyers who still wait when the gateway is stopped, on streams and by polls each.
const AT_THE_STOP: u64 = 20;
/// 20,000 streams in 200 MB, the gateway itself included.
const BYTES_MAX: u64 = 200_000_000;
/// From the settle to the buyer.
const PUSHED_WITHIN_MS: f64 = 50.0;
const READS: (&str, &[&str]) = ("forebay_ledger_request_duration_seconds_count", &["op=\"read\""]);

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (wanted, rate, polls) = scale.pick((500, 200, 2_000), (20_000, 1_000, 50_000));
    let buyers = crate::descriptors::carried(wanted)? / 2 * 2;
    let what = format_args!("{buyers} of {wanted} buyers fit into `ulimit -Hn` at either end");
    checks.threshold(buyers == wanted, what);
    let mut plant = Plant::start(binary, &format!("{rate}/s")).await?;
    plant.admin.pause_drain(true).await?;
    plant.admin.create_sale(SALE, SKU, buyers + 2 * AT_THE_STOP, None).await?;
    plant.phase(SALE, "open").await?;
    let tickets = order(&plant, 0..buyers).await?;

    all_on_streams(&plant, &tickets, scale, checks).await?;
    let seen = shared(Seen::default());
    let mut crowd = gather(&plant, &tickets, &seen, by_turns).await?;
    let resident = Memory::of(plant.process.pid())?.resident / 1_000_000;
    let streams = open_streams(&plant).await?;
    checks.promise(
        streams == buyers / 2,
        format_args!("{streams} streams are open, {} answers held, {resident} MB", buyers / 2),
    );
    polls_cost_nothing(&plant, &tickets, polls, checks).await?;

    let before = plant.admin.metrics().await?;
    plant.admin.pause_drain(false).await?;
    let within = Duration::from_secs(60 + 3 * buyers / rate);
    let all = async { while crowd.join_next().await.is_some() {} };
    ensure!(timeout(within, all).await.is_ok(), "not all buyers learned their outcome in time");
    let after = plant.admin.metrics().await?;
    conclude(&look(&seen), buyers, scale, checks);
    let reads = after.sum(READS.0, READS.1) - before.sum(READS.0, READS.1);
    report::row("reads of the ledger", format_args!("{reads} for {buyers} outcomes"));
    at_the_stop(&mut plant, buyers, checks).await
}

/// Places orders and answers their tickets.
async fn order(plant: &Plant, asks: std::ops::Range<u64>) -> anyhow::Result<Vec<String>> {
    let (from, wanted) = (asks.start, asks.end - asks.start);
    let form = OrderForm::new(SALE, SKU, Crowd::new("waiting", 1));
    let tally = shared(Tally::default());
    plant.drive(&form, 64).run::<LeanWire, Tally>(asks, tally.clone()).await;
    let accepted = look(&tally).with_status(202);
    ensure!(accepted == wanted, "{accepted} of {wanted} orders were accepted");
    let rows = plant.admin.tickets(SALE).await?;
    let new = rows.into_iter().skip(usize::try_from(from)?);
    Ok(new.map(|row| row.ticket).collect())
}

/// Half of the buyers on streams, half by polls.
fn by_turns(number: u64) -> Way {
    if number.is_multiple_of(2) { Way::Stream } else { Way::Polls }
}

async fn open_streams(plant: &Plant) -> anyhow::Result<u64> {
    let open = plant.admin.metrics().await?.sum("forebay_ticket_streams", &[]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let open = open as u64;
    Ok(open)
}

/// What a gateway takes that holds a stream for every buyer; then all of them go away.
async fn all_on_streams(
    plant: &Plant,
    tickets: &[String],
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let (alone, seen) = (Memory::of(plant.process.pid())?, shared(Seen::default()));
    let mut crowd = gather(plant, tickets, &seen, |_| Way::Stream).await?;
    let held = Memory::of(plant.process.pid())?;
    let open = open_streams(plant).await?;
    let wanted = tickets.len() as u64;
    checks.promise(open == wanted, format_args!("{open} of {wanted} streams are open at once"));
    report_memory(alone, held, open, scale, checks);
    crowd.shutdown().await;
    let began = clock::now();
    while open_streams(plant).await? > 0 {
        ensure!(began.elapsed() < GATHER_WITHIN, "streams whose buyers went away stay open");
        sleep(Duration::from_millis(20)).await;
    }
    report::row("gone", format_args!("no stream is left {:.2?} later", began.elapsed()));
    Ok(())
}

/// Has all buyers wait.
async fn gather(
    plant: &Plant,
    tickets: &[String],
    seen: &Shared<Seen>,
    way: impl Fn(u64) -> Way,
) -> anyhow::Result<JoinSet<()>> {
    let (door, began) = (Arc::new(Semaphore::new(DOOR)), clock::now());
    let mut crowd = JoinSet::new();
    for (number, ticket) in (0_u64..).zip(tickets) {
        let buyer = Buyer {
            target: plant.public.clone(),
            ticket: ticket.clone(),
            seen: seen.clone(),
            door: Arc::clone(&door),
        };
        crowd.spawn(buyer.wait(way(number)));
    }
    while look(seen).waiting < tickets.len() as u64 {
        let failures = look(seen).failures.clone();
        ensure!(
            failures.is_empty(),
            "{} buyers cannot wait: {:?}",
            failures.len(),
            failures.first()
        );
        let waiting = look(seen).waiting;
        ensure!(began.elapsed() < GATHER_WITHIN, "only {waiting} buyers wait");
        sleep(Duration::from_millis(20)).await;
    }
    report::row("gathered", format_args!("{} buyers in {:.2?}", tickets.len(), began.elapsed()));
    Ok(crowd)
}

fn report_memory(alone: Memory, with_all: Memory, streams: u64, scale: Scale, checks: &mut Checks) {
    let each = with_all.resident.saturating_sub(alone.resident) / streams.max(1);
    let mega = |bytes: u64| bytes / 1_000_000;
    let (before, now, peak) = (mega(alone.resident), mega(with_all.resident), mega(with_all.peak));
    let what = format_args!(
        "{now} MB resident with {streams} streams ({before} MB before, peak {peak} MB, {each} B each)"
    );
    match scale {
        Scale::Small => report::row("memory", what),
        Scale::Full => checks.threshold(with_all.resident <= BYTES_MAX, what),
    }
}

/// What the ledger is asked while everybody waits: the same with thousands of polls as with none.
async fn polls_cost_nothing(
    plant: &Plant,
    tickets: &[String],
    polls: u64,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let first = plant.admin.metrics().await?;
    let began = clock::now();
    sleep(IDLE).await;
    let second = plant.admin.metrics().await?;
    let (idle, polled) = (began.elapsed(), clock::now());
    let ticket = tickets.last().context("somebody waits")?.clone();
    let asker = Buyer {
        target: plant.public.clone(),
        ticket,
        seen: shared(Seen::default()),
        door: Arc::new(Semaphore::new(DOOR)),
    };
    asker.poll_at_once(polls).await?;
    let took = polled.elapsed();
    let third = plant.admin.metrics().await?;
    let reads = |from: &Scrape, to: &Scrape| to.sum(READS.0, READS.1) - from.sum(READS.0, READS.1);
    let counted = third.sum("forebay_ticket_polls_total", &[])
        - second.sum("forebay_ticket_polls_total", &[]);
    let (by_itself, while_polled) = (reads(&first, &second), reads(&second, &third));
    // The gateway looks at its ledger by the clock; both ends of a window may hold one look more.
    let expected = by_itself / idle.as_secs_f64() * took.as_secs_f64() + by_itself.max(2.0);
    #[expect(clippy::cast_precision_loss, reason = "polls are far below 2^52")]
    let all_counted = counted >= polls as f64;
    checks.promise(all_counted, format_args!("{counted} polls are counted"));
    let what = format_args!(
        "{counted} polls in {took:.2?}: {while_polled} reads of the ledger; {by_itself} in {idle:.2?} without polls"
    );
    checks.promise(while_polled <= expected, what);
    Ok(())
}

fn conclude(seen: &Seen, buyers: u64, scale: Scale, checks: &mut Checks) {
    for failure in seen.failures.iter().take(5) {
        report::row("failed", failure);
    }
    let learned = seen.outcomes.len() as u64;
    checks.promise(learned == buyers, format_args!("{learned} of {buyers} buyers learned the end"));
    checks.promise(seen.failures.is_empty(), format_args!("{} failures", seen.failures.len()));
    checks.promise(seen.otherwise == 0, format_args!("{} not placed", seen.otherwise));
    checks.promise(seen.grew == 0, format_args!("{} positions grew", seen.grew));
    let away = seen.told_to_stay_away;
    checks.promise(away == buyers / 2, format_args!("{away} reconnects with the last id: 204"));
    report::row("answers", format_args!("{} polls, {} events", seen.polls, seen.events));
    let mut late = seen.outcomes.clone();
    late.sort_unstable();
    let at = |share: usize| {
        let micros = late.get((late.len() * share / 1_000).min(late.len().saturating_sub(1)));
        #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52")]
        let millis = micros.copied().unwrap_or_default() as f64 / 1_000.0;
        millis
    };
    let what = format_args!(
        "from settle to buyer p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        at(500),
        at(900),
        at(990),
        at(999)
    );
    match scale {
        Scale::Small => report::row("outcomes", what),
        Scale::Full => checks.threshold(at(990) <= PUSHED_WITHIN_MS, what),
    }
}

/// Those who still wait when the gateway stops: held answers come at once, streams end.
async fn at_the_stop(plant: &mut Plant, placed: u64, checks: &mut Checks) -> anyhow::Result<()> {
    plant.admin.pause_drain(true).await?;
    let tickets = order(plant, placed..placed + 2 * AT_THE_STOP).await?;
    let seen = shared(Seen::default());
    let mut crowd = gather(plant, &tickets, &seen, by_turns).await?;
    let polls = look(&seen).polls;
    let began = clock::now();
    let stopped = plant.process.stop(STOP_WITHIN).await?;
    let took = began.elapsed();
    while crowd.join_next().await.is_some() {}
    let answered = look(&seen).polls - polls;
    checks.promise(stopped.success(), format_args!("SIGTERM ends it with {stopped} in {took:.2?}"));
    let ended = look(&seen).failures.iter().filter(|why| why.contains("the stream ended")).count();
    checks.promise(
        answered >= AT_THE_STOP && ended as u64 == AT_THE_STOP,
        format_args!("at the stop {answered} held answers came, {ended} streams ended"),
    );
    Ok(())
}
