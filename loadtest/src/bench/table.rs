//! The figures: medians over the quiet rounds, for people and for machines.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::machine::Machine;
use super::rounds::{Plan, Row, Turn};
use super::{Name, Peer, quiet};
use crate::median::median;
use crate::output;

/// One line: medians.
#[derive(Debug)]
struct Line {
    peer: String,
    lane: &'static str,
    connections: usize,
    answers_a_second: f64,
    p50: f64,
    p99: f64,
    gateway: f64,
    redis: f64,
    generator: f64,
    times_bare: f64,
    /// Rounds in which neither this turn nor bare hyper's was disturbed.
    quiet: usize,
}

/// The whole result.
#[derive(Debug)]
pub(super) struct Table {
    lines: Vec<Line>,
    rounds: usize,
    turn: Duration,
    machine: Machine,
    versions: Vec<(String, String)>,
}

impl Table {
    pub(super) fn new(
        peers: &[Peer],
        plan: &Plan,
        rows: &[Row],
        forebay: &str,
    ) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for row in rows {
            let peer = peers.get(row.peer).context("a row is of a peer")?;
            let bare = |bare: &&Row| {
                bare.connections == row.connections
                    && peers.get(bare.peer).is_some_and(|peer| peer.name == Name::Bare)
            };
            let bare = rows.iter().find(bare).context("bare hyper always runs")?;
            lines.push(Line::new(peer.label(), row, bare));
        }
        let mut versions = vec![("Forebay".to_owned(), forebay.to_owned())];
        for peer in peers.iter().filter(|peer| !peer.versions().is_empty()) {
            versions.push((peer.label(), peer.versions().join(", ")));
        }
        let machine = Machine::here()?;
        Ok(Self { lines, rounds: plan.rounds, turn: plan.turn, machine, versions })
    }

    /// For people.
    pub(super) fn print(&self) {
        output::line(self.machine.line());
        for (peer, versions) in &self.versions {
            output::line(format_args!("{peer}: {versions}"));
        }
        let mut shown = 0;
        for line in &self.lines {
            if line.connections != shown {
                shown = line.connections;
                self.head(shown);
            }
            line.print(self.rounds);
        }
        if self.lines.iter().any(|line| line.quiet == 0) {
            output::line("~ no round was quiet: the median of all of them, on a busy machine");
        }
    }

    fn head(&self, connections: usize) {
        output::line(format_args!(
            "\n{connections} connections, closed loop: medians of the quiet ones of {} rounds, {:?} a turn",
            self.rounds, self.turn
        ));
        output::line(format_args!(
            "{:<50} {:>9} {:>8} {:>8} {:>10} {:>8} {:>8} {:>7}  {}",
            "CPU in microseconds an order",
            "answers/s",
            "p50 ms",
            "p99 ms",
            "gateway us",
            "Redis us",
            "both us",
            "x bare",
            "quiet"
        ));
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let versions: serde_json::Map<String, Value> =
            self.versions.iter().map(|(peer, of)| (peer.clone(), json!(of))).collect();
        json!({
            "machine": self.machine.json(),
            "versions": versions,
            "rounds": self.rounds,
            "turn_ms": self.turn.as_secs_f64() * 1e3,
            "rows": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
        })
    }
}

impl Line {
    fn new(peer: String, row: &Row, bare: &Row) -> Self {
        let (counted, quiet) = quiet::counted(&row.turns, &bare.turns, |turn| turn.others);
        let of = |figure: &dyn Fn(&(Turn, Turn)) -> f64| {
            median(&counted.iter().map(figure).collect::<Vec<f64>>())
        };
        let median_of = |figure: fn(&Turn) -> f64| of(&|(turn, _)| figure(turn));
        Self {
            peer,
            lane: row.lane.name(),
            connections: row.connections,
            answers_a_second: median_of(|turn| orders(turn) / turn.lap.elapsed.as_secs_f64()),
            p50: median_of(|turn| turn.lap.p50.as_secs_f64() * 1e3),
            p99: median_of(|turn| turn.lap.p99.as_secs_f64() * 1e3),
            gateway: median_of(|turn| micros(turn.lap.gateway, turn)),
            redis: median_of(|turn| micros(turn.lap.redis, turn)),
            generator: median_of(|turn| micros(turn.lap.generator, turn)),
            times_bare: of(&|(turn, bare)| cost(turn) / cost(bare)),
            quiet,
        }
    }

