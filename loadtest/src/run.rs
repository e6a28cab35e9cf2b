//! `run`: a burst, or a steady stream, of orders at a gateway somebody runs, and the verdict on it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::Admin;
use crate::clock;
use crate::drive::{Arrivals, Drive, Driven, Shared, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::judge::{Broke, Evidence, Judgement, judge};
use crate::recover::recover;
use crate::store::read_store;
use crate::target::Target;
use crate::wire::full::FullWire;
use crate::{output, report};

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What is sent, how, and what counts as a failure.
#[derive(Debug, Clone, Args)]
pub struct Scenario {
    /// The gateway's public listener, like http://127.0.0.1:8080
    #[arg(long, value_parser = url)]
    pub target: String,
    /// The sale
    #[arg(long, default_value = "demo")]
    pub sale: String,
    /// The item
    #[arg(long, default_value = "phone")]
    pub sku: String,
    /// Units an order
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub quantity: u64,
    /// Buyers, each with a name of his own
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub buyers: u64,
    /// Orders a buyer, each with a key of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub orders_each: u64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
    /// Orders a second (open loop); without it each connection sends as soon as it is free
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Seconds to wait for one answer, and for the gateway to come back
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub patience: f64,
    /// The admin listener, like http://127.0.0.1:9180: the verdict then hears the ledger too
    #[arg(long, value_parser = url)]
    pub admin: Option<String>,
    /// File that holds the admin token
    #[arg(long, requires = "admin")]
    pub token_file: Option<PathBuf>,
    /// Directory of the simulated store: the verdict then hears the store too
    #[arg(long, requires = "admin")]
    pub store: Option<PathBuf>,
    /// Seconds to wait until every accepted order has its fate
    #[arg(long, default_value_t = 60.0, value_parser = positive)]
    pub settle: f64,
    /// Write every attempt to this file, one JSON object a line
    #[arg(long)]
    pub history: Option<PathBuf>,
    /// A send is late after so many milliseconds
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub late_after_ms: f64,
    /// Share of late sends beyond which the run says nothing and fails
    #[arg(long, default_value_t = 0.01)]
    pub late_share: f64,
    /// The p99 latency that must be kept, in milliseconds
    #[arg(long, value_parser = positive)]
    pub p99_ms: Option<f64>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

fn url(text: &str) -> Result<String, String> {
    Target::check(text).map(|_| text.to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

/// How a run ended. The first that applies is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every promise and every threshold held.
    Held,
    /// A promise was broken.
    InvariantBroken,
    /// A threshold was missed, or the generator could not do what it was asked.
    ThresholdFailed,
}

/// A run with everything that was seen.
#[derive(Debug)]
pub struct Done {
    /// What became of each attempt.
    pub history: Shared<History>,
    /// How the generator did.
    pub driven: Driven,
    /// The verdict.
    pub judgement: Judgement,
    /// Thresholds that were missed, in words.
    pub missed: Vec<String>,
}

impl Done {
    /// The one result.
    pub fn ended(&self) -> Ended {
        let soft = self.judgement.count(Broke::Unsettled);
        if self.judgement.findings.len() > soft {
            Ended::InvariantBroken
        } else if soft > 0 || !self.missed.is_empty() {
            Ended::ThresholdFailed
        } else {
            Ended::Held
        }
    }
}

impl Scenario {
    /// Sends, asks again where it must, gathers the evidence and judges.
    pub async fn run(&self) -> anyhow::Result<Done> {
        let tag = format!("load-{:x}-{}", clock::wall_micros(), std::process::id());
        let crowd = Crowd::new(tag, self.orders_each);
        let mut form = OrderForm::new(&self.sale, &self.sku, crowd.clone());
        form.quantity = self.quantity;
        let drive = Drive {
            target: Target::resolve(&self.target).await?,
            form,
            connections: usize::try_from(self.connections)?,
            arrivals: self.rate.map_or(Arrivals::WhenFree, Arrivals::PerSecond),
            patience: Duration::from_secs_f64(self.patience),
            late_after: Duration::from_secs_f64(self.late_after_ms / 1_000.0),
        };
        self.reach(&drive).await?;
        let admin = self.admin().await?;
        let history = shared(History::default());
        let orders = self.buyers.saturating_mul(self.orders_each);
        let sending = drive.run::<FullWire, History>(0..orders, history.clone());
        let driven = with_progress(sending, &history, orders).await;
        recover::<FullWire>(&drive, &history, drive.patience).await;
        if let Some(path) = &self.history {
            look(&history).write_ndjson(&drive.form, path)?;
        }
        let evidence = self.evidence(admin.as_ref()).await?;
        let judgement = judge(&look(&history), &crowd, &evidence);
        let mut missed = self.missed(&look(&history), &driven, orders);
        missed.extend(self.mistaken(&judgement));
        Ok(Done { history, driven, judgement, missed })
    }

    /// Where nobody listens from the beginning there is nothing to wait for.
    async fn reach(&self, drive: &Drive) -> anyhow::Result<()> {
        timeout(drive.patience, TcpStream::connect(drive.target.address))
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .with_context(|| anyhow!("{} cannot be reached", self.target))?;
        Ok(())
    }

    /// Refusals that a wrong option has brought: such a run measured nothing.
    fn mistaken(&self, judgement: &Judgement) -> Vec<String> {
        let options = [
            ("unknown_sale", format!("--sale {}", self.sale)),
            ("unknown_sku", format!("--sku {}", self.sku)),
            ("bad_quantity", format!("--quantity {}", self.quantity)),
        ];
        let told = options.into_iter().filter_map(|(code, option)| {
            let orders = judgement.refused.get(code)?;
            Some(format!("{orders} orders were refused `{code}`: see {option}"))
        });
        told.collect()
    }

    async fn admin(&self) -> anyhow::Result<Option<Admin>> {
        let Some(url) = &self.admin else { return Ok(None) };
        let token = match &self.token_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("the token file {}", path.display()))?;
                let line = text.lines().next().unwrap_or_default().trim();
                Some(line.rsplit(':').next().unwrap_or_default().to_owned())
            }
        };
        Ok(Some(Admin::new(Target::resolve(url).await?, token)))
    }

    async fn evidence(&self, admin: Option<&Admin>) -> anyhow::Result<Evidence> {
        let Some(admin) = admin else { return Ok(Evidence::default()) };
        let within = Duration::from_secs_f64(self.settle);
        admin.census_until(&self.sale, within, |census| census.unsettled() == 0).await?;
        // The store is read before the export: what it holds then, the ledger must know.
        let store = self.store.as_deref().map(|path| read_store(path, &self.sale)).transpose()?;
        Ok(Evidence {
            limit_per_buyer: admin.limit_per_buyer(&self.sale).await?,
            tickets: Some(admin.tickets(&self.sale).await?),
            census: Some(admin.census(&self.sale).await?),
            verified: Some(admin.verify().await?),
            store,
            alone: false,
        })
    }

    fn missed(&self, history: &History, driven: &Driven, orders: u64) -> Vec<String> {
        let mut missed = Vec::new();
        let tally = history.tally();
        if driven.late_share() > self.late_share {
            let (share, max) = (driven.late_share() * 100.0, self.late_share * 100.0);
            missed.push(format!(
                "the generator lagged: {share:.2} % of its sends were late, {max} % may be"
            ));
        }
        if driven.sends < orders {
            missed.push(format!("{} of {orders} orders were sent: no connection", driven.sends));
        }
        if let Some(max) = self.p99_ms {
            let p99 = tally.latency(0.99).as_secs_f64() * 1_000.0;
            // Without a sample there is nothing that could have been kept.
            if tally.answered() == 0 || p99 > max {
                missed.push(format!(
                    "p99 {p99:.2} ms of {} answers, {max} ms may be",
                    tally.answered()
                ));
            }
        }
        missed
    }
}

/// Runs `sending` to its end and says on stderr every few seconds how far it is.
async fn with_progress(
    sending: impl Future<Output = Driven>,
    history: &Shared<History>,
    orders: u64,
) -> Driven {
    tokio::pin!(sending);
    loop {
        if let Ok(driven) = timeout(PROGRESS_EVERY, &mut sending).await {
            return driven;
        }
        let (ended, accepted) = {
            let history = look(history);
            (history.tally().ended(), history.tally().with_status(202))
        };
        output::note(format_args!("{ended} of {orders} orders ended, {accepted} accepted"));
    }
}

/// Prints the result of a run.
pub fn print(done: &Done, as_json: bool) {
    let history = look(&done.history);
    if as_json {
        let mut document = report::document(history.tally(), &done.driven, &done.judgement);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("missed".into(), done.missed.clone().into());
        }
        output::line(document);
        return;
    }
    report::timing(history.tally(), &done.driven);
    report::judgement(&done.judgement);
    for missed in &done.missed {
        output::line(format_args!("threshold missed: {missed}"));
    }
}
