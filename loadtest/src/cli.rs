//! The command line, and the exit codes: 0 held, 1 failure at run time, 2 usage, 5 an invariant is
//! broken, 99 a threshold failed.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::bench::Bench;
use crate::bench::drain::{self, BenchDrain};
use crate::load::{Ended, Options};
use crate::measure::Measure;
use crate::prove::{self, Proof};
use crate::{bare, bench, load, output, proxy, shop};

#[derive(Debug, Parser)]
#[command(
    name = "forebay-loadtest",
    version,
    about = "Proves what a Forebay gateway promises; `forebay load` sends a load of your own"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a gateway and prove one promise
    Prove(Proof),
    /// Time Forebay beside what a shop would put in its place
    Bench(Bench),
    /// Time how Forebay carries orders into a database beside what a shop would put in its place
    BenchDrain(BenchDrain),
    /// Serve the floor: an epoll loop by hand that decides in memory
    #[cfg(target_os = "linux")]
    Floor {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Length of the body of its answers
        #[arg(long, default_value_t = 165)]
        body_bytes: usize,
        /// A sale and its units, like `demo=1000`
        #[arg(long = "sale", value_parser = name_and_units)]
        sales: Vec<(String, u64)>,
    },
    /// Measure what a MariaDB of our own takes: the figures behind the simulated store
    MeasureMariadb(Measure),
    /// Pass connections to a Redis on, and do to them the faults that the lines of the input name
    FaultProxy {
        /// The Redis
        #[arg(long)]
        upstream: SocketAddr,
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Serve the example shop: takes orders by HTTP, knows its buyers by a cookie, and can be told to fail
    Shop(shop::Options),
    /// Serve the yardstick: bare hyper that answers 202 to everything
    Bare {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Length of the body of its answers
        #[arg(long, default_value_t = 165)]
        body_bytes: usize,
    },
}

/// Parses the arguments, does what they say, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(Ended::Held) => ExitCode::SUCCESS,
        Ok(Ended::InvariantBroken) => ExitCode::from(5),
        Ok(Ended::ThresholdFailed) => ExitCode::from(99),
        Err(error) => {
            output::note(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<Ended> {
    match command {
        Command::Prove(proof) => one_thread()?.block_on(until_interrupted(prove::prove(&proof))),
        Command::Bench(plan) => {
            one_thread()?.block_on(until_interrupted(Box::pin(bench::bench(&plan))))?;
            Ok(Ended::Held)
        }
        Command::BenchDrain(plan) => {
            one_thread()?.block_on(until_interrupted(Box::pin(drain::bench_drain(&plan))))?;
            Ok(Ended::Held)
        }
        #[cfg(target_os = "linux")]
        Command::Floor { listen, body_bytes, sales } => {
            crate::floor::serve(listen, body_bytes, sales).map(|()| Ended::Held)
        }
        Command::FaultProxy { upstream, listen } => {
            proxy::console::run(listen, upstream).map(|()| Ended::Held)
        }
        Command::MeasureMariadb(measure) => {
            one_thread()?.block_on(until_interrupted(measure.run())).map(|()| Ended::Held)
        }
        Command::Shop(options) => {
            one_thread()?.block_on(until_interrupted(shop::run(&options))).map(|()| Ended::Held)
        }
        Command::Bare { listen, body_bytes } => {
            let mut two_workers = Builder::new_multi_thread();
            let runtime = two_workers.worker_threads(2).enable_all().build()?;
            runtime.block_on(bare::serve(listen, body_bytes)).map(|()| Ended::Held)
        }
    }
}

#[cfg(target_os = "linux")]
fn name_and_units(text: &str) -> Result<(String, u64), String> {
    let parsed =
        text.split_once('=').and_then(|(name, units)| Some((name.to_owned(), units.parse().ok()?)));
    parsed.ok_or_else(|| "give a sale and its units, like demo=1000".to_owned())
}

/// Runs a scenario, prints its result and says how it ended.
///
/// # Errors
/// A [`Mistake`](load::Mistake) of the caller's, or a failure at run time.
pub fn load(options: &Options) -> anyhow::Result<Ended> {
    one_thread()?.block_on(until_interrupted(load::run(options)))
}

/// The generator runs on one thread: on a small machine a second one only takes from the gateway.
fn one_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Gives up at SIGINT and SIGTERM by dropping the work, and with it every process that it started.
async fn until_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
        _ = terminated.recv() => Err(anyhow!("terminated")),
    }
}
