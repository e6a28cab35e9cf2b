//! The simulated store is made after a real server: a `MariaDB` of our own still says and does what was measured.

use std::time::Duration;

use anyhow::Context;

use super::{Checks, Scale};
use crate::measure::server::Measured;
use crate::measure::table::{Point, Table};
use crate::measure::{Care, codes, measured};
use crate::report;

const FIGURES: &str = include_str!("../../../docs/measured/mariadb-10.11.csv");
const CODES: &str = include_str!("../../../docs/measured/mariadb-10.11-codes.csv");
/// How far a machine like the one measured may be from the figures, either way.
const TOLERANCE: f64 = 0.25;

pub(super) async fn prove(scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    says_the_same(checks).await?;
    let one = |stock_rows, connections| Point { batch: 1, stock_rows, connections };
    let points = scale.pick(vec![one(1, 1), one(1_000, 8)], Point::all());
    let (window, runs) = scale.pick((Duration::from_millis(500), 1), (Duration::from_secs(3), 3));
    let seen = measured(&points, Care { window, runs }).await?;
    for line in &seen.environment {
        report::row("measured on", line);
    }
    let then = Table::parse(FIGURES)?;
    for row in &seen.rows {
        let before = then.at(row.point).with_context(|| format!("{:?} is missing", row.point))?;
        let share = row.transactions_per_second / before.transactions_per_second;
        let Point { batch, stock_rows, connections } = row.point;
        let what = format!(
            "{connections} connections, {batch} orders each, {stock_rows} stock rows: {:.0}/s, then {:.0}/s, others {:.2} cores",
            row.transactions_per_second, before.transactions_per_second, row.other_cores
        );
        match scale {
            // What else the machine does is not known.
            Scale::Small => checks.promise(row.transactions_per_second > 0.0, what),
            Scale::Full => {
                checks.threshold((1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&share), what);
            }
        }
    }
    Ok(())
}

/// Each refusal is provoked; the codes are those that the model gives.
async fn says_the_same(checks: &mut Checks) -> anyhow::Result<()> {
    let server = Measured::start().await?;
    let seen = codes::provoked(&server).await?;
    server.stop().await?;
    let lines: Vec<&str> = CODES.lines().filter(|line| !line.starts_with('#')).skip(1).collect();
    for (what, code) in &seen {
        let line = format!("{what},{code}");
        checks.promise(lines.contains(&line.as_str()), format_args!("{what}: {code}"));
    }
    checks.promise(seen.len() == lines.len(), format_args!("{} refusals", seen.len()));
    Ok(())
}
