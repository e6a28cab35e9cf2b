//! An order's whole life in Redis: what of its CPU and its memory an order takes from acceptance to its end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::figures::Figures;
use super::{Size, fill, sale};
use crate::cpu::cpu_time;
use crate::on_redis::OnRedis;
use crate::plant::Plant;
use crate::redis::Redis;

/// The store takes what comes: how fast it is changes nothing of what Redis spends.
const DRAIN_RATE: &str = "unlimited";
const DRAINED_WITHIN: Duration = Duration::from_secs(600);

/// What an order took of Redis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// CPU microseconds from acceptance until it waits.
    pub(super) accepted: f64,
    /// CPU microseconds of claim and settle.
    pub(super) drained: f64,
    /// Bytes while it waits, and after its end.
    pub(super) waiting: f64,
    pub(super) finished: f64,
    /// Bytes that the tail has of it by then, which are in neither.
    pub(super) waiting_tail: f64,
    pub(super) finished_tail: f64,
    /// Bytes of the shop's number, which are not in `finished`.
    pub(super) order_no: f64,
}

/// One round: all orders are accepted while the drain stands still, then all are drained.
pub(super) async fn measure(
    binary: &Path,
    size: Size,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut both = OnRedis::start(binary, DRAIN_RATE, false).await?;
    // What is made once and kept is made by a small sale before.
    life(&both, "first", size.orders / 100).await?;
    figures.life(life(&both, "life", size.orders).await?);
    both.kill().await
}

async fn life(both: &OnRedis, name: &str, orders: u64) -> anyhow::Result<Life> {
    let OnRedis { plant, redis } = both;
    plant.admin.pause_drain(true).await?;
    sale(plant, name, super::STOCK).await?;
    let before = Reading::of(redis).await?;
    fill(plant, name, orders).await?;
    let waiting = Reading::of(redis).await?;
    plant.admin.pause_drain(false).await?;
    let census = plant.settled(name, DRAINED_WITHIN).await?;
    ensure!(census.placed == orders, "{} of {orders} orders were placed", census.placed);
    let finished = Reading::of(redis).await?;
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 bytes or orders")]
    let each = |amount: u64| amount as f64 / orders as f64;
    let order_no = order_no_bytes(plant, name)?;
    let micros = |from: Reading, to: Reading| {
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let orders = orders as f64;
        to.cpu.saturating_sub(from.cpu).as_secs_f64() * 1e6 / orders
    };
    let since = |to: Reading| each(to.bytes.saturating_sub(before.bytes));
    let tail = |to: Reading| each(to.tail.saturating_sub(before.tail));
    Ok(Life {
        accepted: micros(before, waiting),
        drained: micros(waiting, finished),
        waiting: since(waiting) - tail(waiting),
        finished: since(finished) - tail(finished) - order_no,
        waiting_tail: tail(waiting),
        finished_tail: tail(finished),
        order_no,
    })
}

/// A Redis at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    cpu: Duration,
    /// What is used but for the buffers of connections.
    bytes: u64,
    /// What the tails take of it.
    tail: u64,
}

impl Reading {
    async fn of(redis: &Redis) -> anyhow::Result<Self> {
        // First: what follows costs the server something itself, but far less than a measured order.
        let cpu = cpu_time(&[redis.pid()])?;
        let info = redis.ask(&["INFO", "memory"]).await?.text();
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|text| text.trim().parse().ok())
                .with_context(|| format!("INFO memory tells no {name}"))
        };
        let bytes = field("used_memory")?.saturating_sub(field("mem_clients_normal")?);
        let mut tail = 0;
        // Every key, whatever their number: a scan in pieces may tell some twice.
        for key in redis.ask(&["KEYS", "*:ev"]).await?.list() {
            let used = redis.ask(&["MEMORY", "USAGE", &key.text(), "SAMPLES", "0"]).await?;
            tail += used.number().and_then(|used| u64::try_from(used).ok()).unwrap_or_default();
        }
        Ok(Self { cpu, bytes, tail })
    }
}

/// How long the shop's numbers are, on average.
fn order_no_bytes(plant: &Plant, sale: &str) -> anyhow::Result<f64> {
    let asked = "SELECT AVG(LENGTH(order_no)) FROM forebay_orders WHERE CAST(sale AS TEXT) = ?1";
    Ok(plant.store()?.query_row(asked, [sale], |row| row.get(0))?)
}
