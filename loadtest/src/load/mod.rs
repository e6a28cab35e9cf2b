//! `forebay load`: a scenario's buyers at a gateway, and the verdict on what became of their orders.

mod arrivals;
mod baseline;
mod dice;
pub mod document;
mod engine;
mod environment;
mod errand;
mod files;
mod hgrm;
mod html;
mod options;
mod outcome;
mod plan;
mod probe;
mod progress;
mod sales;
mod sampling;
pub mod scenario;
mod seen;
mod slow;
mod table;
mod timeline;
mod waiting;
mod witnesses;
mod written;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use self::baseline::{Comparison, Difference};
use self::document::Document;
use self::engine::Engine;
pub use self::environment::Environment;
pub use self::files::write;
pub use self::options::Options;
pub use self::outcome::{Ended, Judged, Outcome};
use self::plan::Plan;
use self::scenario::{Scenario, shipped};
pub use self::timeline::Second;
use crate::admin::Admin;
use crate::clock;
use crate::drive::look;
use crate::output;
use crate::target::Target;

/// Before anything is sent: what the caller has to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// The command line.
    Usage(String),
    /// The scenario.
    Scenario(String),
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(what) | Self::Scenario(what)) = self;
        f.write_str(what)
    }
}

/// A run: what is known of it, and the same as a document.
#[derive(Debug)]
pub struct Run {
    /// What is known.
    pub outcome: Outcome,
    /// As it is written down.
    pub document: Document,
}

/// Does what the command line says, prints the result and says how it ended.
///
/// # Errors
/// A [`Mistake`] of the caller's, or a failure at run time.
pub async fn run(options: &Options) -> anyhow::Result<Ended> {
    if options.list {
        list();
        return Ok(Ended::Held);
    }
    let run = measure(options).await?;
    let on_stdout = write(options, &run)?;
    if !on_stdout {
        table::print(&run);
    }
    Ok(run.outcome.ended())
}

fn list() {
    for (name, text) in shipped::SHIPPED {
        let about = Scenario::read(name, text).map(|scenario| scenario.about);
        output::line(format_args!("{name:<20} {}", about.unwrap_or_default()));
    }
}

/// Runs a scenario and gathers all that is known of it.
///
/// # Errors
/// As [`run`].
pub async fn measure(options: &Options) -> anyhow::Result<Run> {
    let (Some(name), Some(url)) = (&options.scenario, &options.target) else {
        bail!(Mistake::Usage("a scenario and --target are needed".to_owned()));
    };
    let scenario = Scenario::load(name).map_err(|wrong| Mistake::Scenario(format!("{wrong:#}")))?;
    let tag = format!("{:x}{:x}", clock::wall_micros() / 1_000, std::process::id());
    let mut plan = Plan::new(&scenario, options, &tag)
        .map_err(|wrong| Mistake::Usage(format!("{wrong:#}")))?;
    let before = options.baseline.as_deref().map(baseline::read).transpose()?;
    files::can_be_written(options)?;
    let target = reach(url, options).await?;
    let admin = match &options.admin {
        None => None,
        Some(url) => Some(Admin::new(reach(url, options).await?, token(options)?)),
    };
    let environment = Environment::look(&plan, &target, admin.as_ref()).await;
    for warning in &environment.warnings {
        output::note(format_args!("warning: {warning}"));
    }
    sales::ready(&mut plan.sales, admin.as_ref(), &target).await?;
    let pace = witnesses::pace(admin.as_ref()).await?;
    let (engine, sockets) = Engine::start(plan, target).await;
    let work = async {
        tokio::select! {
            () = engine.run(sockets) => {}
            () = sampling::look_on(&engine, admin.as_ref()) => {}
        }
    };
    progress::while_running(&engine, work).await;
    let began = look(&engine.seen).began;
    let elapsed = clock::now().saturating_duration_since(began);
    let mut outcome = Outcome::new(&engine, elapsed);
    outcome.asked_again = probe::ask_again(&engine).await;
    if let Some(path) = &options.history {
        files::write_history(&engine, path)?;
    }
    witnesses::hear(&mut outcome, &engine, admin.as_ref(), pace, options).await?;
    let mut document = written::document(&outcome, &engine, (name, &scenario.about), environment);
    if let Some(before) = &before {
        let comparison = baseline::compare(before, &document);
        outcome.regress = comparison.regress;
        document.baseline = Some(comparison);
    }
    outcome.judge_thresholds(&engine.plan.keep);
    document.thresholds.clone_from(&outcome.thresholds);
    document.ended = outcome.ended();
    Ok(Run { outcome, document })
}

/// Resolves a listener; one that is not on this machine has to be owned. Where nobody listens there is nothing
/// to wait for.
async fn reach(url: &str, options: &Options) -> anyhow::Result<Target> {
    let target = Target::resolve(url).await?;
    let name = target.name();
    if !target.address.ip().is_loopback() && !options.owned.iter().any(|owned| owned == name) {
        let what = format!(
            "{url} is {}, which is not this machine: give --i-own-this-target {name} if it is yours to load",
            target.address.ip()
        );
        bail!(Mistake::Usage(what));
    }
    timeout(Duration::from_secs(10), TcpStream::connect(target.address))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .with_context(|| anyhow!("{url} cannot be reached"))?;
    Ok(target)
}

fn token(options: &Options) -> anyhow::Result<Option<String>> {
    let Some(path) = &options.token_file else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the token file {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    let (_, secret) = line.split_once(':').unwrap_or(("", line));
    Ok(Some(secret.to_owned()))
}