    fn print(&self, rounds: usize) {
        let Self {
            peer, lane, answers_a_second, p50, p99, gateway, redis, times_bare, quiet, ..
        } = self;
        let both = gateway + redis;
        let redis = if *redis > 0.0 { format!("{redis:.1}") } else { "-".to_owned() };
        let mark = if *quiet == 0 { "~" } else { "" };
        output::line(format_args!(
            "{:<50} {answers_a_second:>9.0} {p50:>8.2} {p99:>8.2} {gateway:>10.1} {redis:>8} {both:>8.1} {times_bare:>7.2}  {quiet}/{rounds}{mark}",
            format!("{peer}: {lane}"),
        ));
    }

    fn json(&self) -> Value {
        json!({
            "peer": self.peer,
            "lane": self.lane,
            "connections": self.connections,
            "answers_per_second": self.answers_a_second,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "gateway_us": self.gateway,
            "redis_us": self.redis,
            "generator_us": self.generator,
            "times_bare": self.times_bare,
            "quiet_rounds": self.quiet,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "no turn has 2^52 orders")]
fn orders(turn: &Turn) -> f64 {
    turn.lap.orders as f64
}

fn micros(spent: Duration, turn: &Turn) -> f64 {
    spent.as_secs_f64() * 1e6 / orders(turn)
}

/// Microseconds of CPU of all servers an order.
fn cost(turn: &Turn) -> f64 {
    micros(turn.lap.gateway + turn.lap.redis, turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Lane;
    use crate::lap::Lap;

    /// A turn of 1,000 orders that took a second, with so many microseconds of CPU an order.
    fn turn(gateway: u64, redis: u64, others: f64) -> Turn {
        let lap = Lap {
            orders: 1_000,
            elapsed: Duration::from_secs(1),
            gateway: Duration::from_millis(gateway),
            redis: Duration::from_millis(redis),
            generator: Duration::from_millis(5),
            p50: Duration::from_micros(500),
            p99: Duration::from_micros(900),
        };
        Turn { lap, others }
    }

    fn row(turns: Vec<Turn>) -> Row {
        Row { peer: 0, lane: Lane::Accepted, connections: 64, turns }
    }

    fn line(peer: Vec<Turn>, bare: Vec<Turn>) -> Line {
        Line::new("peer".to_owned(), &row(peer), &row(bare))
    }

    #[test]
    fn a_round_counts_when_neither_turn_was_disturbed() {
        let peer = vec![turn(20, 10, 0.0), turn(80, 10, 0.0), turn(90, 10, 0.5)];
        let bare = vec![turn(10, 0, 0.1), turn(40, 0, 0.2), turn(10, 0, 0.0)];
        let line = line(peer, bare);
        assert_eq!(line.quiet, 1);
        assert!((line.times_bare - 3.0).abs() < 1e-9, "{line:?}");
        assert!((line.gateway - 20.0).abs() < 1e-9 && (line.redis - 10.0).abs() < 1e-9);
        assert!((line.answers_a_second - 1_000.0).abs() < 1e-9 && (line.p99 - 0.9).abs() < 1e-9);
    }

    #[test]
    fn without_a_quiet_round_all_count_and_the_line_says_so() {
        let peer = vec![turn(30, 0, 1.0), turn(20, 0, 1.0), turn(60, 0, 1.0)];
        let bare = vec![turn(10, 0, 0.0); 3];
        let line = line(peer, bare);
        assert_eq!(line.quiet, 0);
        assert!((line.times_bare - 3.0).abs() < 1e-9, "{line:?}");
        assert_eq!(line.json()["quiet_rounds"], 0);
    }
}
