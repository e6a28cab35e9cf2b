//! The only place that names concrete engines: build, bind, run, stop.
//!
//! Threads: `forebay-http-N` take orders, each with a runtime of its own; `forebay-control` carries the rest
//! (admin, drain, upkeep), so that a burst does not starve the operator and the operator not the burst.

mod admin;
mod descriptors;
mod engines;
mod failure;
mod logs;
mod operations;
mod pauses;
mod preparation;
mod process;
mod public;
mod recorder;
mod redrive;
mod reload;
mod role;
mod sales;
mod signals;
mod sockets;
mod store_access;
mod upkeep;
mod verifier;
mod vitals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use descriptors::Connections;
pub use descriptors::{DescriptorNeeds, descriptor_needs, raise_open_files};
use engines::Engines;
pub use failure::{StartError, StartKind};
use logs::Verbosity;
use preparation::Preparation;
use process::{Given, Process, Sockets};
pub use role::Role;
pub use sales::differs as sale_differs;
use signals::Signals;
pub use sockets::address_is_free;
pub use verifier::verify_offline;

use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::config::Inputs;
use crate::config::Settings;

/// What a process tells once it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// What it does of the whole.
    pub role: Role,
    /// Where buyers come in, if they do.
    pub public: Option<SocketAddr>,
    /// Where operators come in.
    pub admin: SocketAddr,
    /// There is an open sale `demo` with units to try.
    pub demo: bool,
}

/// Serves until a signal or a failure ends it. `announce` is called once, when requests are answered. A reload
/// reads `inputs` again, of which `settings` came.
///
/// # Errors
/// When it cannot start, or must end because a part of it ended.
pub fn serve(
    settings: Settings,
    inputs: Inputs,
    role: Role,
    announce: impl FnOnce(Started),
) -> Result<(), StartError> {
    let verbosity = logs::start(&settings.log);
    let connections = descriptors::connections(&settings, role)?;
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("forebay-control")
        .enable_all()
        .build()
        .map_err(|error| StartError::runtime(format!("runtime: {error}")))?;
    let served = control.block_on(async {
        let sources = Sources { settings, inputs, verbosity };
        run(sources, connections, role, announce).await
    });
    // What still runs is nobody's any more: leases are handed back and the ledger is closed.
    control.shutdown_background();
    served
}

/// The settings, where they came from, and the log that they opened.
struct Sources {
    settings: Settings,
    inputs: Inputs,
    verbosity: Verbosity,
}

/// How long the announcement waits for a ledger that is elsewhere, to tell of the sale of a first run.
const FIRST_CONTACT: Duration = Duration::from_secs(1);

async fn run(
    sources: Sources,
    connections: Connections,
    role: Role,
    announce: impl FnOnce(Started),
) -> Result<(), StartError> {
    let Sources { settings, inputs, verbosity } = sources;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let metrics = recorder::install(clock.wall())?;
    let no_signals = |error| StartError::runtime(format!("signals: {error}"));
    let mut signals = Signals::take().map_err(no_signals)?;
    let hangups = signals::hangups().map_err(no_signals)?;
    let public = role.takes_orders().then(|| sockets::bind("public", settings.public.listen));
    let public = public.transpose()?;
    let admin = sockets::bind("admin", settings.admin)?;
    let (listens, administers) = (public.as_ref().map(|public| public.address), admin.address);
    let engines = open(&settings, role, &clock).await?;
    let first_run = inputs.file.is_none() && role.takes_orders();
    let (ledger, keyring) = (Arc::clone(&engines.ledger), engines.keyring.clone());
    let preparation = Preparation::new(&settings, first_run, ledger, keyring);
    let progress = preparation.progress();

    let process = Process::new(engines, role, &settings);
    let sockets = Sockets { public, admin, connections };
    let given =
        Given { settings, inputs, verbosity, hangups, clock, metrics, sockets, preparation };
    process.start(given).await?;
    let demo = progress.demo_within(FIRST_CONTACT).await;
    announce(Started { role, public: listens, admin: administers, demo });
    let outcome = tokio::select! {
        code = signals.stop() => {
            tracing::info!("stopping");
            end_at_once_if_asked_again(signals, code);
            process.leave().await;
            Ok(())
        }
        name = process.failed() => {
            Err(StartError::runtime(format!("the task `{name}` ended: see the log")))
        }
        refused = progress.refused() => Err(refused),
    };
    process.stop().await;
    outcome
}

/// A second signal ends the process, whatever it is doing.
fn end_at_once_if_asked_again(mut signals: Signals, _: u8) {
    tokio::spawn(async move {
        let code = signals.stop().await;
        tracing::warn!("asked again: ending at once");
        std::process::exit(i32::from(code));
    });
}

async fn open(settings: &Settings, role: Role, clock: &SharedClock) -> Result<Engines, StartError> {
    let (settings, clock) = (settings.clone(), Arc::clone(clock));
    let opening = tokio::task::spawn_blocking(move || Engines::open(&settings, role, &clock));
    let opened = opening.await;
    opened.map_err(|error| StartError::runtime(format!("opening the ledger: {error}")))?
}
