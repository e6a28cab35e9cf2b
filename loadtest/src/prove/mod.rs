//! Proofs: each starts a gateway of its own in a directory of its own, does to it what a promise is
//! about, prints its figures and says whether the promise held.

mod adaptive;
mod dashboards;
mod demo;
mod drain;
mod edge;
mod exact;
mod first_sale;
mod kill;
mod limits;
mod memory;
mod model;
mod mysql;
mod overload;
mod pace;
mod peers;
mod redis;
mod restart;
mod scenarios;
mod slow;
mod speed;
mod verify;
mod waiting;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::load::Ended;
use crate::{output, report};

/// What is proved, how large, and on which binary.
#[derive(Debug, Clone, Args)]
pub struct Proof {
    /// The promise
    #[arg(value_enum)]
    pub name: Name,
    /// `small` takes seconds and looks at behaviour; `full` is the figure that counts
    #[arg(long, value_enum, default_value_t = Scale::Small)]
    pub scale: Scale,
    /// The gateway's binary
    #[arg(long)]
    pub forebay: PathBuf,
}

/// The promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Started with no configuration it sells, by the line it prints
    FirstSale,
    /// The demo shows both ways in a minute, and leaves only its report
    Demo,
    /// Many buyers, few units: exact, and a cut-off buyer gets his ticket
    Exact,
    /// Killed in the middle of waves: nothing lost, doubled or oversold
    Kill,
    /// One gateway after the other is restarted behind a load balancer: no request is lost
    Restart,
    /// Ten times of what can be taken: the pace is kept, memory stays bounded, and it comes back
    Overload,
    /// The store is reached at the rate that was set
    Pace,
    /// Through a brown-out of the store an adaptive drain backs off, and comes back after it
    Adaptive,
    /// Rate limits give what they promise, and forget
    Limits,
    /// A sale's memory comes back after its purge
    Memory,
    /// The verifier finds nothing in an honest sale, and every sabotage of the store
    Verify,
    /// The same of orders that end in a real MariaDB
    VerifyMysql,
    /// Buyers who wait on streams and by held answers each learn their outcome, and cost little
    Waiting,
    /// Redis as the ledger of many processes: exact, paced over all of them, and nothing lost when any is killed
    Redis,
    /// Orders end in a real MariaDB that is killed and does not answer its commits: each once, with both ledgers
    Mysql,
    /// What it costs to carry orders into a real MariaDB, from both ledgers
    Drain,
    /// Every scenario of the load test keeps every promise
    Scenarios,
    /// Every bad input is answered as it should be, and no proxy in front counts requests differently
    Edge,
    /// Slow clients and a lack of descriptors leave the gateway available
    Slow,
    /// A real MariaDB says and does what the simulated store was made after
    Model,
    /// Every panel of the dashboards shows data of a sale that a real Prometheus scraped
    Dashboards,
    /// What an order costs beside bare hyper
    Speed,
    /// The peers of the bench that need no installation do the job that they are timed for
    Peers,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Seconds, on a debug build too.
    Small,
    /// The figures of the specification.
    Full,
}

impl Scale {
    /// The value for this scale.
    pub fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }

    /// The least share of what is promised in time that must be seen: at small scale a quarter, because there
    /// nobody knows what else the machine does meanwhile.
    fn least(self, promised: f64) -> f64 {
        self.pick(0.25, promised)
    }
}

/// What has to hold, one line each, printed as it is found.
#[derive(Debug, Default)]
pub struct Checks {
    broken: usize,
    missed: usize,
}

impl Checks {
    /// A promise: exit 5 when it does not hold.
    pub fn promise(&mut self, holds: bool, what: impl std::fmt::Display) {
        self.broken += usize::from(!holds);
        report::row(if holds { "holds" } else { "BROKEN" }, what);
    }

    /// A promise that was shown already.
    pub fn count(&mut self, holds: bool) {
        self.broken += usize::from(!holds);
    }

    /// A threshold: exit 99 when it is missed.
    pub fn threshold(&mut self, kept: bool, what: impl std::fmt::Display) {
        self.missed += usize::from(!kept);
        report::row(if kept { "kept" } else { "MISSED" }, what);
    }

    fn ended(&self) -> Ended {
        match self {
            Self { broken: 1.., .. } => Ended::InvariantBroken,
            Self { missed: 1.., .. } => Ended::ThresholdFailed,
            Self { .. } => Ended::Held,
        }
    }
}

/// Runs one proof.
pub async fn prove(proof: &Proof) -> anyhow::Result<Ended> {
    let binary = std::path::absolute(&proof.forebay)?;
    let mut checks = Checks::default();
    match proof.name {
        Name::FirstSale => first_sale::prove(&binary, &mut checks).await?,
        Name::Demo => demo::prove(&binary, proof.scale, &mut checks).await?,
        Name::Exact => exact::prove(&binary, proof.scale, &mut checks).await?,
        Name::Kill => kill::prove(&binary, proof.scale, &mut checks).await?,
        Name::Restart => restart::prove(&binary, proof.scale, &mut checks).await?,
        Name::Memory => memory::prove(&binary, proof.scale, &mut checks).await?,
        Name::Overload => {
            Box::pin(overload::prove(&binary, proof.scale, &mut checks)).await?;
        }
        Name::Pace => pace::prove(&binary, proof.scale, &mut checks).await?,
        Name::Adaptive => Box::pin(adaptive::prove(&binary, proof.scale, &mut checks)).await?,
        Name::Limits => limits::prove(&binary, proof.scale, &mut checks).await?,
        Name::Verify => verify::prove(&binary, proof.scale, &mut checks).await?,
        Name::VerifyMysql => {
            Box::pin(verify::on_mysql(&binary, proof.scale, &mut checks)).await?;
        }
        Name::Waiting => waiting::prove(&binary, proof.scale, &mut checks).await?,
        Name::Redis => Box::pin(redis::prove(&binary, proof.scale, &mut checks)).await?,
        Name::Mysql => Box::pin(mysql::prove(&binary, proof.scale, &mut checks)).await?,
        Name::Drain => Box::pin(drain::prove(&binary, proof.scale, &mut checks)).await?,
        Name::Scenarios => {
            Box::pin(scenarios::prove(&binary, proof.scale, &mut checks)).await?;
        }
        Name::Edge => Box::pin(edge::prove(&binary, &mut checks)).await?,
        Name::Slow => slow::prove(&binary, proof.scale, &mut checks).await?,
        Name::Model => Box::pin(model::prove(proof.scale, &mut checks)).await?,
        Name::Dashboards => {
            Box::pin(dashboards::prove(&binary, proof.scale, &mut checks)).await?;
        }
        Name::Speed => Box::pin(speed::prove(&binary, proof.scale, &mut checks)).await?,
        Name::Peers => Box::pin(peers::prove(&binary, &mut checks)).await?,
    }
    let ended = checks.ended();
    output::line(if ended == Ended::Held { "proved" } else { "NOT PROVED" });
    Ok(ended)
}
