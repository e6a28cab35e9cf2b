//! Measures what a real `MariaDB` takes: the figures that the simulated store's constants come from.
//!
//! A closed loop at a growing number of connections, each transaction `START TRANSACTION`, `INSERT` of line 1 of
//! each order, one guarded decrement, `COMMIT`: four exchanges, as a shop's code makes them.

pub mod codes;
mod load;
pub mod machine;
pub mod server;
pub mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use server::Measured;
use table::{Point, Row, Table};

use crate::output;

/// More of the cores than this taken by others, and a figure is disturbed.
const QUIET_CORES: f64 = 0.15;
/// Tries for each figure wanted, to find quiet ones.
const TRIES: usize = 3;

/// What is measured, and how carefully.
#[derive(Debug, Clone, Args)]
pub struct Measure {
    /// Where the table is written; to stdout without it
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seconds of each figure
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Figures of each point; their median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// How long a point is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Care {
    /// Of one figure.
    pub window: Duration,
    /// Figures of a point.
    pub runs: usize,
}

impl Measure {
    /// Measures all points and writes the table.
    ///
    /// # Errors
    /// When the server cannot be started or answers a transaction with an error.
    pub async fn run(&self) -> anyhow::Result<()> {
        let window = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        let care = Care { window, runs: self.runs.max(1) };
        let text = measured(&Point::all(), care).await?.to_string();
        match &self.out {
            Some(file) => {
                std::fs::write(file, text).with_context(|| format!("{}", file.display()))?;
                output::note(format_args!("written to {}", file.display()));
            }
            None => output::line(text.trim_end()),
        }
        Ok(())
    }
}

/// Measures the points on a server of its own.
///
/// # Errors
/// When the server cannot be started or answers a transaction with an error.
pub async fn measured(points: &[Point], care: Care) -> anyhow::Result<Table> {
    let server = Measured::start().await?;
    let mut rows = Vec::new();
    for point in points {
        let row = point_on(&server, *point, care).await?;
        output::note(format_args!("{row}"));
        rows.push(row);
    }
    let environment = machine::environment(&server, care).await?;
    server.stop().await?;
    Ok(Table { environment, rows })
}

/// The median of the quiet figures; of the quietest, where there are not enough.
async fn point_on(server: &Measured, point: Point, care: Care) -> anyhow::Result<Row> {
    let mut seen: Vec<Row> = Vec::new();
    let quiet = |rows: &[Row]| rows.iter().filter(|row| row.other_cores < QUIET_CORES).count();
    while quiet(&seen) < care.runs && seen.len() < care.runs * TRIES {
        seen.push(load::closed_loop(server, point, care.window).await?);
    }
    seen.sort_by(|a, b| a.other_cores.total_cmp(&b.other_cores));
    seen.truncate(care.runs);
    seen.sort_by(|a, b| a.transactions_per_second.total_cmp(&b.transactions_per_second));
    let middle = seen.len() / 2;
    Ok(seen.swap_remove(middle))
}
