//! The table: figures of all rounds, their medians, and what they must be.

use std::time::Duration;

use super::cost::Cost;
use super::life::Life;
use crate::median::median;
use crate::output;
use crate::prove::Checks;

/// A share of late sends beyond which the generator, and not the gateway, was measured.
const LATE_SHARE_MAX: f64 = 0.01;

/// One row: a figure a round.
#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    /// `None`: told, and not judged.
    must: Option<f64>,
    figures: Vec<f64>,
    /// What the figures come from, in words, of the last round.
    from: String,
}

/// All rows in the order in which they were first measured.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
}

impl Figures {
    /// A cost as a multiple of bare hyper; `must`: none for what stands there only to be compared with.
    pub(super) fn cost(
        &mut self,
        name: &str,
        must: impl Into<Option<f64>>,
        bare: Cost,
        seen: Cost,
    ) {
        let redis = match seen.redis {
            none if none <= 0.0 => String::new(),
            redis => format!(" (Redis {redis:.2} us of it)"),
        };
        let from = format!(
            "{:.2} us{redis} against {:.2} us, generator {:.2} us; {:.0}/s against {:.0}/s",
            seen.micros, bare.micros, seen.generator, seen.orders_a_second, bare.orders_a_second
        );
        self.row(name, "x", must.into(), seen.micros / bare.micros, from);
    }

    /// What an order takes of Redis over its whole life, the gateway's and the drain's own work aside.
    pub(super) fn life(&mut self, life: Life) {
        let from = format!("accepted {:.2} us, drained {:.2} us", life.accepted, life.drained);
        self.add("whole life in Redis, its CPU", "us", 14.0, life.accepted + life.drained, from);
        let from = format!("without {:.1} B of tail", life.waiting_tail);
        self.add("Redis memory, waiting order", "B", 260.0, life.waiting, from);
        let (tail, order_no) = (life.finished_tail, life.order_no);
        let from = format!("without {tail:.1} B of tail and {order_no:.1} B of order number");
        self.add("Redis memory, finished order", "B", 140.0, life.finished, from);
    }

    /// The latency below which 99 of 100 answers lay.
    pub(super) fn open_loop(&mut self, p99: Duration, late_share: f64) {
        let millis = p99.as_secs_f64() * 1_000.0;
        self.add("accepted p99 at 70 % of capacity", "ms", 5.0, millis, String::new());
        let late = "late sends of the generator";
        self.add(late, "%", LATE_SHARE_MAX * 100.0, late_share * 100.0, String::new());
    }

    /// The cost with many waiting over the cost with few.
    pub(super) fn backlog(&mut self, ratio: f64) {
        self.add("cost, many waiting against few", "x", 1.2, ratio, String::new());
    }

    /// From the start of the process to readiness.
    pub(super) fn restart(&mut self, after: Duration) {
        self.add("restart with many waiting", "s", 5.0, after.as_secs_f64(), String::new());
    }

    /// What a waiting order takes in memory: in the ledger's book, as it reckons itself, and in the whole process.
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 bytes")]
    pub(super) fn memory(&mut self, book: f64, process: u64, waiting: u64) {
        let from = format!("{waiting} waiting");
        self.add("book memory, waiting order", "B", 200.0, book / waiting as f64, from.clone());
        let each = process as f64 / waiting as f64;
        self.row("the same, whole process", "B", None, each, from);
    }

    fn add(&mut self, name: &str, unit: &'static str, must: f64, figure: f64, from: String) {
        self.row(name, unit, Some(must), figure, from);
    }

    fn row(
        &mut self,
        name: &str,
        unit: &'static str,
        must: Option<f64>,
        figure: f64,
        from: String,
    ) {
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => {
                row.figures.push(figure);
                row.from = from;
            }
            None => {
                let figures = vec![figure];
                self.rows.push(Row { name: name.to_owned(), unit, must, figures, from });
            }
        }
    }

    /// The table, with the figure of each round.
    pub(super) fn print(&self) {
        output::line(format_args!("{:<44} {:>9} {:>9}   rounds; last round", "", "median", "must"));
        for Row { name, unit, must, figures, from } in &self.rows {
            let rounds: Vec<String> = figures.iter().map(|figure| format!("{figure:.2}")).collect();
            let (median, rounds) = (median(figures), rounds.join(" "));
            let must = must.map_or(String::new(), |must| format!("{must:.2} {unit:<2}"));
            output::line(format_args!(
                "{name:<44} {median:>7.2} {unit:<2} {must:>8}   {rounds}; {from}"
            ));
        }
    }

    /// Whether each median is what it must be.
    pub(super) fn check(&self, checks: &mut Checks) {
        for Row { name, unit, must, figures, .. } in &self.rows {
            let (Some(must), median) = (must, median(figures)) else { continue };
            checks.threshold(median <= *must, format_args!("{name}: {median:.2} {unit}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_figure_is_told() {
        let mut figures = Figures::default();
        figures.restart(Duration::from_secs(6));
        figures.backlog(1.1);
        let mut checks = Checks::default();
        figures.check(&mut checks);
        assert_eq!(checks.ended(), crate::load::Ended::ThresholdFailed);
    }
}
