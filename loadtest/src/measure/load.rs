//! The closed loop of one point.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::machine::Used;
use super::server::{Measured, SALE_NO, sku};
use super::table::{Point, Row};
use crate::clock;

/// Before the figure counts: caches and connections are warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// The longest transaction told apart from longer ones, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;

/// What all connections of a point share.
struct Loop {
    point: Point,
    /// Numbers of orders and draws of stock rows.
    next: Cell<u64>,
    counts: Cell<bool>,
    over: Cell<bool>,
    seen: RefCell<Histogram<u64>>,
    micros: Cell<u64>,
}

/// Runs a point for `window`, after a short while that is not counted.
///
/// # Errors
/// When a transaction fails, or the machine's counters cannot be read.
pub(super) async fn closed_loop(
    server: &Measured,
    point: Point,
    window: Duration,
) -> anyhow::Result<Row> {
    server.empty(point.stock_rows).await?;
    let mut connections = Vec::new();
    for _ in 0..point.connections {
        connections.push(server.shop().await?);
    }
    let shared = Loop {
        point,
        next: Cell::new(0),
        counts: Cell::new(false),
        over: Cell::new(false),
        seen: RefCell::new(Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?),
        micros: Cell::new(0),
    };
    let all = connections.into_iter().map(|connection| shared.turn(connection));
    let all = at_once(all.collect());
    let watch = async {
        tokio::time::sleep(WARM_UP).await;
        shared.counts.set(true);
        let (before, from) = (Used::now(server.pid())?, clock::now());
        tokio::time::sleep(window).await;
        shared.counts.set(false);
        let used = Used::now(server.pid())?.since(before);
        let elapsed = clock::now() - from;
        shared.over.set(true);
        anyhow::Ok((used, elapsed))
    };
    let (ended, (used, elapsed)) = tokio::try_join!(all, watch)?;
    for connection in ended {
        connection.disconnect().await?;
    }
    shared.row(used, elapsed)
}

/// Drives all connections on this thread, and gives them back.
async fn at_once<F: Future<Output = anyhow::Result<Conn>>>(
    all: Vec<F>,
) -> anyhow::Result<Vec<Conn>> {
    let mut set = futures_util::stream::FuturesUnordered::from_iter(all);
    let mut ended = Vec::new();
    while let Some(connection) = futures_util::StreamExt::next(&mut set).await {
        ended.push(connection?);
    }
    Ok(ended)
}

impl Loop {
    async fn turn(&self, mut connection: Conn) -> anyhow::Result<Conn> {
        while !self.over.get() {
            let (insert, update) = self.statements();
            let began = clock::now();
            connection.query_drop("START TRANSACTION").await?;
            connection.query_drop(insert).await?;
            connection.query_drop(update).await?;
            ensure!(connection.affected_rows() == 1, "a stock row is missing");
            connection.query_drop("COMMIT").await?;
            if self.counts.get() {
                let took = (clock::now() - began).as_micros();
                let took = u64::try_from(took).unwrap_or(u64::MAX).clamp(1, LATENCY_MAX_US);
                self.seen.borrow_mut().record(took)?;
                self.micros.set(self.micros.get() + took);
            }
        }
        Ok(connection)
    }

    /// Line 1 of each order, and the guarded decrement. Tickets ascend within a sale, as those of a gateway do.
    fn statements(&self) -> (String, String) {
        let first = self.next.get();
        self.next.set(first + u64::from(self.point.batch));
        // Knuth's multiplier: any number of rows is visited evenly, and not in the order of the connections.
        let draw = (first / u64::from(self.point.batch)).wrapping_mul(6_364_136_223_846_793_005);
        let row = (draw >> 33) % u64::from(self.point.stock_rows);
        let sku = sku(u32::try_from(row).unwrap_or_default());
        let mut insert = "INSERT INTO forebay_orders VALUES ".to_owned();
        for order in first..first + u64::from(self.point.batch) {
            let comma = if order == first { "" } else { "," };
            // A string takes any write.
            let _ = write!(
                insert,
                "{comma}('AQEAAAABAAAAAQ{order:012}BZ4mQxN1r8vKc2LtYw7HsPfD5gJ0aU3E',1,'sale',{SALE_NO},\
                 'F{order:010}','{sku}','buyer-{order:08}',1,'placed',NULL,\
                 '{{\"size\":\"L\",\"colour\":\"black\",\"gift\":false,\"note\":\"leave it with the neighbour, please, or call\"}}',\
                 1,{order},1,'2026-11-27 02:00:00.000001','2026-11-27 02:00:00.250001',\
                 CURRENT_TIMESTAMP(6))"
            );
        }
        let update = format!(
            "UPDATE forebay_stock SET available = available - {batch} \
             WHERE sale_no = {SALE_NO} AND sku = '{sku}' AND available >= {batch}",
            batch = self.point.batch
        );
        (insert, update)
    }

    #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 transactions")]
    fn row(&self, used: Used, elapsed: Duration) -> anyhow::Result<Row> {
        let seen = self.seen.borrow();
        let transactions = seen.len() as f64;
        ensure!(transactions > 0.0, "no transaction ended at {:?}", self.point);
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / transactions;
        Ok(Row {
            point: self.point,
            transactions_per_second: transactions / elapsed.as_secs_f64(),
            mean_us: self.micros.get() as f64 / transactions,
            p50_us: seen.value_at_quantile(0.5),
            p99_us: seen.value_at_quantile(0.99),
            server_cpu_us: micros(used.server),
            client_cpu_us: micros(used.client),
            other_cores: used
                .others()
                .context("the machine's counters ran backwards")?
                .as_secs_f64()
                / elapsed.as_secs_f64(),
        })
    }
}
