//! What an order costs: CPU of the gateway's process, and of Redis where the ledger lies in it, as a multiple of bare
//! hyper answering 202 to the same request in the same round.
//!
//! Machines are shared and noisy, so in each round the gateway and bare hyper answer in short turns, one
//! after the other; each ratio is taken within its round, and the median of the rounds is what counts.

mod backlog;
mod cost;
mod figures;
mod life;

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use self::cost::Cost;
use self::figures::Figures;
use super::{Checks, Scale};
use crate::drive::{Arrivals, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::on_redis::OnRedis;
use crate::output;
use crate::plant::Plant;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;
use crate::wire::{Answer, Wire};
use crate::yardstick::Yardstick;

const SKU: &str = "phone";
/// More units than any round asks for.
const STOCK: u64 = 100_000_000;
/// The rate at which the simulated store is fed meanwhile: the queue only grows.
const DRAIN_RATE: &str = "1/s";
/// Those of a closed loop, where nothing else is said.
const CONNECTIONS: usize = 64;
/// Enough connections that an order finds one free.
const OPEN_LOOP_CONNECTIONS: usize = 256;
/// The share of the capacity at which latency is looked at.
const OPEN_LOOP_SHARE: f64 = 0.7;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Size {
    rounds: usize,
    /// Orders of a figure in a round, sent in so many turns.
    orders: u64,
    turns: u64,
    few_waiting: u64,
    many_waiting: u64,
    open_loop: Duration,
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let small = Size {
        rounds: 1,
        orders: 3_000,
        turns: 2,
        few_waiting: 1_000,
        many_waiting: 20_000,
        open_loop: Duration::from_secs(1),
    };
    let full = Size {
        rounds: 3,
        orders: 200_000,
        turns: 10,
        few_waiting: 1_000,
        many_waiting: 1_000_000,
        open_loop: Duration::from_secs(10),
    };
    let size = scale.pick(small, full);
    let body_bytes = answer_bytes(binary).await?;
    let mut figures = Figures::default();
    for round in 1..=size.rounds {
        for connections in [CONNECTIONS, 512] {
            output::note(format_args!(
                "round {round} of {}: {connections} connections",
                size.rounds
            ));
            at_connections(binary, size, connections, body_bytes, &mut figures).await?;
        }
        output::note(format_args!(
            "round {round} of {}: {} waiting",
            size.rounds, size.many_waiting
        ));
        backlog::measure(binary, size, body_bytes, &mut figures).await?;
        output::note(format_args!("round {round} of {}: whole lives in Redis", size.rounds));
        life::measure(binary, size, &mut figures).await?;
    }
    figures.print();
    match scale {
        Scale::Small => output::line("small scale: every row is measured, none is judged"),
        Scale::Full => figures.check(checks),
    }
    Ok(())
}

/// Bare hyper, accepted orders and refusals in turns, each with this many connections.
async fn at_connections(
    binary: &Path,
    size: Size,
    connections: usize,
    body_bytes: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut bare = Yardstick::bare(body_bytes).await?;
    let mut plant = Plant::start(binary, DRAIN_RATE).await?;
    let accepted = sale(&plant, "accepted", STOCK).await?;
    let refused = sale(&plant, "refused", 1).await?;
    sell_out(&plant).await?;
    let pid = plant.process.pid();
    let mut on_redis = OnRedis::start(binary, DRAIN_RATE, false).await?;
    let mut with_aof = OnRedis::start(binary, DRAIN_RATE, true).await?;
    let runner = |form, status| cost::runner(plant.drive(form, connections), pid, status);
    let runners = [
        cost::bare(&bare, connections)?,
        runner(&accepted, 202)?,
        runner(&refused, 409)?,
        cost::on_redis(&on_redis, &sale(&on_redis.plant, "accepted", STOCK).await?, connections)?,
        cost::on_redis(&with_aof, &sale(&with_aof.plant, "accepted", STOCK).await?, connections)?,
    ];
    let [bare_cost, accepted, refused, in_redis, logged] =
        Box::pin(cost::race(runners, size.orders, size.turns)).await?;
    bare.process.kill().await?;
    on_redis.kill().await?;
    with_aof.kill().await?;
    let name = format!("accepted, embedded, {connections} connections");
    figures.cost(&name, 1.75, bare_cost, accepted);
    let name = format!("refused from memory, {connections} connections");
    figures.cost(&name, 1.15, bare_cost, refused);
    let name = format!("accepted, Redis ledger, {connections} connections");
    figures.cost(&name, 1.9, bare_cost, in_redis);
    figures.cost(&format!("{name}, AOF"), None, bare_cost, logged);
    if connections == CONNECTIONS {
        let (p99, late) = open_loop(&plant, accepted, size).await?;
        figures.open_loop(p99, late);
    }
    plant.process.kill().await
}

/// How long the gateway's answer to an accepted order is: the yardstick answers with as much.
async fn answer_bytes(binary: &Path) -> anyhow::Result<usize> {
    let mut plant = Plant::start(binary, DRAIN_RATE).await?;
    let form = sale(&plant, "sample", STOCK).await?;
    let mut wire = LeanWire::connect(&plant.public, &form).await?;
    ensure!(wire.exchange(0).await.is_ok(), "an order gets no answer");
    let Answer { status, body, .. } = wire.answer();
    ensure!(status == 202, "an order is answered {status}");
    plant.process.kill().await?;
    Ok(body.len())
}

/// Makes an open sale with a limit of one, and the form to order in it.
async fn sale(plant: &Plant, name: &str, stock: u64) -> anyhow::Result<OrderForm> {
    plant.admin.create_sale(name, SKU, stock, Some(1)).await?;
    plant.phase(name, "open").await?;
    Ok(OrderForm::new(name, SKU, Crowd::new(name, 1)).with_payload_of_100_bytes())
}

/// Puts orders into the queue of a sale.
async fn fill(plant: &Plant, sale: &str, orders: u64) -> anyhow::Result<()> {
    let form = OrderForm::new(sale, SKU, Crowd::new(format!("fill-{sale}"), 1))
        .with_payload_of_100_bytes();
    let tally = shared(Tally::default());
    plant.drive(&form, CONNECTIONS).run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    let tally = look(&tally);
    ensure!(tally.with_status(202) == orders, "the queue was not filled: {:?}", tally.statuses());
    Ok(())
}

/// Buys the only unit of the sale `refused`, and waits until the gateway knows that it is sold out.
async fn sell_out(plant: &Plant) -> anyhow::Result<()> {
    let form = OrderForm::new("refused", SKU, Crowd::new("first", 1));
    let tally = shared(Tally::default());
    plant.drive(&form, 1).run::<LeanWire, Tally>(0..1, tally.clone()).await;
    ensure!(look(&tally).with_status(202) == 1, "the only unit was refused: {:?}", look(&tally));
    plant.phase("refused", "sold_out").await
}

/// p99 from the intended send time at a share of the capacity just seen, and the share of late sends.
async fn open_loop(plant: &Plant, seen: Cost, size: Size) -> anyhow::Result<(Duration, f64)> {
    let form =
        OrderForm::new("accepted", SKU, Crowd::new("open-loop", 1)).with_payload_of_100_bytes();
    let rate = seen.orders_a_second * OPEN_LOOP_SHARE;
    let mut drive = plant.drive(&form, OPEN_LOOP_CONNECTIONS);
    drive.arrivals = Arrivals::PerSecond(rate);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of orders"
    )]
    let orders = (rate * size.open_loop.as_secs_f64()) as u64;
    let tally = shared(Tally::default());
    let driven = drive.run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    let tally = look(&tally);
    ensure!(
        tally.with_status(202) == orders,
        "not every order was accepted: {:?}",
        tally.statuses()
    );
    Ok((tally.latency(0.99), driven.late_share()))
}
