//! Side by side, where orders end: Forebay, workers on a queue in Redis as a shop would write them, and plain inserts,
//! which have no queue at all, carry the same orders into the same `MariaDB`, without a pace.
//!
//! All orders wait before the clock runs. Peers take turns, round after round; each turn begins with empty tables and
//! new processes, and after it the rows are counted: whoever lost or doubled an order is named, and told no figure.

mod job;
mod list;
mod peer;
mod plain;
mod stock;
mod table;
mod turn;
pub(super) mod workers;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

pub(crate) use self::turn::Rig;

use self::table::Table;
use self::turn::{Row, Turn};
use super::{install, version};
use crate::output;
use crate::prove::Scale;

/// What is measured, how much of it, and on which binary.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchDrain {
    /// `small` takes seconds and says nothing about speed; `full` is the figure that counts
    #[arg(long, value_enum, default_value_t = Scale::Small)]
    scale: Scale,
    /// Only these peers; plain inserts always run, since all else is a multiple of them
    #[arg(long, value_enum, num_args = 1..)]
    only: Vec<Name>,
    /// The gateway's binary
    #[arg(long)]
    forebay: PathBuf,
    /// Where the peers' programs and their lock files lie; what they need is installed there
    #[arg(long, default_value = "loadtest/bench/peers")]
    peers: PathBuf,
    /// Connections to the database of each peer but Forebay, and orders that it carries at a time
    #[arg(long, default_value_t = 16, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    connections: usize,
    /// Processes of workers
    #[arg(long, default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=16))]
    workers: usize,
    /// The result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// From a list in memory, a transaction an order
    PlainInserts,
    /// From a list in memory, a transaction a hundred orders
    PlainBatches,
    /// Forebay with the ledger on disk
    Forebay,
    /// Forebay with the ledger in Redis
    ForebayRedis,
    /// Node workers on BullMQ, a transaction an order
    Bullmq,
    /// Rust workers on apalis with Redis, a transaction an order
    ApalisRedis,
}

impl Name {
    /// All, in the order of the table.
    const ALL: [Self; 6] = [
        Self::PlainInserts,
        Self::PlainBatches,
        Self::Forebay,
        Self::ForebayRedis,
        Self::Bullmq,
        Self::ApalisRedis,
    ];

    /// Those that run on what the tests need anyway.
    pub(crate) const AT_HAND: [Self; 4] =
        [Self::PlainInserts, Self::PlainBatches, Self::Forebay, Self::ForebayRedis];

    /// What it is called in the table.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::PlainInserts => "plain inserts, 1 a transaction",
            Self::PlainBatches => "plain inserts, 100 a transaction",
            Self::Forebay => "Forebay, embedded, on disk",
            Self::ForebayRedis => "Forebay, Redis",
            Self::Bullmq => "BullMQ workers",
            Self::ApalisRedis => "apalis-redis workers",
        }
    }

    fn on_redis(self) -> bool {
        matches!(self, Self::ForebayRedis | Self::Bullmq | Self::ApalisRedis)
    }

    /// How many orders it carries in a turn: fewer where each is a transaction, or a round would take minutes.
    fn orders(self, scale: Scale) -> u64 {
        match self {
            Self::PlainInserts | Self::Bullmq => scale.pick(3_000, 30_000),
            Self::PlainBatches | Self::Forebay | Self::ForebayRedis => scale.pick(6_000, 100_000),
            // Its workers end with an error when 8,000 jobs wait: it unpacks all of them on the stack of one Lua call.
            Self::ApalisRedis => scale.pick(3_000, 7_000),
        }
    }
}

/// Installs what is missing, lets the peers take turns, checks what each did, prints.
///
/// # Errors
/// When the yardstick cannot be measured, or a peer did not do its job.
pub(crate) async fn bench_drain(bench: &BenchDrain) -> anyhow::Result<()> {
    let chosen = |name: &Name| {
        *name == Name::PlainInserts || bench.only.is_empty() || bench.only.contains(name)
    };
    let names: Vec<Name> = Name::ALL.into_iter().filter(chosen).collect();
    install::carrying(&names, &bench.peers).await?;
    let forebay = std::path::absolute(&bench.forebay)?;
    let rig = Rig::start(&forebay, Some(&bench.peers), bench.connections, bench.workers).await?;
    let (rows, broken) = rounds(&rig, &names, bench.scale).await?;
    let table = Table::new(&rows, &rig, &version(&forebay).await?).await?;
    rig.end().await?;
    match bench.json {
        true => output::line(table.json()),
        false => table.print(),
    }
    if !broken.is_empty() {
        bail!("not all do the job: {}", broken.join("; "));
    }
    Ok(())
}

/// All rounds; a peer that does not do its job takes part no longer, and is told beside the rows of the others.
async fn rounds(
    rig: &Rig,
    names: &[Name],
    scale: Scale,
) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let rounds = scale.pick(1, 5);
    let mut rows: Vec<Row> = names.iter().map(|name| Row::new(*name, name.orders(scale))).collect();
    let mut broken = Vec::new();
    for round in 1..=rounds {
        output::note(format_args!("round {round} of {rounds}"));
        let mut done = Vec::new();
        for mut row in rows {
            let label = row.name.label();
            match one(rig, &row).await {
                Ok(turn) => {
                    row.turns.push(turn);
                    done.push(row);
                }
                Err(error) if row.name == Name::PlainInserts => return Err(error).context(label),
                Err(error) => {
                    output::note(format_args!("{label}: {error:#}: no figure is told"));
                    broken.push(format!("{label}: {error:#}"));
                }
            }
        }
        rows = done;
    }
    Ok((rows, broken))
}

/// A turn that counts: all that was looked at after it was as it should be.
async fn one(rig: &Rig, row: &Row) -> anyhow::Result<Turn> {
    let (turn, findings) = Box::pin(rig.turn(row.name, row.orders)).await?;
    let broken: Vec<&str> =
        findings.iter().filter(|finding| !finding.holds).map(|found| found.what.as_str()).collect();
    if !broken.is_empty() {
        bail!("does not do the job: {}", broken.join("; "));
    }
    Ok(turn)
}
