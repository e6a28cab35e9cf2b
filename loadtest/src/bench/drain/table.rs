//! The figures: medians over the quiet rounds, for people and for machines.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::turn::{Rig, Row, Turn};
use super::{Name, workers};
use crate::bench::machine::Machine;
use crate::bench::quiet;
use crate::bench::shop::redis_version;
use crate::median::median;
use crate::output;

/// One line: medians, in microseconds of CPU an order where nothing else is said.
#[derive(Debug)]
struct Line {
    peer: &'static str,
    orders: u64,
    a_second: f64,
    workers: f64,
    redis: f64,
    database: f64,
    times_plain: f64,
    /// Rounds in which neither this turn nor that of plain inserts was disturbed.
    quiet: usize,
    rounds: usize,
}

/// The whole result.
#[derive(Debug)]
pub(super) struct Table {
    lines: Vec<Line>,
    connections: usize,
    machine: Machine,
    versions: Vec<(&'static str, String)>,
}

impl Table {
    pub(super) async fn new(rows: &[Row], rig: &Rig, forebay: &str) -> anyhow::Result<Self> {
        let plain = rows.iter().find(|row| row.name == Name::PlainInserts);
        let plain = plain.context("plain inserts always run")?;
        let lines = rows.iter().map(|row| Line::new(row, plain)).collect();
        let mut versions =
            vec![("Forebay", forebay.to_owned()), ("database", rig.database().await?)];
        if rows.iter().any(|row| row.name.on_redis()) {
            versions.push(("Redis", redis_version().await?));
        }
        for row in rows {
            if let Some(made_of) = workers::versions(row.name, rig.peers.as_deref()).await? {
                versions.push((row.name.label(), made_of));
            }
        }
        Ok(Self { lines, connections: rig.connections, machine: Machine::here()?, versions })
    }

    /// For people.
    pub(super) fn print(&self) {
        output::line(self.machine.line());
        for (what, version) in &self.versions {
            output::line(format_args!("{what}: {version}"));
        }
        output::line(format_args!(
            "\nfrom a full queue into MariaDB, without a pace; all but Forebay by {} connections; medians of the quiet rounds",
            self.connections
        ));
        output::line(format_args!(
            "{:<34} {:>7} {:>9} {:>10} {:>8} {:>10} {:>7} {:>8}  {}",
            "CPU in microseconds an order",
            "orders",
            "orders/s",
            "workers us",
            "Redis us",
            "MariaDB us",
            "all us",
            "x plain",
            "quiet"
        ));
        for line in &self.lines {
            line.print();
        }
        if self.lines.iter().any(|line| line.quiet == 0) {
            output::line("~ no round was quiet: the median of all of them, on a busy machine");
        }
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let versions: Map<String, Value> =
            self.versions.iter().map(|(what, of)| ((*what).to_owned(), json!(of))).collect();
        json!({
            "machine": self.machine.json(),
            "versions": versions,
            "connections": self.connections,
            "rows": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "no turn has 2^52 orders")]
fn micros(spent: Duration, orders: u64) -> f64 {
    spent.as_secs_f64() * 1e6 / orders as f64
}

/// Microseconds of CPU of all processes an order.
fn cost(turn: &Turn, orders: u64) -> f64 {
    micros(turn.workers + turn.redis + turn.database, orders)
}

impl Line {
    fn new(row: &Row, plain: &Row) -> Self {
        let (counted, quiet) = quiet::counted(&row.turns, &plain.turns, |turn| turn.others);
        let of = |figure: &dyn Fn(&Turn, &Turn) -> f64| {
            median(&counted.iter().map(|(turn, plain)| figure(turn, plain)).collect::<Vec<f64>>())
        };
        let each = |part: fn(&Turn) -> Duration| of(&|turn, _| micros(part(turn), row.orders));
        Self {
            peer: row.name.label(),
            orders: row.orders,
            a_second: of(&|turn, _| 1e6 / micros(turn.elapsed, row.orders)),
            workers: each(|turn| turn.workers),
            redis: each(|turn| turn.redis),
            database: each(|turn| turn.database),
            times_plain: of(&|turn, of| cost(turn, row.orders) / cost(of, plain.orders)),
            quiet,
            rounds: row.turns.len(),
        }
    }

    fn all(&self) -> f64 {
        self.workers + self.redis + self.database
    }

    fn print(&self) {
        let Self { peer, orders, a_second, workers, database, times_plain, quiet, rounds, .. } =
            self;
        let redis = if self.redis > 0.0 { format!("{:.1}", self.redis) } else { "-".to_owned() };
        let mark = if *quiet == 0 { "~" } else { "" };
        output::line(format_args!(
            "{peer:<34} {orders:>7} {a_second:>9.0} {workers:>10.1} {redis:>8} {database:>10.1} {:>7.1} {times_plain:>8.2}  {quiet}/{rounds}{mark}",
            self.all()
        ));
    }

    fn json(&self) -> Value {
        json!({
            "peer": self.peer,
            "orders": self.orders,
            "orders_per_second": self.a_second,
            "workers_us": self.workers,
            "redis_us": self.redis,
            "database_us": self.database,
            "all_us": self.all(),
            "times_plain": self.times_plain,
            "quiet_rounds": self.quiet,
            "rounds": self.rounds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn of a second, with so many milliseconds of CPU.
    fn turn(workers: u64, redis: u64, database: u64, others: f64) -> Turn {
        let [workers, redis, database] = [workers, redis, database].map(Duration::from_millis);
        Turn { elapsed: Duration::from_secs(1), workers, redis, database, others }
    }

    #[test]
    fn every_process_counts_and_a_row_stands_beside_plain_inserts_of_its_rounds() {
        let plain = [turn(10, 0, 30, 0.0), turn(20, 0, 60, 0.1), turn(1, 0, 1, 0.0)];
        let plain = Row { turns: plain.into(), ..Row::new(Name::PlainInserts, 1_000) };
        let peer = [turn(40, 20, 60, 0.0), turn(80, 40, 120, 0.0), turn(9, 9, 9, 0.5)];
        let peer = Row { turns: peer.into(), ..Row::new(Name::Bullmq, 2_000) };
        let line = Line::new(&peer, &plain);
        assert_eq!((line.quiet, line.rounds), (2, 3));
        // Of two quiet rounds the larger counts: 240 ms of 2,000 orders, and 80 of 1,000.
        assert!((line.all() - 120.0).abs() < 1e-9, "{line:?}");
        assert!((line.times_plain - 1.5).abs() < 1e-9, "{line:?}");
        assert!((line.a_second - 2_000.0).abs() < 1e-9, "{line:?}");
    }
}
